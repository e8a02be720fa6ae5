"""From what a pipeline's run left behind to a piece of the graph. Pure: the same records give the same fragment.

`version.json` says how a version was made; comparison, evidence and what was pushed say what came of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tfx_pedigree.comparison import Comparison, Data
from tfx_pedigree.lineage import node_factory
from tfx_pedigree.lineage.clean_nodes import clean_node
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment, Node
from tfx_pedigree.registry import Evidence
from tfx_pedigree.secrets import clean_text, clean_values

# The split that a Trainer learns from, unless it was told of others.
TRAIN = "train"

# What files are called that a training went on from, and that are no version.
BASE_MODEL = "base model"

Link = tuple[Node, EdgeKind, Node]


@dataclass(frozen=True)
class Deployment:
    """Where a version was laid out for serving."""

    destination: str
    pushed_version: str | None = None
    outcome: str | None = None


@dataclass(frozen=True)
class Judged:
    """The evidence that decided. `here` is False where it was there before the comparison that is given."""

    evidence: Evidence
    here: bool = True


@dataclass(frozen=True)
class PipelineRun:
    """What the runner says of itself. `incomplete` says why something could not be read; `complete` that all was."""

    id: str | None = None
    pipeline: str | None = None
    incomplete: str | None = None
    complete: bool = False


@dataclass(frozen=True)
class Seen:
    """What artifacts say of the data beside version.json, by split: digests of their statistics, and where they lie."""

    statistics: Mapping[str, str] = field(default_factory=dict)
    uris: Mapping[str, str] = field(default_factory=dict)


def fragment_of(
    record: Mapping[str, Any],
    *,
    predecessor: str | None = None,
    comparison: Comparison | None = None,
    evaluated_on: Iterable[Data] = (),
    judged: Judged | None = None,
    deployment: Deployment | None = None,
    modules: Mapping[str, str] | None = None,
    image: str | None = None,
    seen: Seen | None = None,
    seen_evaluated: Seen | None = None,
    run: PipelineRun | None = None,
    recipe: Mapping[str, Any] | None = None,
    diff: Mapping[str, Any] | None = None,
) -> Fragment:
    """`record` is version.json, also one of an older release, which knows less.

    `predecessor` is the digest of the version that it names. `evaluated_on` tells of an evaluation that nobody
    compared; a comparison knows its own. `seen` is of the examples that it was trained on, `seen_evaluated` of those
    that it was evaluated on. `recipe` is how the run was started, `diff` what lay uncommitted. `modules` (name to
    digest) and `image` count where the record has none.
    """
    record = {**record, **_clean_parts(record)}
    version = node_factory.version_node(record["model"], record["digest"], version=record.get("version"))
    making = _Making(record, version, modules or {}, clean_text(image or ""), _clean(seen), run or PipelineRun())
    links = making.links()
    if predecessor is not None and predecessor != record["digest"]:
        links.append(_superseded(record, version, predecessor))
    links += _judgement(
        record, version, comparison, _evaluated(comparison, evaluated_on, _clean(seen_evaluated)), judged
    )
    if deployment is not None:
        links.append(_deployed(record, version, deployment))
    if recipe:
        links.append((making.run_node, EdgeKind.USED, node_factory.recipe_node(clean_values(recipe))))
    if diff:
        links.append((making.run_node, EdgeKind.USED, node_factory.diff_node(diff)))
    return _linked(links, making.run_node)


def without_secrets(fragment: Fragment) -> Fragment:
    """As the gate of the graph would make it, for a copy that is kept elsewhere."""
    clean = {node.key: clean_node(node)[0] for node in fragment.nodes}
    names = {before: node.key for before, node in clean.items()}

    def named(key: str) -> str:
        return names.get(key, key)

    edges = (
        Edge(named(one.source), one.kind, named(one.target), named(one.run) if one.run else None)
        for one in fragment.edges
    )
    return node_factory.joined(clean.values(), edges)


def _clean(seen: Seen | None) -> Seen:
    if seen is None:
        return Seen()
    return replace(seen, uris={split: clean_text(uri) for split, uri in seen.uris.items()})


def _clean_parts(record: Mapping[str, Any]) -> dict[str, Any]:
    """Before keys are made of it: the run's content holds the key of the parameters."""
    return clean_values({name: record[name] for name in ("parameters", "training", "code") if record.get(name)})


def merged(fragments: Iterable[Fragment]) -> Fragment:
    every = tuple(fragments)
    return node_factory.joined(
        (node for one in every for node in one.nodes),
        (edge for one in every for edge in one.edges),
    )


