"""Threads that work for an event loop: each caller gets the answer to its own question, or what it raised."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from server_testing import in_own_loop
from tfx_pedigree.server.threads import Threads


def test_everybody_gets_their_own_answer_and_no_more_threads_are_started_than_allowed() -> None:
    threads, used = Threads(3, "three"), set()

    def work(number: int, *, twice: int) -> int:
        used.add(threading.current_thread().name)
        return number * twice

    async def ask() -> list[int]:
        return await asyncio.gather(*(threads.run(work, number, twice=2) for number in range(200)))

    assert in_own_loop(ask()) == [number * 2 for number in range(200)]
    assert used <= {"three-0", "three-1", "three-2"}
    threads.close()


def test_work_goes_on_in_another_thread_while_one_waits() -> None:
    threads, free = Threads(2, "two"), threading.Event()

    async def both() -> tuple[bool, None]:
        return await asyncio.gather(threads.run(free.wait, 60), threads.run(free.set))

    assert in_own_loop(both()) == [True, None]
    threads.close()


def test_what_is_raised_reaches_the_caller_and_the_thread_goes_on() -> None:
    threads = Threads(1, "one")

    async def both() -> str:
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0)
        return await threads.run(str, 7)

    assert in_own_loop(both()) == "7"
    threads.close()


def test_a_caller_that_gave_up_and_a_loop_that_ended_harm_nobody_else() -> None:
    threads, free = Threads(1, "one"), threading.Event()

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(threads.run(free.wait, 60), 0.01)

    in_own_loop(give_up())  # the work goes on, and its loop is gone when it ends
    free.set()
    assert in_own_loop(threads.run(str, 8)) == "8"
    threads.close()


def test_closing_waits_for_work_in_progress_and_refuses_more() -> None:
    threads, begun, done = Threads(1, "one"), threading.Event(), []

    def work() -> None:
        begun.set()
        time.sleep(0.05)
        done.append(1)

    async def ask() -> None:
        asked = asyncio.ensure_future(threads.run(work))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        threads.close()
        assert done == [1]
        await asked
        with pytest.raises(RuntimeError, match="ended"):
            await threads.run(work)

    in_own_loop(ask())
