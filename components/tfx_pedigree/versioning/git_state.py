"""Which code a pipeline was compiled from. Captured where git is, carried as a parameter to where it is not."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from tfx_pedigree.digest import PREFIX, check_digest
from tfx_pedigree.errors import ConflictError
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.versioning._git import check_repository, git, line

FORMAT = "pedigree.git-state/1"
_BLOCK = 1 << 20
_COMPLETE = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")


@dataclass(frozen=True)
class GitState(JsonForm):
    """A commit and what lay uncommitted on it. `diff_digest` is None exactly if nothing did.

    The law of its JSON form: `GitState.from_json(state.to_json()) == state`.
    """

    JSON: ClassVar[Layout] = Layout(format=FORMAT, whole=True, also=("dirty",))

    commit: str
    remote: str | None = None
    branch: str | None = None
    diff_digest: str | None = None

    def __post_init__(self) -> None:
        if self.diff_digest is not None:
            check_digest(self.diff_digest)

    @property
    def dirty(self) -> bool:
        return self.diff_digest is not None


def capture_git(path: str | Path) -> GitState:
    """The state of the repository that holds `path`, without touching its index.

    Files that are neither committed nor ignored count as uncommitted, with their contents.
    """
    folder = check_repository(Path(path))
    top = line(folder, "rev-parse", "--show-toplevel")
    if top is None:
        raise ConflictError(
            f"{folder} is a bare git repository, without files that could be dirty. Give a clone of it."
        )
    root = Path(top)
    commit = line(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if commit is None:
        raise ConflictError(f"The git repository {root} has no commit yet. Commit the pipeline's code first.")
    remotes = (line(root, "remote") or "").split()
    name = "origin" if "origin" in remotes else next(iter(remotes), None)
    return GitState(
        commit=commit,
        remote=without_credentials(line(root, "remote", "get-url", name) or "") or None if name else None,
        branch=line(root, "symbolic-ref", "--quiet", "--short", "HEAD"),
        diff_digest=changes_of(root)[0],
    )


def without_credentials(address: str) -> str:
    """A remote's address as it may be shown. A token can be a user's name, a password or part of the query."""
    if "://" not in address:  # a path, or git@host:path
        return address
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme.endswith("ssh"):
        user = parts.netloc.rpartition("@")[0].partition(":")[0]
        host = f"{user}@{host}" if user else host
    return parts._replace(netloc=host, query="", fragment="").geturl()


def changes_of(root: Path) -> tuple[str | None, bytes, list[bytes]]:
    """What is uncommitted: the digest of all of it (None: nothing is), the difference from HEAD, and the new files."""
    diff = _diff(root)
    found = sorted(git(root, "ls-files", "--others", "--exclude-standard", "-z").split(b"\0"))
    untracked = [name for name in found if name]
    if not diff and not untracked:
        return None, diff, untracked
    total = hashlib.sha256(diff)
    for name in untracked:
        total.update(b"\0" + name + b"\0" + _file_digest(root / os.fsdecode(name)))
    return PREFIX + total.hexdigest(), diff, untracked


def _diff(root: Path) -> bytes:
    """What differs from HEAD. On a copy of the index: git refreshes the one it works with, even to compare."""
    with tempfile.TemporaryDirectory() as folder:
        index, copy = root / (line(root, "rev-parse", "--git-path", "index") or ""), Path(folder) / "index"
        if index.is_file():
            # With its time: a file that was changed in the same tick as the index is looked into only if git sees that.
            shutil.copy2(index, copy)
        return git(root, "diff", "HEAD", *_COMPLETE, env={"GIT_INDEX_FILE": str(copy)})


def _file_digest(path: Path) -> bytes:
    if path.is_symlink():
        return hashlib.sha256(bytes(path.readlink())).digest()
    if not path.is_file():  # a repository inside the repository, or a file that went meanwhile
        return b""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.digest()
