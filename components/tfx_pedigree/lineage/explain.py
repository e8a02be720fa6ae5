"""How a version was made, judged and used, as a page of plain sentences. Pure.

What was not recorded is said as plainly as what was. A version that was registered by hand, without any recorder, is
explained from what the registry itself keeps of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.explain_use import judgement, use
from tfx_pedigree.lineage.graph import EdgeKind, Node, NodeKind
from tfx_pedigree.lineage.neighbours import Neighbours
from tfx_pedigree.lineage.node_factory import WEAK, is_incomplete
from tfx_pedigree.lineage.version_context import ExplanationInput
from tfx_pedigree.registry import Version
from tfx_pedigree.text import format_minute, listed, plain, plural

_MOST_PARAMETERS = 24
_SHOWN_PACKAGES = ("tfx", "tensorflow", "keras", "tensorflow-model-analysis", "apache-beam", "tfx-pedigree")


@dataclass(frozen=True)
class Section(JsonForm):
    """`nodes` are the keys of the nodes that the sentences rest on."""

    name: str
    title: str
    sentences: tuple[str, ...]
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation(JsonForm):
    """`recorded` is False where no lineage was recorded of how the version was made."""

    version: Version
    recorded: bool
    sections: tuple[Section, ...]


def explanation(known: ExplanationInput) -> Explanation:
    around = Neighbours.of(known.around, known.key)
    made = [
        _section("data", "Data", *_data(known, around)),
        _section("code", "Code", *_code(known, around)),
        _section("environment", "Environment", *_environment(around)),
        _section("parameters", "Parameters", *_parameters(known, around)),
        _section("run", "Run", *_run(around)),
    ]
    recorded = any(around.targets(kind) for kind in EdgeKind if kind.carries)
    parts = [
        Section("version", "Version", tuple(_version(known))),
        *(made if recorded else [Section("making", "How it was made", tuple(_unrecorded(known)))]),
        Section("judgement", "How it was judged", tuple(judgement(known, around)), around.judging),
        Section("use", "How it was used", tuple(use(known, around)), around.using),
    ]
    return Explanation(known.version, recorded, tuple(part for part in parts if part.sentences))


def _section(name: str, title: str, sentences: Iterator[str], nodes: Sequence[Node]) -> Section:
    return Section(name, title, tuple(sentences), tuple(node.key for node in nodes))


def _version(known: ExplanationInput) -> Iterator[str]:
    version = known.version
    if version.bump and version.predecessor:
        yield f"{version.name} is a {version.bump.upper()} change after {version.predecessor}."
    for reason in version.reasons:
        yield f"{reason[:1].upper()}{reason[1:]}."
    yield f"It was created on {format_minute(version.created_at)} by {version.created_by}."
    size = f"{wording.grouped(version.size)} bytes in {plural(version.files or 0, 'file')}" if version.size else ""
    yield f"Its content{f' ({size})' if size else ''} has the digest {version.digest}."


def _unrecorded(known: ExplanationInput) -> Iterator[str]:
    """What the registry keeps all the same: parameters of the description, and the tags that the components set."""
    version = known.version
    yield (
        f"No lineage was recorded of {version.name}: the graph does not say which data, code and environment it came "
        "from. What follows is from the registry. To record the lineage of later versions, add LineageRecorder to the "
        "pipeline (docs/components.md). `pedigree lineage import-mlmd SOURCE` brings in what an ML Metadata store "
        "knows of earlier ones."
    )
    tags = version.tags
    if tags.get("span") or tags.get("data"):
        span = f"span {plain(tags['span'])}" if tags.get("span") else "data"
        print_ = f" with the fingerprint {wording.short(tags['data'])}" if tags.get("data") else ""
        yield f"Its tags say that it was trained on {span}{print_}."
    if commit := tags.get("commit"):
        dirty = " with uncommitted changes" if commit.endswith("+dirty") else ""
        yield f"Its tags say that it was built from commit {plain(commit.removesuffix('+dirty')[:7])}{dirty}."
    yield from _values("Parameters:", version.parameters)


def _data(known: ExplanationInput, around: Neighbours) -> tuple[Iterator[str], tuple[Node, ...]]:
    data = around.targets(EdgeKind.TRAINED_ON)
    making = (*around.targets(EdgeKind.CONFORMS_TO), *around.targets(EdgeKind.TRANSFORMED_BY))
    base = around.targets(EdgeKind.DERIVED_FROM)

    def said() -> Iterator[str]:
        if not data:
            yield f"It was not recorded which data {known.version.name} was trained on."
        for node in data:
            yield f"It was trained on {wording.data(node)}."
        for node in data:
            if node.fact("identity") == WEAK:
                yield (
                    f"Only the place of {wording.label(node)} is known, not its content: other rows at the same place "
                    "would look the same."
                )
        for node in base:
            yield f"Its training went on from {wording.label(node)}, with whatever that one had seen (warm start)."
        for node in making:
            came = around.graph.targets(node.key, EdgeKind.DERIVED_FROM)
            derived = f", derived from {listed(map(wording.label, came), 3)}" if came else ""
            verb = "Its data conform to the" if node.kind is NodeKind.SCHEMA else "Its features are made by the"
            yield f"{verb} {wording.label(node)}{derived}."

    return said(), (*data, *base, *making)


def _code(known: ExplanationInput, around: Neighbours) -> tuple[Iterator[str], tuple[Node, ...]]:
    built = around.targets(EdgeKind.BUILT_BY)
    commits = [node for node in built if node.kind is NodeKind.CODE]
    modules = [node for node in built if node.kind is not NodeKind.CODE]

    def said() -> Iterator[str]:
        for number, node in enumerate(commits):
            remote = f" of {plain(node.fact('remote') or '')}" if node.fact("remote") else ""
            branch = f", branch {plain(node.fact('branch') or '')}" if node.fact("branch") else ""
            yield f"It was {_also(number)}built from commit {plain(str(node.content.get('commit')))}{remote}{branch}."
            if digest := node.content.get("diff_digest"):
                yield (
                    f"There were uncommitted changes (their digest is {wording.short(digest)}): the commit alone does "
                    "not build it again."
                )
        if not commits:
            yield f"No commit was recorded: {known.version.name} was built outside git, or its commit was not captured."
        if modules:
            named = listed((wording.label(node) for node in modules), len(modules))
            yield f"Its {'module files are' if len(modules) > 1 else 'module file is'} {named}."

    return said(), built


def _environment(around: Neighbours) -> tuple[Iterator[str], tuple[Node, ...]]:
    found = around.targets(EdgeKind.RAN_IN)

    def said() -> Iterator[str]:
        if not found:
            yield "It was not recorded in which environment it was made."
        for number, node in enumerate(found):
            yield from _surroundings(_also(number), node.content)

    return said(), found


def _surroundings(also: str, content: Mapping[str, Any]) -> Iterator[str]:
    packages = wording.table(content.get("packages"))
    named = [f"{name} {wording.value(packages[name])}" for name in _SHOWN_PACKAGES if packages.get(name)]
    rest = len(packages) - len(named)
    if rest > 0:
        named.append(f"{rest:,} more package{'' if rest == 1 else 's'}" if named else plural(rest, "package"))
    python = (
        f"Python {wording.value(content.get('python'))}" if content.get("python") else "a Python that was not noted"
    )
    digest = content.get("packages_digest")
    lock = f" (digest of all packages: {wording.short(digest)})" if digest else ""
    yield f"It was {also}made with {listed([python, *named], 9)}{lock}."
    if content.get("image"):
        yield f"The image was {wording.value(content['image'])}."
    if cpu := content.get("cpu"):
        cores = wording.table(cpu).get("count")
        model = wording.flat(wording.table(cpu).get("model", cpu))
        yield f"The processor was {model}{f' ({wording.value(cores)} cores)' if cores else ''}."
    if content.get("accelerators"):
        yield f"Accelerators: {wording.flat(content['accelerators'])}."
    if variables := wording.table(content.get("variables")):
        yield f"Environment variables: {wording.pairs(variables, _MOST_PARAMETERS)}."


def _also(number: int) -> str:
    """Equal bytes may have been made several times."""
    return "also " if number else ""


def _parameters(known: ExplanationInput, around: Neighbours) -> tuple[Iterator[str], tuple[Node, ...]]:
    found = around.targets(EdgeKind.CONFIGURED_BY)

    def said() -> Iterator[str]:
        recorded = [wording.table(node.content.get("parameters")) for node in found]
        chosen = next(filter(None, recorded), None) or known.version.parameters
        if not chosen:
            yield "No hyperparameters were recorded."
        yield from _values("Hyperparameters:", chosen)
        for node in found:
            told = wording.leaves(wording.table(node.content.get("training")))
            # Hyperparameters are mostly handed to the training as well: once is enough.
            rest = {name: one for name, one in told.items() if chosen.get(name.rpartition(".")[2], told) != one}
            yield from _values("The training was told:", rest)

    return said(), found


def _values(said: str, values: Mapping[str, Any]) -> Iterator[str]:
    if values:
        yield f"{said} {wording.pairs(values, _MOST_PARAMETERS)}."


def _run(around: Neighbours) -> tuple[Iterator[str], tuple[Node, ...]]:
    runs = around.targets(EdgeKind.PRODUCED_BY)

    def said() -> Iterator[str]:
        for node in runs:
            pipeline = node.content.get("pipeline") or node.fact("pipeline")
            of = f" of the pipeline {plain(str(pipeline))}" if pipeline else ""
            yield f"It was produced by {wording.label(node)}{of}."
            if reason := is_incomplete(node):
                yield f"What was recorded of that run is incomplete: {wording.whole(reason)}"

    return said(), runs
