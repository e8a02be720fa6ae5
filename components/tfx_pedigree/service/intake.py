"""From files to a candidate: stored, and described from exactly the bytes that were stored. And the way back: a check.

A folder can change while it is read. What is described therefore counts only if each file that was read for it has,
in the manifest, the digest of what was read; else the description is made again, from the store.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tfx_pedigree.errors import DamagedError
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import Candidate, Version
from tfx_pedigree.versioning import ModelDescription
from tfx_pedigree.versioning.description import Scalar
from tfx_pedigree.versioning.saved_model import describe_files

if TYPE_CHECKING:
    from tfx_pedigree.store import Manifest, Problem, Store


def candidate_of(
    store: Store,
    source: str | Path,
    *,
    parameters: Mapping[str, Scalar] | None = None,
    description: ModelDescription | None = None,
    progress: Progress = silent,
) -> Candidate:
    """A model that cannot be read is refused before anything is stored. A given description stands as it is, but for
    the parameters. Storing the same bytes again gives the same candidate."""
    if description is not None:
        description = dataclasses.replace(description, parameters={**description.parameters, **(parameters or {})})
        manifest = store.put(source, progress=progress)
    else:
        reading = _Reading(Path(source))
        early = reading.describe(parameters)
        manifest = store.put(source, progress=progress)
        if early is None or not reading.agrees_with(manifest):
            early = _from_store(store, manifest, parameters)
        description = early
    return Candidate(manifest.digest, description, manifest.total_size, len(manifest.files))


def check_bytes(store: Store, version: Version, progress: Progress = silent) -> None:
    """Reads every byte of a version again. DamagedError, with what to do, if any of them is not what it was."""
    report = store.verify([version.digest], progress=progress)
    if not report.ok:
        raise DamagedError(
            f"{version.name} cannot be used: {_told(report.problems)} in the store {store.url}. Nothing was changed. "
            f"Store the same model again with `pedigree register {version.model} FOLDER`, or name the right store "
            "with --store."
        )


def _told(problems: tuple[Problem, ...]) -> str:
    first, more = problems[0], len(problems) - 1
    what = first.paths[0] if first.paths else "its manifest"
    return f"{what} is {first.state}" + (f" and {more} more files are as well" if more else "")


def _from_store(store: Store, manifest: Manifest, parameters: Mapping[str, Scalar] | None) -> ModelDescription:
    return describe_files(
        lambda path: store.open_file(manifest.digest, path),
        [entry.path for entry in manifest.files],
        parameters=parameters,
    )


class _Reading:
    """Describes a folder and remembers what it read for that."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._paths: set[str] = set()
        self._read: dict[str, str] = {}

    def describe(self, parameters: Mapping[str, Scalar] | None) -> ModelDescription | None:
        """None where there is no folder that can be read: whether that is a mistake is the store's to say."""
        if not self._root.is_dir():
            return None
        try:
            self._paths = {path.relative_to(self._root).as_posix() for path in self._root.rglob("*") if path.is_file()}
            return describe_files(self._open, self._paths, parameters=parameters)
        except OSError:
            return None

    def agrees_with(self, manifest: Manifest) -> bool:
        if self._paths != {entry.path for entry in manifest.files}:
            return False
        return all((entry := manifest.file(path)) and entry.sha256 == read for path, read in self._read.items())

    def _open(self, path: str) -> BinaryIO:
        data = (self._root / path).read_bytes()
        self._read[path] = hashlib.sha256(data).hexdigest()
        return io.BytesIO(data)
