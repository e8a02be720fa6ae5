"""Threads that work for an event loop. `concurrent.futures` does the same with locks and a second future for each call,
which take several times as long as handing the work over."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _Job(NamedTuple):
    loop: AbstractEventLoop
    future: Future[Any]
    work: Callable[[], Any]


class Threads:
    """At most so many, each started when all others are at work. What is asked for is begun in that order."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._closed = False

    async def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Work that has begun ends, also where nobody waits for it any more."""
        if self._closed:
            raise RuntimeError("These threads have ended.")
        loop = asyncio.get_running_loop()
        future: Future[T] = loop.create_future()
        self._jobs.put(_Job(loop, future, functools.partial(function, *arguments, **named)))
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
            thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return await future

    def close(self) -> None:
        """Waits for the work in progress."""
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            result, error = None, None
            try:
                result = job.work()
            except BaseException as raised:  # noqa: BLE001  whoever waits gets it
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                job.loop.call_soon_threadsafe(_tell, job.future, result, error)
            del job, result, error  # while it waits, a thread holds nothing
            self._idle.release()


def _tell(future: Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
