"""The store in an object store, over fsspec. An object appears whole when its upload is committed.

Object stores have no flock: `leases` takes its place. What they have acknowledged is durable.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any, BinaryIO, TypeVar

from tfx_pedigree.store.backend import DAMAGED, SMALL_FILE, TEMPORARY, Stored, object_key
from tfx_pedigree.store.drivers import Driver
from tfx_pedigree.store.hashing_copy import CHUNK, Reader, Step, copy_all, hash_all
from tfx_pedigree.store.leases import Leases
from tfx_pedigree.store.local import bounded, check_claim
from tfx_pedigree.store.presigning import signer_for
from tfx_pedigree.store.source import SourceFile, SourceTree, changed

T = TypeVar("T")

_BLOCK = 8 << 20
_MAX_BLOCKS = 9_000  # S3 allows 10,000 parts


class RemoteBackend:
    folder: str | None = None

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        driver = Driver(url, options)
        self.url, self._fs, self._root, self._try = driver.url, driver.fs, driver.root, driver.attempt
        self._protocol = url.partition("://")[0]
        self._signer = signer_for(self._protocol, self._fs)
        self._leases = Leases(self)

    def stat(self, key: str) -> Stored | None:
        return self._try(lambda: self._stat(key))

    def read(self, key: str, limit: int) -> bytes | None:
        def work() -> bytes | None:
            try:
                return bytes(self._fs.cat_file(self._path(key), start=0, end=limit)) if self._size(key) else b""
            except FileNotFoundError:
                return None

        return self._try(work)

    def open(self, key: str) -> BinaryIO | None:
        stored = self.stat(key)
        return None if stored is None else _RemoteFile(self, key, stored.size)  # type: ignore[return-value]

    def address(self, key: str, seconds: int) -> str | None:
        sign = self._signer
        return None if sign is None else self._try(lambda: sign(self._path(key), seconds))

    def range(self, key: str, start: int, end: int) -> bytes:
        return self._try(lambda: bytes(self._fs.cat_file(self._path(key), start=start, end=end)))

    def write(self, key: str, data: bytes) -> None:
        self._try(lambda: self._write(key, data))

    def touch(self, key: str, data: bytes) -> None:
        self.write(key, data)

    def add_file(self, tree: SourceTree, file: SourceFile, step: Step, heal: bool) -> str:
        if file.size <= SMALL_FILE:
            with tree.open(file) as opened:
                data = opened.read_whole()
            sha256 = hashlib.sha256(data).hexdigest()
            if not self._has(sha256, len(data), heal):
                self.write(object_key(sha256), data)
            step(len(data))
            return sha256
        with tree.open(file) as opened:
            sha256, size = hash_all(opened.read, step)
            opened.check(size)
            if self._has(sha256, size, heal):
                return sha256

            def upload() -> None:
                opened.rewind()
                self._upload(opened.read, sha256, size, lambda: changed(opened.shown))

            self._try(upload)
        return sha256

    def add_stream(self, stream: BinaryIO, sha256: str | None, size: int, step: Step) -> str:
        with tempfile.TemporaryFile() as held:
            found = check_claim(copy_all(bounded(stream, size), held.fileno(), step, size), sha256, size)

            def upload() -> None:
                held.seek(0)
                self._upload(held.readinto, found, size, lambda: changed(tempfile.gettempdir()))

            if not self._has(found, size, heal=False):
                self._try(upload)
            return found

    def resembles(self, hint: str) -> bool:
        """Hints are kept only where asking for them is cheap."""
        return True

    def settle(self, keys: Iterable[str]) -> None:
        """An acknowledged upload is durable."""

    def walk(self, folder: str) -> Iterator[Stored]:
        for shard in self._list(folder):
            if shard["type"] == "directory":
                name = shard["name"].rstrip("/").rpartition("/")[2]
                for info in self._list(f"{folder}/{name}"):
                    yield self._stored(f"{folder}/{name}/{info['name'].rpartition('/')[2]}", info)

    def names(self) -> list[str]:
        """What lies at the top of the store."""
        return [info["name"].rstrip("/").rpartition("/")[2] for info in self._list("")]

    def files(self, folder: str) -> Iterator[Stored]:
        for info in self._list(folder):
            if info["type"] == "file":
                yield self._stored(f"{folder}/{info['name'].rpartition('/')[2]}", info)

    def remove(self, key: str) -> None:
        def work() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._path(key))

        self._try(work)

    def set_aside(self, stored: Stored) -> bool:
        if self.stat(stored.key) != stored:
            return False
        target = self._path(f"{DAMAGED}/{stored.key.replace('/', '-')}")
        self._try(lambda: self._fs.cp_file(self._path(stored.key), target))
        self.remove(stored.key)
        return True

    def leftovers(self, before: float) -> Iterator[Stored]:
        yield from (stored for stored in self.files(TEMPORARY) if stored.modified <= before)
        yield from self._leases.abandoned()

    def now(self) -> float:
        return self._leases.server_time()

    def publishing(self) -> AbstractContextManager[Callable[[], None]]:
        return self._leases.shared()

    def deleting(self) -> AbstractContextManager[Callable[[], None]]:
        return self._leases.exclusive()

    # Below here errors of the driver are raised as they are: `_try` translates them.

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _stat(self, key: str) -> Stored | None:
        try:
            info = self._fs.info(self._path(key))
        except FileNotFoundError:
            return None
        return self._stored(key, info)

    def _size(self, key: str) -> int:
        return int(self._fs.info(self._path(key))["size"])

    def _stored(self, key: str, info: Mapping[str, Any]) -> Stored:
        if info["type"] != "file":
            return Stored(key, -1, 0.0, "")
        when = next(
            (info[name] for name in ("LastModified", "updated", "mtime", "modified", "created") if info.get(name)),
            0,
        )
        modified = _seconds(when)
        return Stored(key, int(info["size"]), modified, str(info.get("generation") or f"{info.get('ETag')} {modified}"))

    def _list(self, folder: str) -> list[dict[str, Any]]:
        def work() -> list[dict[str, Any]]:
            try:
                entries = self._fs.ls(self._path(folder).rstrip("/"), detail=True)
            except FileNotFoundError:
                return []
            here = self._path(folder).strip("/")  # some object stores list the folder itself
            return sorted((e for e in entries if e["name"].strip("/") != here), key=lambda e: str(e["name"]))

        return self._try(work)

    def _has(self, sha256: str, size: int, heal: bool) -> bool:
        stored = self.stat(object_key(sha256))
        if stored is None or stored.size != size:
            return False
        if not heal:
            return True
        stream = self.open(stored.key)
        return stream is not None and hash_all(stream.readinto, lambda count: None)[0] == sha256  # type: ignore[attr-defined]

    def _write(self, key: str, data: bytes) -> None:
        if self._protocol in _ATOMIC:
            self._fs.pipe_file(self._path(key), data)
            return
        temporary = self._path(f"{TEMPORARY}/{os.getpid()}-{secrets.token_hex(8)}")
        self._make_folders(temporary, self._path(key))
        self._fs.pipe_file(temporary, data)
        self._fs.mv(temporary, self._path(key))

    def _make_folders(self, *paths: str) -> None:
        for path in paths:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)

    def _upload(self, read: Reader, sha256: str, size: int, on_change: Callable[[], Any]) -> None:
        """Uploads while hashing again; the object gets its name only if the bytes are still `sha256`."""
        final = self._path(object_key(sha256))
        commits = self._protocol in _COMMITS
        path = final if commits else self._path(f"{TEMPORARY}/{os.getpid()}-{secrets.token_hex(8)}")
        if not commits:
            self._make_folders(path, final)
        block = -(-max(_BLOCK, size // _MAX_BLOCKS + 1) // CHUNK) * CHUNK
        stream = self._fs.open(path, "wb", block_size=block, autocommit=not commits)
        _forget_transaction(self._fs, stream)
        try:
            if _pour(read, stream) != (sha256, size):
                on_change()
            stream.close()
            stream.commit() if commits else self._fs.mv(path, final)
        except BaseException:
            with contextlib.suppress(Exception):
                if commits:
                    stream.discard()
                    stream.closed = True  # or its destructor would try to write again
                else:
                    self._fs.rm_file(path)
            raise


class _RemoteFile:
    """A stored object read in blocks, each retried by itself."""

    def __init__(self, backend: RemoteBackend, key: str, size: int) -> None:
        self._backend, self._key, self._size = backend, key, size
        self._at, self._block, self._block_at = 0, memoryview(b""), 0

    def readinto(self, view: memoryview) -> int:
        start = self._at - self._block_at
        if start >= len(self._block) and self._at < self._size:
            end = min(self._size, self._at + _BLOCK)
            self._block, self._block_at, start = (
                memoryview(self._backend.range(self._key, self._at, end)),
                self._at,
                0,
            )
        part = self._block[start : start + len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def seek(self, offset: int) -> None:
        self._at, self._block, self._block_at = offset, memoryview(b""), offset

    def close(self) -> None:
        self._block = memoryview(b"")

    def __enter__(self) -> _RemoteFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_ATOMIC = {"memory", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"}
"""Where one request stores a small object whole."""
_COMMITS = {"s3", "s3a", "gs", "gcs"}
"""Where a large upload has no name until it is committed."""


def _pour(read: Reader, stream: Any) -> tuple[str, int]:
    view, sha, size = memoryview(bytearray(CHUNK)), hashlib.sha256(), 0
    while count := read(view):
        sha.update(view[:count])
        stream.write(view[:count])
        size += count
    return sha.hexdigest(), size


def _forget_transaction(fs: Any, stream: Any) -> None:
    """fsspec remembers an uncommitted file for a later transaction, which would commit it unasked."""
    waiting = getattr(getattr(fs, "_transaction", None), "files", None)
    if waiting is not None:
        with contextlib.suppress(ValueError):
            waiting.remove(stream)


def _seconds(when: Any) -> float:
    if isinstance(when, str):
        when = datetime.fromisoformat(when.replace("Z", "+00:00"))
    if isinstance(when, datetime):
        return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()
    return float(when)
