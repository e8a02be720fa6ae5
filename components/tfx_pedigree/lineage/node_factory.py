"""The nodes of the graph, each made in this one place: whoever sees the same thing makes the same node. Pure.

Whether a pipeline's component saw it or an importer read it in another system's books, equal content gives an equal
key. What may be searched for is a fact as well, since facts have an index. What is None is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tfx_pedigree.digest import digest_of, plain_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.lineage.graph import Edge, Fragment, Node, NodeKind

# As long as the graph's index takes them.
LONGEST_FACT = 512
WEAK = "weak"
RECIPE = "recipe"
DIFF = "diff"
INCOMPLETE = "incomplete"
COMPLETE = "complete"

_SEED = "seed"
# What RegistryPusher says of a repeated run.
_THERE_ALREADY = "there already"


def data_node(
    *,
    fingerprint: str | None = None,
    input_fingerprint: str | None = None,
    uri: str | None = None,
    split: str | None = None,
    span: str | Iterable[str] | None = None,
    rows: int | None = None,
    bytes: int | None = None,
    statistics: str | None = None,
) -> Node:
    """One split. Its rows are what it is, if their fingerprint is known; else the files that ExampleGen read; else only
    the place where it lies, which is a weak identity: other rows may lie there tomorrow.

    `part` keeps together which span and which split it was: the rows of one can be another's `eval` too.
    """
    spans = (span,) if isinstance(span, str) else tuple(span or ())
    weak = not fingerprint and not input_fingerprint
    content: dict[str, Any]
    if fingerprint:
        content = {"fingerprint": fingerprint}
    elif input_fingerprint:
        content = {"input_fingerprint": input_fingerprint, "split": split}
    elif uri:
        content = {"uri": uri, "split": split}
    else:
        raise _nameless("data", "a fingerprint, an input_fingerprint or a uri")
    return _node(
        NodeKind.DATA,
        content,
        fingerprint=fingerprint,
        span=spans,
        split=split,
        part=[f"{one}/{split}" for one in spans] if split else None,
        rows=rows,
        bytes=bytes,
        uri=uri,
        statistics=statistics,
        identity=WEAK if weak else None,
    )


def code_node(state: Mapping[str, Any]) -> Node:
    """Of a GitState's JSON form: the commit, and what lay uncommitted on it."""
    diff = state.get("diff_digest")
    content = {"commit": state["commit"], "diff_digest": diff}
    dirty = None if state.get("dirty") is None else ("yes" if state["dirty"] else "no")
    facts = {"commit": state["commit"], "diff_digest": diff, "dirty": dirty}
    return _whole(NodeKind.CODE, content, facts, remote=state.get("remote"), branch=state.get("branch"))


def module_node(name: str | None, digest: str) -> Node:
    """A file of code that a component was given, whatever repository it is in."""
    return _node(NodeKind.MODULE, {"digest": digest}, digest=digest, name=name)


def schema_node(digest: str, *, structure: str | None = None, uri: str | None = None) -> Node:
    return _node(NodeKind.SCHEMA, {"digest": digest}, digest=digest, structure=structure, uri=uri)


def transform_node(digest: str, *, structure: str | None = None, uri: str | None = None) -> Node:
    return _node(NodeKind.TRANSFORM, {"digest": digest}, digest=digest, structure=structure, uri=uri)


def environment_node(environment: Mapping[str, Any]) -> Node:
    """Of version.json's `environment`. One that an older release wrote lists a few packages and has no digest."""
    packages = {name: version for name, version in (environment.get("packages") or {}).items() if version is not None}
    digest = environment.get("packages_digest")
    content = {
        "python": environment.get("python"),
        "packages": packages or None,
        "packages_digest": digest,
        "image": environment.get("image"),
        "cpu": environment.get("cpu"),
        "accelerators": environment.get("accelerators") or None,
        "variables": environment.get("variables") or None,
        "variables_set_later": environment.get("variables_set_later") or None,
    }
    return _node(
        NodeKind.ENVIRONMENT,
        content,
        python=environment.get("python"),
        packages_digest=digest,
        image=environment.get("image"),
        platform=environment.get("platform"),
        machine=environment.get("machine"),
    )


