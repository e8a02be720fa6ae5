"""OpenLineage: a START and an end event for each run in the answer, one JSON object a line.

Each line can be sent to a collector (Marquez, DataHub, …) as it is, and again: ids of runs and names of datasets follow
from the keys of nodes, and the same answer gives the same lines. What OpenLineage has no facet for stands in facets of
our own, whose `_schemaURL` docs/lineage.md explains.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any

from tfx_pedigree import __version__
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node, NodeKind
from tfx_pedigree.lineage.subgraph import Subgraph

NAMESPACE = "pedigree"
PRODUCER = f"urn:tfx-pedigree:{__version__}"
_SPEC = "https://openlineage.io/spec"
_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = {
    "documentation": "facets/1-1-0/DocumentationDatasetFacet",
    "version": "facets/1-0-1/DatasetVersionDatasetFacet",
    "symlinks": "facets/1-0-1/SymlinksDatasetFacet",
    "jobType": "facets/2-0-3/JobTypeJobFacet",
    "sourceCodeLocation": "facets/1-0-1/SourceCodeLocationJobFacet",
    "processing_engine": "facets/1-1-1/ProcessingEngineRunFacet",
    "errorMessage": "facets/1-0-1/ErrorMessageRunFacet",
}
_OURS = "urn:tfx-pedigree:openlineage:1"
# Run ids are made of nodes' keys, in a space of names of our own.
_RUNS = uuid.UUID("1c1f8d1e-5d0a-5b5e-9a5c-6f0b2f6c7d10")
# Of a run of which nobody noted the time: an event must have one, and the same one each time.
_UNKNOWN_TIME = "1970-01-01T00:00:00Z"
# What a thing was made of, beside what the run itself is said to have used.
_MADE_OF = (EdgeKind.TRAINED_ON, EdgeKind.CONFORMS_TO, EdgeKind.TRANSFORMED_BY, EdgeKind.DERIVED_FROM)
# What is read and written; the rest says how, and stands in facets.
_DATASETS = frozenset(
    (
        NodeKind.DATA,
        NodeKind.SCHEMA,
        NodeKind.TRANSFORM,
        NodeKind.VERSION,
        NodeKind.EVALUATION,
        NodeKind.COMPARISON,
        NodeKind.DEPLOYMENT,
    )
) | {NodeKind.ARTIFACT}
_REMOTE = ("http://", "https://", "ssh://", "git://")


def render(graph: Subgraph) -> str:
    """Empty where no run is in the answer."""
    return "".join(f"{json.dumps(event, sort_keys=True, ensure_ascii=False)}\n" for event in events(graph))


def events(graph: Subgraph) -> Iterator[dict[str, Any]]:
    """In the order of the runs' times. A run that still goes on has no end yet."""
    edges = _Edges(graph.edges)
    runs = [node for node in graph.nodes.values() if node.kind in (NodeKind.RUN, NodeKind.EXECUTION)]
    for run in sorted(runs, key=lambda node: (_time(node), node.key)):
        about = _about(graph, run, edges)
        yield {"eventType": "START", **about}
        if not run.fact("running") and run.fact("state") not in ("running", "new"):
            yield {"eventType": _end(run), **about}


class _Edges:
    def __init__(self, edges: Iterable[Edge]) -> None:
        self._from: dict[str, list[Edge]] = {}
        self._to: dict[str, list[Edge]] = {}
        for edge in sorted(edges):
            self._from.setdefault(edge.source, []).append(edge)
            self._to.setdefault(edge.target, []).append(edge)

    def targets(self, key: str, kinds: Iterable[EdgeKind]) -> list[str]:
        wanted = set(kinds)
        return [edge.target for edge in self._from.get(key, ()) if edge.kind in wanted]

    def sources(self, key: str, kind: EdgeKind) -> list[str]:
        return [edge.source for edge in self._to.get(key, ()) if edge.kind is kind]


def run_id(run: Node) -> str:
    return str(uuid.uuid5(_RUNS, run.key))


def dataset_name(node: Node) -> str:
    """A version is a dataset of its own: that it follows another one is no reading of it."""
    if node.kind is NodeKind.VERSION:
        return f"{node.content.get('model')}@{node.content.get('digest')}"
    return node.key


def _about(graph: Subgraph, run: Node, edges: _Edges) -> dict[str, Any]:
    made = edges.sources(run.key, EdgeKind.PRODUCED_BY)
    used = [*edges.targets(run.key, [EdgeKind.USED]), *(key for one in made for key in edges.targets(one, _MADE_OF))]
    code = _code(graph, run, made, edges)
    return {
        "eventTime": _time(run),
        "producer": PRODUCER,
        "schemaURL": _EVENT,
        "run": {"runId": run_id(run), "facets": _run_facets(graph, run, made, edges)},
        "job": {"namespace": NAMESPACE, "name": _job(run), "facets": _job_facets(code)},
        "inputs": _datasets(graph, set(used) - set(made)),
        "outputs": _datasets(graph, set(made)),
    }


