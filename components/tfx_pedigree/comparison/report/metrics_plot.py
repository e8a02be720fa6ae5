"""The numbers: every metric with both models' values and intervals, and every slice by how much it changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tfx_pedigree.comparison.document import Comparison, MetricRow
from tfx_pedigree.comparison.metrics import Direction
from tfx_pedigree.comparison.numbers import Interval, MetricValue
from tfx_pedigree.comparison.report.plots import Dot, Scale, axis_row, dots_row, legend_dot
from tfx_pedigree.comparison.wording import grouped, number, percent, signed
from tfx_pedigree.html import Markup, breakable, el
from tfx_pedigree.text import natural

_NONE = "–"


def metrics_section(comparison: Comparison) -> Markup | None:
    rows = [row for row in comparison.metrics if row.slice.is_overall]
    if not rows:
        return None
    both = comparison.champion is not None and any(row.champion for row in rows)
    legend = [el("li", legend_dot("new"), f"challenger {comparison.challenger.version}")]
    if both and comparison.champion is not None:
        legend.append(el("li", legend_dot("old", hollow=True), f"champion {comparison.champion.version}"))
    labels = ["Metric", *(["Champion"] if both else []), "Challenger", *(["Change"] if both else []), "Plot"]
    return el(
        "section",
        el("h2", "Metrics on all examples"),
        el("ul", legend, class_="legend"),
        _table(labels, [_metric_row(row, both) for row in rows]),
        el("p", _intervals_note(comparison), " Each metric has its own scale.", class_="note"),
    )


def _intervals_note(comparison: Comparison) -> str:
    confidence = comparison.policy.confidence
    if confidence is None:
        return "The policy decides by the values; intervals are shown where they were measured."
    said = f"Whiskers are {percent(confidence)} intervals"
    return f"{said}; the paired interval of the change decides." if comparison.champion else f"{said}."


def _metric_row(row: MetricRow, both: bool) -> Markup:
    values = [one for one in (row.champion, row.challenger) if one is not None]
    scale = Scale.over([number_ for one in values for number_ in (one.value, *(one.interval or ()))])
    dots = []
    if row.champion is not None and both:
        dots.append(Dot(row.champion.value, "old", row.champion.interval, hollow=True))
    if row.challenger is not None:
        dots.append(Dot(row.challenger.value, "new", row.challenger.interval))
    cells = [el("th", breakable(row.metric), _arrow(row.direction), scope="row")]
    if both:
        cells.append(el("td", _value(row.champion), _ends(row.champion), class_="n", data_label="was"))
    cells.append(el("td", _value(row.challenger), _ends(row.challenger), class_="n", data_label="now"))
    if both:
        cells.append(el("td", _change(row), _ends(row.difference, signed), class_=f"n lead {_kind(row)}"))
    label = f"{row.metric}: {_value(row.champion)} to {_value(row.challenger)}" if both else row.metric
    cells.append(el("td", dots_row(scale, dots, label) if scale else "no number", class_="plot"))
    return el("tr", cells)


def slices_section(comparison: Comparison) -> Markup | None:
    names = list(dict.fromkeys(row.metric for row in comparison.metrics if not row.slice.is_overall))
    if not names:
        return None
    groups = {name: [row for row in comparison.metrics if row.metric == name] for name in names}
    first, *others = names
    return el(
        "section",
        el("h2", "Slices"),
        _slices(first, groups[first]),
        [el("details", el("summary", f"Slices of {name}"), _slices(name, groups[name])) for name in others],
    )


def _slices(metric: str, rows: Sequence[MetricRow]) -> Markup:
    """The overall row on top as the measure, then first the losses, then the gains, by what each takes from the whole
    or adds to it: its change as often as it has examples. So four examples do not stand above thousands."""
    ordered = sorted((row for row in rows if not row.slice.is_overall), key=_by_change)
    overall = [row for row in rows if row.slice.is_overall]
    if not any(row.champion for row in rows):
        return _values_only(metric, [*overall, *sorted(ordered, key=lambda row: natural(str(row.slice)))])
    gains = [_gain(row) for row in rows]
    spread = [end for row in rows if (ends := _gain_interval(row)) for end in ends]
    finite = [gain for gain in (*gains, *spread) if gain is not None and math.isfinite(gain)]
    scale = Scale.over([0.0, *finite]) if finite else None
    caption = el(
        "h3",
        f"Change of {metric} by slice",
        el(
            "span",
            " (to the right is better, grey is in doubt; losses first, each weighted by its examples)",
            class_="note",
        ),
    )
    labels = ["Slice", "Examples", "Champion", "Challenger", "Change"]
    axis = axis_row(scale, "the change, better to the right") if scale else ""
    return el("div", caption, _table(labels, [_slice_row(row, scale) for row in [*overall, *ordered]], axis))


def _values_only(metric: str, rows: Sequence[MetricRow]) -> Markup:
    values = [one for row in rows if (one := row.challenger)]
    scale = Scale.over([number_ for one in values for number_ in (one.value, *(one.interval or ()))])
    body = []
    for row in rows:
        label = f"{row.metric} on {row.slice}: {_value(row.challenger)}"
        one = row.challenger
        usable = scale is not None and one is not None and math.isfinite(one.value)
        plot = (
            dots_row(scale, [Dot(one.value, "new", one.interval)], label) if usable and scale and one else "no number"
        )
        body.append(
            el(
                "tr",
                el("th", breakable(str(row.slice)), scope="row"),
                el("td", _count(row), class_="n", data_label="examples"),
                el("td", _value(one), _ends(one), class_="n lead"),
                el("td", plot, class_="plot"),
            )
        )
    axis = axis_row(scale, f"scale of {metric}") if scale else ""
    return el("div", el("h3", f"{metric} by slice"), _table(["Slice", "Examples", "Challenger"], body, axis))


def _slice_row(row: MetricRow, scale: Scale | None) -> Markup:
    gain = _gain(row)
    label = f"{row.metric} on {row.slice}: change {_change(row)}"
    if scale is None or gain is None or not math.isfinite(gain):
        plot: Markup | str = "no number"
    else:
        plot = dots_row(scale, [Dot(gain, _kind(row) or "none", _gain_interval(row))], label, zero=True)
    return el(
        "tr",
        el("th", breakable(str(row.slice)), scope="row"),
        el("td", _count(row), class_="n", data_label="examples"),
        el("td", _value(row.champion), class_="n", data_label="was"),
        el("td", _value(row.challenger), class_="n", data_label="now"),
        el("td", _change(row), _ends(row.difference, signed), class_=f"n lead {_kind(row)}"),
        el("td", plot, class_="plot"),
    )


def _table(labels: Sequence[str], body: Sequence[Markup], axis: Markup | str | None = None) -> Markup:
    numeric = ("Examples", "Champion", "Challenger", "Change")
    head = [el("th", label, scope="col", class_="n" if label in numeric else None) for label in labels]
    if axis is not None:
        head.append(el("th", axis or "Plot", scope="col", class_="ruler"))
    return el("table", el("thead", el("tr", head)), el("tbody", body), class_="stack")


def _gain(row: MetricRow) -> float | None:
    """How much better; where no way is better, the plain change."""
    if row.difference is None:
        return None
    return -row.difference.value if row.direction is Direction.LOWER else row.difference.value


def _gain_interval(row: MetricRow) -> Interval | None:
    ends = row.difference.interval if row.difference else None
    if ends is None or not all(map(math.isfinite, ends)):
        return None
    return (-ends[1], -ends[0]) if row.direction is Direction.LOWER else ends


def _by_change(row: MetricRow) -> tuple[bool, bool, float, list[tuple[int, int, str]]]:
    gain = _gain(row)
    count = row.challenger.count if row.challenger else None
    usable = gain is not None and math.isfinite(gain)
    weight = 1 if count is None else count
    moved = gain * weight if gain is not None and usable else 0.0
    return not usable, moved >= 0, -abs(moved), natural(str(row.slice))


def _kind(row: MetricRow) -> str:
    """Better or worse, where the interval leaves no doubt of it."""
    gain, ends = _gain(row), _gain_interval(row)
    if row.direction is None or not gain or not math.isfinite(gain) or (ends and ends[0] <= 0 <= ends[1]):
        return ""
    return "good" if gain > 0 else "bad"


def _arrow(direction: Direction | None) -> Markup | None:
    if direction is None:
        return None
    sign = "↑" if direction is Direction.HIGHER else "↓"
    return el("span", f" {sign}", class_="muted", title=f"{direction.value} is better", aria_hidden="true")


def _value(value: MetricValue | None) -> str:
    return _NONE if value is None else number(value.value)


def _ends(value: MetricValue | None, form: Callable[[str], str] = str) -> Markup | None:
    """The interval in numbers, below the value."""
    if value is None or value.interval is None or not all(map(math.isfinite, value.interval)):
        return None
    low, high = (form(number(float(f"{end:.3g}"))) for end in value.interval)
    return el("span", f"{low} to {high}", class_="ends")


def _change(row: MetricRow) -> str:
    return _NONE if row.difference is None else signed(number(float(f"{row.difference.value:.3g}")))


def _count(row: MetricRow) -> str:
    count = row.challenger.count if row.challenger else None
    return _NONE if count is None else grouped(count)
