"""How a run was started: what is written of it, and what is refused of what somebody recorded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import read
from tfx_pedigree.lineage.graph import EdgeKind, NodeKind
from tfx_pedigree.lineage.run_graph import fragment_of
from tfx_pedigree.pipeline_config import load_pipeline
from tfx_pedigree.service.reproducing import recipe as recipes
from tfx_pedigree.service.reproducing.recipe import Recipe, recipe_of, told_to_components, with_files

CONFIG = """\
pipeline:
  create: mine:create
  path: code
  spans: {pattern: "${here}/data/span-{SPAN}/*", settle: 0}
  settings:
    name: m
    root: ${here}/artifacts
    database_password: hunter22
    pedigree: {policy: "${here}/policy.yaml", registry: "${here}/registry", actor: ada}
"""
RECORD = {"model": "m", "digest": f"sha256:{1:064x}", "version": "1.0.0"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "local.yaml").write_text(CONFIG)
    for span in (1, 2, 10):
        (tmp_path / f"data/span-{span}").mkdir(parents=True)
        (tmp_path / f"data/span-{span}/rows.csv").write_text(f"rows of {span}")
    return tmp_path


def made(project: Path, span: int | None = 2) -> Recipe:
    config = load_pipeline(project / "local.yaml")
    return read(Recipe, with_files(recipe_of(config, span).to_json(), config.spans), "the recipe")


def test_recipe_holds_how_the_run_was_started_and_which_files_it_had(project: Path) -> None:
    found = made(project)
    assert (found.create, found.path, found.span, found.top) == ("mine:create", str(project / "code"), 2, None)
    assert found.settings["root"] == str(project / "artifacts")
    (file,) = found.files
    assert file.path == str(project / "data/span-2/rows.csv")
    assert file.sha256 == f"sha256:{hashlib.sha256(b'rows of 2').hexdigest()}"
    assert found.writes == ("root",)
    assert read(Recipe, json.loads(json.dumps(found.to_json())), "the recipe") == found


def test_where_no_span_is_named_the_newest_is_the_one(project: Path) -> None:
    assert made(project, None).span == 10


def test_no_secret_and_nothing_of_the_registry_is_in_it(project: Path) -> None:
    text = json.dumps(told_to_components(load_pipeline(project / "local.yaml"), 2))
    assert "hunter22" not in text
    assert made(project).settings["pedigree"] == {"policy": f"{project}/policy.yaml"}


def test_files_are_looked_for_once_prepare_has_written_them(project: Path) -> None:
    config = load_pipeline(project / "local.yaml")
    told = recipe_of(config, 3).to_json()
    assert with_files(told, config.spans) == told
    (project / "data/span-3").mkdir()
    (project / "data/span-3/rows.csv").write_text("x")
    assert len(with_files(told, config.spans)["files"]) == 1
    for elsewhere in ({}, {"pattern": "gs://bucket/span-{SPAN}/*"}, {"pattern": "no place of a span"}):
        assert with_files(told, elsewhere) == told


def test_many_files_are_counted_where_they_are_not_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        (project / f"data/span-2/{number}.csv").write_text("x" * 100)
    monkeypatch.setattr(recipes, "MOST_FILES", 3)
    monkeypatch.setattr(recipes, "MOST_HASHED", 250)
    found = made(project)
    assert (len(found.files), found.others) == (3, 2)
    assert [file.sha256 is None for file in found.files] == [False, False, True]
    monkeypatch.setattr(recipes, "LARGEST", 600)
    assert (made(project).files, made(project).others) == ((), 5)
    monkeypatch.setattr(recipes, "LARGEST", 10)
    assert told_to_components(load_pipeline(project / "local.yaml"), 2) is None


@pytest.mark.parametrize(
    "other",
    [
        {"create": "os:system('x')"},
        {"create": "--help"},
        {"create": "mine:create:more"},
        {"path": "../elsewhere"},
        {"path": "/code\0"},
        {"top": "relative"},
        {"span": -1},
        {"writes": ["name_of_no_setting"]},
        {"files": [{"path": "rows.csv", "size": 1}]},
        {"files": [{"path": "/rows.csv", "size": -1}]},
        {"files": [{"path": "/rows.csv", "size": 1, "sha256": "abc"}]},
        {"settings": {"root": "/r", "pedigree": "x"}},
        {"settings": []},
        {"more": 1},
        {"format": "pedigree.recipe/2"},
    ],
)
def test_what_was_recorded_is_checked_field_by_field(other: dict[str, Any], project: Path) -> None:
    with pytest.raises(InvalidInputError):
        read(Recipe, {**made(project).to_json(), **other}, "the recipe")


def test_path_outside_the_repository_is_none_of_its_files(project: Path) -> None:
    told = {**made(project).to_json(), "top": "/srv/repository"}
    found = read(Recipe, told, "the recipe")
    assert found.inside("/srv/repository/configs/policy.yaml") == "configs/policy.yaml"
    assert found.inside("/srv/repository/../other/x") is None
    assert found.inside("/srv/repository2/x") is None


def test_run_leads_to_its_recipe_in_the_lineage(project: Path) -> None:
    told = made(project).to_json()
    found = fragment_of(RECORD, recipe=told)
    (node,) = [node for node in found.nodes if node.kind is NodeKind.ARTIFACT]
    assert node.content["recipe"] == told
    (edge,) = [edge for edge in found.edges if edge.target == node.key]
    assert edge.kind is EdgeKind.USED
    assert NodeKind.ARTIFACT not in {node.kind for node in fragment_of(RECORD).nodes}


@pytest.mark.parametrize("writes", ["root", "[1]", "[missing]"])
def test_writes_must_name_settings(writes: str, project: Path) -> None:
    (project / "local.yaml").write_text(CONFIG + f"  writes: {writes}\n")
    with pytest.raises(InvalidInputError, match=r"pipeline\.writes"):
        load_pipeline(project / "local.yaml")
