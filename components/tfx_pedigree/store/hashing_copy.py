"""Bytes in motion: hashed, or hashed and written at the same time.

What is hashed is the very buffer that is written: the digest speaks of the copy even if the original changes.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

CHUNK = 1 << 20
_RING = 8
_FLUSH_EVERY = 16 << 20
_SYNC_FILE_RANGE_WRITE = 2

Reader = Callable[[memoryview], int]
Step = Callable[[int], None]


def hash_all(read: Reader, step: Step) -> tuple[str, int]:
    """SHA-256 and length of all that `read` delivers until it returns 0."""
    view = memoryview(bytearray(CHUNK))
    sha, size = hashlib.sha256(), 0
    while count := read(view):
        sha.update(view[:count])
        size += count
        step(count)
    return sha.hexdigest(), size


def copy_all(read: Reader, out: int, step: Step, expected_size: int) -> tuple[str, int]:
    """Like `hash_all`, and the same bytes go to the descriptor `out`. Many of them are hashed on a second thread.

    Reading and writing cost about as much as hashing, so each of two cores gets one half.
    """
    if expected_size <= _RING * CHUNK:
        return _copy_few(read, out, step)
    pieces = HashedPieces(read, step)
    flushed = 0
    for piece in pieces:
        write_all(out, piece)
        if pieces.size - flushed >= _FLUSH_EVERY:
            _start_writeback(out, flushed, pieces.size - flushed)
            flushed = pieces.size
    return pieces.sha256, pieces.size


class HashedPieces:
    """What `read` delivers until it returns 0, hashed on a second thread at the same time. Each piece is good until the
    next one is asked for. `sha256` and `size` are those of all once the pieces have come to their end."""

    def __init__(self, read: Reader, step: Step) -> None:
        self.sha256, self.size = "", 0
        self._read, self._step = read, step

    def __iter__(self) -> Iterator[memoryview]:
        ring = [memoryview(bytearray(CHUNK)) for _ in range(_RING)]
        hasher, turn = _Hasher(), 0
        try:
            while True:
                hasher.free.acquire()
                view = ring[turn % _RING]
                if not (count := self._read(view)):
                    break
                hasher.queue.put(view[:count])
                self.size, turn = self.size + count, turn + 1
                yield view[:count]
                self._step(count)
        finally:
            self.sha256 = hasher.finish()


def _copy_few(read: Reader, out: int, step: Step) -> tuple[str, int]:
    view = memoryview(bytearray(CHUNK))
    sha, size = hashlib.sha256(), 0
    while count := read(view):
        write_all(out, view[:count])
        sha.update(view[:count])
        size += count
        step(count)
    return sha.hexdigest(), size


def write_all(out: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(out, view) :]


class _Hasher:
    """Hashes in turn what is put into `queue`, and releases `free` for each buffer that it has done with."""

    def __init__(self) -> None:
        self.free = threading.Semaphore(_RING)
        self.queue: SimpleQueue[memoryview | None] = SimpleQueue()
        self._sha = hashlib.sha256()
        self._thread = threading.Thread(target=self._run, name="pedigree-hasher", daemon=True)
        self._thread.start()

    def finish(self) -> str:
        self.queue.put(None)
        self._thread.join()
        return self._sha.hexdigest()

    def _run(self) -> None:
        while (view := self.queue.get()) is not None:
            self._sha.update(view)
            self.free.release()


def _start_writeback(fd: int, offset: int, length: int) -> None:
    """Has the kernel begin to bring these bytes to the disk, so that fsync is short in the end."""
    call = _sync_file_range()
    if call is not None:  # only advice: fsync decides
        call(fd, ctypes.c_int64(offset), ctypes.c_int64(length), ctypes.c_uint(_SYNC_FILE_RANGE_WRITE))


@functools.cache
def _sync_file_range() -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
