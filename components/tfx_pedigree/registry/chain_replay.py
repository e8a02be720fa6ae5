"""Feeding a chain's events to steps, in order. Pure.

An event that the registry could not have written after those before it is a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.registry.events import Event

# What an event that does not follow from those before it makes a step raise.
_DOES_NOT_FOLLOW = (KeyError, ValueError, TypeError, AttributeError, IndexError, PedigreeError)
# These only tell: no row follows from them.
TELL_ONLY = ("refuse", "record-lineage", "retrain", "reproduce", "describe")


class ChainReplay:
    """Feeds events to steps. What cannot follow from the events before is told in `problems`, and left out."""

    def __init__(self, chain: str, steps: Mapping[str, Callable[[Event], None]]) -> None:
        self.chain = chain
        self.problems: list[str] = []
        self.last_at: datetime | None = None
        self._steps = steps

    def feed(self, event: Event) -> None:
        step = self._steps.get(event.action)
        if step is None:
            self._tell(event, f"has the unknown action {event.action!r}")
            return
        if self.last_at is not None and event.at <= self.last_at:
            self._tell(event, "is not later than the event before it")
        self.last_at = event.at
        try:
            step(event)
        except _DOES_NOT_FOLLOW:
            self._tell(event, "does not follow from those before")

    def _tell(self, event: Event, problem: str) -> None:
        self.problems.append(f"{self.chain}: event {event.position} ({event.action}) {problem}.")


def require(holds: bool) -> None:
    if not holds:
        raise ValueError("an event that the registry would not have written")