def packages_digest(packages: Mapping[str, str | None]) -> str:
    """What `sha256sum` prints for the sorted lines `name==version`."""
    lines = sorted(f"{name}=={version}\n" for name, version in packages.items() if version is not None)
    return digest_of("".join(lines).encode())


def parameters_node(parameters: Mapping[str, Any], training: Mapping[str, Any] | None = None) -> Node:
    """Hyperparameters, and what else the training was told. Seeds can be searched for."""
    content = {"parameters": dict(parameters), "training": dict(training or {})}
    return _node(NodeKind.PARAMETERS, content, seed=sorted(_seeds(content)))


def version_node(model: str, digest: str, *, version: str | None = None) -> Node:
    return _node(NodeKind.VERSION, {"model": model, "digest": digest}, model=model, digest=digest, version=version)


def evaluation_node(
    *,
    of: str | None = None,
    data: Iterable[str] = (),
    champion: str | None = None,
    digest: str | None = None,
) -> Node:
    """`of` and `champion` are versions' digests, `data` the keys of what they were evaluated on. The same question
    asked again is the same evaluation. Where it is not known what was evaluated, the files that it left are what it is.
    """
    if of is None and digest is None:
        raise _nameless("evaluation", "what it is of, or a digest of its files")
    if of is None:
        return _node(NodeKind.EVALUATION, {"digest": digest}, digest=digest)
    content = {"of": of, "data": sorted(set(data)), "champion": champion}
    return _node(NodeKind.EVALUATION, content, of=of, champion=champion, digest=digest)


def comparison_node(digest: str, *, verdict: str | None = None, recommendation: str | None = None) -> Node:
    return _node(NodeKind.COMPARISON, {"digest": digest}, digest=digest, verdict=verdict, recommendation=recommendation)


def decision_node(model: str, evidence: str, *, verdict: str | None = None, reason: str | None = None) -> Node:
    """`evidence` is the digest under which the registry keeps it."""
    content = {"model": model, "evidence": evidence}
    return _node(NodeKind.DECISION, content, model=model, evidence=evidence, verdict=verdict, reason=reason)


def deployment_node(
    model: str,
    digest: str,
    destination: str,
    *,
    version: str | None = None,
    pushed_version: str | None = None,
    outcome: str | None = None,
) -> Node:
    """Who finds the version there already has deployed nothing, and says nothing of how it came there."""
    return _node(
        NodeKind.DEPLOYMENT,
        {"model": model, "digest": digest, "destination": destination},
        model=model,
        destination=destination,
        version=version,
        pushed_version=pushed_version,
        outcome=outcome if outcome != _THERE_ALREADY else None,
    )


def run_node(
    *,
    model: str | None = None,
    version: str | None = None,
    data: Iterable[str] = (),
    code: str | None = None,
    parameters: str | None = None,
    store: str | None = None,
    id: str | None = None,
    pipeline: str | None = None,
    incomplete: str | None = None,
    complete: bool = False,
) -> Node:
    """What made a version, known by what went in and came out: the same making recorded twice is one run, and the
    runner's own name for it is a fact. `version` is a digest; `data`, `code` and `parameters` are keys of nodes.

    A run that made no version that is known is the one that its runner calls `id` (in the books of `store`).
    """
    content: dict[str, Any]
    if version is not None:
        content = {"model": model, "version": version, "data": sorted(set(data)) or None}
        content |= {"code": code, "parameters": parameters}
    elif id is not None:
        content = {"store": store, "pipeline": pipeline, "id": id}
    else:
        raise _nameless("run", "the version that it made, or its runner's id")
    return _node(
        NodeKind.RUN,
        content,
        id=id,
        pipeline=pipeline,
        model=model,
        incomplete=incomplete,
        complete="yes" if complete else None,
    )


