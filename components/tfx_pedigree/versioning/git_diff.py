"""Uncommitted changes, kept so that they can be made again on their commit: bounded, and without secrets."""

from __future__ import annotations

import binascii
import os
import stat
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import ClassVar

from tfx_pedigree.digest import check_digest
from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.secrets import clean_text
from tfx_pedigree.versioning._git import GitError, check_repository, git, line
from tfx_pedigree.versioning.git_state import capture_git, changes_of

FORMAT = "pedigree.git-diff/1"
# Of all changes, and of what a component's parameter carries of them.
LARGEST, LARGEST_KEPT = 1 << 20, 64 << 10
_MODES = ("100644", "100755")


@dataclass(frozen=True)
class NewFile(JsonForm):
    """A file that was neither committed nor ignored."""

    mode: str
    data: str

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise InvalidInputError(f"{self.mode!r} is no mode of a file.")


@dataclass(frozen=True)
class GitDiff(JsonForm):
    """`digest` is the state's `diff_digest`. `patch` and the files' `data` are compressed and written as hexadecimal
    digits, in which nothing can look like a secret."""

    JSON: ClassVar[Layout] = Layout(format=FORMAT)

    digest: str
    patch: str
    files: Mapping[str, NewFile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_digest(self.digest)
        for name in self.files:
            _check_name(name)


def capture_diff(path: str | Path) -> GitDiff | None:
    """The uncommitted changes of the repository that holds `path`; None where there are none.

    Refused where they are too large, or where something in them looks like a secret: what is recorded stays for ever.
    """
    root = Path(line(check_repository(Path(path)), "rev-parse", "--show-toplevel") or path)
    digest, diff, names = changes_of(root)
    if digest is None:
        return None
    files = {os.fsdecode(name): _read(root / os.fsdecode(name)) for name in names}
    texts = {
        "the changes of committed files": diff,
        **{f"the new file {name}": data for name, (_, data) in files.items()},
    }
    if sum(map(len, texts.values())) > LARGEST:
        raise InvalidInputError(f"The uncommitted changes in {root} are more than {LARGEST >> 10} KiB. Commit them.")
    for what, data in texts.items():
        text = data.decode("utf-8", "replace")
        if clean_text(text) != text:
            raise InvalidInputError(
                f"The uncommitted changes in {root} are not kept: something in {what} looks like a secret. Commit "
                "what the training needs, and leave the secret out."
            )
    made = {name: NewFile(mode, _packed(data)) for name, (mode, data) in files.items()}
    kept = GitDiff(digest, _packed(diff), made)
    if len(kept.patch) + sum(len(one.data) for one in made.values()) > LARGEST_KEPT:
        raise InvalidInputError(
            f"The uncommitted changes in {root} are too large to be kept in a run's record. Commit them."
        )
    return kept


def apply_diff(folder: Path, diff: GitDiff) -> None:
    """Onto a checkout of their commit. ConflictError unless the state is then exactly the one that was recorded."""
    root = folder.resolve()
    try:
        if patch := _unpacked(diff.patch):
            # git itself refuses paths that lead out of the folder.
            git(folder, "apply", "--index", "--binary", "--whitespace=nowarn", "-", stdin=patch)
    except GitError as error:
        raise ConflictError(f"The uncommitted changes that were kept do not fit their commit: {error}") from error
    for name, file in diff.files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.parent.resolve().is_relative_to(root):
            raise ConflictError(f"The new file {name} of the kept changes leads out of the checkout.")
        with target.open("xb") as out:
            out.write(_unpacked(file.data))
        target.chmod(0o755 if file.mode.endswith("755") else 0o644)
    if capture_git(folder).diff_digest != diff.digest:
        raise ConflictError("The uncommitted changes that were kept are not those that were recorded.")


def _read(path: Path) -> tuple[str, bytes]:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInputError(f"{path} is neither committed nor a file: such changes are not kept. Commit them.")
    if found.st_size > LARGEST:
        raise InvalidInputError(f"The uncommitted file {path} is more than {LARGEST >> 10} KiB. Commit or ignore it.")
    return "100755" if found.st_mode & stat.S_IXUSR else "100644", path.read_bytes()


def _check_name(name: str) -> None:
    parts = PurePosixPath(name).parts
    wrong = not parts or name.startswith("/") or "\0" in name or str(PurePosixPath(name)) != name
    if wrong or ".." in parts or any(part.lower() == ".git" for part in parts):
        raise InvalidInputError(f"{name!r} is no path of a new file in a repository.")


def _packed(data: bytes) -> str:
    return zlib.compress(data, 9).hex()


def _unpacked(text: str) -> bytes:
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(binascii.unhexlify(text), LARGEST + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise InvalidInputError(f"The kept changes cannot be read: {error}.") from error
    if len(data) > LARGEST:
        raise InvalidInputError(f"The kept changes are more than {LARGEST >> 10} KiB.")
    return data