def _job(run: Node) -> str:
    if run.kind is NodeKind.EXECUTION:
        return str(run.content.get("type"))
    return run.fact("pipeline") or run.fact("model") or str(run.content.get("model") or "run")


def _datasets(graph: Subgraph, keys: Iterable[str]) -> list[dict[str, Any]]:
    nodes = [graph.nodes[key] for key in sorted(keys) if key in graph.nodes]
    return [
        {"namespace": NAMESPACE, "name": dataset_name(node), "facets": _dataset_facets(node)}
        for node in nodes
        if node.kind in _DATASETS
    ]


def _dataset_facets(node: Node) -> dict[str, Any]:
    number = node.fact("version") if node.kind is NodeKind.VERSION else None
    version = number or node.content.get("fingerprint") or node.content.get("digest")
    found: dict[str, Any] = {
        "documentation": _facet("documentation", description=wording.label(node)),
        "pedigree_node": _own("NodeDatasetFacet", node),
    }
    if version:
        found["version"] = _facet("version", datasetVersion=str(version))
    if places := [_place(uri) for uri in node.facts.get("uri", ())]:
        found["symlinks"] = _facet("symlinks", identifiers=places)
    return found


def _place(uri: str) -> dict[str, str]:
    """As OpenLineage names what lies in files: the file system, and the path in it."""
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        return {"namespace": "file", "name": rest if separator else uri, "type": "LOCATION"}
    bucket, _, path = rest.partition("/")
    return {"namespace": f"{scheme}://{bucket}", "name": path or "/", "type": "LOCATION"}


def _job_facets(code: Node | None) -> dict[str, Any]:
    found = {"jobType": _facet("jobType", processingType="BATCH", integration="TFX", jobType="PIPELINE")}
    remote = code.fact("remote") if code is not None else None
    if code is not None and remote and remote.startswith(_REMOTE):
        located = {"type": "git", "url": remote, "repoUrl": remote, "version": str(code.content.get("commit"))}
        if branch := code.fact("branch"):
            located["branch"] = branch
        found["sourceCodeLocation"] = _facet("sourceCodeLocation", **located)
    return found


def _run_facets(graph: Subgraph, run: Node, made: Iterable[str], edges: _Edges) -> dict[str, Any]:
    found = {"pedigree_run": _own("RunFacet", run)}
    kinds = (EdgeKind.CONFIGURED_BY, EdgeKind.RAN_IN, EdgeKind.BUILT_BY)
    ways = {key for one in (run.key, *made) for key in edges.targets(one, kinds)} & graph.nodes.keys()
    found["pedigree_making"] = {
        "_producer": PRODUCER,
        "_schemaURL": f"{_OURS}:MakingRunFacet",
        "nodes": [_told(graph.nodes[key]) for key in sorted(ways)],
    }
    if release := run.fact("tfx"):
        found["processing_engine"] = _facet("processing_engine", name="TFX", version=release)
    if failed := run.facts.get("failed"):
        message = f"{', '.join(failed)} failed"
        found["errorMessage"] = _facet("errorMessage", message=message, programmingLanguage="PYTHON")
    return found


def _code(graph: Subgraph, run: Node, made: Iterable[str], edges: _Edges) -> Node | None:
    keys = (key for one in (*made, run.key) for key in edges.targets(one, [EdgeKind.BUILT_BY]))
    nodes = (graph.nodes[key] for key in keys if key in graph.nodes)
    return next((node for node in nodes if node.kind is NodeKind.CODE), None)


def _facet(facet: str, /, **values: Any) -> dict[str, Any]:
    path = _FACETS[facet]
    return {"_producer": PRODUCER, "_schemaURL": f"{_SPEC}/{path}.json#/$defs/{path.rpartition('/')[2]}", **values}


def _own(name: str, node: Node) -> dict[str, Any]:
    """The node itself: nothing of it is lost where OpenLineage has no word for it."""
    return {"_producer": PRODUCER, "_schemaURL": f"{_OURS}:{name}", **_told(node)}


def _told(node: Node) -> dict[str, Any]:
    facts = {name: list(values) for name, values in sorted(node.facts.items())}
    return {"key": node.key, "kind": node.kind.value, "content": dict(node.content), "facts": facts}


def _end(run: Node) -> str:
    if run.fact("failed") or run.fact("state") == "failed":
        return "FAIL"
    return "ABORT" if run.fact("canceled") or run.fact("state") == "canceled" else "COMPLETE"


def _time(run: Node) -> str:
    """When it began, as somebody noted; TFX's local runner calls a run by its time."""
    for told in (run.fact("began"), run.fact("id")):
        try:
            moment = datetime.fromisoformat((told or "").replace("Z", "+00:00"))
        except ValueError:
            continue
        known = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return f"{known.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    return _UNKNOWN_TIME
