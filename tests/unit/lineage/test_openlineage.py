"""OpenLineage events: what OpenLineage's own client can say, and says in the same way."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from openlineage.client import event_v2
from openlineage.client.generated import (
    base,
    dataset_version_dataset,
    documentation_dataset,
    error_message_run,
    job_type_job,
    processing_engine_run,
    source_code_location_job,
    symlinks_dataset,
)
from openlineage.client.serde import Serde

from tfx_pedigree.lineage import node_factory
from tfx_pedigree.lineage.exports import openlineage, render
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node, NodeKind
from tfx_pedigree.lineage.subgraph import Subgraph

DIGEST = "sha256:" + "{:064x}"
# By the name that OpenLineage gives a facet.
_CLASSES: dict[str, Any] = {
    "documentation": documentation_dataset.DocumentationDatasetFacet,
    "version": dataset_version_dataset.DatasetVersionDatasetFacet,
    "symlinks": symlinks_dataset.SymlinksDatasetFacet,
    "jobType": job_type_job.JobTypeJobFacet,
    "sourceCodeLocation": source_code_location_job.SourceCodeLocationJobFacet,
    "processing_engine": processing_engine_run.ProcessingEngineRunFacet,
    "errorMessage": error_message_run.ErrorMessageRunFacet,
}
_BASES: dict[str, Any] = {"run": base.RunFacet, "job": base.JobFacet, "dataset": base.DatasetFacet}


def a_run(**facts: str) -> Subgraph:
    data = node_factory.data_node(fingerprint=DIGEST.format(1), span="3", split="train", uri="gs://bucket/examples/3")
    code = node_factory.code_node(
        {"commit": "a" * 40, "diff_digest": None, "remote": "https://example.org/flights.git", "branch": "main"}
    )
    schema = node_factory.schema_node(DIGEST.format(2), uri="/pipeline/schema")
    parameters = node_factory.parameters_node({"learning_rate": 0.002})
    version = node_factory.version_node("flight-delay", DIGEST.format(3), version="1.0.0")
    older = node_factory.version_node("flight-delay", DIGEST.format(4), version="0.9.0")
    made = node_factory.run_node(
        model="flight-delay", version=DIGEST.format(3), id="2026-11-20T23:26:42.216334", pipeline="flights"
    )
    run = Node(made.kind, made.content, {**made.facts, **{name: (value,) for name, value in facts.items()}})
    edges = [
        (version, EdgeKind.PRODUCED_BY, run),
        (version, EdgeKind.TRAINED_ON, data),
        (version, EdgeKind.CONFORMS_TO, schema),
        (version, EdgeKind.BUILT_BY, code),
        (version, EdgeKind.CONFIGURED_BY, parameters),
        (version, EdgeKind.SUPERSEDES, older),
        (run, EdgeKind.USED, data),
    ]
    nodes = {node.key: node for source, _, target in edges for node in (source, target)}
    links = tuple(Edge(source.key, kind, target.key, run.key) for source, kind, target in edges)
    return Subgraph((version.key,), nodes, links)


def lines(graph: Subgraph) -> list[dict[str, Any]]:
    return [json.loads(line) for line in render(graph, "openlineage").splitlines()]


def said_by_the_client(event: dict[str, Any]) -> dict[str, Any]:
    """The event built of the client's classes, which refuse unknown and missing fields, and written by it."""
    built = event_v2.RunEvent(
        eventTime=event["eventTime"],
        producer=event["producer"],
        eventType=event_v2.RunState[event["eventType"]],
        run=event_v2.Run(event["run"]["runId"], _facets(event["run"], "run")),
        job=event_v2.Job(event["job"]["namespace"], event["job"]["name"], _facets(event["job"], "job")),
        inputs=[_dataset(event_v2.InputDataset, one) for one in event["inputs"]],
        outputs=[_dataset(event_v2.OutputDataset, one) for one in event["outputs"]],
    )
    found: dict[str, Any] = json.loads(Serde.to_json(built))
    return found


def _dataset(kind: Any, told: dict[str, Any]) -> Any:
    return kind(told["namespace"], told["name"], facets=_facets(told, "dataset"))


def _facets(told: dict[str, Any], of: str) -> dict[str, Any]:
    found = {}
    for name, facet in told["facets"].items():
        values = {key: value for key, value in facet.items() if not key.startswith("_")}
        if name in _CLASSES:
            found[name] = _CLASSES[name](**values, producer=facet["_producer"])
        else:
            found[name] = _BASES[of](producer=facet["_producer"]).with_additional_properties(**values)
    return found


