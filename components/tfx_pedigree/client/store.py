"""The bytes behind a server: what is sent is checked there, and what comes is checked here."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TypeVar, cast

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.client.transport import PassingError, Transport, whole_of
from tfx_pedigree.errors import DamagedError, InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.json_form import read
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.store import FileEntry, GcReport, Manifest, ObjectRef, Store, StoreUser, VerifyReport
from tfx_pedigree.store.backend import MANIFESTS, SMALL_FILE, Backend, Stored, sha256_of_key
from tfx_pedigree.store.hashing_copy import CHUNK, HashedPieces, Step, hash_all
from tfx_pedigree.store.hints import hint_of
from tfx_pedigree.store.source import Opened, SourceFile, SourceTree, changed
from tfx_pedigree.wire import PREFIX, STORE
from tfx_pedigree.wire.store import (
    ADDRESS,
    DIRECT,
    DIRECT_HEADER,
    FILL_PATH,
    HINT_PATH,
    NEW_PATH,
    READ_PATH,
    VERSION_PATH,
    BytesAddress,
    Resemblance,
    StoredObject,
)

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_MISSING, _VERIFY = STORE
F = TypeVar("F", Resemblance, StoredObject)
# What is smaller is sent unasked: the question would take as long.
_ASKED_FROM = 64 << 10


class RemoteStore(Store):
    """The store of a registry on a server. Use it as any other; what needs the store itself is refused."""

    _backend: ServerBackend

    def __init__(self, transport: Transport) -> None:
        super().__init__(ServerBackend(transport))

    def manifest(self, digest: str) -> Manifest:
        found = super().manifest(digest)
        self._backend.of_version.update((entry.sha256, found.digest) for entry in found.files)
        return found

    def verify(
        self, digests: Iterable[str] | None = None, *, progress: Progress = silent, set_aside: bool = True
    ) -> VerifyReport:
        """The server reads and hashes: no byte of it travels."""
        asked = None if digests is None else tuple(dict.fromkeys(digests))
        found: VerifyReport = self._backend.transport.call(_VERIFY, {"digests": asked})
        return found

    def mark_user(self, user: StoreUser) -> None:
        """The server does that itself."""

    def users(self) -> tuple[StoreUser, ...]:
        _only_there()

    def gc(
        self,
        keep: Iterable[str],
        *,
        dry_run: bool = True,
        grace: timedelta = timedelta(hours=24),
        force: bool = False,
    ) -> GcReport:
        _only_there()

    def _missing(self, manifest: Manifest) -> list[FileEntry]:
        entries = {entry.sha256: entry for entry in manifest.files}
        return [entries[sha256] for sha256 in self._backend.missing(entries.values())]


class ServerBackend(Backend):
    """What a store asks of the place where it lies, asked of a server. `of_version` says through which version each
    object may be read."""

    folder: str | None = None

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.url = transport.url
        self.of_version: dict[str, str] = {}

    def missing(self, entries: Iterable[FileEntry]) -> tuple[str, ...]:
        asked = tuple(ObjectRef(entry.sha256, entry.size) for entry in entries)
        found: tuple[str, ...] = self.transport.call(_MISSING, {"objects": asked})
        return found

    def stat(self, key: str) -> Stored | None:
        data = self.read(key, CHUNK)
        return None if data is None else Stored(key, len(data), 0.0, key)

    def read(self, key: str, limit: int) -> bytes | None:
        try:
            return self.transport.request("GET", _version_path(key), whole_of)[:limit]
        except NotFoundError:
            return None

    def open(self, key: str) -> BinaryIO | None:
        sha256 = sha256_of_key(key)
        digest = self.of_version.get(sha256)
        if digest is None:
            raise NotFoundError(f"No version that was looked at in {self.url} has the object {sha256}.")
        path = PREFIX + READ_PATH.format(digest=digest, sha256=sha256)
        return cast("BinaryIO", _Download(self.transport, path))

    def address(self, key: str, seconds: int) -> str | None:
        _only_there()

    def write(self, key: str, data: bytes) -> None:
        self.transport.request("PUT", _version_path(key), whole_of, data)

    def touch(self, key: str, data: bytes) -> None:
        self.write(key, data)

    def add_file(self, tree: SourceTree, file: SourceFile, step: Step, heal: bool) -> str:
        with tree.open(file) as opened:
            if file.size <= SMALL_FILE:
                data = opened.read_whole()
                sha256 = hashlib.sha256(data).hexdigest()
                step(len(data))
                self._add(sha256, file.size, lambda: iter([data] if data else []), heal)
                return sha256
            if not heal and not self.resembles(hint_of(file.size, opened.sample)):
                return self._add_while_hashing(opened, step)
            sha256, size = hash_all(opened.read, step)
            opened.check(size)
            try:
                self._add(sha256, size, lambda: _pieces(opened), heal)
            except DamagedError:  # since it was hashed, it is another file
                changed(opened.shown)
        return sha256

    def add_stream(self, stream: BinaryIO, sha256: str | None, size: int, step: Step) -> str:
        _only_there()

    def resembles(self, hint: str) -> bool:
        content = self.transport.request("GET", PREFIX + HINT_PATH.format(hint=hint), whole_of)
        return _read(Resemblance, content).known

    def _add_while_hashing(self, opened: Opened, step: Step) -> str:
        """The server hashes what arrives, this computer what it sends: both must find the same."""
        pieces = HashedPieces(opened.read, step)

        def body() -> Iterator[memoryview]:
            nonlocal pieces  # of the last try
            opened.rewind()
            pieces = HashedPieces(opened.read, step)
            return iter(pieces)

        content = self.transport.request("POST", PREFIX + NEW_PATH, whole_of, body, _of_size(opened.file.size))
        opened.check(pieces.size)
        arrived = _read(StoredObject, content).sha256
        if arrived != pieces.sha256:
            raise DamagedError(
                f"The bytes of {opened.shown} arrived at {self.url} as others: {arrived}, not {pieces.sha256}. Run the "
                "command again."
            )
        return arrived

    def _add(self, sha256: str, size: int, body: Callable[[], Iterator[bytes | memoryview]], heal: bool) -> None:
        if size >= _ASKED_FROM and not heal and not self.missing([FileEntry("", size, sha256)]):
            return
        self.transport.request("PUT", PREFIX + FILL_PATH.format(sha256=sha256), whole_of, body, _of_size(size))

    def settle(self, keys: Iterable[str]) -> None:
        """What the server has acknowledged is durable."""

    def publishing(self) -> AbstractContextManager[Callable[[], None]]:
        """The server holds off deletions itself while it makes a version."""
        return contextlib.nullcontext(lambda: None)

    def walk(self, folder: str) -> Iterator[Stored]:
        _only_there()

    def files(self, folder: str) -> Iterator[Stored]:
        _only_there()

    def remove(self, key: str) -> None:
        _only_there()

    def set_aside(self, stored: Stored) -> bool:
        _only_there()

    def leftovers(self, before: float) -> Iterator[Stored]:
        _only_there()

    def now(self) -> float:
        _only_there()

    def deleting(self) -> AbstractContextManager[Callable[[], None]]:
        _only_there()


def _only_there() -> NoReturn:
    raise InvalidInputError(
        "This needs the store itself, and a server does not give it away. Run the command where the server runs, with "
        "the server's own --registry."
    )


def _of_size(size: int) -> dict[str, str]:
    return {"content-length": str(size), "content-type": "application/octet-stream"}


def _read(kind: type[F], content: bytes) -> F:
    return read(kind, parse_json(content, "the server's answer"), "the server's answer")


def _version_path(key: str) -> str:
    if not key.startswith(MANIFESTS):
        _only_there()
    return PREFIX + VERSION_PATH.format(digest=f"sha256:{sha256_of_key(key)}")


def _pieces(opened: Opened) -> Iterator[memoryview]:
    """Each is sent before the next one takes its place."""
    opened.rewind()
    view = memoryview(bytearray(CHUNK))
    while count := opened.read(view):
        yield view[:count]


class _Download(io.RawIOBase):
    """An object on its way here. Where the way breaks off, it goes on from there."""

    def __init__(self, transport: Transport, path: str) -> None:
        super().__init__()
        self._transport, self._path = transport, path
        self._at = 0
        self._pieces: Iterator[bytes] | None = None
        self._held = memoryview(b"")
        self._response: BaseHTTPResponse | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, view: memoryview) -> int:  # type: ignore[override]
        if not self._held:
            self._held = memoryview(self._transport.patiently(self._next))
        part = self._held[: len(view)]
        view[: len(part)] = part
        self._held = self._held[len(part) :]
        self._at += len(part)
        return len(part)

    def _next(self) -> bytes:
        try:
            if self._pieces is None:
                self._pieces = self._transport.pieces(self._continued())
            return next(self._pieces, b"")
        except PassingError:
            self._pieces = None
            raise

    def _continued(self) -> BaseHTTPResponse:
        headers = {"range": f"bytes={self._at}-"} if self._at else {}
        asked = {**headers, DIRECT_HEADER: DIRECT} if self._transport.direct else headers
        response = self._transport.response("GET", self._path, None, asked)
        if response.headers.get("content-type") == ADDRESS:
            response = self._from_bucket(response, headers) or self._transport.response(
                "GET", self._path, None, headers
            )
        if self._at and response.status != 206:
            response.close()
            raise UnavailableError(f"{self._transport.url} does not go on where its answer broke off. Try again.")
        self._response = response
        return response

    def _from_bucket(self, response: BaseHTTPResponse, headers: Mapping[str, str]) -> BaseHTTPResponse | None:
        """None where this computer does not get them there: then the server sends them, these and all others."""
        try:
            said = read(BytesAddress, parse_json(whole_of(response), "the address"), "the address")
            return self._transport.elsewhere(said.url, headers)
        except (InvalidInputError, UnavailableError):
            self._transport.direct = False
            return None

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
        super().close()
