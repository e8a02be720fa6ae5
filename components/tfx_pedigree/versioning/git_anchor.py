"""An audit log's anchor as an annotated git tag, where those who own the registry's database do not own the history.

The tag is on a blob that holds the anchor as it was printed, so it needs no commit and touches no branch, and
`git cat-file blob TAG` gives the anchor back byte by byte. Nothing is pushed.
"""

from __future__ import annotations

from pathlib import Path

from tfx_pedigree.errors import ConflictError
from tfx_pedigree.versioning._git import GitError, check_repository, git, line

PREFIX = "pedigree-anchor"


def tag_anchor(repository: Path, digest: str, text: str, message: str) -> tuple[str, bool]:
    """The tag's name, and whether it is new. The same anchor again is the same tag."""
    check_repository(repository)
    name = f"{PREFIX}/{digest.removeprefix('sha256:')[:16]}"
    blob = git(repository, "hash-object", "-w", "--stdin", stdin=text.encode()).decode().strip()
    if held(repository, name, blob):
        return name, False
    try:
        git(repository, "tag", "--annotate", "--message", message, name, blob)
    except GitError as error:
        if not held(repository, name, blob):  # somebody else may have written the same one meanwhile
            raise ConflictError(f"The git tag {name} could not be written in {repository}: {error}") from error
        return name, False
    return name, True


def held(repository: Path, name: str, blob: str) -> bool:
    return line(repository, "rev-parse", "--verify", "--quiet", f"refs/tags/{name}^{{}}") == blob
