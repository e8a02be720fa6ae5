"""The bytes behind a server: what is asked about them as JSON, and where they themselves come and go.

A manifest is at `/store/versions/DIGEST`, an object of it at `/store/versions/DIGEST/objects/SHA256` (GET, with Range),
and `/store/objects/SHA256` takes a new one (PUT). A large file is sent to `/store/objects` while it is hashed (POST) if
nothing like it is there (`/store/resembling/HINT`). A version is there once its manifest is, which is put last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.store import ObjectRef, VerifyReport

VERSION_PATH = "/store/versions/{digest}"
READ_PATH = "/store/versions/{digest}/objects/{sha256}"
FILL_PATH = "/store/objects/{sha256}"
NEW_PATH = "/store/objects"
HINT_PATH = "/store/resembling/{hint}"
# Whoever asks for an object with this header takes it from the bucket, too, if the server says from where.
DIRECT_HEADER = "pedigree-bytes"
DIRECT = "direct"
ADDRESS = "application/vnd.pedigree.address+json"


@dataclass(frozen=True)
class BytesAddress(JsonForm):
    """From where an object may be fetched for a short while, by whoever has the address: it is a secret."""

    url: str


@dataclass(frozen=True)
class StoredObject(JsonForm):
    """What arrived, by the name that the server found for it."""

    sha256: str


@dataclass(frozen=True)
class Resemblance(JsonForm):
    """Whether something may be stored that looks like the file."""

    known: bool


class StoreApi(Protocol):
    """The store of a registry on a server, for whoever may read its versions, or may add some."""

    def missing(self, objects: tuple[ObjectRef, ...]) -> tuple[str, ...]:
        """Which of these objects are not stored, or not with this size, by name."""
        ...

    def verify(self, digests: tuple[str, ...] | None = None, progress: Progress = silent) -> VerifyReport:
        """Reads and hashes all that these versions refer to, or all that is stored, and names what is wrong."""
        ...
