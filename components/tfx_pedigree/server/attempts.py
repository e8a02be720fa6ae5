"""How often somebody failed to say who he is, counted within bounds: no memory is filled by strangers."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from tfx_pedigree.errors import TooManyAttemptsError

MOST = 10
WINDOW = 60.0
_KEPT = 10_000


class FailedAttempts:
    """At most `most` failures of one name within a window. Names are addresses and the ids of tokens."""

    def __init__(self, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, name: str) -> None:
        with self._lock:
            began, count = self._failures.get(name, (0.0, 0))
        wait = began + WINDOW - self._clock()
        if count >= self._most and wait > 0:
            raise TooManyAttemptsError(
                f"There were {count} failed attempts in a minute, so this one was not looked at. "
                f"Try again in {int(wait) + 1} s."
            )

    def failed(self, name: str) -> None:
        with self._lock:
            now = self._clock()
            began, count = self._failures.pop(name, (now, 0))
            self._failures[name] = (began, count + 1) if began + WINDOW > now else (now, 1)
            if len(self._failures) > _KEPT:
                self._failures.popitem(last=False)
