"""Which code it was: the same for the same files, another for every change, and nothing secret in it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.versioning import GitState, capture_git
from tfx_pedigree.versioning.git_state import without_credentials


def git(repository: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(repository), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    root = tmp_path / "code"
    (root / "trainer").mkdir(parents=True)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "config", "user.name", "Ada")
    git(root, "config", "user.email", "ada@example.com")
    (root / "trainer/module.py").write_text("layers = 3\n")
    (root / ".gitignore").write_text("*.log\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "First")
    return root


def test_clean_tree_is_its_commit(code: Path) -> None:
    state = capture_git(code)
    assert state == GitState(git(code, "rev-parse", "HEAD"), None, "main", None)
    assert not state.dirty


def test_any_folder_of_the_repository_gives_the_same_state(code: Path) -> None:
    (code / "README").write_text("new\n")
    assert capture_git(code / "trainer") == capture_git(code)
    assert capture_git(code).dirty


def test_every_change_gives_another_digest_and_the_same_change_the_same(code: Path) -> None:
    module = code / "trainer/module.py"
    digests = []
    for text in ("layers = 4\n", "layers = 5\n", "layers = 4\n"):
        module.write_text(text)
        digests.append(capture_git(code).diff_digest)
    assert digests[0] == digests[2] != digests[1]
    git(code, "add", "trainer/module.py")
    assert capture_git(code).diff_digest == digests[0]
    git(code, "checkout", "--quiet", "HEAD", "--", ".")
    assert not capture_git(code).dirty


def test_new_files_count_with_their_contents_and_ignored_ones_do_not(code: Path) -> None:
    (code / "run.log").write_text("noise")
    assert not capture_git(code).dirty
    (code / "new.py").write_text("one")
    one = capture_git(code).diff_digest
    (code / "new.py").write_text("two")
    assert capture_git(code).diff_digest not in (None, one)
    (code / "new.py").rename(code / "other.py")
    (code / "link").symlink_to("nowhere")
    assert capture_git(code).dirty


def test_capturing_leaves_the_index_alone(code: Path) -> None:
    os.utime(code / "trainer/module.py", (1, 1))  # git would like to refresh its index
    before = (code / ".git/index").read_bytes()
    capture_git(code)
    assert (code / ".git/index").read_bytes() == before


def test_detached_head_has_no_branch(code: Path) -> None:
    git(code, "checkout", "--quiet", "--detach")
    assert capture_git(code).branch is None


def test_origin_is_preferred_and_shown_without_its_token(code: Path) -> None:
    git(code, "remote", "add", "backup", "https://example.com/backup.git")
    assert capture_git(code).remote == "https://example.com/backup.git"
    git(code, "remote", "add", "origin", "https://ada:secret@example.com/code.git")
    assert capture_git(code).remote == "https://example.com/code.git"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://token@example.com/a.git", "https://example.com/a.git"),
        ("https://ada:p@ss@example.com:8443/a.git", "https://example.com:8443/a.git"),
        ("https://example.com/a.git?private_token=x#y", "https://example.com/a.git"),
        ("ssh://git:secret@example.com:22/a.git", "ssh://git@example.com:22/a.git"),
        ("ssh://example.com/a.git", "ssh://example.com/a.git"),
        ("git@example.com:team/a.git", "git@example.com:team/a.git"),
        ("../a.git", "../a.git"),
        ("file:///srv/a.git", "file:///srv/a.git"),
    ],
)
def test_credentials_are_taken_out_of_an_address(address: str, shown: str) -> None:
    assert without_credentials(address) == shown


def test_repository_that_says_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="is in no git repository"):
        capture_git(tmp_path)
    git(tmp_path, "init", "--quiet", "empty")
    with pytest.raises(ConflictError, match="has no commit yet"):
        capture_git(tmp_path / "empty")
    git(tmp_path, "init", "--quiet", "--bare", "bare")
    with pytest.raises(ConflictError, match="is a bare git repository"):
        capture_git(tmp_path / "bare")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="git is not installed"):
        capture_git(tmp_path / "empty")


@pytest.mark.parametrize("digest", [None, "sha256:" + 64 * "0"])
@pytest.mark.parametrize("branch", [None, "main"])
def test_json_form_loses_nothing(digest: str | None, branch: str | None) -> None:
    state = GitState(40 * "a", "https://example.com/a.git", branch, digest)
    assert GitState.from_json(json.loads(json.dumps(state.to_json()))) == state


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"format": "pedigree.git-state/2"},
            "In the git state, `format` is 'pedigree.git-state/2', but this release reads 'pedigree.git-state/1'",
        ),
        ({"commit": None}, "`commit` must be a text, but is null"),
        ({"dirty": True}, "`dirty` does not agree with the rest"),
        ({"dirty": 0}, "`dirty` does not agree with the rest"),
        ({"diff_digest": "x"}, "'x' is not a digest"),
        ({"more": 1}, "unknown field `more`"),
    ],
)
def test_wrong_json_is_refused_by_field(change: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        GitState.from_json({**GitState(40 * "a").to_json(), **change}, "the git state")
