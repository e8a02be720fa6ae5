"""Runs the user's own `git`, so that a repository is read and written by the rules of its own configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tfx_pedigree.errors import NotFoundError, UnavailableError

# A hook or an alias sets these for its own repository; inherited, they would point ours at the wrong one.
_LOCAL = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")
_STEADY = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
_PATIENT = ("-c", "core.filesRefLockTimeout=5000", "-c", "core.packedRefsTimeout=5000")


class GitError(Exception):
    """git said no. Caught where it is known what that means."""


def git(repository: Path, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """What git prints. Fails with GitError carrying what it complains of."""
    surroundings = {name: value for name, value in os.environ.items() if name not in _LOCAL}
    try:
        done = subprocess.run(
            ["git", *_PATIENT, "-C", str(repository), *words],
            input=stdin,
            capture_output=True,
            env={**surroundings, **_STEADY, **(env or {})},
            check=False,
        )
    except FileNotFoundError as error:
        raise UnavailableError("The command git is not installed here. Install git, and do it again.") from error
    if done.returncode:
        raise GitError(done.stderr.decode(errors="replace").strip() or f"git {words[0]} failed")
    return done.stdout


def line(repository: Path, *words: str) -> str | None:
    """The one line that git prints; None if it says no or prints nothing."""
    try:
        return git(repository, *words).decode(errors="replace").strip() or None
    except GitError:
        return None


def check_repository(path: Path) -> Path:
    """The folder from which git is run. Refuses one that is in no repository, or that git does not trust."""
    if not path.is_dir():
        raise NotFoundError(f"{path} is no folder, so it is in no git repository. Give the folder of a repository.")
    try:
        git(path, "rev-parse", "--git-dir")
    except GitError as error:
        raise NotFoundError(
            f"{path} is in no git repository that can be used. Give the folder of one. Git says: {error}"
        ) from error
    return path
