"""How a model did while it served, as a picture and as a page of HTML that needs nothing beside it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tfx_pedigree.comparison.report.plots import Scale
from tfx_pedigree.comparison.wording import number
from tfx_pedigree.html import Markup, el
from tfx_pedigree.registry import ChampionPeriod, Observation
from tfx_pedigree.service.performance import Performance, Series
from tfx_pedigree.text import format_minute, plural

_WIDE, _HIGH = 1200, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 28, 34
_POINTED_AT = 200
_NAMED = 60.0  # a band that is narrower has no room for its name
_GREY = "Grey dots are of versions that were not champion then."
_STYLE = (
    ":root{--ink:#1f2328;--muted:#59636e;--line:#d1d9e0;--card:#fff;--band:#eaf2fb;--dot:#0550ae;--level:#9a3412}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--muted:#9da7b3;--line:#30363d;--card:#0d1117;"
    "--band:#16233a;--dot:#79b8ff;--level:#ffa657}}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;color:var(--ink);"
    "background:var(--card)}h2{margin-top:2rem}.note{color:var(--muted)}"
    ".scroll{overflow-x:auto}svg.chart{width:100%;min-width:62rem;height:auto}"
    ".chart .again{display:none}.chart text{fill:var(--muted);font-size:13px}.chart .axis{stroke:var(--line)}"
    ".chart .band{fill:var(--band)}.chart .band1{fill-opacity:.45}.chart .way{fill:none;stroke:var(--dot);"
    "stroke-width:1.5}.chart .f-new{fill:var(--dot)}.chart .f-none{fill:var(--muted)}"
    ".chart .s-new{stroke:var(--dot)}.chart .s-none{stroke:var(--muted)}"
    ".chart .level{stroke:var(--level);stroke-dasharray:6 4;"
    "stroke-width:1.5}table{border-collapse:collapse;width:100%}caption{text-align:left;color:var(--muted)}"
    "th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line);font-weight:400}"
    "thead th{font-weight:650}td.n{font-variant-numeric:tabular-nums}"
)


def performance_as_html(found: Performance) -> str:
    name = f"{found.model}: observed performance"
    head = (el("meta", charset="utf-8"), el("meta", name="viewport", content="width=device-width"), el("title", name))
    body = [el("h1", name)]
    if not found.series:
        body.append(el("p", "Nothing was observed of this model yet."))
    for series in found.series:
        body.append(_section(series, found.reigns))
    if found.more:
        body.append(el("p", "There are older observations that are not shown.", class_="note"))
    page = el("html", el("head", *head, el("style", Markup(_STYLE))), el("body", el("main", *body)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _section(series: Series, reigns: Sequence[ChampionPeriod]) -> Markup:
    label = f"{series.metric} over time"
    count = plural(len(series.points), "value")
    rows = el(
        "div", table_of(series, reigns), class_="scroll", tabindex="0", role="region", aria_label=f"{label}, table"
    )
    table = el("details", el("summary", f"{count} as a table"), rows)
    picture = el("div", drawing(series, reigns), class_="scroll", tabindex="0", role="region", aria_label=label)
    return el("section", el("h2", series.metric), el("p", told_level(series), class_="note"), picture, table)


def told_level(series: Series) -> str:
    level = series.level
    if level is None:
        return f"No value of the champion is on file to compare with. {_GREY}"
    where = "in the evidence by which it was judged" if level.of_evidence else "when it was registered"
    return f"The dashed line is the champion {level.version} at {number(level.value)}, {where}. {_GREY}"


def table_of(series: Series, reigns: Sequence[ChampionPeriod]) -> Markup:
    head = ("From", "To", "Version", "Champion then", series.metric, "Examples", "Source")
    rows = (
        el(
            "tr",
            el("th", format_minute(one.began_at), scope="row"),
            el("td", format_minute(one.ended_at)),
            el("td", one.version),
            el("td", serving_at(reigns, one.ended_at) or "–"),
            el("td", number(one.value), class_="n"),
            el("td", "–" if one.examples is None else f"{one.examples:,}", class_="n"),
            el("td", one.source),
        )
        for one in reversed(series.points)
    )
    heads = el("thead", el("tr", *(el("th", name, scope="col") for name in head)))
    return el("table", el("caption", f"{series.metric}, newest first"), heads, el("tbody", *rows))


def serving_at(reigns: Sequence[ChampionPeriod], when: datetime) -> str | None:
    """The version that was champion then, as far as the times say."""
    for one in reigns:
        if one.began_at <= when:
            return one.version if one.ended_at is None or one.ended_at > when else None
    return None


# The picture


class _Placed(NamedTuple):
    """A value at the middle of its time, with its place in the picture."""

    one: Observation
    middle: datetime
    place: str


class _Frame:
    def __init__(self, series: Series) -> None:
        points = series.points
        self.first = min(one.began_at for one in points)
        self.last = max(points[-1].ended_at, self.first + timedelta(seconds=1))
        self._span = (self.last - self.first).total_seconds()
        level = [series.level.value] if series.level else []
        self.scale = Scale.over([*(one.value for one in points), *level]) or Scale(0, 1)

    def x(self, when: datetime) -> float:
        share = (when - self.first).total_seconds() / self._span
        return _LEFT + (_WIDE - _LEFT - _RIGHT) * (0.01 + 0.98 * min(max(share, 0.0), 1.0))

    def y(self, value: float) -> float:
        span = self.scale.high / 2 - self.scale.low / 2
        share = (value / 2 - self.scale.low / 2) / span if span else 0.5
        return _HIGH - _BOTTOM - (_HIGH - _TOP - _BOTTOM) * (0.06 + 0.88 * min(max(share, 0.0), 1.0))


def drawing(series: Series, reigns: Sequence[ChampionPeriod]) -> Markup:
    """Values over time, a line for each version; the champions' times are bands behind them."""
    frame = _Frame(series)
    marks = [*_bands(frame, reigns), *_rulers(frame)]
    if series.level:
        y = frame.y(series.level.value)
        marks.append(el("line", x1=_LEFT, x2=_WIDE - _RIGHT, y1=y, y2=y, class_="level"))
    placed = [_placed(frame, one) for one in series.points]
    by_version: dict[str, list[str]] = {}
    for at in placed:
        by_version.setdefault(at.one.version, []).append(at.place)
    marks += [el("path", d=f"M{'L'.join(places)}", class_="way seen") for places in by_version.values()]
    marks += _dots(frame, series.metric, placed, reigns)
    label = f"{series.metric}: {plural(len(series.points), 'value')} over time; the table says the same"
    return el("svg", marks, viewBox=f"0 0 {_WIDE} {_HIGH}", role="img", aria_label=label, class_="chart")


