"""What a run of TFX becomes in the graph."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlmd_testing import DIGEST, PIPELINE, Books, Ran, open_store

from tfx_pedigree.digest import digest_of
from tfx_pedigree.lineage import node_factory, run_graph, wording
from tfx_pedigree.lineage.graph import EdgeKind, Fragment, Node, NodeKind
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.mlmd import ArtifactFiles, Mapper, Selection, connect, import_store, scan, walk_upstream
from tfx_pedigree.mlmd.history import moment
from tfx_pedigree.registry import Registry
from tfx_pedigree.store import manifest_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metadata.sqlite"


@pytest.fixture
def books(path: Path, tmp_path: Path) -> Books:
    return Books(open_store(path), str(tmp_path / "pipeline"))


@pytest.fixture
def local_registry(tmp_path: Path) -> Iterator[Registry]:
    Registry.create(str(tmp_path / "registry"), actor="ada", store=str(tmp_path / "store")).close()
    with Registry.open(str(tmp_path / "registry"), actor="ada", store=str(tmp_path / "store")) as registry:
        yield registry


def whole(path: Path, files: ArtifactFiles | None = None, selection: Selection | None = None) -> Fragment:
    with connect(path) as reader:
        mapper = Mapper(reader.identity, files=files)
        pieces = [mapper.fragment(piece) for piece in scan(reader, selection)]
    return run_graph.merged(pieces)


def sentences(fragment: Fragment, kinds: Iterable[EdgeKind] = EdgeKind) -> set[str]:
    nodes = {node.key: node for node in fragment.nodes}
    wanted = set(kinds)
    return {
        wording.sentence(nodes[edge.source], edge.kind, nodes[edge.target])
        for edge in fragment.edges
        if edge.kind in wanted
    }


def _carried(graph: Subgraph) -> set[str]:
    """Models that one gets to from the start along edges that carry something."""
    reached, left = set(graph.start), list(graph.start)
    while left:
        key = left.pop()
        new = {edge.source for edge in graph.edges if edge.target == key and edge.kind.carries} - reached
        reached |= new
        left += new
    return {f"id {graph.nodes[key].fact('id')}" for key in reached if graph.nodes[key].fact("type") == "Model"}


def of_kind(fragment: Fragment, kind: NodeKind) -> list[Node]:
    return [node for node in fragment.nodes if node.kind is kind]


def test_model_is_linked_to_the_split_it_learned_from_and_its_evaluation_to_the_other(books: Books, path: Path) -> None:
    first = books.run(1)
    said = sentences(whole(path))
    model, evaluation = first.outputs["model"], first.outputs["evaluation"]
    assert f"Model {model} was trained on span 1 train." in said
    assert f"Model {model} was trained on span 1 eval." not in said
    assert f"ModelEvaluation {evaluation} was measured on span 1 eval." in said
    assert f"ModelEvaluation {evaluation} was measured on span 1 train." not in said
    assert f"Model {model} was configured by parameters learning_rate=0.002, seed=13." in said
    assert f"run {first.name} used span 1 train." in said


def test_champion_is_compared_with_and_its_data_flow_into_nothing(
    books: Books, path: Path, local_registry: Registry
) -> None:
    first = books.run(1)
    second = books.run(2, champion=first.outputs["model"])
    said = sentences(whole(path))
    old, new = first.outputs["model"], second.outputs["model"]
    assert f"ModelEvaluation {second.outputs['evaluation']} compares against Model {old}." in said
    assert not [one for one in said if one.startswith(f"Model {new}") and one.endswith(f"Model {old}.")]
    lineage = Lineage(local_registry)
    with connect(path) as reader:
        import_store(reader, lineage)
    affected = lineage.get_downstream(next(one for one in lineage.find_all("span:1") if one.fact("split") == "train"))
    carried = _carried(affected)
    assert f"id {old}" in carried
    assert f"id {new}" not in carried


def test_a_warm_start_and_what_a_tuner_found_are_read(books: Books, path: Path, tmp_path: Path) -> None:
    """The values stand in the Tuner's file alone. Where that is gone, the model still comes from what it made."""
    first, ran = books.run(1), books.run(2)
    (tmp_path / "tuned").mkdir()
    file = tmp_path / "tuned" / "best_hyperparameters.txt"
    file.write_text('{"space": [], "values": {"units": 7, "rate": 0.3}}')
    found = {"best_hyperparameters": ("HyperParameters", {"@uri": str(file.parent)})}
    books.step(ran, PIPELINE, "Tuner", {}, {"examples": "examples"}, found)
    ran.outputs["base"] = first.outputs["model"]
    given = {"examples": "examples", "hyperparameters": "best_hyperparameters", "base_model": "base"}
    books.step(ran, PIPELINE, "WarmTrainer", {"custom_config": '{"seed": 5}'}, given, {"warm": ("Model", {})})
    said, warm = sentences(whole(path)), f"Model {ran.outputs['warm']}"
    assert f"{warm} was derived from Model {first.outputs['model']}." in said
    assert f"run {ran.name} used Model {first.outputs['model']}." in said
    assert f"{warm} was configured by parameters rate=0.3, units=7." in said
    assert f"{warm} was configured by parameters seed=5." in said
    tuned = f"HyperParameters {ran.outputs['best_hyperparameters']}"
    assert f"{warm} was derived from {tuned}." in said
    for text in ("no JSON", '{"values": 7, "space": 1}', "[]", "{}"):
        file.write_text(text)
        assert not [one for one in sentences(whole(path)) if "units=7" in one]