def without_schemas(value: Any) -> Any:
    """The client writes the numbers of the schemas that it was made with and empty facets of datasets, and no nulls."""
    if isinstance(value, dict):
        left_out = ("_schemaURL", "schemaURL", "inputFacets", "outputFacets")
        kept = {key: item for key, item in value.items() if key not in left_out and item is not None}
        return {key: without_schemas(item) for key, item in kept.items()}
    return [without_schemas(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("facts", [{}, {"failed": "Trainer"}, {"tfx": "1.16.0", "began": "2026-11-20T23:26:42Z"}])
def test_event_is_what_the_official_client_writes_for_the_same_run(facts: dict[str, str]) -> None:
    events = lines(a_run(**facts))
    assert events
    for event in events:
        assert without_schemas(said_by_the_client(event)) == without_schemas(event)


def test_every_event_and_facet_names_its_producer_and_a_schema() -> None:
    def check(value: Any, facet: bool) -> None:
        if isinstance(value, dict):
            if facet:
                assert value["_producer"].startswith("urn:tfx-pedigree:")
                assert value["_schemaURL"].startswith(("https://openlineage.io/spec/facets/", "urn:tfx-pedigree:"))
                return
            for key, item in value.items():
                for one in item.values() if key == "facets" else [item]:
                    check(one, key == "facets")
        elif isinstance(value, list):
            for one in value:
                check(one, False)

    for event in lines(a_run()):
        assert event["schemaURL"].startswith("https://openlineage.io/spec/2-0-2/OpenLineage.json#")
        check(event, False)


def test_run_reads_what_went_into_its_version_and_writes_the_version() -> None:
    start, end = lines(a_run())
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == end["run"]["runId"]
    assert start["job"] == {**end["job"], "namespace": "pedigree", "name": "flights"}
    assert [one["name"] for one in end["outputs"]] == [f"flight-delay@{DIGEST.format(3)}"]
    assert end["outputs"][0]["facets"]["version"]["datasetVersion"] == "1.0.0"
    # The version before it was read by nobody.
    assert sorted(one["name"].split(":")[0] for one in end["inputs"]) == ["data", "schema"]


def test_code_and_places_stand_where_openlineage_looks_for_them() -> None:
    (event, _) = lines(a_run())
    located = event["job"]["facets"]["sourceCodeLocation"]
    assert (located["type"], located["url"], located["version"], located["branch"]) == (
        "git",
        "https://example.org/flights.git",
        "a" * 40,
        "main",
    )
    places = {one["name"].split(":")[0]: one["facets"]["symlinks"]["identifiers"] for one in event["inputs"]}
    assert places == {
        "data": [{"namespace": "gs://bucket", "name": "examples/3", "type": "LOCATION"}],
        "schema": [{"namespace": "file", "name": "/pipeline/schema", "type": "LOCATION"}],
    }


def test_same_answer_gives_the_same_lines_whatever_the_order_of_its_edges() -> None:
    graph = a_run()
    turned = Subgraph(graph.start, dict(reversed(graph.nodes.items())), tuple(reversed(graph.edges)))
    assert render(turned, "openlineage") == render(graph, "openlineage")
    assert UUID(lines(graph)[0]["run"]["runId"]).version == 5


@pytest.mark.parametrize(
    ("facts", "ends"),
    [
        ({"failed": "Trainer"}, ["START", "FAIL"]),
        ({"canceled": "Trainer"}, ["START", "ABORT"]),
        ({"running": "Trainer"}, ["START"]),
    ],
)
def test_run_that_did_not_end_well_says_so_and_one_that_goes_on_has_no_end(
    facts: dict[str, str], ends: list[str]
) -> None:
    events = lines(a_run(**facts))
    assert [one["eventType"] for one in events] == ends
    if "failed" in facts:
        assert events[-1]["run"]["facets"]["errorMessage"]["message"] == "Trainer failed"


@pytest.mark.parametrize(
    ("run", "time"),
    [
        ({"id": "2026-11-20T23:26:42.216334"}, "2026-11-20T23:26:42Z"),
        ({"id": "9f1c2d", "began": "2026-11-20T23:26:42Z"}, "2026-11-20T23:26:42Z"),
        ({"id": "9f1c2d"}, "1970-01-01T00:00:00Z"),
    ],
)
def test_time_is_when_the_run_began_as_far_as_anybody_knows(run: dict[str, str], time: str) -> None:
    node = Node(NodeKind.RUN, {"id": run["id"]}, {name: (value,) for name, value in run.items()})
    assert {event["eventTime"] for event in lines(Subgraph((node.key,), {node.key: node}, ()))} == {time}


def test_answer_without_a_run_has_no_events() -> None:
    node = node_factory.schema_node(DIGEST.format(2))
    assert render(Subgraph((node.key,), {node.key: node}, ()), "openlineage") == ""


def test_execution_that_belongs_to_no_run_is_a_job_of_its_own() -> None:
    made = node_factory.execution_node("Labelling", store="s", id=1)
    node = Node(made.kind, made.content, {**made.facts, "state": ("failed",)})
    events = list(openlineage.events(Subgraph((node.key,), {node.key: node}, ())))
    assert [(one["job"]["name"], one["eventType"]) for one in events] == [("Labelling", "START"), ("Labelling", "FAIL")]
