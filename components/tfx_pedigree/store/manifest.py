"""What a version consists of. The manifest's digest is the version's identity.

Laws: `Manifest.from_json(m.to_json()) == m`. For all `data` that is accepted,
`Manifest.from_json(data).to_json() == data`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.store.failures import shown
from tfx_pedigree.store.paths import check_tree

FORMAT = "pedigree-manifest"
FORMAT_VERSION = 1
MAX_FILES = 100_000
MAX_MANIFEST_BYTES = 32 << 20
MAX_FILE_SIZE = 2**53 - 1  # the largest integer that JSON can carry everywhere

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    path: str
    size: int
    sha256: str
    """64 hexadecimal digits, as `sha256sum` prints them."""


@dataclass(frozen=True)
class Manifest:
    """Files in the order of their paths. One that exists obeys all rules of `paths` and all limits above."""

    files: tuple[FileEntry, ...]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        _check_files(self.files)
        object.__setattr__(self, "digest", digest_of(self.to_json()))

    @classmethod
    def of(cls, files: Iterable[FileEntry]) -> Manifest:
        """The same manifest in whatever order the files are given."""
        return cls(tuple(sorted(files, key=lambda entry: entry.path)))

    @property
    def total_size(self) -> int:
        return sum(entry.size for entry in self.files)

    def file(self, path: str) -> FileEntry | None:
        return next((entry for entry in self.files if entry.path == path), None)

    def to_json(self) -> bytes:
        return canonical_json(
            {
                "files": [{"path": e.path, "sha256": e.sha256, "size": e.size} for e in self.files],
                "format": FORMAT,
                "version": FORMAT_VERSION,
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Refuses what `to_json` could not have written, to the byte."""
        manifest = cls(tuple(_entry(item) for item in _parse(data)))
        if manifest.to_json() != data:
            _refuse("it is not canonical JSON (RFC 8785)")
        return manifest


def is_sha256(text: object) -> bool:
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def check_sha256(text: str) -> str:
    if not is_sha256(text):
        raise InvalidInputError(f"{text!r} is not a SHA-256: it must be 64 hexadecimal digits in lower case.")
    return text


def _check_files(files: tuple[FileEntry, ...]) -> None:
    if not files:
        _refuse("it lists no file")
    if len(files) > MAX_FILES:
        _refuse(f"it lists more than {MAX_FILES} files")
    check_tree(entry.path for entry in files)
    for earlier, later in itertools.pairwise(files):
        if earlier.path >= later.path:
            _refuse(f"its files are not in the order of their paths at '{shown(later.path)}'")
    for entry in files:
        check_sha256(entry.sha256)
        if type(entry.size) is not int or not 0 <= entry.size <= MAX_FILE_SIZE:
            _refuse(f"the size of '{shown(entry.path)}' is not a whole number from 0 to 2^53-1")


def _parse(data: bytes) -> list[Any]:
    try:
        value = parse_json(data, "it", largest=MAX_MANIFEST_BYTES)
    except InvalidInputError as error:
        _refuse(str(error).removeprefix("it: ").rstrip("."))
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        _refuse(f"it does not say that its format is {FORMAT!r}")
    version = value.get("version")
    if type(version) is int and version > FORMAT_VERSION:
        _refuse(f"its format version {version} is newer than {FORMAT_VERSION}; a newer tfx-pedigree reads it")
    if version != FORMAT_VERSION or value.keys() != {"files", "format", "version"}:
        _refuse("its keys or its format version are not those of format 1")
    files = value["files"]
    if not isinstance(files, list) or len(files) > MAX_FILES:
        _refuse(f"'files' is not a list of at most {MAX_FILES} entries")
    return files


def _entry(item: Any) -> FileEntry:
    if not isinstance(item, dict) or item.keys() != {"path", "sha256", "size"}:
        _refuse("an entry does not consist of 'path', 'sha256' and 'size'")
    if not isinstance(item["path"], str):
        _refuse("the path of an entry is not a string")
    return FileEntry(path=item["path"], size=item["size"], sha256=item["sha256"])


def _refuse(fault: str) -> NoReturn:
    raise InvalidInputError(f"This is not a manifest that can be used: {fault}.")