def test_cached_steps_link_the_run_to_what_it_used_again(books: Books, path: Path) -> None:
    first = books.run(1)
    again = books.run(1, name="again", cached=first, learning_rate=0.1)
    fragment = whole(path)
    said = sentences(fragment)
    graph = first.outputs["transform_graph"]
    assert {f"TransformGraph {graph} was produced by run {one.name}." for one in (first, again)} <= said
    assert f"Model {again.outputs['model']} has its features from TransformGraph {graph}." in said
    run = next(one for one in of_kind(fragment, NodeKind.RUN) if one.fact("id") == "again")
    assert run.facts["cached"] == ("CsvExampleGen", "SchemaGen", "StatisticsGen", "Transform")


def test_failed_run_is_there_with_what_it_used_and_the_component_that_failed(books: Books, path: Path) -> None:
    books.run(7, name="bad", fails_at="Trainer")
    fragment = whole(path)
    (run,) = of_kind(fragment, NodeKind.RUN)
    assert run.facts["failed"] == ("Trainer",)
    assert "run bad used span 7 train." in sentences(fragment)
    assert not [node for node in fragment.nodes if node.fact("type") == "Model"]


def test_models_of_two_runs_on_the_same_data_meet_in_the_same_node(books: Books, path: Path) -> None:
    one, other = books.run(3, name="one"), books.run(3, name="other")
    fragment = whole(path)
    data = [node for node in of_kind(fragment, NodeKind.DATA) if node.fact("split") == "train"]
    assert len(data) == 1
    trained = {edge.source for edge in fragment.edges if edge.kind is EdgeKind.TRAINED_ON}
    assert len(trained) == 2, (one, other)
    assert len({edge.target for edge in fragment.edges if edge.kind is EdgeKind.TRAINED_ON}) == 1


def test_model_that_was_not_pushed_is_not_deployed(books: Books, path: Path) -> None:
    ran = books.run(1, fails_at="Evaluator")
    books.step(ran, PIPELINE, "Pusher", {}, {"model": "model"}, {"pushed_model": ("PushedModel", {"pushed": 0})})
    assert not [edge for edge in whole(path).edges if edge.kind is EdgeKind.DEPLOYS]


def test_resolvers_hand_on_what_is_there_and_make_nothing(books: Books, path: Path) -> None:
    first = books.run(1)
    second = Ran("resolved", dict(first.outputs))
    books.step(
        second,
        PIPELINE,
        "Resolver",
        {},
        {},
        {"model": first.outputs["model"]},
        state="CACHED",
        output_event="INTERNAL_OUTPUT",
    )
    said = sentences(whole(path))
    assert f"Model {first.outputs['model']} was produced by run resolved." not in said


