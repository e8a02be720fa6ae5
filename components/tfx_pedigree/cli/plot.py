"""A series of observations drawn with characters. Pure: a series goes in, lines of at most `width` columns come out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tfx_pedigree.text import format_minute, plural

if TYPE_CHECKING:
    from tfx_pedigree.registry import ChampionPeriod
    from tfx_pedigree.service.performance import Series

_ROWS = 9
_LABEL = 11
_DOT, _LEVEL, _BEGINS = "●", "┄", "│"


def plot(series: Series, reigns: Sequence[ChampionPeriod], width: int) -> list[str]:
    """Values by the time at which they ended; of several in one column the mean. A line marks the champion's level
    before it served, and the last row which version was champion."""
    points, columns = series.points, max(width - _LABEL - 2, 7)
    first = min(one.ended_at for one in points)
    last = max(*(one.ended_at for one in points), first + timedelta(seconds=1))
    values = _columns([(one.ended_at, one.value) for one in points], first, last, columns)
    level = series.level.value if series.level else None
    low, high = _range([value for value in values if value is not None], level)
    rows = [[" "] * columns for _ in range(_ROWS)]
    if level is not None:
        rows[_row(level, low, high)] = [_LEVEL] * columns
    for at, value in enumerate(values):
        if value is not None:
            rows[_row(value, low, high)][at] = _DOT
    labels = {0: f"{high:.4g}", _ROWS - 1: f"{low:.4g}", _ROWS // 2: f"{low / 2 + high / 2:.4g}"}
    drawn = [f"{labels.get(at, ''):>{_LABEL}} ┤{''.join(row)}".rstrip() for at, row in enumerate(rows)]
    ends = format_minute(first)[:10], format_minute(last)[:10]
    times = f"{ends[0]}{ends[1]:>{columns - len(ends[0])}}" if columns > 2 * len(ends[0]) else ends[0][:columns]
    below = " " * (_LABEL + 2)
    return [_heading(series), *drawn, f"{below}{times}", f"{below}{_champions(reigns, first, last, columns)}".rstrip()]


def _heading(series: Series) -> str:
    newest, level = series.points[-1], series.level
    text = f"{series.metric}: {newest.value:.6g} of {newest.version} at last, {plural(len(series.points), 'value')}"
    if level is None:
        return f"{text}; no level of the champion is on file"
    kind = "its evidence" if level.of_evidence else "its registration"
    return f"{text}; {_LEVEL} {level.value:.6g}, {level.version} in {kind}"


def _place(when: datetime, first: datetime, last: datetime, columns: int) -> int:
    return min(max(int((when - first) / (last - first) * columns), 0), columns - 1)


def _columns(
    points: Sequence[tuple[datetime, float]], first: datetime, last: datetime, columns: int
) -> list[float | None]:
    held: list[list[float]] = [[] for _ in range(columns)]
    for when, value in points:
        held[_place(when, first, last, columns)].append(value)
    return [sum(value / len(values) for value in values) if values else None for values in held]


def _range(values: Sequence[float], level: float | None) -> tuple[float, float]:
    low, high = min(values), max(values)
    if level is not None:
        low, high = min(low, level), max(high, level)
    if low < high:
        return low, high
    around = abs(low) * 0.1 or 1.0
    return max(low - around, -sys.float_info.max), min(high + around, sys.float_info.max)


def _row(value: float, low: float, high: float) -> int:
    """Halves are taken first: the span of two large numbers may be none."""
    span = high / 2 - low / 2
    share = (value / 2 - low / 2) / span if span else 0.5
    return _ROWS - 1 - min(max(round(share * (_ROWS - 1)), 0), _ROWS - 1)


def _champions(reigns: Sequence[ChampionPeriod], first: datetime, last: datetime, columns: int) -> str:
    """Each name where its time begins, cut where the next one does."""
    row = [" "] * columns
    for one in sorted(reigns, key=lambda period: period.began_at):
        if one.began_at > last or (one.ended_at is not None and one.ended_at < first):
            continue
        at = _place(one.began_at, first, last, columns)
        until = columns if one.ended_at is None else _place(one.ended_at, first, last, columns) + 1
        row[at:until] = list(f"{_BEGINS}{one.version}".ljust(until - at)[: until - at])
    return "".join(row)