def trained_splits(record: Mapping[str, Any], splits: Iterable[str]) -> tuple[str, ...]:
    """Those that the Trainer was told to learn from; else `train`; else all, where none has that name."""
    there = tuple(splits)
    told = (record.get("training") or {}).get("train_args") or {}
    named = [split for split in told.get("splits") or () if split in there]
    if named:
        return tuple(named)
    return (TRAIN,) if TRAIN in there else there


@dataclass(frozen=True)
class _Making:
    """How the version came about: the run, and all that went into it."""

    record: Mapping[str, Any]
    version: Node
    modules: Mapping[str, str]
    image: str
    seen: Seen
    run: PipelineRun

    @cached_property
    def data(self) -> tuple[Node, ...]:
        return tuple(_data(self.record, self.seen))

    @cached_property
    def run_node(self) -> Node:
        code, parameters = self._code(), self._parameters()
        return node_factory.run_node(
            model=self.record["model"],
            version=self.record["digest"],
            data=[node.key for node in self.data],
            code=code.key if code else None,
            parameters=parameters.key if parameters else None,
            id=self.run.id,
            pipeline=self.run.pipeline,
            incomplete=self.run.incomplete,
            complete=self.run.complete,
        )

    def links(self) -> list[Link]:
        schema, transform = self._digest_of("schema"), self._digest_of("transform")
        modules = [node_factory.module_node(name, digest) for name, digest in self._modules().items()]
        made: list[tuple[EdgeKind, Node | None]] = [
            (EdgeKind.PRODUCED_BY, self.run_node),
            *((EdgeKind.TRAINED_ON, node) for node in self.data),
            (EdgeKind.CONFORMS_TO, schema),
            (EdgeKind.TRANSFORMED_BY, transform),
            *((EdgeKind.BUILT_BY, node) for node in (self._code(), *modules)),
            (EdgeKind.RAN_IN, self._environment()),
            (EdgeKind.CONFIGURED_BY, self._parameters()),
        ]
        links = [(self.version, kind, node) for kind, node in made if node is not None]
        if (base := self._base_model()) is not None and base.key != self.version.key:
            links += [(self.version, EdgeKind.DERIVED_FROM, base), (self.run_node, EdgeKind.USED, base)]
        links += [(self.run_node, EdgeKind.USED, node) for node in self.data]
        if transform is not None:
            links += [(transform, EdgeKind.DERIVED_FROM, node) for node in self.data]
        return links

    def _code(self) -> Node | None:
        state = self.record.get("code")
        return node_factory.code_node(state) if state and state.get("commit") else None

    def _modules(self) -> Mapping[str, str]:
        return self.record.get("modules") or self.modules

    def _parameters(self) -> Node | None:
        parameters, training = self.record.get("parameters") or {}, self.record.get("training") or {}
        return node_factory.parameters_node(parameters, training) if parameters or training else None

    def _environment(self) -> Node | None:
        found = dict(self.record.get("environment") or {})
        if not found.get("image") and self.image:
            found["image"] = self.image
        return node_factory.environment_node(found) if found else None

    def _base_model(self) -> Node | None:
        """What the training went on from: a version, or files that no registry knows."""
        base = self.record.get("base_model")
        if not base:
            return None
        if base.get("version"):
            return node_factory.version_node(base["model"], base["digest"], version=base["version"])
        return node_factory.data_node(fingerprint=base["digest"], split=BASE_MODEL)

    def _digest_of(self, name: str) -> Node | None:
        found = (self.record.get("data") or {}).get(name) or {}
        if not found.get("digest"):
            return None
        make = node_factory.schema_node if name == "schema" else node_factory.transform_node
        return make(found["digest"], structure=found.get("structure"))


def _data(record: Mapping[str, Any], seen: Seen) -> Iterator[Node]:
    """What the version was trained on. A split of which nothing says what it is cannot be a node."""
    for examples in (record.get("data") or {}).get("examples") or ():
        splits = examples.get("splits") or {}
        for name in trained_splits(record, splits):
            known = {
                "fingerprint": splits[name].get("fingerprint"),
                "input_fingerprint": examples.get("input_fingerprint"),
                "uri": seen.uris.get(name),
            }
            if any(known.values()):
                yield node_factory.data_node(
                    **known,
                    split=name,
                    span=examples.get("span"),
                    rows=splits[name].get("rows"),
                    bytes=splits[name].get("bytes"),
                    statistics=seen.statistics.get(name),
                )