def test_executions_of_no_run_stand_for_themselves(books: Books, path: Path) -> None:
    ran = Ran("notebook")
    books.step(ran, None, "Labelling", {"threshold": 0.5}, {}, {"labels": ("Labels", {})})
    books.step(ran, None, "Joining", {}, {"labels": "labels"}, {"table": ("Table", {})})
    fragment = whole(path)
    assert sentences(fragment) == {
        "Labels 1 was produced by Labelling notebook.Labelling.",
        "Labelling notebook.Labelling was configured by parameters threshold=0.5.",
        "Joining notebook.Joining used Labels 1.",
        "Table 2 was produced by Joining notebook.Joining.",
    }
    assert {node.fact("state") for node in of_kind(fragment, NodeKind.EXECUTION)} == {"complete"}


# What Pedigree itself recorded


def record_of(digest: str, version: str, print_: str, predecessor: str | None = None) -> dict[str, Any]:
    split = {"fingerprint": DIGEST.format(int(print_)), "rows": 100, "bytes": 1000}
    return {
        "format": "pedigree.model-version/1",
        "model": PIPELINE,
        "version": version,
        "digest": digest,
        "predecessor": predecessor,
        "champion": None,
        "parameters": {"learning_rate": 0.002},
        "training": {"train_args": {"splits": ["train"]}},
        "data": {
            "examples": [{"span": "1", "splits": {"train": split}}],
            "schema": {"digest": DIGEST.format(7)},
            "transform": {"digest": DIGEST.format(8)},
        },
        "code": {"commit": "a" * 40, "diff_digest": None, "dirty": False},
        "environment": {"python": "3.10.13", "packages": {"tfx": "1.16.0"}},
    }


def versioned(books: Books, ran: Ran, folder: Path, record: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    (folder / "version.json").write_text(json.dumps(record), "utf-8")
    books.version(ran, record["digest"], record["version"], folder=folder)


def test_version_that_pedigree_recorded_is_the_node_that_its_recorder_makes(
    books: Books, path: Path, tmp_path: Path
) -> None:
    ran = books.run(1)
    record = record_of(DIGEST.format(1), "1.0.0", "5")
    versioned(books, ran, tmp_path / "version", record)
    fragment = whole(path)
    recorded = run_graph.fragment_of(record, run=run_graph.PipelineRun(id=ran.name, pipeline=PIPELINE))
    assert {node.key for node in recorded.nodes} <= {node.key for node in fragment.nodes}
    assert set(recorded.edges) <= set(fragment.edges)
    assert not [node for node in fragment.nodes if node.fact("type") in ("Model", "Schema", "TransformGraph")]
    assert len(of_kind(fragment, NodeKind.RUN)) == 1


def test_rows_that_pedigree_knows_are_derived_from_the_files_that_models_before_it_saw(
    books: Books, path: Path, tmp_path: Path
) -> None:
    books.run(1, name="before pedigree")
    ran = books.run(1, name="with pedigree")
    versioned(books, ran, tmp_path / "version", record_of(DIGEST.format(1), "1.0.0", "5"))
    fragment = whole(path)
    by_rows = node_factory.data_node(fingerprint=DIGEST.format(5))
    by_files = next(n for n in of_kind(fragment, NodeKind.DATA) if n.content.get("split") == "train")
    assert (by_rows.key, EdgeKind.DERIVED_FROM, by_files.key) in {(e.source, e.kind, e.target) for e in fragment.edges}


def test_version_without_its_files_is_still_the_version(books: Books, path: Path) -> None:
    ran = books.run(1)
    books.version(ran, DIGEST.format(1), "1.0.0")
    fragment = whole(path)
    (version,) = of_kind(fragment, NodeKind.VERSION)
    assert version.key == node_factory.version_node(PIPELINE, DIGEST.format(1)).key
    assert f"{PIPELINE} 1.0.0 was trained on span 1 train." in sentences(fragment)
    (deployment,) = of_kind(fragment, NodeKind.DEPLOYMENT)
    assert deployment.content["destination"] == f"{books.root}/pushed/1"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "another/1"}', '{"format": "pedigree.model-version/1"}'])
