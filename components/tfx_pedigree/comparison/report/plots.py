"""Plots as one small SVG per table row. Positions are shares of the width and marks have a fixed size in pixels, so a
plot is as sharp and as legible on a phone as on a wall, and its labels are the table's own text.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tfx_pedigree.comparison.numbers import Interval
from tfx_pedigree.comparison.wording import number
from tfx_pedigree.html import Markup, el

_MIDDLE = 12
_MARGIN = 3.0
_LARGEST = sys.float_info.max
# Below this, a tenth of a number is no longer exact, or nothing at all.
_FINEST = sys.float_info.min * 1e3


@dataclass(frozen=True)
class Scale:
    """From numbers to a place between the left and the right edge."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[float]) -> Scale | None:
        """Covers all finite ones with a little air; None if there is none."""
        finite = [value for value in values if math.isfinite(value)]
        if not finite:
            return None
        low, high = min(finite), max(finite)
        if low == high:
            air = abs(low) * 0.1 or 1.0
            return cls(max(low - air, -_LARGEST), min(high + air, _LARGEST))
        return cls(low, high)

    def at(self, value: float) -> str:
        """As a percentage. The halves are taken first: the span of two large numbers may be none."""
        span = self.high / 2 - self.low / 2
        share = (value / 2 - self.low / 2) / span if span else 0.5
        return f"{_MARGIN + (100 - 2 * _MARGIN) * min(max(share, 0.0), 1.0):.2f}%"

    def ticks(self) -> list[float]:
        """Two to five round numbers inside; none where floating-point numbers are too large or too small for them."""
        span = self.high - self.low
        if not math.isfinite(span) or span < _FINEST:
            return []
        step = 10 ** math.floor(math.log10(span / 2.5))
        step *= next((factor for factor in (1, 2, 5) if span / (step * factor) <= 4.5), 10)
        first = math.ceil(self.low / step)
        return [round(index * step, 12) for index in range(first, first + 6) if index * step <= self.high]


@dataclass(frozen=True)
class Dot:
    """`kind` names a colour: new, old, good, bad or none. A hollow dot stands for the champion."""

    value: float
    kind: str
    interval: Interval | None = None
    hollow: bool = False


def dots_row(scale: Scale, dots: Sequence[Dot], label: str, zero: bool = False) -> Markup:
    """Values with their intervals on one line; `label` says the same in words."""
    marks = [el("line", x1="0", x2="100%", y1=_MIDDLE, y2=_MIDDLE, class_="axis")]
    if zero:
        marks.append(el("line", x1=scale.at(0), x2=scale.at(0), y1=1, y2=23, class_="zero"))
    for dot in dots:
        marks += _dot(scale, dot)
    return _row(label, marks)


def _dot(scale: Scale, dot: Dot) -> list[Markup]:
    if not math.isfinite(dot.value):
        return []
    marks = []
    if dot.interval is not None and all(map(math.isfinite, dot.interval)):
        low, high = map(scale.at, dot.interval)
        marks.append(el("line", x1=low, x2=high, y1=_MIDDLE, y2=_MIDDLE, class_=f"s-{dot.kind}", stroke_width=2.5))
        for end in (low, high):
            marks.append(el("line", x1=end, x2=end, y1=8, y2=16, class_=f"s-{dot.kind}", stroke_width=1.5))
    paint = f"hollow s-{dot.kind}" if dot.hollow else f"f-{dot.kind}"
    marks.append(el("circle", cx=scale.at(dot.value), cy=_MIDDLE, r=5, class_=paint, stroke_width=2))
    return marks


def axis_row(scale: Scale, label: str) -> Markup:
    marks = [el("line", x1="0", x2="100%", y1=20, y2=20, class_="axis")]
    for tick in scale.ticks():
        at = scale.at(tick)
        marks.append(el("line", x1=at, x2=at, y1=17, y2=23, class_="zero"))
        marks.append(el("text", number(tick), x=at, y=12, text_anchor="middle"))
    return _row(label, marks)


def bar_row(share_of_width: float, from_to: tuple[float, float] | None, end: float, kind: str, label: str) -> Markup:
    """A bar to the median, the middle half of all calls as a box over it, and a tick at the 95th percentile.

    All are shares of the widest one in the plot.
    """
    marks = [
        el("rect", x="0", y=9, width="100%", height=6, rx=3, class_="track"),
        el("rect", x="0", y=9, width=_percent(share_of_width), height=6, rx=3, class_=f"f-{kind}"),
    ]
    if from_to is not None:
        low, high = from_to
        marks.append(
            el(
                "rect",
                x=_percent(low),
                y=5,
                width=_percent(max(high - low, 0.004)),
                height=14,
                rx=2,
                class_=f"f-{kind}",
                opacity=0.35,
            )
        )
    marks.append(el("line", x1=_percent(end), x2=_percent(end), y1=3, y2=21, class_=f"s-{kind}", stroke_width=2.5))
    return _row(label, marks)


def legend_dot(kind: str, hollow: bool = False) -> Markup:
    paint = f"hollow s-{kind}" if hollow else f"f-{kind}"
    marks = [
        el("line", x1=1, x2=25, y1=6, y2=6, class_=f"s-{kind}", stroke_width=2.5),
        el("circle", cx=13, cy=6, r=5, class_=paint, stroke_width=2),
    ]
    return el("svg", marks, viewBox="0 0 26 13", aria_hidden="true")


def mark(verdict: str) -> Markup:
    """A tick, a cross or a question mark in a disc, so that the colour is not the only sign."""
    shapes = {
        "PASS": el("path", d="M7 12.5l3.5 3.5L17.5 8.5", fill="none", stroke_width=2.6, class_="stroke"),
        "FAIL": el("path", d="M8 8l8 8M16 8l-8 8", fill="none", stroke_width=2.6, class_="stroke"),
    }
    question = el(
        "path",
        d="M8.8 9.2a3.2 3.2 0 1 1 4.6 2.9c-.9.5-1.4 1-1.4 2M12 17.2v.2",
        fill="none",
        stroke_width=2.4,
        class_="stroke",
    )
    kind = {"PASS": "good", "FAIL": "bad"}.get(verdict, "unsure")
    disc = el("circle", cx=12, cy=12, r=11, class_=f"disc-{kind}")
    return el("svg", disc, shapes.get(verdict, question), class_="mark", viewBox="0 0 24 24", aria_hidden="true")


def _row(label: str, marks: Sequence[Markup]) -> Markup:
    return el("svg", el("title", label), marks, class_="row", role="img", aria_label=label)


def _percent(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0) * 100:.2f}%" if math.isfinite(share) else "0%"
