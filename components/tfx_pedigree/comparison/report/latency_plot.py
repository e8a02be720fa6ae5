"""How quick both models are: the middle, the middle half and the 95th percentile of all calls."""

from __future__ import annotations

import math

from tfx_pedigree.comparison.document import Comparison, Side
from tfx_pedigree.comparison.latency import LatencySummary
from tfx_pedigree.comparison.report.plots import bar_row
from tfx_pedigree.comparison.wording import number, percent
from tfx_pedigree.html import Markup, el

_LABELS = ("Model", "p50", "p95", "Slowest", "Plot")


def latency_section(comparison: Comparison) -> Markup | None:
    sides = [("champion", comparison.champion, "old"), ("challenger", comparison.challenger, "new")]
    timed = [(name, side, kind) for name, side, kind in sides if side is not None and side.latency is not None]
    if not timed:
        return None
    widest = max((side.latency.p95_ms for _, side, _ in timed if side.latency), default=0.0)
    body = [_row(name, side, side.latency, kind, widest) for name, side, kind in timed if side.latency]
    head = [el("th", label, scope="col", class_="n" if label not in ("Model", "Plot") else None) for label in _LABELS]
    return el(
        "section",
        el("h2", "Latency"),
        el("table", el("thead", el("tr", head)), el("tbody", body), class_="stack"),
        el("p", _note(comparison), class_="note"),
    )


def _row(name: str, side: Side, latency: LatencySummary, kind: str, widest: float) -> Markup:
    usable = math.isfinite(widest) and widest > 0
    label = f"{name} {side.version}: p50 {_ms(latency.p50_ms)}, p95 {_ms(latency.p95_ms)}"
    plot: Markup | str = "no number"
    if usable:
        box = (latency.p25_ms / widest, latency.p75_ms / widest)
        plot = bar_row(latency.p50_ms / widest, box, latency.p95_ms / widest, kind, label)
    return el(
        "tr",
        el("th", f"{name} {side.version}", scope="row"),
        el("td", _ms(latency.p50_ms), class_="n", data_label="p50"),
        el("td", _ms(latency.p95_ms), class_="n", data_label="p95"),
        el("td", _ms(latency.max_ms), class_="n", data_label="slowest"),
        el("td", plot, class_="plot"),
    )


def _note(comparison: Comparison) -> str:
    latency = comparison.challenger.latency
    said = "The bar ends at the median, the box is the middle half of the calls, the tick the 95th percentile."
    if latency is not None:
        turns = ", both models in turn" if comparison.champion and comparison.champion.latency else ""
        said += f" {latency.calls} calls with {latency.batch_size} rows each{turns}, after a warm-up."
    ratio = comparison.latency_ratio
    if ratio is not None:
        said += f" The challenger's p95 is {percent(ratio.value)} of the champion's"
        said += f" ({percent(ratio.interval[0])} to {percent(ratio.interval[1])})." if ratio.interval else "."
    return said


def _ms(value: float) -> str:
    return f"{number(value)} ms"
