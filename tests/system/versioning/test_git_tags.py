"""Versions and promotions in a real git repository, read back by the real GTO."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import gto.api
import pytest
from gto.constants import parse_shortcut
from gto.tag import parse_name

from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.versioning import GitTags, Stamp, VersionPointer
from tfx_pedigree.versioning.git_names import deprecated_tag, stage_tag, tag_name, withdrawn_tag

MODEL = "flight-delay"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)


def git(repository: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(repository), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One commit on main, and work in progress: a staged file, a changed file and a new file."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    root = tmp_path / "code"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "config", "user.name", "Ada")
    git(root, "config", "user.email", "ada@example.com")
    (root / "model.py").write_text("layers = 3\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "First")
    (root / "staged.py").write_text("staged\n")
    git(root, "add", "staged.py")
    (root / "model.py").write_text("layers = 4\n")
    (root / "new.py").write_text("new\n")
    return root


def pointer(version: str = "1.0.0", sequence: int = 1, seed: str = "a", model: str = MODEL) -> VersionPointer:
    return VersionPointer(model, version, sequence, "sha256:" + 64 * seed, reasons=("first version of this model",))


def stamp(second: int = 0, event: str = "", reason: str = "") -> Stamp:
    return Stamp("ada", NOON + timedelta(seconds=second), reason, event)


def test_version_is_a_tag_on_a_commit_that_holds_its_pointer(repository: Path) -> None:
    tags = GitTags(repository)
    assert tags.register(pointer(), stamp()) == "flight-delay@v1.0.0"
    written = git(repository, "show", "flight-delay@v1.0.0^{commit}:.pedigree/versions/flight-delay/1.0.0.json")
    assert json.loads(written)["digest"] == "sha256:" + 64 * "a"
    assert git(repository, "cat-file", "-t", "flight-delay@v1.0.0") == "tag"
    assert tags.pointer(MODEL, "1.0.0") == pointer()


def test_peoples_work_in_progress_is_not_touched(repository: Path) -> None:
    before = [git(repository, *words) for words in (["status", "--porcelain"], ["rev-parse", "HEAD"], ["diff", "HEAD"])]
    index = (repository / ".git/index").read_bytes()
    tags = GitTags(repository)
    tags.register(pointer(), stamp())
    tags.assign(MODEL, "1.0.0", "production", stamp(1))
    after = [git(repository, *words) for words in (["status", "--porcelain"], ["rev-parse", "HEAD"], ["diff", "HEAD"])]
    assert after == before
    assert (repository / ".git/index").read_bytes() == index
    assert not (repository / ".pedigree").exists()
    git(repository, "fsck", "--strict")


def _history(repository: Path) -> GitTags:
    """Two versions and a pre-release; 1.1.0 was promoted and rolled back."""
    tags = GitTags(repository)
    tags.register(pointer(), stamp(0))
    tags.assign(MODEL, "1.0.0", "production", stamp(1, "e1"))
    tags.register(pointer("1.1.0-rc.1", 2, "b"), stamp(2))
    tags.register(pointer("1.1.0", 3, "c"), stamp(3))
    tags.assign(MODEL, "1.1.0", "staging", stamp(4, "e2"))
    tags.assign(MODEL, "1.1.0", "production", stamp(5, "e3"))
    tags.assign(MODEL, "1.0.0", "production", stamp(6, "e4", "rollback: too many timeouts"))
    tags.register(pointer("2.0.0", 1, "d", "other"), stamp(7))
    return tags


def test_gto_shows_who_is_in_production_after_a_rollback(repository: Path) -> None:
    _history(repository)
    shown = {(one["artifact"], one["version"]): one for one in gto.api.show(str(repository), name=MODEL)}
    stages = {version: [stage["stage"] for stage in one["stages"]] for (_, version), one in shown.items()}
    assert stages == {"v1.0.0": ["production"], "v1.1.0-rc.1": [], "v1.1.0": ["staging"]}
    (champion,) = gto.api.show(str(repository), name=f"{MODEL}#production")
    assert champion["version"] == "v1.0.0"
    (newest,) = gto.api.show(str(repository), name=f"{MODEL}@latest")
    assert newest["version"] == "v1.1.0"
    registry = gto.api.show(str(repository))
    assert {name: one["version"] for name, one in registry.items()} == {MODEL: "v1.1.0", "other": "v2.0.0"}


def test_gto_tells_the_same_history_as_git(repository: Path) -> None:
    _history(repository)
    events = gto.api.history(str(repository), artifact=MODEL, ascending=True)
    assert [(one["event"], one["version"], one["stage"]) for one in events] == [
        ("registration", "v1.0.0", None),
        ("assignment", "v1.0.0", "production"),
        ("registration", "v1.1.0-rc.1", None),
        ("registration", "v1.1.0", None),
        ("assignment", "v1.1.0", "staging"),
        ("assignment", "v1.1.0", "production"),
        ("assignment", "v1.0.0", "production"),
    ]
    assert "rollback: too many timeouts" in events[-1]["message"]
    assert {(one["author"], one["author_email"]) for one in events} == {("ada", "ada@example.com")}
    log = git(repository, "log", "--reverse", "--format=%s", "pedigree").splitlines()
    assert log == ["flight-delay 1.0.0", "flight-delay 1.1.0-rc.1", "flight-delay 1.1.0", "other 2.0.0"]


def test_gto_command_line_reads_it_too(repository: Path) -> None:
    _history(repository)
    program = [str(Path(sys.executable).parent / "gto")]
    shown = subprocess.run([*program, "show", "-r", str(repository)], capture_output=True, text=True, check=True)
    assert "flight-delay" in shown.stdout
    assert "v1.0.0" in shown.stdout
    history = subprocess.run(
        [*program, "history", "-r", str(repository), MODEL], capture_output=True, text=True, check=True
    )
    assert history.stdout.count("assignment") == 4
    assert "flight-delay#production#4" in history.stdout


def test_counters_rise_over_all_stages_as_gto_counts_them(repository: Path) -> None:
    names = [tag.name for tag in _history(repository).tags(MODEL)]
    assert [name for name in names if "#" in name] == [
        "flight-delay#production#1",
        "flight-delay#staging#2",
        "flight-delay#production#3",
        "flight-delay#production#4",
    ]
    gto.api.assign(str(repository), MODEL, version="v1.1.0", stage="production", force=True)
    assert GitTags(repository).tags(MODEL)[-1].name == "flight-delay#production#5"
    assert GitTags(repository).assign(MODEL, "1.0.0", "production", stamp(9)) == "flight-delay#production#6"


def test_leaving_a_stage_and_withdrawing_are_understood_by_gto(repository: Path) -> None:
    tags = _history(repository)
    assert tags.unassign(MODEL, "1.1.0", "staging", stamp(8, "e5")) == "flight-delay#staging!#5"
    assert gto.api.show(str(repository), name=f"{MODEL}#staging") == []
    assert tags.withdraw(MODEL, "1.1.0", stamp(9)) == "flight-delay@v1.1.0!"
    assert tags.withdraw(MODEL, "1.1.0", stamp(10)) == "flight-delay@v1.1.0!"
    assert [one["version"] for one in gto.api.show(str(repository), name=MODEL)] == ["v1.1.0-rc.1", "v1.0.0"]
    assert tags.deprecate(MODEL, stamp(11)) == "flight-delay@deprecated"
    events = [one["event"] for one in gto.api.history(str(repository), artifact=MODEL, ascending=True)]
    assert events[-3:] == ["unassignment", "deregistration", "deprecation"]


def test_stage_that_is_vacated_does_not_fall_back_to_an_earlier_version(repository: Path) -> None:
    tags = _history(repository)
    names = tags.vacate(MODEL, "production", stamp(8, "e5"))
    assert names == ("flight-delay#production!#5", "flight-delay#production!#6")
    assert gto.api.show(str(repository), name=f"{MODEL}#production") == []
    assert tags.vacate(MODEL, "production", stamp(9)) == ()
    tags.assign(MODEL, "1.1.0", "production", stamp(10, "e6"))
    assert tags.vacate(MODEL, "production", stamp(11, "e5")) == ()  # the same event again
    (champion,) = gto.api.show(str(repository), name=f"{MODEL}#production")
    assert champion["version"] == "v1.1.0"


def test_doing_it_again_adds_nothing(repository: Path) -> None:
    _history(repository)
    before = git(repository, "for-each-ref")
    _history(repository)
    assert git(repository, "for-each-ref") == before


def test_assignment_without_an_event_is_only_repeated_if_it_changes_something(repository: Path) -> None:
    tags = GitTags(repository)
    tags.register(pointer(), stamp())
    first = tags.assign(MODEL, "1.0.0", "production", stamp(1))
    assert tags.assign(MODEL, "1.0.0", "production", stamp(2)) == first
    tags.unassign(MODEL, "1.0.0", "production", stamp(3))
    assert tags.assign(MODEL, "1.0.0", "production", stamp(4)) == "flight-delay#production#3"


def test_events_of_one_second_keep_their_order(repository: Path) -> None:
    tags = GitTags(repository)
    tags.register(pointer(), stamp())
    tags.register(pointer("1.0.1", 2, "b"), stamp())
    for event in range(12):
        tags.assign(MODEL, f"1.0.{event % 2}", "production", stamp(0, f"e{event}"))
    (champion,) = gto.api.show(str(repository), name=f"{MODEL}#production")
    assert champion["version"] == "v1.0.1"
    moments = [tag.when for tag in tags.tags(MODEL)]
    assert len(set(moments)) == len(moments)


def test_version_that_is_something_else_already_is_refused(repository: Path) -> None:
    tags = GitTags(repository)
    tags.register(pointer(), stamp())
    with pytest.raises(
        ConflictError, match=r"flight-delay@v1.0.0 exists already and points to sha256:aaa.*never moved"
    ):
        tags.register(pointer(seed="b"), stamp())
    with pytest.raises(ConflictError, match=r"sequence 1.*sequence 2"):
        tags.register(pointer(sequence=2), stamp())


def test_tag_that_somebody_else_made_is_refused(repository: Path) -> None:
    git(repository, "tag", "-a", "-m", "mine", "flight-delay@v1.0.0")
    with pytest.raises(ConflictError, match="was not made by Pedigree"):
        GitTags(repository).register(pointer(), stamp())


def test_promoting_what_is_not_in_git_is_refused(repository: Path) -> None:
    with pytest.raises(NotFoundError, match=r"flight-delay 1.0.0 has no git tag flight-delay@v1.0.0"):
        GitTags(repository).assign(MODEL, "1.0.0", "production", stamp())
    with pytest.raises(NotFoundError, match="has no version"):
        GitTags(repository).deprecate(MODEL, stamp())


def test_branch_that_is_checked_out_is_refused(repository: Path) -> None:
    GitTags(repository).register(pointer(), stamp())
    git(repository, "worktree", "add", "--quiet", str(repository.parent / "other"), "pedigree")
    with pytest.raises(ConflictError, match=r"flight-delay 1.0.1 cannot be committed.*checked out"):
        GitTags(repository).register(pointer("1.0.1", 2, "b"), stamp())


def test_branch_with_other_things_is_refused(repository: Path) -> None:
    git(repository, "branch", "pedigree")
    with pytest.raises(ConflictError, match="holds no versions of Pedigree but something else"):
        GitTags(repository).register(pointer(), stamp())
    assert GitTags(repository, "versions").register(pointer(), stamp()) == "flight-delay@v1.0.0"
    git(repository, "rev-parse", "--verify", "refs/heads/versions")
    with pytest.raises(InvalidInputError, match="cannot name a git branch"):
        GitTags(repository, "a..b")


def test_folder_outside_any_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is in no git repository"):
        GitTags(tmp_path)
    with pytest.raises(NotFoundError, match="is no folder"):
        GitTags(tmp_path / "nothing")


def test_bare_repository_and_one_without_a_user_will_do(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), "bare.git")
    tags = GitTags(tmp_path / "bare.git")
    tags.register(pointer(), stamp())
    assert git(tmp_path / "bare.git", "log", "-1", "--format=%an <%ae>", "pedigree") == "ada <pedigree@localhost>"


def test_run_that_died_between_commit_and_tag_is_finished(repository: Path) -> None:
    tags = GitTags(repository)
    tags.register(pointer(), stamp())
    tags.register(pointer("1.0.1", 2, "b"), stamp(1))
    commit = git(repository, "rev-parse", "flight-delay@v1.0.0^{commit}")
    git(repository, "tag", "-d", "flight-delay@v1.0.0")
    assert tags.register(pointer(), stamp(2)) == "flight-delay@v1.0.0"
    assert git(repository, "rev-parse", "flight-delay@v1.0.0^{commit}") == commit
    assert git(repository, "rev-list", "--count", "pedigree") == "2"


def _register_and_assign(repository: str, process: int) -> None:
    tags = GitTags(repository)
    for index in range(4):
        version = f"1.{index}.0"
        tags.register(pointer(version, index + 1, "abcd"[index]), stamp(index))
        tags.assign(MODEL, version, f"stage-{process}", stamp(index, f"e{process}-{index}"))


def test_two_processes_at_once_tell_one_history(repository: Path) -> None:
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_register_and_assign, args=(str(repository), number)) for number in (1, 2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert git(repository, "rev-list", "--count", "pedigree") == "4"
    counters = [tag.counter for tag in GitTags(repository).tags(MODEL) if tag.counter]
    assert counters == list(range(1, 9))
    git(repository, "fsck", "--strict")


def test_process_killed_anywhere_leaves_a_repository_that_goes_on(repository: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for patience in (0.5, 0.8, 1.1):  # an interpreter needs a while to start, on a busy machine longer
        process = context.Process(target=_register_and_assign, args=(str(repository), 1))
        process.start()
        process.join(patience)
        process.kill()  # nothing, if it was quicker
        process.join()
    _register_and_assign(str(repository), 1)
    names = [tag.name for tag in GitTags(repository).tags(MODEL)]
    assert len(names) == 8
    assert git(repository, "rev-list", "--count", "pedigree") == "4"
    git(repository, "fsck", "--strict")


def test_hooks_surroundings_do_not_lead_elsewhere(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside a hook of another repository, GIT_DIR and GIT_INDEX_FILE name that one's."""
    git(tmp_path, "init", "--quiet", "another")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "another/.git/index"))
    GitTags(repository).register(pointer(), stamp())
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert git(repository, "tag") == "flight-delay@v1.0.0"