def test_record_that_is_no_record_is_as_if_it_were_not_there(
    books: Books, path: Path, tmp_path: Path, text: str
) -> None:
    ran = books.run(1)
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "version.json").write_text(text, "utf-8")
    books.version(ran, DIGEST.format(1), "1.0.0", folder=tmp_path / "version")
    assert len(of_kind(whole(path), NodeKind.VERSION)) == 1


def test_predecessor_is_the_version_that_the_store_knows_by_its_number(
    books: Books, path: Path, tmp_path: Path
) -> None:
    first, second = books.run(1), books.run(2)
    versioned(books, first, tmp_path / "1", record_of(DIGEST.format(1), "1.0.0", "5"))
    versioned(books, second, tmp_path / "2", record_of(DIGEST.format(2), "1.0.1", "6", "1.0.0"))
    assert f"{PIPELINE} 1.0.1 follows {PIPELINE} 1.0.0." in sentences(whole(path))


def test_walk_in_a_run_and_an_import_afterwards_tell_of_the_same_nodes(
    books: Books, path: Path, tmp_path: Path
) -> None:
    first = books.run(1)
    versioned(books, first, tmp_path / "1", record_of(DIGEST.format(1), "1.0.0", "5"))
    second = books.run(2, cached=first, champion=first.outputs["model"])
    versioned(books, second, tmp_path / "2", record_of(DIGEST.format(2), "1.0.1", "5", "1.0.0"))
    every = {node.key for node in whole(path).nodes}
    with connect(path) as reader:
        walked = Mapper(reader.identity).fragment(walk_upstream(reader, [second.outputs["version"]]))
    assert {node.key for node in walked.nodes} <= every


def test_recorder_can_say_which_node_the_run_that_is_going_on_is(books: Books, path: Path) -> None:
    ran = books.run(1)
    mine = node_factory.run_node(model=PIPELINE, version=DIGEST.format(1), id=ran.name)
    with connect(path) as reader:
        history = walk_upstream(reader, [ran.outputs["model"]])
        fragment = Mapper(reader.identity, runs={ran.name: mine}).fragment(history)
    assert [node.key for node in of_kind(fragment, NodeKind.RUN)] == [mine.key]


# Digests


def test_models_that_still_lie_there_meet_the_versions_of_the_registry_when_digests_are_taken(
    books: Books, path: Path, tmp_path: Path
) -> None:
    ran = books.run(1)
    folder = Path(books.root) / "Trainer" / "model" / ran.name / "Format-Serving"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"a model")
    digest = manifest_of(folder).digest
    known = ArtifactFiles(digests=True, versions=lambda found: [(PIPELINE, "1.0.0")] if found == digest else [])
    assert [one.content["digest"] for one in of_kind(whole(path, known), NodeKind.VERSION)] == [digest]
    unknown = whole(path, ArtifactFiles(digests=True))
    model = next(node for node in unknown.nodes if node.fact("type") == "Model")
    assert dict(model.content) == {"digest": digest}
    # Whose name would it have? Two models may be the same bytes.
    both = ArtifactFiles(digests=True, versions=lambda found: [(PIPELINE, "1.0.0"), ("other", "3.0.0")])
    assert not of_kind(whole(path, both), NodeKind.VERSION)


# Selection, parameters, cycles, secrets


def test_selection_leaves_out_other_pipelines_and_older_runs(books: Books, path: Path) -> None:
    books.run(1, name="mine")
    books.run(2, name="theirs", pipeline="other")
    books.step(Ran("stray"), None, "Labelling", {}, {}, {"labels": ("Labels", {})})
    selected = whole(path, selection=Selection(pipeline="other"))
    assert [node.fact("id") for node in of_kind(selected, NodeKind.RUN)] == ["theirs"]
    assert not of_kind(selected, NodeKind.EXECUTION)
    with connect(path) as reader:
        newest = max(run.created for piece in scan(reader) for run in piece.runs.values())
        assert list(scan(reader, Selection(since=moment(newest))))
        assert not list(scan(reader, Selection(since=moment(newest + 60_000))))


