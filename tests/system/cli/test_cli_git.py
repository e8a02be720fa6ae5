"""What git shows of versions and stages is what the registry has: read back by the real GTO."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import gto.api
import pytest
from cli_testing import Pedigree, evidence, write_json

from tfx_pedigree.service.git import following as git_following

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
    assert said.out.startswith("3 versions of flight-delay are in git now. New tags: flight-delay@v1.0.0, ")
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


# The way back: what GTO assigned comes to the registry


def state_of(pedigree: Pedigree, version: str) -> str:
    return str(pedigree("show", f"{MODEL}@{version}", "--json").json["state"])


def follow(pedigree: Pedigree, repository: Path, code: int = 0) -> Any:
    return pedigree("git", "follow", MODEL, "--repo", repository, "--json", code=code).json


@pytest.fixture
def tagged(pedigree: Pedigree, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All versions are in git, and somebody works there with GTO."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "ops")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ops@example.com")
    tag(pedigree, repository, MODEL, "--all")
    return repository


def test_stage_that_gto_assigned_is_taken_once_and_stays_in_step(pedigree: Pedigree, tagged: Path) -> None:
    assert follow(pedigree, tagged) == {"changed": False, "followed": []}
    gto.api.assign(str(tagged), MODEL, "staging", version="v1.1.0")
    dry = pedigree("git", "follow", MODEL, "--repo", tagged, "--dry-run")
    assert f"asks for {MODEL} 1.1.0 in staging" in dry.out
    assert state_of(pedigree, "1.1.0") != "staging"
    [done] = follow(pedigree, tagged)["followed"]
    assert (done["refusal"], done["assignment"]["stage"]) == ("", "staging")
    assert state_of(pedigree, "1.1.0") == "staging"
    [event] = pedigree("history", f"{MODEL}@1.1.0", "--limit", "1", "--json").json["items"]
    assert event["reason"] == f"assigned in git: {done['assignment']['tag']}"
    assert follow(pedigree, tagged) == {"changed": False, "followed": []}
    tag(pedigree, tagged, MODEL, "--all")
    assert in_stage(tagged, "staging") == ["v1.1.0"]


def test_former_champion_that_git_brings_back_is_a_rollback(pedigree: Pedigree, tagged: Path) -> None:
    gto.api.assign(str(tagged), MODEL, "production", version="v1.0.0")
    [done] = follow(pedigree, tagged)["followed"]
    assert done["refusal"] == ""
    assert state_of(pedigree, "1.0.0") == "production"
    [event] = pedigree("history", f"{MODEL}@1.0.0", "--limit", "1", "--json").json["items"]
    assert event["action"] == "rollback"
    tag(pedigree, tagged, MODEL, "--all")
    assert in_stage(tagged, "production") == ["v1.0.0"]


def test_registry_refuses_what_it_would_refuse_anybody(pedigree: Pedigree, tagged: Path) -> None:
    gto.api.assign(str(tagged), MODEL, "production", version="v1.1.0")
    [done] = follow(pedigree, tagged, code=1)["followed"]
    assert "1.1.0" in done["refusal"]
    assert state_of(pedigree, "1.0.1") == "production"
    said = pedigree("git", "follow", MODEL, "--repo", tagged, code=1)
    assert "was refused" in said.out


def test_assignment_that_the_registry_has_outdone_is_not_followed(pedigree: Pedigree, tagged: Path) -> None:
    """It moved on after the tag was made: whoever spoke last counts."""
    gto.api.assign(str(tagged), MODEL, "staging", version="v1.1.0")
    follow(pedigree, tagged)
    pedigree.clock.time = pedigree.clock.time.replace(year=2030)
    pedigree("archive", f"{MODEL}@1.1.0", "--reason", "leaks")
    pedigree("restore", f"{MODEL}@1.1.0")
    assert follow(pedigree, tagged)["followed"] == []


def test_version_that_git_has_with_other_bytes_is_not_followed(
    pedigree: Pedigree, tagged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfx_pedigree.versioning.git_tags import GitTags

    gto.api.assign(str(tagged), MODEL, "staging", version="v1.0.0")
    pointer = GitTags(tagged).pointer(MODEL, "1.0.1")
    monkeypatch.setattr(GitTags, "pointer", lambda *_: pointer)
    [done] = follow(pedigree, tagged, code=1)["followed"]
    assert "has other bytes in git" in done["refusal"]


class _KilledError(BaseException):
    """The process is killed here: nothing catches this."""


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("point", range(2))
def test_killed_at_any_change_the_next_call_follows_the_rest(
    pedigree: Pedigree, tagged: Path, monkeypatch: pytest.MonkeyPatch, *, point: int, before: bool
) -> None:
    """In git a version went through staging into production: two changes of the registry."""
    digests = [pedigree("show", f"{MODEL}@{one}", "--json").json["digest"] for one in ("1.1.0", "champion")]
    file = write_json(tagged / "evidence.json", evidence(*digests))
    pedigree("evidence", "attach", f"{MODEL}@1.1.0", file)
    for stage in ("staging", "production"):
        gto.api.assign(str(tagged), MODEL, stage, version="v1.1.0")
    done, promote = [0], git_following.promote

    def dying(*arguments: Any, **named: Any) -> Any:
        done[0] += 1
        if done[0] == point + 1 and before:
            raise _KilledError
        made = promote(*arguments, **named)
        if done[0] == point + 1:
            raise _KilledError
        return made

    pedigree.clock.time += timedelta(days=3650)  # the registry's words are younger than the tags
    with monkeypatch.context() as patch, pytest.raises(_KilledError):
        patch.setattr(git_following, "promote", dying)
        pedigree("git", "follow", MODEL, "--repo", tagged)
    follow(pedigree, tagged)
    assert state_of(pedigree, "1.1.0") == "production"
    assert follow(pedigree, tagged) == {"changed": False, "followed": []}