def test_reason_cannot_fake_an_event(repository: Path) -> None:
    tags = GitTags(repository)
    tags.register(pointer(), stamp())
    tags.assign(MODEL, "1.0.0", "production", stamp(1, reason="fine\n\nPedigree-Event: e2\x1e\x00"))
    assert [tag.event for tag in tags.tags(MODEL)] == ["", ""]
    tags.assign(MODEL, "1.0.0", "staging", stamp(2, "e2", "Pedigree-Event: e1"))
    assert tags.tags(MODEL)[-1].event == "e2"


@pytest.mark.parametrize("model", ["flight-delay", "a", "A9", "team/flight_delay", "x-_/y"])
@pytest.mark.parametrize("version", ["1.0.0", "1.3.0-rc.1"])
def test_names_are_taken_by_gto_and_by_git(model: str, version: str) -> None:
    names = [
        tag_name(model, version),
        withdrawn_tag(model, version),
        stage_tag(model, "production", 3),
        stage_tag(model, "production", 4, ended=True),
        deprecated_tag(model),
    ]
    parsed = [parse_name(name) for name in names]
    assert [one["name"] for one in parsed] == [model] * 5
    assert [one["action"].value for one in parsed] == ["register", "deregister", "assign", "unassign", "deprecate"]
    assert parsed[0]["version"] == f"v{version}"
    assert parse_shortcut(names[0]).version == f"v{version}"
    for name in names:
        subprocess.run(["git", "check-ref-format", f"refs/tags/{name}"], check=True)


@pytest.mark.parametrize(
    "model",
    ["", "-a", "a-", "a_", "flight.delay", "a b", "a@b", "a#b", "a//b", "/a", "a/", "ü", "a\n", "a:b", 201 * "a"],
)
def test_names_that_gto_or_git_would_not_take_are_refused(model: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be part of a git tag that GTO reads"):
        tag_name(model, "1.0.0")


def test_other_words_in_a_tag_are_checked_too() -> None:
    with pytest.raises(InvalidInputError, match="cannot name a stage"):
        stage_tag(MODEL, "pro duction", 1)
    with pytest.raises(InvalidInputError, match="leave out"):
        Stamp("ada <x>", NOON)
    with pytest.raises(InvalidInputError, match="no time zone"):
        Stamp("ada", datetime(2026, 11, 20))
    with pytest.raises(InvalidInputError, match="not a digest"):
        VersionPointer(MODEL, "1.0.0", 1, "abc")


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": "other"}', b"\xff"])
def test_what_is_no_pointer_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="version pointer"):
        VersionPointer.from_bytes(data)
