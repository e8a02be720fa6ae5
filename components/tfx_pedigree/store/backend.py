"""What the store asks of the place where it lies: a local folder (`local`) or an object store (`remote`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from tfx_pedigree.store.hashing_copy import Step
from tfx_pedigree.store.source import SourceFile, SourceTree

MARKER = "pedigree-store.json"
OBJECTS = "objects"
MANIFESTS = "manifests"
DAMAGED = "damaged"
TEMPORARY = "tmp"

SMALL_FILE = 8 << 20
"""Files up to this size are held in memory whole while they are stored."""


def object_key(sha256: str) -> str:
    return f"{OBJECTS}/{sha256[:2]}/{sha256[2:]}"


def manifest_key(digest: str) -> str:
    sha256 = digest.partition(":")[2]
    return f"{MANIFESTS}/{sha256[:2]}/{sha256[2:]}"


def sha256_of_key(key: str) -> str:
    """The inverse of both functions above; "" for a key that they cannot have made."""
    parts = key.split("/")
    sha256 = "".join(parts[1:])
    return sha256 if len(parts) == 3 and len(parts[1]) == 2 and len(sha256) == 64 else ""


@dataclass(frozen=True, slots=True)
class Stored:
    """One file of the store, as it was when it was looked at."""

    key: str
    size: int
    modified: float
    """Seconds since 1970, by the clock of the disk or object store."""
    identity: str
    """Differs when the key has been written again."""


class Backend(Protocol):
    """Keys are relative, with `/`. What is written appears whole and durable under its key, or not at all.

    Raises `UnavailableError` when the place does not answer, is full or does not permit it.
    """

    url: str
    folder: str | None
    """The local folder, or None."""

    def stat(self, key: str) -> Stored | None: ...

    def read(self, key: str, limit: int) -> bytes | None:
        """The first `limit` bytes; None if there is nothing under `key`."""
        ...

    def open(self, key: str) -> BinaryIO | None: ...

    def address(self, key: str, seconds: int) -> str | None:
        """From where whoever is given it may read the object for so long; None where the place has no such thing."""
        ...

    def write(self, key: str, data: bytes) -> None: ...

    def touch(self, key: str, data: bytes) -> None:
        """Makes `key`, which holds `data`, as young as if it had just been written."""
        ...

    def add_file(self, tree: SourceTree, file: SourceFile, step: Step, heal: bool) -> str:
        """Stores one file under its SHA-256 unless it is there. Returns that. Durable only after `settle`."""
        ...

    def add_stream(self, stream: BinaryIO, sha256: str | None, size: int, step: Step) -> str:
        """Stores bytes under their SHA-256, which it returns. DamagedError, and nothing is stored, if they are not the
        ones that are claimed."""
        ...

    def resembles(self, hint: str) -> bool:
        """Whether something may be stored that looks like a file of this hint: then it is hashed before it is sent."""
        ...

    def settle(self, keys: Iterable[str]) -> None:
        """Returns when the names of these objects will survive a power failure."""
        ...

    def walk(self, folder: str) -> Iterator[Stored]:
        """All of `objects/` or `manifests/`, without holding them in memory."""
        ...

    def files(self, folder: str) -> Iterator[Stored]:
        """The files that lie directly in a folder."""
        ...

    def remove(self, key: str) -> None: ...

    def set_aside(self, stored: Stored) -> bool:
        """Moves a damaged file to `damaged/`. False if another file has taken its place."""
        ...

    def leftovers(self, before: float) -> Iterator[Stored]:
        """What killed processes left behind before that time, and no living process uses."""
        ...

    def now(self) -> float: ...

    def publishing(self) -> AbstractContextManager[Callable[[], None]]:
        """Held while a manifest is written. Shared; no deletion happens meanwhile.

        Calling the value asserts that it is still held, for backends where it can expire.
        """
        ...

    def deleting(self) -> AbstractContextManager[Callable[[], None]]:
        """Held while objects are deleted. Exclusive."""
        ...
