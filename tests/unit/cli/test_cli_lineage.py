"""Questions to the lineage graph on the command line: what people see, what programs read, what is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from cli_testing import Pedigree, Ticking, check_seen
from click.shell_completion import ShellComplete

from lineage_testing import MODEL, record_story
from pedigree_testing import digest
from tfx_pedigree.cli.app import App
from tfx_pedigree.cli.main import cli
from tfx_pedigree.lineage.exports import FORMATS
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.node_factory import artifact_node
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.registry import Registry

COMMANDS = {
    "explain": ("explain", f"{MODEL}@1.0.1"),
    "explain_unrecorded": ("explain", "by-hand"),
    "diff": ("diff", f"{MODEL}@1.0.1", f"{MODEL}@1.1.0"),
    "diff_retrained": ("diff", f"{MODEL}@1.0.0", f"{MODEL}@1.0.1"),
    "lineage": ("lineage", f"{MODEL}@1.0.1"),
    "impact": ("impact", "span:3"),
    "path": ("path", f"{MODEL}@1.1.0", "span:1"),
}


@pytest.fixture(scope="module")
def traced(told: Path, tmp_path_factory: pytest.TempPathFactory) -> Pedigree:
    """The story that all tests of the command line share, with its lineage recorded, and a model without any."""
    folder = tmp_path_factory.mktemp("traced")
    shutil.copytree(told / "registry", folder / "registry")
    (folder / "weights").mkdir()
    (folder / "weights" / "weights.bin").write_bytes(b"weights")
    clock = Ticking()
    pedigree = Pedigree(folder / "registry", clock=clock)
    pedigree("register", "by-hand", folder / "weights", "--metric", "auc=0.7", "--tag", "span=4")
    with Registry.open(folder / "registry", actor="mia", clock=clock) as registry:
        record_story(registry)
    return pedigree


# What people see


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_people_see_what_they_saw_before(traced: Pedigree, name: str, columns: int) -> None:
    check_seen(traced, COMMANDS[name], name, columns)


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_is_cut_and_nothing_coloured_where_there_is_no_terminal(traced: Pedigree, name: str) -> None:
    narrow, free = traced(*COMMANDS[name], COLUMNS="80"), traced(*COMMANDS[name])
    assert "\x1b" not in free.out
    # Rails of a tree go on beside a line that was broken.
    assert set(narrow.out.split()) - {"│"} <= set(free.out.split())


def test_shared_node_is_unfolded_once_and_says_where(traced: Pedigree) -> None:
    lines = traced("lineage", f"{MODEL}@1.0.1", "--up").out.splitlines()
    shared = [line for line in lines if "commit 4f1d2c3" in line]
    assert len(shared) == 2
    assert shared[1].endswith("(see above)")


def test_next_command_leads_on(traced: Pedigree) -> None:
    assert f"pedigree diff {MODEL}@1.0.0 {MODEL}@1.0.1" in traced("explain", f"{MODEL}@1.0.1").err
    assert f"pedigree explain {MODEL}@1.0.1" in traced("impact", "span:2").err


# Directions and depth


@pytest.mark.parametrize(
    ("words", "there", "missing"),
    [
        (("--up",), "was trained on span 2 train", f"{MODEL} 1.1.0 follows it"),
        (("--down",), f"{MODEL} 1.1.0 follows it", "was trained on span 2 train"),
        (("--both",), f"{MODEL} 1.1.0 follows it", "\x1b"),
    ],
)
def test_direction_decides_what_is_shown(traced: Pedigree, words: tuple[str, ...], there: str, missing: str) -> None:
    out = traced("lineage", f"{MODEL}@1.0.1", *words).out
    assert there in out
    assert missing not in out


def test_depth_limits_the_answer_and_says_so(traced: Pedigree) -> None:
    near = traced("lineage", f"{MODEL}@1.1.0", "--up", "--depth", "1")
    assert f"follows {MODEL} 1.0.1" in near.out
    assert "span 2 train" not in near.out
    assert f"There is more: pedigree lineage {MODEL}@1.1.0 --depth 3" in near.err
    assert "There is more" not in traced("lineage", f"{MODEL}@1.1.0", "--up").err
    graph = Subgraph.from_json(traced("lineage", f"{MODEL}@1.1.0", "--up", "--depth", "1", "--json").json)
    assert not graph.complete
    assert max(graph.depth.values()) == 1


def test_node_alone_is_asked_with_depth_zero(traced: Pedigree) -> None:
    graph = Subgraph.from_json(traced("lineage", "span:1", "--depth", "0", "--json").json)
    assert [node.fact("span") for node in graph.nodes.values()] == ["1"]


# For programs


def test_lineage_by_the_line_is_the_same_answer(traced: Pedigree, tmp_path: Path) -> None:
    file = tmp_path / "lineage.jsonl"
    whole = traced("lineage", f"{MODEL}@1.0.1", "--json").json
    said = traced("lineage", f"{MODEL}@1.0.1", "--format", "jsonl")
    traced("lineage", f"{MODEL}@1.0.1", "--format", "jsonl", "--output", str(file))
    assert file.read_text() == said.out
    first, *parts = map(json.loads, said.out.splitlines())
    assert first == {"format": "pedigree.lineage-lines/1", "start": whole["start"]}
    nodes = {part["key"]: part for part in parts if "key" in part}
    assert nodes == {node["key"]: {k: v for k, v in node.items() if k != "depth"} for node in whole["nodes"]}
    assert sorted(map(str, (part for part in parts if "key" not in part))) == sorted(map(str, whole["edges"]))


def test_lineage_as_json_can_be_read_again(traced: Pedigree) -> None:
    said = traced("lineage", f"{MODEL}@1.0.1", "--json")
    graph = Subgraph.from_json(said.json)
    assert said.json["format"] == "pedigree.lineage/1"
    assert graph.complete
    assert said.out == traced("lineage", f"{MODEL}@1.0.1", "--format", "json").out


def test_impact_as_json_tells_when_each_version_was_in_production(traced: Pedigree) -> None:
    found = traced("impact", "code:4f1d2c3", "--json").json
    versions = {one["version"]: one for one in found["versions"]}
    assert set(versions) == {"1.0.0", "1.0.1"}
    assert versions["1.0.1"]["in_production"]
    assert versions["1.0.1"]["reigns"][0]["ended_at"] is None
    assert not versions["1.0.0"]["in_production"]
    assert versions["1.0.0"]["reigns"][0]["ended_at"] is not None
    assert versions["1.0.0"]["path"]
    assert found["start"][0]["content"]["commit"].startswith("4f1d2c3")
    assert len(found["deployments"]) == 1


def test_explanation_and_difference_as_json(traced: Pedigree) -> None:
    explained = traced("explain", f"{MODEL}@1.0.1", "--json").json
    assert explained["recorded"]
    assert [section["name"] for section in explained["sections"]][:3] == ["version", "data", "code"]
    compared = traced("diff", f"{MODEL}@1.0.1", f"{MODEL}@1.1.0", "--json").json
    assert [row["name"] for row in compared["packages"] if row["old"] != row["new"]] == ["numpy"]


def test_path_as_json_has_edges_and_nodes_or_null(traced: Pedigree) -> None:
    found = traced("path", f"{MODEL}@1.1.0", "span:1", "--json").json
    assert [edge["kind"] for edge in found["edges"]] == ["supersedes", "supersedes", "trained_on"]
    assert {edge["source"] for edge in found["edges"]} <= {node["key"] for node in found["nodes"]}
    assert traced("path", "span:1", "data:part=2/train", "--json").json["edges"] is None


def test_path_is_found_in_either_direction(traced: Pedigree) -> None:
    there, back = traced("path", f"{MODEL}@1.0.1", "span:2"), traced("path", "span:2", f"{MODEL}@1.0.1")
    assert there.out == back.out == f"{MODEL} 1.0.1 was trained on span 2 train.\n"
    assert "neither came of the other" in traced("path", "span:1", "data:part=2/train").out
    assert "are the same node" in traced("path", "span:1", "span:1").out


@pytest.mark.parametrize("form", FORMATS)
def test_each_form_is_printed_or_written_to_a_file(traced: Pedigree, tmp_path: Path, form: str) -> None:
    file = tmp_path / f"lineage.{form}"
    printed = traced("lineage", f"{MODEL}@1.0.1", "--format", form)
    said = traced("lineage", f"{MODEL}@1.0.1", "--format", form, "--output", file)
    assert f"Wrote 22 nodes and 38 edges to {file}." in said.out.replace("\n", " ")
    if form != "openlineage":  # its events tell when they were made
        assert file.read_text() == printed.out
    assert file.read_text()


def test_exit_code_tells_scripts_what_was_found(traced: Pedigree) -> None:
    traced("impact", "span:2", "--exit-code", code=1)
    traced("impact", "data:part=3/train", "--exit-code", code=0)
    traced("diff", f"{MODEL}@1.0.1", f"{MODEL}@1.1.0", "--exit-code", code=1)
    traced("diff", f"{MODEL}@1.0.1", f"{MODEL}@1.0.1", "--exit-code", code=0)


def test_one_version_alone_differs_from_the_champion(traced: Pedigree) -> None:
    assert traced("diff", f"{MODEL}@1.1.0").out == traced("diff", f"{MODEL}@champion", f"{MODEL}@1.1.0").out


# Refusals


@pytest.mark.parametrize("command", ["lineage", "impact"])
def test_unknown_node_is_refused_with_near_ones(traced: Pedigree, command: str) -> None:
    said = traced(command, "module:flight_modle.py", "--json", code=3)
    assert "module:flight_model.py" in said.error["message"]


def test_name_that_fits_several_nodes_lists_them(traced: Pedigree) -> None:
    said = traced("lineage", "span:3", code=2)
    assert "span:3" in said.err
    assert said.err.count("data:") >= 2


def test_mistakes_end_with_the_codes_that_the_documents_promise(traced: Pedigree, tmp_path: Path) -> None:
    traced("explain", f"{MODEL}@7.0.0", code=3)
    traced("explain", "data:span=2", code=2)
    traced("diff", f"{MODEL}@champion", code=4)
    traced("path", "span:1", "data:ffffffff", code=3)
    traced("lineage", f"{MODEL}@1.0.1", "--depth", "-1", code=2)
    traced("lineage", f"{MODEL}@1.0.1", "--json", "--format", "dot", code=2)
    traced("lineage", f"{MODEL}@1.0.1", "--output", tmp_path / "tree.txt", code=2)
    traced("lineage", f"{MODEL}@1.0.1", "--format", "dot", "--output", tmp_path / "no" / "such", code=8)


# `lineage` is a command and a group


def test_what_is_no_command_of_the_group_is_the_node(traced: Pedigree) -> None:
    plain = traced("lineage", f"{MODEL}@1.0.1")
    assert traced("lineage", "--up", f"{MODEL}@1.0.1").out == traced("lineage", f"{MODEL}@1.0.1", "--up").out
    assert traced("lineage", "--registry", traced.registry, f"{MODEL}@1.0.1").out == plain.out


def test_help_shows_the_options_of_a_question_and_the_commands_of_the_group(traced: Pedigree) -> None:
    said = traced("lineage", "--help").out
    assert said.startswith("Usage: pedigree lineage [OPTIONS] NODE | COMMAND …")
    for word in ("--depth", "--format", "html", "import-mlmd"):
        assert word in said
    assert traced("lineage").out == said


def test_shell_completes_nodes_and_commands_of_the_group(traced: Pedigree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEDIGREE_REGISTRY", str(traced.registry))
    completion = ShellComplete(cli, {"obj": App()}, "pedigree", "_PEDIGREE_COMPLETE")
    offered = {text: {item.value for item in completion.get_completions(["lineage"], text)} for text in ("fl", "im")}
    assert offered == {"fl": {f"{MODEL}@"}, "im": {"import-mlmd"}}


def test_mistake_in_a_question_is_told_under_the_name_that_people_typed(traced: Pedigree) -> None:
    said = traced("lineage", f"{MODEL}@1.0.1", "--deep", "3", code=2)
    assert "Usage: pedigree lineage [OPTIONS] NODE\n" in said.err
    assert "Try 'pedigree lineage --help'" in said.err


@pytest.mark.system
def test_questions_never_load_tensorflow(traced: Pedigree) -> None:
    code = (
        "import sys; from tfx_pedigree.cli.main import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'tensorflow', 'tfx', 'ml_metadata', 'networkx'} & set(sys.modules)"
    )
    for words in (*COMMANDS.values(), ("lineage", f"{MODEL}@1.0.1", "--format", "html")):
        command = [sys.executable, "-c", code, "--registry", str(traced.registry), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_long_histories_are_cut_in_a_tree_and_say_so(traced: Pedigree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfx_pedigree.cli.lineage.tree.MOST_LINES", 3)
    said = traced("lineage", f"{MODEL}@1.0.1", "--up")
    assert len(said.out.splitlines()) == 2 + 1 + 1 + 3
    assert "more lines" in said.err


def test_circle_in_foreign_data_is_told_and_ends(tmp_path: Path) -> None:
    pedigree = Pedigree(tmp_path / "registry")
    pedigree("init")
    first, second = (artifact_node("Model", digest=digest(n), name=f"model-{n}") for n in (1, 2))
    edges = (
        Edge(first.key, EdgeKind.DERIVED_FROM, second.key),
        Edge(second.key, EdgeKind.DERIVED_FROM, first.key),
    )
    with (
        Registry.open(tmp_path / "registry", actor="mia") as registry,
        Lineage(registry).importing("elsewhere") as books,
    ):
        books.add(Fragment((first, second), edges))
    said = pedigree("lineage", "artifact:model-1")
    assert "leads in a circle" in said.err
    assert said.out.count("model-2") == 2
    assert json.loads(pedigree("lineage", "artifact:model-1", "--json").out)["cycles"]


def test_audit_looks_at_the_lineage_as_well(traced: Pedigree, tmp_path: Path) -> None:
    """What is deleted from the graph is not seen by reading what is left of it."""
    shutil.copytree(traced.registry, tmp_path / "registry")
    pedigree = Pedigree(tmp_path / "registry")
    told = pedigree("audit", "verify").out
    found = pedigree("audit", "verify", "--json").json
    rows = found["lineage"]
    assert (found["ok"], rows["ok"], rows["problems"]) == (True, True, [])
    assert f", {rows['nodes']} nodes and {rows['edges']} edges of lineage: all is as it was." in told
    with sqlite3.connect(tmp_path / "registry" / "registry.db") as connection:
        connection.execute("DELETE FROM lineage_edges WHERE kind = 'trained_on'")
        (key,) = connection.execute("SELECT key FROM lineage_nodes WHERE kind = 'version'").fetchone()
        connection.execute("UPDATE lineage_nodes SET content = '{}' WHERE key = ?", [key])
    said = pedigree("audit", "verify", code=1)
    assert f"The lineage node {key} was altered" in said.out
    assert "What is missing (3) was deleted." in said.out
    assert "Restore the database from a backup" in said.err
    found = pedigree("audit", "verify", "--json", code=1).json
    assert not found["ok"]
    assert found["problems"] == found["lineage"]["problems"]
    assert found["lineage"]["edges"] == rows["edges"] - 3
