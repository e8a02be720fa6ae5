"""What `Lineage.verify` sees of a graph that was changed behind the registry's back, on both databases."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
import sqlalchemy as sa
from graph_testing import MODEL, TABLES, counted, data, making, node_of, random_fragment, storied, thing

from pedigree_testing import Clock, description, lineage_of
from tfx_pedigree.digest import canonical_json
from tfx_pedigree.lineage import storage
from tfx_pedigree.lineage.graph import Fragment, Node
from tfx_pedigree.lineage.storage import NodeRow
from tfx_pedigree.registry import Candidate, Registry
from tfx_pedigree.service.archive import export_to_file, import_from_file


@pytest.fixture
def story(registry: Registry) -> Node:
    """A version's node, in a graph with three versions."""
    return node_of(storied(registry)[1])


def behind_its_back(registry: Registry, *statements: str, **values: str | int) -> None:
    """As who owns the database can: keys are not looked at."""
    with registry._database.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.connection.execute("PRAGMA foreign_keys = OFF")  # does nothing once a transaction has begun
        else:
            connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            connection.execute(sa.text(statement), values)
        connection.commit()
    registry._database.engine.dispose()


def number_of(registry: Registry, node: Node) -> int:
    with registry.transactions.reading(None) as connection:
        return storage.ids_of(connection, [node.key])[node.key]


def test_graph_that_nobody_touched_is_as_it_was_recorded(registry: Registry, story: Node) -> None:
    lineage = lineage_of(registry)
    lineage.record(Fragment((data(1), data(77))))
    with lineage.importing("elsewhere") as importer:
        importer.add(random_fragment(3, 50, 90, cycles=True))
    seen: list[tuple[int, int]] = []
    report = lineage.verify(lambda done, total, _: seen.append((done, total)))
    assert report.problems == ()
    assert (report.nodes, report.facts, report.edges) == counted(registry)
    assert seen[-1] == (report.nodes, report.nodes)


def test_empty_graph_is_as_it_was(registry: Registry) -> None:
    nothing = {"ok": True, "nodes": 0, "facts": 0, "edges": 0, "problems": [], "unsealed": 0}
    assert lineage_of(registry).verify().to_json() == nothing


def test_altered_content_names_the_node(registry: Registry, story: Node) -> None:
    forged = canonical_json({**story.content, "model": "another"}).decode()
    behind_its_back(
        registry, "UPDATE lineage_nodes SET content = :forged WHERE key = :key", forged=forged, key=story.key
    )
    assert lineage_of(registry).verify().problems == (
        f"The lineage node {story.key} was altered: its content has another digest.",
    )


def test_deleted_node_that_others_name_is_told_with_what_is_known_of_it(registry: Registry, story: Node) -> None:
    number = number_of(registry, story)
    behind_its_back(registry, "DELETE FROM lineage_nodes WHERE id = :number", number=number)
    loose, missing = lineage_of(registry).verify().problems
    assert f"(number {number}; its facts: digest={story.content['digest']}, model={MODEL}, version=1.0.1)" in loose
    assert missing.startswith("The lineage graph holds nodes: ")
    assert missing.endswith("What is missing (1) was deleted.")


def test_node_deleted_with_all_that_hangs_on_it_is_missed(registry: Registry) -> None:
    lineage_of(registry).record(Fragment((thing(1), thing(2))))
    number = number_of(registry, thing(1))
    behind_its_back(
        registry,
        "DELETE FROM lineage_facts WHERE node_id = :number",
        "DELETE FROM lineage_nodes WHERE id = :number",
        number=number,
    )
    assert lineage_of(registry).verify().problems == (
        "The lineage graph holds nodes: 1; the log tells of 2. What is missing (1) was deleted.",
        "The lineage graph holds facts: 1; the log tells of 2. What is missing (1) was deleted.",
    )


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM lineage_edges WHERE source_id = :number AND kind = 'trained_on'", "holds edges: "),
        ("DELETE FROM lineage_facts WHERE node_id = :number AND name = 'version'", "holds facts: "),
    ],
)
def test_deleted_edge_and_deleted_fact_are_missed(registry: Registry, story: Node, statement: str, told: str) -> None:
    behind_its_back(registry, statement, number=number_of(registry, story))
    (problem,) = lineage_of(registry).verify().problems
    assert told in problem
    assert problem.endswith("What is missing (1) was deleted.")


