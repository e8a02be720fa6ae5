"""Several files at once, with little of it in memory, and one number that says how far all of them are."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from tfx_pedigree.progress import Progress

T = TypeVar("T")
R = TypeVar("R")

WORKERS = min(4, (os.cpu_count() or 1) + 1)


class Stopped(Exception):  # noqa: N818  not a refusal: it only unwinds work whose sibling has failed
    """Raised inside a worker after another one failed. It never leaves `spread`."""


class Meter:
    """Sums up what several threads have done and tells it from one thread at a time."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total = progress, total
        self._done, self._told = 0, False
        self._lock = threading.Lock()
        self.stopped = False

    def step(self, what: str) -> Callable[[int], None]:
        return lambda count: self.add(count, what)

    def add(self, count: int, what: str) -> None:
        with self._lock:
            if self.stopped:
                raise Stopped
            # Work done twice (a retry, a file that grew) must not carry `done` beyond `total`.
            self._done = min(self._total, self._done + count)
            self._told = self._done == self._total
            self._progress(self._done, self._total, what)

    def finish(self, what: str) -> None:
        with self._lock:
            if not self._told:
                self._progress(self._total, self._total, what)
                self._told = True


def spread(work: Callable[[T], R], items: Iterable[T], meter: Meter, workers: int = WORKERS) -> Iterator[tuple[T, R]]:
    """`(item, work(item))` in the order in which they finish. The first failure stops the others.

    At most a few times `workers` items are taken from `items` before their results are handed on.
    """
    source = iter(items)
    running: dict[Future[R], T] = {}
    with ThreadPoolExecutor(workers, thread_name_prefix="pedigree") as pool:
        try:
            while True:
                while len(running) < 4 * workers and (item := next(source, _END)) is not _END:
                    running[pool.submit(work, item)] = item  # type: ignore[arg-type,assignment]
                if not running:
                    return
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield running.pop(future), future.result()
        finally:
            meter.stopped = bool(running) or meter.stopped
            for future in running:
                future.cancel()


_END = object()
