"""What git shows of versions and stages is what the registry has: read back by the real GTO."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import gto.api
import pytest
from cli_testing import Pedigree

MODEL = "flight-delay"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    root = tmp_path / "code"
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    return root


def tag(pedigree: Pedigree, repository: Path, *words: str) -> Any:
    return pedigree("git", "tag", *words, "--repo", repository, "--json").json


def in_stage(repository: Path, stage: str) -> list[str]:
    return [one["version"] for one in gto.api.show(str(repository), name=f"{MODEL}#{stage}")]


def test_version_and_its_stage_get_a_tag_once(pedigree: Pedigree, repository: Path) -> None:
    said = tag(pedigree, repository, "flight-delay@champion")
    assert said["tags"] == ["flight-delay@v1.0.1", "flight-delay#production#1"]
    assert tag(pedigree, repository, "flight-delay@champion")["changed"] is False
    assert "nothing changed" in pedigree("git", "tag", "flight-delay@champion", "--repo", repository).out
    listed = subprocess.run(["git", "tag"], cwd=repository, capture_output=True, text=True, check=True).stdout
    assert set(listed.split()) == set(said["tags"])


def test_all_versions_at_once_and_again_only_what_is_new(pedigree: Pedigree, repository: Path) -> None:
    said = pedigree("git", "tag", MODEL, "--all", "--repo", repository)
    assert said.out.startswith("All 3 versions of flight-delay are in git now. New tags: flight-delay@v1.0.0, ")
    assert "git push origin pedigree flight-delay@v1.0.0" in said.err
    assert [one["version"] for one in gto.api.show(str(repository), name=MODEL)] == ["v1.1.0", "v1.0.1", "v1.0.0"]
    assert in_stage(repository, "production") == ["v1.0.1"]
    assert tag(pedigree, repository, MODEL, "--all")["changed"] is False
    pedigree("promote", "flight-delay@1.1.0", "--to", "staging")
    assert tag(pedigree, repository, MODEL, "--all")["model"] == MODEL
    assert in_stage(repository, "staging") == ["v1.1.0"]
    assert "name the model alone" in pedigree("git", "tag", "flight-delay@champion", "--all", code=2).err


def test_archived_champion_leaves_production_in_git_and_nobody_comes_back(pedigree: Pedigree, repository: Path) -> None:
    tag(pedigree, repository, MODEL, "--all")
    pedigree("rollback", MODEL, "--reason", "slow")
    tag(pedigree, repository, MODEL, "--all")
    assert in_stage(repository, "production") == ["v1.0.0"]
    pedigree("archive", "flight-delay@champion", "--reason", "leaks")
    tag(pedigree, repository, "flight-delay@1.0.0")
    assert in_stage(repository, "production") == []
    assert tag(pedigree, repository, "flight-delay@1.0.0")["changed"] is False
    pedigree("rollback", MODEL, "--to", "1.0.1", "--reason", "fixed")
    tag(pedigree, repository, "flight-delay@1.0.1")
    assert in_stage(repository, "production") == ["v1.0.1"]


def test_version_that_left_staging_leaves_it_in_git(pedigree: Pedigree, repository: Path) -> None:
    pedigree("promote", "flight-delay@1.1.0", "--to", "staging")
    tag(pedigree, repository, "flight-delay@1.1.0")
    pedigree("promote", "flight-delay@1.1.0", "--override", "--reason", "urgent")
    tag(pedigree, repository, "flight-delay@1.1.0")
    assert (in_stage(repository, "staging"), in_stage(repository, "production")) == ([], ["v1.1.0"])


def test_champion_that_is_not_in_git_takes_production_from_the_one_that_is(
    pedigree: Pedigree, repository: Path
) -> None:
    tag(pedigree, repository, "flight-delay@champion")
    pedigree("promote", "flight-delay@1.1.0", "--override", "--reason", "urgent")
    tag(pedigree, repository, "flight-delay@1.0.1")
    assert in_stage(repository, "production") == []