CELLS = [(table.name, column.name) for table in TABLES for column in table.c]


@pytest.mark.parametrize(("table", "column"), CELLS)
def test_any_cell_that_was_altered_is_seen(registry: Registry, story: Node, table: str, column: str) -> None:
    """Whatever tables and columns the graph has: each cell of one row in turn gets another value that fits its type."""
    (found,) = (each for each in TABLES if each.name == table)
    row = found.c["node_id" if "node_id" in found.c else "id" if "id" in found.c else "source_id"]
    number = number_of(registry, story)
    other = {
        "recorded_at": "'2020-02-02T00:00:00.000000Z'",
        "kind": "'data'" if table == "lineage_nodes" else "'used'",
        "run_id": "NULL",
    }
    if column == "id" or column.endswith("_id"):
        other.setdefault(column, f"(SELECT max(id) + {'7' if column == 'id' else '0'} FROM lineage_nodes)")
    value = other.get(column, f"substr({column}, 1, length({column}) - 1) || 'x'")
    one = {"lineage_nodes": "TRUE", "lineage_facts": "name = 'version'", "lineage_edges": "kind = 'trained_on'"}[table]
    behind_its_back(
        registry, f"UPDATE {table} SET {column} = {value} WHERE {row.name} = :number AND {one}", number=number
    )
    assert not lineage_of(registry).verify().ok


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("UPDATE lineage_facts SET value = '9.9.9' WHERE name = 'version' AND node_id = :number", "not the same ones"),
        (
            "UPDATE lineage_edges SET kind = 'supersedes' WHERE kind = 'trained_on' AND source_id = :number",
            "not the same",
        ),
        ("UPDATE lineage_nodes SET recorded_by = 'mallory' WHERE id = :number", "not the same ones"),
    ],
)
def test_row_that_took_the_place_of_another_is_seen(registry: Registry, story: Node, changed: str, told: str) -> None:
    behind_its_back(registry, changed, number=number_of(registry, story))
    (problem,) = lineage_of(registry).verify().problems
    assert told in problem


def test_recording_of_an_older_release_stays_valid_and_is_said_to_tell_only_how_many(registry: Registry) -> None:
    """Its event has no sum of the rows."""
    lineage = lineage_of(registry)
    lineage.record(Fragment((thing(1),)))
    with registry.transactions.recording(None) as write:
        storage.add_nodes(write.connection, [NodeRow(data(1).key, "data", _content(data(1)), {})], {}, write.now, "ada")
        write.log("record-lineage", details={"nodes": 1, "edges": 0, "facts": 0, "fragment": "sha256:" + "0" * 64})
    report = lineage.verify()
    assert report.ok
    assert report.unsealed == 1


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("table", "column"), [cell for cell in CELLS if cell[1] != "id"])
def test_cell_of_another_type_is_a_finding(registry: Registry, story: Node, table: str, column: str) -> None:
    """SQLite keeps bytes in any column, but for the numbers of rows."""
    behind_its_back(registry, f"UPDATE OR IGNORE {table} SET {column} = CAST(x'00ff' || 'x' AS BLOB)")
    assert not lineage_of(registry).verify().ok


def _content(node: Node) -> str:
    return canonical_json(dict(node.content)).decode()


def test_rows_that_came_in_past_the_registry_are_seen(registry: Registry, story: Node) -> None:
    forged = Node(story.kind, {**story.content, "model": "another"})
    behind_its_back(
        registry,
        "INSERT INTO lineage_nodes (id, key, kind, content, recorded_at, recorded_by) "
        "SELECT 9999, :key, kind, :content, recorded_at, recorded_by FROM lineage_nodes WHERE id = :number",
        "INSERT INTO lineage_facts (node_id, name, value) VALUES (9999, 'version', '1.0.0')",
        "INSERT INTO lineage_edges (source_id, target_id, kind) VALUES (9999, :number, 'supersedes')",
        key=forged.key,
        content=canonical_json(dict(forged.content)).decode(),
        number=number_of(registry, story),
    )
    nodes, facts, edges = lineage_of(registry).verify().problems
    assert all(one.endswith("What is too many (1) came in past the registry.") for one in (nodes, facts, edges))


