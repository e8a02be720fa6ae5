"""Which windows of time are to be asked for, and of which champion each is. Pure.

Law: a window that was observed is never due again, one that is not over yet never is, and nothing depends on when or
how often somebody asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from tfx_pedigree.registry import ChampionPeriod

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, order=True)
class Window:
    began_at: datetime
    ended_at: datetime


def ended(now: datetime, *, every: timedelta, delay: timedelta, history: timedelta) -> tuple[Window, ...]:
    """Oldest first: those that ended `delay` ago or longer, and not longer than `history`."""
    last = (now - delay - _EPOCH) // every
    first = -((_EPOCH - (now - delay - history)) // every)  # rounded up
    return tuple(Window(_EPOCH + (at - 1) * every, _EPOCH + at * every) for at in range(max(first, 1), last + 1))


def unobserved(
    windows: Sequence[Window], held: Collection[tuple[Window, str]], metrics: Collection[str]
) -> Iterator[tuple[Window, tuple[str, ...]]]:
    """Each window with the metrics that nobody has observed in it."""
    for window in windows:
        missing = tuple(name for name in metrics if (window, name) not in held)
        if missing:
            yield window, missing


def champion_of(window: Window, periods: Sequence[ChampionPeriod]) -> str | None:
    """The one that was champion for all of the window; None where it changed, or there was none."""
    for one in periods:
        if one.began_at <= window.began_at and (one.ended_at is None or window.ended_at <= one.ended_at):
            return one.version
    return None
