"""Mutual exclusion between manifests being written and objects being deleted, where there is no flock.

Each side first writes a lease object, then lists those of the other side. Object stores list what they
have acknowledged, so of two that begin at once at least one sees the other and steps back. A lease counts
for `LEASE` seconds by the object store's clock, then its owner is taken for dead. An owner that has slept for half
of that time gives up what it was doing.
"""

from __future__ import annotations

import functools
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.store.backend import Stored

LEASES = "leases"
LEASE = 600.0
PATIENCE = 60.0
"""Seconds for which one side waits for the other before it gives up."""


class LeaseStore(Protocol):
    url: str

    def stat(self, key: str) -> Stored | None: ...
    def write(self, key: str, data: bytes) -> None: ...
    def remove(self, key: str) -> None: ...
    def files(self, folder: str) -> Iterator[Stored]: ...


class Leases:
    def __init__(self, store: LeaseStore) -> None:
        self._store = store

    def shared(self) -> AbstractContextManager[Callable[[], None]]:
        return self._hold("put", ("gc",))

    def exclusive(self) -> AbstractContextManager[Callable[[], None]]:
        return self._hold("gc", ("put", "gc"))

    def server_time(self) -> float:
        """The object store's own clock, so that a wrong clock here cannot make young objects look old."""
        key = _new("clock")
        try:
            return self._write(key)
        finally:
            self._store.remove(key)

    def abandoned(self) -> Iterator[Stored]:
        """Leases whose owner is taken for dead."""
        before = self.server_time() - LEASE
        yield from (stored for stored in self._store.files(LEASES) if stored.modified <= before)

    @contextmanager
    def _hold(self, kind: str, against: tuple[str, ...]) -> Iterator[Callable[[], None]]:
        deadline = time.monotonic() + PATIENCE
        wait = 0.05
        while True:
            key = _new(kind)
            try:
                began = _clock()
                other = self._rival(key, against, self._write(key))
                if other is None:
                    yield functools.partial(self._check, began)
                    return
            finally:
                self._store.remove(key)
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"The store {self._store.url} is busy: {other} has not been removed by its owner. "
                    "Try again later; "
                    f"a lease whose owner died is ignored {LEASE / 60:.0f} minutes after it was written."
                )
            time.sleep(wait * (1 + secrets.randbelow(100) / 100))
            wait = min(2.0, wait * 2)

    def _write(self, key: str) -> float:
        self._store.write(key, f"{socket.gethostname()} {os.getpid()}\n".encode())
        stored = self._store.stat(key)
        return stored.modified if stored else time.time()

    def _rival(self, key: str, against: tuple[str, ...], now: float) -> str | None:
        for stored in self._store.files(LEASES):
            kind = stored.key.partition("/")[2].partition("-")[0]
            if kind in against and stored.key != key and stored.modified > now - LEASE:
                return stored.key
        return None

    def _check(self, began: float) -> None:
        if _clock() - began > LEASE / 2:
            raise UnavailableError(
                f"Work on the store {self._store.url} took so long that its lease may have expired. "
                "Nothing wrong was "
                "written. Try again."
            )


def _new(kind: str) -> str:
    return f"{LEASES}/{kind}-{os.getpid()}-{secrets.token_hex(8)}"


def _clock() -> float:
    """Seconds that also pass while the machine sleeps, where the system can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
