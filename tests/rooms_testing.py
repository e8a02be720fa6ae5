"""Which tests are quick and stay in their process, and which are not.

`tests/unit/` holds tests that run in one process, in milliseconds. `tests/system/` has the same rooms, for what starts
another process or program (a browser, a server, git, a drill with `kill -9`), waits, or computes for seconds. One such
test in a file of quick ones has the mark `system`; each case that is run on PostgreSQL or S3 gets it here.

A test without the mark fails when it starts a process or sleeps: so the difference stays true.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
# Fixtures and parameters with which PostgreSQL or an S3 server is started: the same is tested on SQLite and on a disk.
SERVERS = {"postgres_server", "s3_options", "postgresql", "s3"}
# What starts another process, as Python's audit hooks name it.
STARTS = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.system"}
LONGEST_SLEEP = 0.5
ADVICE = """\
This test {}.
The tests of tests/unit stay in their process and do not wait. Move it to tests/system; one test among many quick ones
may stay, with the mark: @pytest.mark.system"""


def mark(item: pytest.Item) -> None:
    parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
    words = [*getattr(item, "fixturenames", ()), *(one for one in parameters if isinstance(one, str))]
    if item.path.is_relative_to(TESTS / "system") or not SERVERS.isdisjoint(words):
        item.add_marker("system")


def is_quick(item: pytest.Item) -> bool:
    return item.path.is_relative_to(TESTS / "unit") and item.get_closest_marker("system") is None


_seen: list[str] | None = None


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    if event in STARTS:
        _seen.append(f"starts a process: {event}{str(arguments)[:200]}")
    # Told from Python 3.11 on. Threads of a server may wait as they like.
    elif event == "time.sleep" and arguments[0] >= LONGEST_SLEEP and _in_main_thread():
        _seen.append(f"sleeps for {arguments[0]} s")


sys.addaudithook(_look)


@contextlib.contextmanager
def watching(item: pytest.Item) -> Iterator[None]:
    """From the first fixture to the last."""
    global _seen  # noqa: PLW0603  a hook for audits is there once, and for ever
    _seen = [] if is_quick(item) else None
    try:
        yield
    finally:
        _seen = None


def complain() -> None:
    if _seen:
        pytest.fail(ADVICE.format(_seen[0]), pytrace=False)