def test_parameters_too_long_for_the_graph_are_known_by_their_digest(books: Books, path: Path) -> None:
    ran = Ran("long")
    text = "x" * 100_000
    books.step(ran, None, "Labelling", {"table": text, "threshold": 1}, {}, {"labels": ("Labels", {})})
    (node,) = of_kind(whole(path), NodeKind.PARAMETERS)
    assert node.content["parameters"] == {"table": digest_of(json.dumps(text).encode()), "threshold": 1}


def test_character_that_no_database_holds_keeps_nothing_out_of_the_graph(
    books: Books, path: Path, local_registry: Registry
) -> None:
    books.step(Ran("odd"), None, "Labelling", {"table": '{"a": ["b\\u0000c"]}'}, {}, {"labels": ("Labels", {})})
    lineage = Lineage(local_registry)
    with connect(path) as reader:
        assert import_store(reader, lineage).recorded
    (node,) = of_kind(whole(path), NodeKind.PARAMETERS)
    assert node.content["parameters"] == {"table": {"a": ["b\ufffdc"]}}
    assert Subgraph.from_json(lineage.get_lineage(node).to_json()).nodes


def test_password_in_a_parameter_never_reaches_the_registry(
    books: Books, path: Path, local_registry: Registry, tmp_path: Path
) -> None:
    ran = Ran("secret")
    told = {"db": "mysql://ada:hunter2@host/db", "password": "hunter2", "query": '{"api_key": "hunter2"}'}
    books.step(ran, None, "Labelling", told, {}, {"labels": ("Labels", {})})
    with connect(path) as reader:
        found = import_store(reader, Lineage(local_registry))
    assert found.recorded is not None
    assert found.recorded.hidden == 3
    assert b"hunter2" not in b"".join(p.read_bytes() for p in (tmp_path / "registry").rglob("*") if p.is_file())


def test_cycle_in_a_store_is_reported_and_all_the_rest_is_there(
    books: Books, path: Path, local_registry: Registry
) -> None:
    ran = Ran("turning", {"a": books.thing()})
    books.step(ran, None, "There", {}, {"a": "a"}, {"b": ("Thing", {})})
    books.step(ran, None, "Back", {}, {"b": "b"}, {"again": ran.outputs["a"]})
    books.step(ran, None, "Itself", {}, {"b": "b"}, {"self": ran.outputs["b"]})
    lineage = Lineage(local_registry)
    with connect(path) as reader:
        found = import_store(reader, lineage)
        assert len(walk_upstream(reader, [ran.outputs["b"]])) == 4
    assert found.recorded is not None
    assert found.recorded.nodes == found.nodes
    assert [len(cycle) for cycle in found.cycles] == [5]
    assert found.loops == 1
    assert found.cycles[0][0] == found.cycles[0][-1]
    assert len(lineage.get_upstream(found.cycles[0][0]).nodes) == 4


def test_store_from_which_rows_were_deleted_is_imported_as_far_as_it_is_there(
    books: Books, path: Path, local_registry: Registry
) -> None:
    """MLMD has no keys between its tables: who prunes one of them leaves events of artifacts that are gone."""
    first = books.run(1)
    books.run(2)
    with sqlite3.connect(path) as connection:
        for table, number in (("Artifact", first.outputs["schema"]), ("Execution", first.executions["SchemaGen"])):
            connection.execute(f"DELETE FROM {table} WHERE id = ?", [number])
            connection.execute(f"DELETE FROM {table}Property WHERE {table}_id = ?", [number])
    with connect(path) as reader:
        found = import_store(reader, Lineage(local_registry))
        assert not import_store(reader, Lineage(local_registry)).recorded.anything  # type: ignore[union-attr]
        assert len(walk_upstream(reader, [first.outputs["model"]]))
    assert found.runs == 2
    assert len(Lineage(local_registry).find_all("span:1")) == 2


def test_time_that_no_calendar_has_counts_as_none(books: Books, path: Path) -> None:
    books.run(1)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE Context SET create_time_since_epoch = ?", [10**18])
    (run,) = of_kind(whole(path), NodeKind.RUN)
    assert run.fact("began") is None
    assert run.fact("pipeline") == PIPELINE