def _superseded(record: Mapping[str, Any], version: Node, predecessor: str) -> Link:
    older = node_factory.version_node(record["model"], predecessor, version=record.get("predecessor"))
    return version, EdgeKind.SUPERSEDES, older


def _judgement(
    record: Mapping[str, Any],
    version: Node,
    comparison: Comparison | None,
    data: list[Node],
    judged: Judged | None,
) -> list[Link]:
    """Evaluation, comparison and decision. A champion that was compared with itself, as in a run that is repeated,
    was judged before, and nothing is said of it."""
    links: list[Link] = []
    basis: Node | None = None
    if comparison is not None:
        rival = comparison.champion
        champion = node_factory.version_node(record["model"], rival.digest, version=rival.version) if rival else None
        if champion is None or champion.key != version.key:
            evaluation = _evaluation(links, version, champion, data)
            basis = _compared(links, version, champion, evaluation, comparison)
    elif data:
        named = record.get("champion") or {}
        champion = (
            node_factory.version_node(record["model"], named["digest"], version=named["version"]) if named else None
        )
        if champion is None or champion.key != version.key:
            basis = _evaluation(links, version, champion, data)
    if judged is not None and judged.evidence.champion != record["digest"]:
        _decided(links, version, judged, basis)
    return links


def _evaluation(links: list[Link], version: Node, champion: Node | None, data: list[Node]) -> Node:
    evaluation = node_factory.evaluation_node(
        of=version.content["digest"],
        data=[node.key for node in data],
        champion=champion.content["digest"] if champion else None,
    )
    links.append((evaluation, EdgeKind.EVALUATES, version))
    links += [(evaluation, EdgeKind.EVALUATED_ON, node) for node in data]
    if champion is not None:
        links.append((evaluation, EdgeKind.COMPARED_WITH, champion))
    return evaluation


def _compared(
    links: list[Link], version: Node, champion: Node | None, evaluation: Node, comparison: Comparison
) -> Node:
    said = comparison.decision
    node = node_factory.comparison_node(
        comparison.digest,
        verdict=said.verdict.value,
        recommendation=said.recommendation.value if said.recommendation else None,
    )
    links += [(node, EdgeKind.RESTS_ON, evaluation), (node, EdgeKind.EVALUATES, version)]
    if champion is not None:
        links.append((node, EdgeKind.COMPARED_WITH, champion))
    return node


def _decided(links: list[Link], version: Node, judged: Judged, basis: Node | None) -> None:
    """An evidence of an earlier run rests on an evaluation that only it tells of."""
    evidence, model = judged.evidence, version.content["model"]
    if not judged.here or basis is None:
        champion = node_factory.version_node(model, evidence.champion) if evidence.champion else None
        data = evidence.evaluation_data
        seen = [node_factory.data_node(fingerprint=data)] if data else []
        basis = _evaluation(links, version, champion, seen) if seen or champion else None
    decision = node_factory.decision_node(
        model, evidence.digest, verdict=evidence.verdict.value, reason=clean_text(evidence.reason)
    )
    links.append((decision, EdgeKind.DECIDES_ON, version))
    if basis is not None:
        links.append((decision, EdgeKind.RESTS_ON, basis))


def _evaluated(comparison: Comparison | None, evaluated_on: Iterable[Data], seen: Seen) -> list[Node]:
    """A comparison knows its data by their content, whatever form they have."""
    found = []
    for data in comparison.evaluated_on if comparison else evaluated_on:
        if data.fingerprint:
            spans = [one.strip() for one in (data.span or "").split(",") if one.strip()]
            found.append(
                node_factory.data_node(
                    fingerprint=data.fingerprint,
                    split=data.split,
                    span=spans,
                    rows=data.examples,
                    uri=seen.uris.get(data.split),
                    statistics=seen.statistics.get(data.split),
                )
            )
    return found


def _deployed(record: Mapping[str, Any], version: Node, deployment: Deployment) -> Link:
    node = node_factory.deployment_node(
        record["model"],
        record["digest"],
        clean_text(deployment.destination),
        version=record.get("version"),
        pushed_version=deployment.pushed_version,
        outcome=deployment.outcome,
    )
    return node, EdgeKind.DEPLOYS, version


def _linked(links: list[Link], run: Node) -> Fragment:
    return node_factory.joined(
        (node for source, _, target in links for node in (source, target)),
        (Edge(source.key, kind, target.key, run.key) for source, kind, target in links),
    )
