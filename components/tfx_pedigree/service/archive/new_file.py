"""A file that gets its name only when all of it is on disk, and of which nothing is left if that never happens."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tfx_pedigree.errors import ConflictError, InvalidInputError, UnavailableError

_SUFFIX = ".pedigree-export"


@contextlib.contextmanager
def appearing(target: Path) -> Iterator[BinaryIO]:
    """Never overwrites. What a killed process left is taken away by the next that writes to the same folder: who still
    writes holds a lock."""
    if target.exists():
        raise ConflictError(f"{target} exists already. Choose another name, or remove it first.")
    if not target.parent.is_dir():
        raise InvalidInputError(f"{target} cannot be written: the folder {target.parent} does not exist.")
    try:
        _sweep(target.parent)
        with _draft(target.parent) as (file, name):
            yield file
            file.flush()
            os.fsync(file.fileno())
            _name(name, target)
    except OSError as error:
        raise UnavailableError(
            f"{target} cannot be written: {error.strerror or error}. Nothing is left of it."
        ) from error


def _sweep(folder: Path) -> None:
    for path in folder.glob(f".*{_SUFFIX}"):
        with contextlib.suppress(OSError), path.open("rb") as left:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


@contextlib.contextmanager
def _draft(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    while True:
        descriptor, name = tempfile.mkstemp(prefix=".", suffix=_SUFFIX, dir=folder)
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not Path(name).exists():  # somebody swept before the lock was there
                continue
            try:
                yield file, Path(name)
            finally:
                Path(name).unlink(missing_ok=True)
            return


def _name(draft: Path, target: Path) -> None:
    try:
        os.link(draft, target)
    except FileExistsError:
        raise ConflictError(f"{target} was made by somebody else meanwhile and was left as it is.") from None
