"""The store in a local folder: fsync, rename and flock do the work."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tfx_pedigree.errors import DamagedError, UnavailableError
from tfx_pedigree.store.backend import DAMAGED, SMALL_FILE, TEMPORARY, Stored, object_key
from tfx_pedigree.store.durable import sync_folder
from tfx_pedigree.store.failures import using_store
from tfx_pedigree.store.hashing_copy import Step, copy_all, hash_all, write_all
from tfx_pedigree.store.hints import Hints, hint_of
from tfx_pedigree.store.source import Opened, SourceFile, SourceTree, changed

LOCK = "lock"
TEMPORARY_NAME = re.compile(r"[0-9]+-[0-9a-f]{16}")
LOCK_PATIENCE = 600.0
"""Seconds for which a put waits for a gc, and a gc for puts."""


class LocalBackend:
    def __init__(self, folder: Path) -> None:
        self.folder: str | None = os.path.abspath(folder)
        self.url = self.folder
        self._root = self.folder
        self._hints = Hints(self._root)

    def stat(self, key: str) -> Stored | None:
        with using_store(self.url):
            return self._stat(key)

    def read(self, key: str, limit: int) -> bytes | None:
        stream = self.open(key)
        if stream is None:
            return None
        with using_store(self.url), stream:
            return b"".join(iter(lambda: stream.read(min(1 << 20, limit - stream.tell())), b""))

    def address(self, key: str, seconds: int) -> str | None:
        """There is none: nobody reaches a folder from elsewhere."""

    def open(self, key: str) -> BinaryIO | None:
        with using_store(self.url):
            try:
                fd = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            return os.fdopen(fd, "rb", buffering=0)

    def write(self, key: str, data: bytes) -> None:
        with using_store(self.url), self._temporary() as (fd, path):
            write_all(fd, data)
            self._commit(fd, path, key)
            self._settle([key])

    def touch(self, key: str, data: bytes) -> None:
        with using_store(self.url):
            try:
                os.utime(self._path(key))
            except PermissionError:  # another user's file: writing it again makes it ours and young
                self.write(key, data)
            self._settle([key])

    def add_file(self, tree: SourceTree, file: SourceFile, step: Step, heal: bool) -> str:
        with using_store(self.url), tree.open(file) as opened:
            if file.size <= SMALL_FILE:
                return self._add_bytes(opened.read_whole(), step, heal)
            hint = hint_of(file.size, opened.sample)
            # Only a file that resembles none of ours is written while it is hashed: to store the same model
            # again then costs no more than its hash.
            if self._resembles(hint):
                sha256, size = hash_all(opened.read, step)
                opened.check(size)
                if self._has(sha256, size, heal):
                    return sha256
                opened.rewind()
                return self._add_while_hashing(opened, lambda count: None, heal, hint, sha256)
            return self._add_while_hashing(opened, step, heal, hint, None)

    def add_stream(self, stream: BinaryIO, sha256: str | None, size: int, step: Step) -> str:
        with using_store(self.url), self._temporary() as (fd, path):
            found = check_claim(copy_all(bounded(stream, size), fd, step, size), sha256, size)
            if not self._has(found, size, heal=False):
                self._commit(fd, path, object_key(found))
                self._settle([object_key(found)])
            if size > SMALL_FILE:
                self._hints.write(hint_of(size, lambda place, length: os.pread(fd, length, place)), found)
            return found

    def resembles(self, hint: str) -> bool:
        with using_store(self.url):
            return self._resembles(hint)

    def settle(self, keys: Iterable[str]) -> None:
        with using_store(self.url):
            self._settle(keys)

    def walk(self, folder: str) -> Iterator[Stored]:
        with using_store(self.url):
            shards = _names(f"{self._root}/{folder}")
        for shard in shards:
            with using_store(self.url):
                found = [self._stat(f"{folder}/{shard}/{name}") for name in _names(f"{self._root}/{folder}/{shard}")]
            yield from (stored for stored in found if stored)

    def files(self, folder: str) -> Iterator[Stored]:
        with using_store(self.url):
            found = [self._stat(f"{folder}/{name}") for name in _names(f"{self._root}/{folder}")]
        yield from (stored for stored in found if stored)

    def remove(self, key: str) -> None:
        with using_store(self.url), contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(key))

    def set_aside(self, stored: Stored) -> bool:
        if self.stat(stored.key) != stored:
            return False
        with using_store(self.url):
            folder = f"{self._root}/{DAMAGED}"
            os.makedirs(folder, exist_ok=True)
            os.replace(self._path(stored.key), f"{folder}/{stored.key.replace('/', '-')}")
            sync_folder(folder)
            sync_folder(os.path.dirname(self._path(stored.key)))
        return True

    def leftovers(self, before: float) -> Iterator[Stored]:
        for stored in self.files(TEMPORARY):
            named = TEMPORARY_NAME.fullmatch(stored.key.partition("/")[2])
            if named and stored.modified <= before and self._is_ownerless(stored.key):
                yield stored
        for name, sha256 in self._hints.all():
            hint = self.stat(name)
            if hint and hint.modified <= before and not (sha256 and self.stat(object_key(sha256))):
                yield hint

    def now(self) -> float:
        return time.time()

    @contextmanager
    def publishing(self) -> Iterator[Callable[[], None]]:
        with self._locked(fcntl.LOCK_SH, "Its unused files are being deleted by a gc"):
            yield lambda: None

    @contextmanager
    def deleting(self) -> Iterator[Callable[[], None]]:
        with self._locked(fcntl.LOCK_EX, "Another process is storing a model or runs a gc"):
            yield lambda: None

    # Below here every OSError is raised as it is: the methods above translate it.

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _stat(self, key: str) -> Stored | None:
        try:
            status = os.lstat(self._path(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        size = status.st_size if stat.S_ISREG(status.st_mode) else -1
        return Stored(key, size, status.st_mtime, f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}")

    def _resembles(self, hint: str) -> bool:
        promised = self._hints.read(hint)
        return bool(promised) and self._stat(object_key(promised)) is not None

    def _has(self, sha256: str, size: int, heal: bool) -> bool:
        """Whether the object is there with the right size; with `heal`, with the right bytes."""
        stored = self._stat(object_key(sha256))
        if stored is None or stored.size != size:
            return False
        if not heal:
            return True
        with open(self._path(stored.key), "rb", buffering=0) as stream:
            return hash_all(stream.readinto, lambda count: None)[0] == sha256

    def _add_bytes(self, data: bytes, step: Step, heal: bool) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        if not self._has(sha256, len(data), heal):
            with self._temporary() as (fd, path):
                write_all(fd, data)
                self._commit(fd, path, object_key(sha256))
        step(len(data))
        return sha256

    def _add_while_hashing(self, opened: Opened, step: Step, heal: bool, hint: str, expected: str | None) -> str:
        with self._temporary() as (fd, path):
            sha256, size = copy_all(opened.read, fd, step, opened.file.size)
            opened.check(size)
            if expected not in (None, sha256):
                changed(opened.shown)
            if not self._has(sha256, size, heal):
                self._commit(fd, path, object_key(sha256))
        self._hints.write(hint, sha256)
        return sha256

    @contextmanager
    def _temporary(self) -> Iterator[tuple[int, str]]:
        folder = f"{self._root}/{TEMPORARY}"
        os.makedirs(folder, exist_ok=True)
        fd, path = self._new_temporary(folder)
        try:
            yield fd, path
        finally:
            os.close(fd)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _new_temporary(self, folder: str) -> tuple[int, str]:
        """A file whose lock tells gc that its owner lives; a killed one lets go."""
        while True:
            path = f"{folder}/{os.getpid()}-{secrets.token_hex(8)}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_SH)
            if os.path.exists(path):
                return fd, path
            os.close(fd)  # a gc came before the lock

    def _commit(self, fd: int, path: str, key: str) -> None:
        os.fchmod(fd, 0o444)
        os.fsync(fd)
        os.makedirs(os.path.dirname(self._path(key)), exist_ok=True)
        os.replace(path, self._path(key))

    def _settle(self, keys: Iterable[str]) -> None:
        shards = {os.path.dirname(self._path(key)) for key in keys}
        for folder in sorted(shards) + sorted({os.path.dirname(shard) for shard in shards}):
            sync_folder(folder)
        sync_folder(self._root)

    def _is_ownerless(self, key: str) -> bool:
        try:
            fd = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    @contextmanager
    def _locked(self, kind: int, busy: str) -> Iterator[None]:
        with using_store(self.url):
            fd = os.open(f"{self._root}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            deadline = time.monotonic() + LOCK_PATIENCE
            while not self._try_lock(fd, kind):
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        f"The store {self.url} is busy. {busy} for more than {LOCK_PATIENCE:.0f} s. Try again later."
                    )
                time.sleep(0.02)
            yield
        finally:
            os.close(fd)

    def _try_lock(self, fd: int, kind: int) -> bool:
        with using_store(self.url):
            try:
                fcntl.flock(fd, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True


def bounded(stream: BinaryIO, size: int) -> Callable[[memoryview], int]:
    """Reads at most one byte more than `size`, so that an endless stream is noticed and not followed."""
    left = size + 1

    def read(view: memoryview) -> int:
        nonlocal left
        count: int = stream.readinto(view[:left])  # type: ignore[attr-defined]
        left -= count
        return count

    return read


def check_claim(found: tuple[str, int], sha256: str | None, size: int) -> str:
    """The SHA-256 that was found, if it is the one that was claimed."""
    if found != (sha256 or found[0], size):
        what = f"have the SHA-256 {found[0]}" if found[1] == size else f"are not the {size} that were announced"
        raise DamagedError(
            f"The bytes that arrived as object {sha256 or found[0]} {what}, so they were not stored. Fetch them "
            "again from their source."
        )
    return found[0]


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
