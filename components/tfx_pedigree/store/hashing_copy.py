"""Bytes in motion: hashed, or hashed and written at the same time.

What is hashed is the very buffer that is written: the digest speaks of the copy even if the original changes.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import threading
from collections.abc import Callable
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
    ring = [memoryview(bytearray(CHUNK)) for _ in range(_RING)]
    hasher = _Hasher()
    size = turn = flushed = 0
    try:
        while True:
            hasher.free.acquire()
            view = ring[turn % _RING]
            if not (count := read(view)):
                break
            hasher.queue.put(view[:count])
            write_all(out, view[:count])
            size, turn = size + count, turn + 1
            if size - flushed >= _FLUSH_EVERY:
                _start_writeback(out, flushed, size - flushed)
                flushed = size
            step(count)
    finally:
        sha256 = hasher.finish()
    return sha256, size


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