def _bands(frame: _Frame, reigns: Sequence[ChampionPeriod]) -> list[Markup]:
    marks = []
    for at, one in enumerate(reversed(reigns)):
        ended = one.ended_at or frame.last
        if ended < frame.first or one.began_at > frame.last:
            continue
        left, right = frame.x(one.began_at), frame.x(ended)
        said = f"{one.version} was champion from {format_minute(one.began_at)}"
        until = f" to {format_minute(one.ended_at)}" if one.ended_at else " on"
        box = {"x": left, "y": _TOP - 20, "width": max(right - left, 1.0), "height": _HIGH - _TOP - _BOTTOM + 20}
        marks.append(el("rect", **box, class_=f"band band{at % 2}"))
        if right - left >= _NAMED:
            middle = (left + right) / 2
            title = el("title", said + until)
            marks.append(el("text", title, one.version, x=middle, y=_TOP - 6, text_anchor="middle"))
    return marks


def _rulers(frame: _Frame) -> list[Markup]:
    marks = []
    for tick in frame.scale.ticks():
        y = frame.y(tick)
        marks.append(el("line", x1=_LEFT, x2=_WIDE - _RIGHT, y1=y, y2=y, class_="axis"))
        marks.append(el("text", number(tick), x=_LEFT - 8, y=y + 4, text_anchor="end"))
        # For a narrow screen, which shows this end first.
        marks.append(el("text", number(tick), x=_WIDE - _RIGHT, y=y - 4, text_anchor="end", class_="again"))
    marks.append(el("text", format_minute(frame.first), x=_LEFT, y=_HIGH - 10))
    marks.append(el("text", format_minute(frame.last), x=_WIDE - _RIGHT, y=_HIGH - 10, text_anchor="end"))
    return marks


def _placed(frame: _Frame, one: Observation) -> _Placed:
    middle = one.began_at + (one.ended_at - one.began_at) / 2
    return _Placed(one, middle, f"{frame.x(middle):.1f} {frame.y(one.value):.1f}")


def _dots(frame: _Frame, metric: str, placed: Sequence[_Placed], reigns: Sequence[ChampionPeriod]) -> list[Markup]:
    """Where there are so many that no pointer meets a single one, they are drawn in one stroke for each kind."""
    if len(placed) <= _POINTED_AT:
        return [_dot(frame, metric, at, reigns) for at in placed]
    strokes: dict[str, list[str]] = {}
    for at in placed:
        strokes.setdefault(_kind(at, reigns), []).append(f"M{at.place}h0")
    return [
        el("path", d="".join(places), class_=f"s-{kind}", stroke_width=5, stroke_linecap="round")
        for kind, places in sorted(strokes.items())
    ]


def _kind(at: _Placed, reigns: Sequence[ChampionPeriod]) -> str:
    return "new" if serving_at(reigns, at.middle) == at.one.version else "none"


def _dot(frame: _Frame, metric: str, at: _Placed, reigns: Sequence[ChampionPeriod]) -> Markup:
    one = at.one
    counted = "" if one.examples is None else f" on {plural(one.examples, 'example')}"
    said = f"{one.version}: {metric} {number(one.value)}{counted}, to {format_minute(one.ended_at)}"
    dot = el("circle", cx=frame.x(at.middle), cy=frame.y(one.value), r=4, class_=f"f-{_kind(at, reigns)}")
    return el("g", el("title", said), dot)
