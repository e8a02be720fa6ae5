"""Charts as SVG, made here: they need no script, print, and say the same in a title; a table stands beside each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tfx_pedigree.comparison.report.plots import Scale
from tfx_pedigree.comparison.wording import number
from tfx_pedigree.html import Markup, el
from tfx_pedigree.text import format_minute

_WIDE, _HIGH = 1200, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 14, 34
_NARROWEST = 3.0


@dataclass(frozen=True)
class Point:
    """A value of one version. `kind` is new, old or none (which colour), `href` its page."""

    name: str
    value: float
    interval: tuple[float, float] | None
    kind: str
    href: str
    said: str


@dataclass(frozen=True)
class Bar:
    """A time in production. `back` marks that it began with a rollback."""

    name: str
    began: datetime
    ended: datetime | None
    back: bool
    href: str
    said: str


def series(points: Sequence[Point], label: str) -> Markup | None:
    """Oldest on the left. Nothing where no value is a number."""
    finite = [one for one in points if math.isfinite(one.value)]
    scale = Scale.over([end for one in finite for end in (one.value, *_ends(one))])
    if not finite or scale is None:
        return None
    step = (_WIDE - _LEFT - _RIGHT) / len(points)
    place = {one.name: _LEFT + step * (at + 0.5) for at, one in enumerate(points)}
    marks = [_ruler(scale, tick) for tick in scale.ticks()]
    way = "L".join(f"{place[one.name]:.1f} {_y(scale, one.value):.1f}" for one in finite)
    marks.append(el("path", d=f"M{way}", class_="way"))
    every = math.ceil(len(points) / 16)
    for at, one in enumerate(points):
        if math.isfinite(one.value):
            marks.append(_dot(scale, place[one.name], one))
        if (len(points) - 1 - at) % every == 0:
            marks.append(el("text", one.name, x=place[one.name], y=_HIGH - 12, text_anchor="middle"))
    return _svg(label, marks, _HIGH)


def _dot(scale: Scale, x: float, one: Point) -> Markup:
    y = _y(scale, one.value)
    parts = [el("title", one.said)]
    if ends := _ends(one):
        low, high = (_y(scale, end) for end in ends)
        parts.append(el("line", x1=x, x2=x, y1=low, y2=high, class_=f"s-{one.kind}", stroke_width=2))
    parts.append(el("circle", cx=x, cy=y, r=5, class_=f"f-{one.kind}"))
    return el("a", parts, href=one.href, aria_label=one.said)


def _ruler(scale: Scale, tick: float) -> Markup:
    y = _y(scale, tick)
    return el(
        "g",
        el("line", x1=_LEFT, x2=_WIDE - _RIGHT, y1=y, y2=y, class_="axis"),
        el("text", number(tick), x=_LEFT - 8, y=y + 4, text_anchor="end"),
        # For a narrow screen, which shows this end first.
        el("text", number(tick), x=_WIDE - _RIGHT, y=y - 4, text_anchor="end", class_="again"),
    )


def _y(scale: Scale, value: float) -> float:
    span = scale.high / 2 - scale.low / 2
    share = (value / 2 - scale.low / 2) / span if span else 0.5
    return _HIGH - _BOTTOM - (_HIGH - _TOP - _BOTTOM) * (0.06 + 0.88 * min(max(share, 0.0), 1.0))


def _ends(one: Point) -> tuple[float, ...]:
    return one.interval if one.interval is not None and all(map(math.isfinite, one.interval)) else ()


def timeline(bars: Sequence[Bar], now: datetime, label: str) -> Markup | None:
    """Who was champion when, oldest on the left; where a time began with a rollback, an arrow says so."""
    if not bars:
        return None
    first, now = min(one.began for one in bars), max(now, *(one.began for one in bars))
    whole = max((now - first).total_seconds(), 1.0)

    def x(moment: datetime) -> float:
        return 8 + (_WIDE - 16) * (moment - first).total_seconds() / whole

    marks = []
    for at, one in enumerate(sorted(bars, key=lambda bar: bar.began)):
        left, right = x(one.began), x(one.ended or now)
        wide = max(right - left - 1, _NARROWEST)
        kind = "now" if one.ended is None else f"past{at % 2}"
        parts = [el("title", one.said), el("rect", x=left, y=26, width=wide, height=30, rx=3, class_=f"reign {kind}")]
        if wide > 9 * len(one.name):
            parts.append(el("text", one.name, x=left + wide / 2, y=45, text_anchor="middle", class_=f"on-{kind}"))
        if one.back:
            parts.append(el("text", "↩", x=left + 1, y=20, class_="back"))
        marks.append(el("a", parts, href=one.href, aria_label=one.said))
    marks += [
        el("text", format_minute(first)[:10], x=8, y=74),
        el("text", "now", x=_WIDE - 8, y=74, text_anchor="end"),
    ]
    return _svg(label, marks, 80)


def _svg(label: str, marks: Sequence[Markup], high: int) -> Markup:
    """A group and no picture: what is in it can be followed."""
    return el("svg", marks, viewBox=f"0 0 {_WIDE} {high}", role="group", aria_label=label, class_="chart")
