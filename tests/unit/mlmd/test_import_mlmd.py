"""`pedigree lineage import-mlmd`."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_testing import Pedigree
from mlmd_testing import Books, Ran, history_of_three, open_store


@pytest.fixture
def pedigree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pedigree:
    monkeypatch.chdir(tmp_path)
    found = Pedigree(tmp_path / "registry")
    found("init")
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "metadata.sqlite"
    history_of_three(open_store(path))
    return path


def test_history_from_before_pedigree_can_be_asked_after_it_was_imported(pedigree: Pedigree, source: Path) -> None:
    said = pedigree("lineage", "import-mlmd", source)
    assert "has 3 runs with 21 executions and 23 artifacts." in said.out
    assert "of the graph, of which" in said.out
    found = pedigree("lineage", "run:2026-11-01T06:00:00.000001", "--json").json
    kinds = {node["kind"] for node in found["nodes"]}
    assert {"run", "data", "parameters", "artifact"} <= kinds
    assert "nothing changed" in pedigree("lineage", "import-mlmd", source).out


def test_json_tells_what_was_read_and_what_was_new(pedigree: Pedigree, source: Path) -> None:
    dry = pedigree("lineage", "import-mlmd", source, "--dry-run", "--json").json
    assert dry["read"] == {"runs": 3, "executions": 21, "artifacts": 23}
    assert dry["added"] is None
    assert dry["dry_run"] is True
    found = pedigree("lineage", "import-mlmd", source, "--json").json
    assert (found["added"]["nodes"], found["added"]["edges"]) == (dry["nodes"], dry["edges"])
    assert pedigree("lineage", "import-mlmd", source, "--json").json["added"]["nodes"] == 0


def test_only_what_was_asked_for_is_imported(pedigree: Pedigree, source: Path) -> None:
    Books(open_store(source)).run(9, name="elsewhere", pipeline="other")
    found = pedigree("lineage", "import-mlmd", source, "--pipeline", "other", "--json").json
    assert found["read"]["runs"] == 1
    assert pedigree("lineage", "import-mlmd", source, "--since", "2999-01-01", "--json").json["read"]["runs"] == 0
    wrong = pedigree("lineage", "import-mlmd", source, "--since", "yesterday", code=2)
    assert "'yesterday' is not a time" in wrong.err


def test_store_that_is_not_there_is_not_made(pedigree: Pedigree, tmp_path: Path) -> None:
    said = pedigree("lineage", "import-mlmd", tmp_path / "none.sqlite", code=3)
    assert "There is no ML Metadata store" in said.err
    assert not (tmp_path / "none.sqlite").exists()


def test_whoever_is_no_admin_is_refused(pedigree: Pedigree, source: Path) -> None:
    pedigree("roles", "grant", "mia", "admin")
    pedigree("roles", "grant", "max", "contributor")
    assert pedigree("lineage", "import-mlmd", source, "--json", code=6, actor="max").error["kind"] == "forbidden"


def test_cycle_is_shown(pedigree: Pedigree, tmp_path: Path) -> None:
    books = Books(open_store(tmp_path / "turning.sqlite"))
    ran = Ran("turning", {"a": books.thing()})
    books.step(ran, None, "There", {}, {"a": "a"}, {"b": ("Thing", {})})
    books.step(ran, None, "Back", {}, {"b": "b"}, {"again": ran.outputs["a"]})
    said = pedigree("lineage", "import-mlmd", tmp_path / "turning.sqlite").out
    assert "1 way leads back to where it began" in said
    assert said.count("→") == 4
