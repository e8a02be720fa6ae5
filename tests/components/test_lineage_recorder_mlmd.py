"""Where ML Metadata is there, what it knows is joined; where it goes away, the rest is recorded and says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from components_testing import NAME, Place
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.lineage.graph import Node, NodeKind
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.node_factory import is_incomplete
from tfx_pedigree.mlmd import reading
from tfx_pedigree.registry import Registry

RUN = "2026-11-21T06:00:00.000001"
SECRET = "hunter2-never-to-be-seen"  # noqa: S105
CLOSED = f"postgresql://nobody:{SECRET}@127.0.0.1:1/mlmd"


class Books:
    """What a runner writes down of a run: examples, their anomalies and a base model, a Trainer and a Versioner."""

    def __init__(self, path: Path, version_uri: str) -> None:
        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(path)
        config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._store = MetadataStore(config)
        self._contexts = [self._context("pipeline", NAME), self._context("pipeline_run", RUN)]
        notes = self._artifact("Notes", "/elsewhere/notes")
        model = self._artifact("Model", "/pipeline/Trainer/model/2")
        version = self._artifact("tfx_pedigree.ModelVersion", version_uri)
        self._execution("tfx.components.trainer.component.Trainer", {"notes": notes}, {"model": model})
        component = "tfx_pedigree.tfx_components.versioner.component.Versioner"
        self._execution(component, {"model": model}, {"version": version})

    def _artifact(self, type_name: str, uri: str) -> int:
        kind = self._store.put_artifact_type(pb.ArtifactType(name=type_name))
        return self._store.put_artifacts([pb.Artifact(type_id=kind, uri=uri, state=pb.Artifact.LIVE)])[0]

    def _context(self, type_name: str, name: str) -> pb.Context:
        kind = self._store.put_context_type(pb.ContextType(name=type_name))
        return pb.Context(type_id=kind, name=name)

    def _execution(self, type_name: str, inputs: dict[str, int], outputs: dict[str, int]) -> None:
        kind = self._store.put_execution_type(pb.ExecutionType(name=type_name))
        execution = pb.Execution(type_id=kind, last_known_state=pb.Execution.COMPLETE)
        pairs = []
        for way, artifacts in ((pb.Event.INPUT, inputs), (pb.Event.OUTPUT, outputs)):
            for key, number in artifacts.items():
                event = pb.Event(type=way, artifact_id=number, path=pb.Event.Path(steps=[pb.Event.Path.Step(key=key)]))
                pairs.append((self._store.get_artifacts_by_id([number])[0], event))
        self._store.put_execution(execution, pairs, self._contexts, reuse_context_if_already_exist=True)


@pytest.fixture
def version(place: Place) -> Any:
    return place.version(place.trained("keras"), {"hyperparameters": '{"units": 4}'})


@pytest.fixture
def store(version: Any, tmp_path: Path) -> Iterator[Path]:
    Books(tmp_path / "mlmd.sqlite", version.uri)
    return tmp_path / "mlmd.sqlite"


def properties(output: Any) -> tuple[int, int]:
    return output.get_int_custom_property("recorded"), output.get_int_custom_property("complete")


def run_of(registry: Registry) -> Node:
    up = Lineage(registry).get_upstream(f"{NAME}@1.0.0", 1)
    (run,) = [node for node in up.nodes.values() if node.kind is NodeKind.RUN]
    return run


def kinds(registry: Registry) -> set[tuple[NodeKind, str | None]]:
    up = Lineage(registry).get_upstream(f"{NAME}@1.0.0")
    return {(node.kind, node.fact("type")) for node in up.nodes.values()}


def test_both_views_are_one_run(place: Place, version: Any, store: Path, local_registry: Registry) -> None:
    output = place.recorded(version, {"mlmd": str(store), "run": RUN})
    assert properties(output) == (1, 1)
    run = run_of(local_registry)
    assert (run.fact("id"), run.fact("pipeline"), run.fact("complete")) == (RUN, NAME, "yes")
    assert {(NodeKind.ENVIRONMENT, None), (NodeKind.ARTIFACT, "Notes")} <= kinds(local_registry)


def test_the_address_may_come_from_the_environment(
    place: Place, version: Any, store: Path, local_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEDIGREE_MLMD", str(store))
    place.recorded(version, {"run": RUN})
    assert (NodeKind.ARTIFACT, "Notes") in kinds(local_registry)


def test_without_a_connection_the_run_is_as_whole_as_the_artifacts_tell(
    place: Place, version: Any, local_registry: Registry
) -> None:
    assert properties(place.recorded(version)) == (1, 1)
    run = run_of(local_registry)
    assert is_incomplete(run) is None
    assert run.fact("complete") is None


def break_in_the_middle(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is overwritten after the first answers: what was read of it until then was right."""
    answer = reading.Reader.events_of_executions

    def last_answer(self: reading.Reader, ids: Any) -> Any:
        found = answer(self, ids)
        store.write_bytes(b"overwritten " * 4096)
        return found

    monkeypatch.setattr(reading.Reader, "events_of_executions", last_answer)


def test_a_store_that_goes_away_in_the_middle_leaves_what_was_read_and_a_later_run_completes_it(
    place: Place, version: Any, store: Path, local_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = store.read_bytes()
    with monkeypatch.context() as patched:
        break_in_the_middle(store, patched)
        output = place.recorded(version, {"mlmd": str(store), "run": RUN})
    assert properties(output) == (1, 0)
    assert "mlmd.sqlite" in output.get_string_custom_property("problem")
    assert "mlmd.sqlite" in (is_incomplete(run_of(local_registry)) or "")
    assert (NodeKind.ENVIRONMENT, None) in kinds(local_registry)

    store.write_bytes(whole)
    assert properties(place.recorded(version, {"mlmd": str(store), "run": RUN})) == (1, 1)
    assert is_incomplete(run_of(local_registry)) is None
    assert (NodeKind.ARTIFACT, "Notes") in kinds(local_registry)


def test_a_pipeline_that_is_to_stop_stops_after_what_there_is_was_recorded(
    place: Place, version: Any, local_registry: Registry
) -> None:
    with pytest.raises(UnavailableError):
        place.recorded(version, {"mlmd": "grpc://127.0.0.1:1", "on_failure": "fail"})
    assert is_incomplete(run_of(local_registry))


def test_a_password_for_ml_metadata_is_told_to_nobody(
    place: Place, version: Any, local_registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PEDIGREE_MLMD", CLOSED)
    output = place.recorded(version)
    assert properties(output) == (1, 0)
    told = [*output.mlmd_artifact.custom_properties.values(), is_incomplete(run_of(local_registry))]
    assert "127.0.0.1" in str(told)
    assert SECRET not in str(told)
    assert SECRET not in Path(output.uri, "lineage.json").read_text()


def test_recording_both_views_twice_adds_nothing(
    place: Place, version: Any, store: Path, local_registry: Registry
) -> None:
    order = {"mlmd": str(store), "run": RUN}
    first = place.recorded(version, order)
    before = local_registry.history(NAME)
    again = place.recorded(version, order)
    assert local_registry.history(NAME) == before
    nodes = [json.loads(Path(one.uri, "lineage.json").read_text())["nodes"] for one in (first, again)]
    assert [node["key"] for node in nodes[0]] == [node["key"] for node in nodes[1]]
