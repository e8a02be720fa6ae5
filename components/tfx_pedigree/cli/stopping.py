"""How a command that goes on ends when somebody stops it: with Ctrl-C, or by a polite kill."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

_Handler = Callable[..., object]


@contextlib.contextmanager
def stopped_by_kill() -> Iterator[None]:
    """A polite kill is as Ctrl-C: subprocess.run kills what it waits for when it is left by an exception."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with _handling(stop, signal.SIGTERM):
        yield


@contextlib.contextmanager
def until_stopped() -> Iterator[threading.Event]:
    """The event is set when somebody stops the command, which then ends where it likes to."""
    stop = threading.Event()
    with _handling(lambda *_: stop.set(), signal.SIGTERM, signal.SIGINT):
        yield stop


@contextlib.contextmanager
def _handling(handler: _Handler, *signals: signal.Signals) -> Iterator[None]:
    before = {one: signal.signal(one, handler) for one in signals}
    try:
        yield
    finally:
        for one, handled in before.items():
            signal.signal(one, handled)
