"""A manager that dies at one of its effects: just before or just after each call that changes something outside."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

Effect = tuple[Any, str]
FILES: tuple[Effect, ...] = ((Path, "replace"), (Path, "rename"))


class DeathError(BaseException):
    """Nothing of ours catches it."""


class Deaths:
    """Counts the effects; the points 2n and 2n + 1 lie before and after the effect n. Only those of the manager's own
    thread: files are brought by another, which dies with the process and leaves nothing that could be seen."""

    def __init__(self, effects: Iterable[Effect], patching: pytest.MonkeyPatch) -> None:
        self._counted = itertools.count()
        self._die_at: int | None = None
        self.reached = 0
        for owner, name in effects:
            patching.setattr(owner, name, self._wrapped(getattr(owner, name)))

    def arm(self, point: int | None) -> None:
        self._counted, self._die_at = itertools.count(), point

    def _wrapped(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def effect(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return real(*arguments, **named)
            number = next(self._counted)
            self.reached = number + 1
            if self._die_at == 2 * number:
                raise DeathError
            result = real(*arguments, **named)
            if self._die_at == 2 * number + 1:
                raise DeathError
            return result

        return effect
