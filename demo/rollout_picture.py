"""The timeline of a demonstration as one HTML page: who got which share, what failed, and what was decided when."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Scale = Callable[[float], float]
WIDTH, LEFT, RIGHT = 1000.0, 60.0, 30.0
SHARES, FAILURES = (40.0, 200.0), (300.0, 90.0)  # top and height of both charts
COLOURS = ("#4c78a8", "#e45756", "#54a24b", "#b279a2")
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; color: #222; background: #fff }
svg { width: 100%; height: auto } text { font-size: 13px; fill: #444 } table { border-collapse: collapse }
td { padding: .15rem 1rem .15rem 0; vertical-align: top }
td:not(:last-child) { white-space: nowrap }
i { display: inline-block; width: .9em; height: .9em }
"""


@dataclass(frozen=True)
class Moment:
    """What was seen at one time: basis points of each version, and answers and failures since the moment before."""

    seconds: float
    shares: dict[str, int]
    answered: dict[str, int]
    failed: dict[str, int]


@dataclass(frozen=True)
class Mark:
    """Something that was decided, or done by a person."""

    seconds: float
    text: str


def write_picture(file: Path, moments: Sequence[Moment], marks: Sequence[Mark]) -> None:
    versions = sorted({version for one in moments for version in one.shares})
    colours = dict(zip(versions, COLOURS, strict=False))
    end = max(one.seconds for one in moments) or 1.0
    chart = _svg(moments, marks, colours, end)
    rows = "".join(
        f"<tr><td>{number}</td><td>{one.seconds:.1f} s</td><td>{html.escape(one.text)}</td></tr>"
        for number, one in enumerate(marks, 1)
    )
    keys = " &nbsp; ".join(
        f'<i style="background:{colours[version]}"></i> {html.escape(version)}: '
        f"{sum(one.answered.get(version, 0) for one in moments):,} answers, "
        f"{sum(one.failed.get(version, 0) for one in moments):,} failed"
        for version in versions
    )
    file.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Rollouts</title><style>{STYLE}</style>'
        f"<h1>Who answered, and what failed</h1><p>{keys}</p>{chart}<table>{rows}</table></html>\n",
        "utf-8",
    )


def _svg(moments: Sequence[Moment], marks: Sequence[Mark], colours: dict[str, str], end: float) -> str:
    def x(seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / end

    parts = [f'<svg viewBox="0 0 {WIDTH:.0f} 430" role="img" aria-label="Shares and failures over time">']
    top, height = SHARES
    for text, y in (("100 %", top), ("50 %", top + height / 2), ("0 %", top + height)):
        parts.append(f'<text x="{LEFT - 8:.0f}" y="{y + 4:.0f}" text-anchor="end">{text}</text>')
    below = [0.0] * len(moments)
    for version, colour in colours.items():
        above = [under + one.shares.get(version, 0) / 10_000 for under, one in zip(below, moments, strict=True)]
        parts.append(_area(moments, below, above, colour, x))
        below = above
    parts.append(_failures(moments, colours, x))
    for number, one in enumerate(marks, 1):
        at = x(one.seconds)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top - 8:.0f}" y2="390" stroke="#222" stroke-width=".7"/>')
        parts.append(f'<text x="{at:.1f}" y="{top - 14 - 12 * (number % 2):.0f}" text-anchor="middle">{number}</text>')
    for seconds in range(0, int(end) + 1, max(1, int(end / 8))):
        parts.append(f'<text x="{x(seconds):.0f}" y="415" text-anchor="middle">{seconds} s</text>')
    return "".join([*parts, "</svg>"])


def _area(moments: Sequence[Moment], below: list[float], above: list[float], colour: str, x: Scale) -> str:
    """In steps: a share holds until the next look found another one."""
    top, height = SHARES
    edges: list[list[str]] = []
    for heights in (above, below):
        edge = []
        for at, (moment, y) in enumerate(zip(moments, heights, strict=True)):
            if at:
                edge.append(f"{x(moment.seconds):.1f},{top + height * (1 - heights[at - 1]):.1f}")
            edge.append(f"{x(moment.seconds):.1f},{top + height * (1 - y):.1f}")
        edges.append(edge)
    points = [*edges[0], *reversed(edges[1])]
    return f'<polygon points="{" ".join(points)}" fill="{colour}" fill-opacity=".8"/>'


def _failures(moments: Sequence[Moment], colours: dict[str, str], x: Scale) -> str:
    """Bars: failed answers in each interval."""
    top, height = FAILURES
    most = max((count for one in moments for count in one.failed.values()), default=0) or 1
    parts = [
        f'<text x="{LEFT - 8:.0f}" y="{top + 4:.0f}" text-anchor="end">{most}</text>',
        f'<text x="{LEFT:.0f}" y="{top - 12:.0f}">failed answers</text>',
    ]
    for one in moments:
        for version, count in one.failed.items():
            if count:
                tall = height * count / most
                place = f'x="{x(one.seconds) - 1:.1f}" y="{top + height - tall:.1f}"'
                parts.append(f'<rect {place} width="2.5" height="{tall:.1f}" fill="{colours[version]}"/>')
    return "".join(parts)
