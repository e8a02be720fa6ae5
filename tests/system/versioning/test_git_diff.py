"""Uncommitted changes that are kept come out again exactly, or are refused."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.json_form import read
from tfx_pedigree.versioning import GitDiff, capture_diff, capture_git
from tfx_pedigree.versioning.git_checkout import check_out, has_commit
from tfx_pedigree.versioning.git_diff import NewFile, apply_diff


def git(repository: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(repository), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    root = tmp_path / "code"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    for name, value in {"user.name": "ci", "user.email": "ci@example.com"}.items():
        git(root, "config", name, value)
    (root / "model.py").write_text("layers = 3\n")
    (root / "old.py").write_text("old\n")
    (root / ".gitignore").write_text("*.pyc\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "First")
    return root


def change(code: Path) -> None:
    """Everything that can be uncommitted: changed, staged, deleted, renamed, binary, new, and an odd name."""
    (code / "model.py").write_text("layers = 4\n")
    (code / "staged.py").write_text("staged\n")
    git(code, "add", "staged.py")
    git(code, "mv", "old.py", "renamed.py")
    (code / "bytes.bin").write_bytes(bytes(range(256)))
    (code / "a folder").mkdir()
    (code / "a folder" / "ünd ‘quotes’.txt").write_text("no end of line")
    (code / "run.sh").write_text("#!/bin/sh\n")
    (code / "run.sh").chmod(0o755)
    (code / "left.pyc").write_text("ignored")


def again(code: Path, kept: GitDiff) -> Path:
    target = code.parent / "again"
    check_out(code, capture_git(code).commit, target)
    apply_diff(target, kept)
    return target


def test_changes_come_out_again_exactly(code: Path) -> None:
    change(code)
    kept = capture_diff(code)
    assert kept is not None
    assert kept.digest == capture_git(code).diff_digest
    target = again(code, read(GitDiff, kept.to_json(), "the diff"))
    assert capture_git(target).diff_digest == kept.digest
    assert (target / "model.py").read_text() == "layers = 4\n"
    assert (target / "run.sh").stat().st_mode & 0o111
    assert not (target / "old.py").exists()
    assert not (target / "left.pyc").exists()


def test_nothing_uncommitted_is_nothing_to_keep(code: Path) -> None:
    assert capture_diff(code) is None


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda code: (code / "model.py").write_text("key = 'AKIAIOSFODNN7EXAMPLE'\n"), "changes of committed files"),
        (lambda code: (code / "key.txt").write_text("password = hunter22"), "the new file key.txt looks like a secret"),
        (lambda code: (code / "big").write_bytes(b"x" * ((1 << 20) + 1)), "Commit or ignore it"),
        (lambda code: (code / "random").write_bytes(os.urandom(40_000)), "too large to be kept"),
        (lambda code: (code / "link").symlink_to("/etc/passwd"), "neither committed nor a file"),
    ],
)
def test_what_must_not_be_kept_is_refused(code: Path, spoil: Callable[[Path], Any], says: str) -> None:
    spoil(code)
    with pytest.raises(InvalidInputError, match=says) as refused:
        capture_diff(code)
    assert "AKIA" not in str(refused.value)
    assert "hunter22" not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a/../../x", ".git/hooks/post-checkout", "a/.GIT/config", "", "a//b", "x\0"]
)
def test_path_that_leads_elsewhere_is_no_new_file(name: str) -> None:
    with pytest.raises(InvalidInputError):
        GitDiff(f"sha256:{0:064x}", "", {name: NewFile("100644", "")})


def test_new_file_does_not_follow_a_link_of_the_commit(code: Path) -> None:
    (code / "elsewhere").symlink_to(code.parent)
    git(code, "add", ".")
    git(code, "commit", "--quiet", "-m", "A link")
    with pytest.raises(ConflictError, match="leads out of the checkout"):
        again(code, GitDiff(f"sha256:{0:064x}", "", {"elsewhere/x": NewFile("100644", "")}))
    assert not (code.parent / "x").exists()


@pytest.mark.parametrize(
    "other",
    [
        {"digest": f"sha256:{1:064x}"},
        {"patch": "00"},
        {"patch": "zz"},
        {"patch": ""},
        {"patch": "789c4b4c4a06000000ffff"},
    ],
)
def test_changes_that_are_not_those_that_were_recorded_are_refused(code: Path, other: dict[str, Any]) -> None:
    (code / "model.py").write_text("layers = 4\n")
    kept = capture_diff(code)
    assert kept is not None
    with pytest.raises((ConflictError, InvalidInputError)):
        again(code, GitDiff(**{**vars(kept), **other}))


def test_commit_is_asked_for_by_its_digits_only(code: Path) -> None:
    assert has_commit(code, git(code, "rev-parse", "HEAD"))
    assert not has_commit(code, "0" * 40)
    assert not has_commit(code, git(code, "rev-parse", "HEAD^{tree}"))
    for odd in ("HEAD", "--help", "--upload-pack=x", "main", "0" * 39, "A" * 40, "0" * 40 + "\n"):
        with pytest.raises(InvalidInputError):
            has_commit(code, odd)