def is_incomplete(run: Node) -> str | None:
    """Why something of the run could not be read, unless it was read by a later recording."""
    return None if run.fact(COMPLETE) else run.fact(INCOMPLETE)


def artifact_node(
    type_name: str,
    *,
    digest: str | None = None,
    store: str | None = None,
    id: str | int | None = None,
    uri: str | None = None,
    name: str | None = None,
) -> Node:
    """What another system keeps and no other kind fits: known by its content, else by its number in that system."""
    content = {"digest": digest} if digest else {"store": store, "type": type_name, "id": id}
    return _node(NodeKind.ARTIFACT, content, type=type_name, digest=digest, id=id, uri=uri, name=name)


def recipe_node(recipe: Mapping[str, Any]) -> Node:
    """How a run was started: what `pedigree reproduce` repeats."""
    content = {"type": RECIPE, "recipe": dict(recipe)}
    return _node(NodeKind.ARTIFACT, content, type=RECIPE, name=f"{recipe.get('create')}"[:LONGEST_FACT])


def diff_node(diff: Mapping[str, Any]) -> Node:
    """What lay uncommitted on a run's commit, where somebody wanted it kept."""
    digest = str(diff.get("digest"))
    return _node(NodeKind.ARTIFACT, {"type": DIFF, "diff": dict(diff)}, type=DIFF, digest=digest[:LONGEST_FACT])


def execution_node(
    type_name: str,
    *,
    store: str,
    id: str | int,
    name: str | None = None,
    pipeline: str | None = None,
) -> Node:
    content = {"store": store, "type": type_name, "id": id}
    return _node(NodeKind.EXECUTION, content, type=type_name, id=id, name=name, pipeline=pipeline)


def joined(nodes: Iterable[Node], edges: Iterable[Edge] = ()) -> Fragment:
    """Each node and edge once, with all that was seen of it, in an order that does not depend on theirs."""
    found: dict[str, Node] = {}
    for node in nodes:
        known = found.get(node.key)
        found[node.key] = node if known is None else Node(node.kind, node.content, _both(known.facts, node.facts))
    linked: dict[Edge, Edge] = {}
    for edge in edges:
        linked[edge] = min(linked.get(edge, edge), edge, key=lambda one: one.run or "")
    return Fragment(tuple(found[key] for key in sorted(found)), tuple(sorted(linked.values())))


def _both(a: Mapping[str, tuple[str, ...]], b: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(sorted({*a.get(name, ()), *b.get(name, ())})) for name in sorted({*a, *b})}


def _nameless(what: str, needed: str) -> InvalidInputError:
    return InvalidInputError(f"Nothing says which {what} this is: give {needed}.")


def _node(kind: NodeKind, content: Mapping[str, Any], **facts: Any) -> Node:
    return _whole(kind, {key: value for key, value in content.items() if value is not None}, facts)


def _whole(kind: NodeKind, content: Mapping[str, Any], facts: Mapping[str, Any], **more: Any) -> Node:
    seen = {name: _texts(value) for name, value in sorted({**facts, **more}.items())}
    return Node(kind, plain_json(content), {name: texts for name, texts in seen.items() if texts})


def _texts(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, list | tuple):
        return tuple(sorted({text for one in value for text in _texts(one)}))
    return (_short(str(value)),)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_FACT else f"{text[: LONGEST_FACT - 1]}…"


def _seeds(value: Any, name: str = "") -> Iterable[str]:
    """The values under names such as `seed`, `random_seed` and `model.seed`, however deep they lie."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _seeds(one, str(key))
    elif _SEED in name.lower() and isinstance(value, int | str) and not isinstance(value, bool):
        yield str(value)
