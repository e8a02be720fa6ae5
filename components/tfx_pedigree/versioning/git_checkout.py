"""A commit's files in a folder of their own. The repository that they come from is only read."""

from __future__ import annotations

import re
from pathlib import Path

from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.versioning._git import GitError, check_repository, git, line

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def check_commit(text: str) -> str:
    """Refuses what git could take for an option, a path or a name that moves."""
    if not _COMMIT.fullmatch(text):
        raise InvalidInputError(f"{text[:80]!r} is no commit: it must be the 40 or 64 hexadecimal digits of one.")
    return text


def top_of(path: Path) -> str | None:
    """The folder of the repository that holds `path`; None where there is none, or no git."""
    try:
        return line(path, "rev-parse", "--show-toplevel") if path.is_dir() else None
    except UnavailableError:
        return None


def has_commit(repository: Path, commit: str) -> bool:
    return line(check_repository(repository), "cat-file", "-t", check_commit(commit)) == "commit"


def holds(repository: Path, commit: str, path: str) -> bool:
    """Whether the commit has a file or folder at `path`."""
    return line(repository, "cat-file", "-t", f"{check_commit(commit)}:{path}") in ("blob", "tree")


def check_out(repository: Path, commit: str, folder: Path) -> None:
    """A clone that borrows the repository's objects, rather than a worktree of it: a worktree is noted in the
    repository, and one that is killed halfway leaves its note there."""
    try:
        git(folder.parent, "clone", "--quiet", "--shared", "--no-checkout", "--", str(repository), str(folder))
        # A hook or a filter of the repository is not cloned; those of the user's own configuration hold here too.
        git(folder, "checkout", "--quiet", "--detach", check_commit(commit))
    except GitError as error:
        raise UnavailableError(f"The commit {commit} could not be checked out from {repository}: {error}") from error