def test_kinds_that_nobody_records_are_named(registry: Registry, story: Node) -> None:
    behind_its_back(registry, "UPDATE lineage_edges SET kind = 'blames' WHERE kind = 'trained_on'")
    problems = lineage_of(registry).verify().problems
    assert len(problems) == 3
    assert any(
        f"An edge from the lineage node {story.key} to {data(1).key} is of the kind 'blames'" in p for p in problems
    )


def test_many_problems_are_counted_and_the_first_ones_told(registry: Registry) -> None:
    lineage_of(registry).record(random_fragment(1, 450, 0))
    behind_its_back(registry, "UPDATE lineage_nodes SET content = '{}'")
    problems = lineage_of(registry).verify().problems
    assert len(problems) == 101
    assert problems[-1] == "… and 350 more of the same sort in the lineage graph."
    behind_its_back(registry, "DELETE FROM lineage_nodes")
    problems = lineage_of(registry).verify().problems
    assert len(problems) == 102
    assert problems[100:] == (
        "… and 350 more of the same sort in the lineage graph.",
        "The lineage graph holds nodes: 0; the log tells of 450. What is missing (450) was deleted.",
    )


def test_event_that_does_not_say_how_much_it_was_is_no_ground_to_suspect_what_is_there(registry: Registry) -> None:
    lineage = lineage_of(registry)
    lineage.record(Fragment((thing(1), thing(2))))
    with registry.transactions.recording(None) as write:
        write.log("record-lineage", details={"source": "an older release"})
    assert lineage.verify().ok
    behind_its_back(registry, "DELETE FROM lineage_facts")
    assert lineage.verify().problems == (
        "The lineage graph holds facts: 0; the log tells of 2. What is missing (2) was deleted.",
    )


def test_import_that_does_not_say_what_it_brought_is_no_ground_to_suspect_its_model(
    registry: Registry, story: Node
) -> None:
    """Whether the model's recordings were made here is not known then, so that none of them is counted."""
    with registry.transactions.recording(None) as write:
        write.log("import-model", details={"model": MODEL, "head": "sha256:" + "0" * 64})
    assert lineage_of(registry).verify().problems == ()
    behind_its_back(registry, "UPDATE lineage_nodes SET content = '{}' WHERE key = :key", key=story.key)
    assert len(lineage_of(registry).verify().problems) == 1


def test_model_that_goes_to_another_registry_and_comes_back_longer_is_counted_once(
    registry: Registry, tmp_path: Path, clock: Clock
) -> None:
    """The log of a model travels with it, and with it the events that tell of recordings elsewhere."""
    _grow(registry, tmp_path, 0)
    export_to_file(registry, MODEL, tmp_path / "there.tar")
    elsewhere = Registry.create(tmp_path / "elsewhere", actor="grace", clock=clock)
    lineage_of(elsewhere).record(Fragment((data(50),)))
    import_from_file(elsewhere, tmp_path / "there.tar")
    assert lineage_of(elsewhere).verify().problems == ()
    _grow(elsewhere, tmp_path, 1)
    export_to_file(elsewhere, MODEL, tmp_path / "back.tar")
    import_from_file(registry, tmp_path / "back.tar")
    _grow(registry, tmp_path, 2)
    assert lineage_of(registry).verify().problems == ()
    assert lineage_of(elsewhere).verify().problems == ()
    behind_its_back(registry, "DELETE FROM lineage_edges WHERE kind = 'trained_on'")
    assert lineage_of(registry).verify().problems[-1].endswith("What is missing (3) was deleted.")


def _grow(registry: Registry, folder: Path, number: int) -> None:
    """One more version with bytes and a lineage."""
    files = folder / f"model-{number}"
    files.mkdir()
    (files / "weights.bin").write_bytes(bytes([number]) * 50)
    manifest = registry.store.put(files)
    version = registry.add(MODEL, Candidate(manifest.digest, description(), 50, 1)).version
    lineage_of(registry).record(making(version, number), model=MODEL)


def test_memory_does_not_grow_with_the_graph(registry: Registry) -> None:
    lineage = lineage_of(registry)

    def peak() -> int:
        tracemalloc.start()
        try:
            assert lineage.verify().ok
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    lineage.record(random_fragment(1, 600, 600))
    lineage.verify()
    small = peak()
    lineage.record(random_fragment(2, 6000, 6000))
    assert peak() < 1.5 * small
