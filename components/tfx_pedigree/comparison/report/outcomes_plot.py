"""What both models said of the same examples: confusion matrices, score histograms, calibration, ROC and precision.

Every plot has its numbers in a table or in words beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfx_pedigree.comparison.document import Comparison
from tfx_pedigree.comparison.outcomes import (
    BINS,
    Calibrated,
    Counts,
    ModelOutcomes,
    Outcomes,
    Point,
    share_interval,
    thinned,
)
from tfx_pedigree.comparison.report.plots import legend_dot
from tfx_pedigree.comparison.wording import grouped, number, percent
from tfx_pedigree.html import Markup, el

_LEFT, _TOP, _WIDE, _HIGH = 34, 8, 270, 190
_BARS = 25
# A matrix of more classes is scrolled on a phone.
_NARROW = 3


@dataclass(frozen=True)
class _Side:
    name: str
    kind: str
    said: ModelOutcomes


def outcomes_section(comparison: Comparison) -> Markup | None:
    found = comparison.outcomes
    if found is None:
        return None
    sides = [_Side(f"challenger {comparison.challenger.version}", "new", found.challenger)]
    if found.champion is not None and comparison.champion is not None:
        sides.append(_Side(f"champion {comparison.champion.version}", "old", found.champion))
    legend = [el("li", legend_dot(side.kind, hollow=side.kind == "old"), side.name) for side in sides]
    return el(
        "section",
        el("h2", f"What the {'models' if len(sides) > 1 else 'model'} said, and what was true"),
        el("ul", legend, class_="legend"),
        _matrices(found, sides),
        _plots(found, [side for side in sides if side.said.has_scores]),
    )


def _plots(found: Outcomes, sides: Sequence[_Side]) -> Markup | None:
    if not sides:
        return None
    several = found.classes > 2
    yes, no = ("the class was right", "the class was wrong") if several else ("truth is yes", "truth is no")
    figures = [
        _histogram(f"Scores where {yes}", sides, lambda said: said.positive),
        _histogram(f"Scores where {no}", sides, lambda said: said.negative),
        _calibration(sides, "was right" if several else "was yes"),
    ]
    curves = [side for side in sides if side.said.has_both]
    if curves and not several:
        figures.append(
            _curves("ROC", "false positive rate", "true positive rate", curves, ModelOutcomes.roc, diagonal=True)
        )
        figures.append(_curves("Precision and recall", "recall", "precision", curves, ModelOutcomes.precision_recall))
    note = f"The curves are drawn from {BINS} thresholds; the metrics above are computed from every score."
    return el("div", el("div", figures, class_="figures"), el("p", note, class_="note"), _calibration_table(sides))


def _matrices(found: Outcomes, sides: Sequence[_Side]) -> Markup | None:
    known = [side for side in sides if side.said.matrix]
    if not known:
        return None
    names = ("no", "yes") if found.classes == 2 else tuple(str(one) for one in range(found.classes))
    where = f", from a score of {number(found.threshold)} on" if found.classes == 2 else ""
    tables = [_matrix(side, names) for side in known]
    return el(
        "div",
        el("h3", f"Predicted against true{where}"),
        el("div", tables, class_="pair"),
        _per_class(known, names),
    )


def _matrix(side: _Side, names: Sequence[str]) -> Markup:
    head = [el("th", side.name, scope="col"), *(el("th", f"said {name}", scope="col", class_="n") for name in names)]
    body = [
        el("tr", el("th", f"is {name}", scope="row"), [_cell(row, at, true) for at in range(len(row))])
        for true, (name, row) in enumerate(zip(names, side.said.matrix, strict=True))
    ]
    table = el("table", el("thead", el("tr", head)), el("tbody", body), class_="matrix")
    if len(names) <= _NARROW:
        return table
    said = f"Confusion matrix of {side.name}"
    return el("div", table, class_="wide", tabindex="0", role="region", aria_label=said)


def _cell(row: Counts, at: int, true: int) -> Markup:
    total = sum(row)
    share = row[at] / total if total else 0.0
    kind = "hit" if at == true else "miss"
    part = el("span", percent(share), class_="note") if total else None
    return el("td", grouped(row[at]), part, class_=f"n {kind} h{round(share * 4)}")


def _per_class(sides: Sequence[_Side], names: Sequence[str]) -> Markup:
    """Recall and precision of each class with their intervals."""
    head = ["Class", "Model", "Examples", "Found (recall)", "Right where said (precision)"]
    body = []
    for at, name in enumerate(names):
        for side in sides:
            matrix = side.said.matrix
            hits, true, said = matrix[at][at], sum(matrix[at]), sum(row[at] for row in matrix)
            cells = [
                el("td", grouped(true), class_="n", data_label="examples"),
                el("td", _share(hits, true), class_="n", data_label="recall"),
                el("td", _share(hits, said), class_="n", data_label="precision"),
            ]
            body.append(el("tr", el("th", name, scope="row"), el("td", side.name), cells))
    cells = [el("th", text, scope="col", class_="n" if place > 1 else None) for place, text in enumerate(head)]
    table = el("table", el("thead", el("tr", cells)), el("tbody", body), class_="stack")
    return el("details", el("summary", "Each class, with intervals of 95 %"), table)


def _share(hits: int, count: int) -> str:
    if not count:
        return "–"
    low, high = share_interval(hits, count)
    return f"{percent(hits / count)} ({percent(low)} to {percent(high)})"


def _histogram(title: str, sides: Sequence[_Side], counts: Callable[[ModelOutcomes], Counts]) -> Markup:
    """Each model's own share, as a staircase: the two lie over each other."""
    width = BINS // _BARS
    shares = []
    for side in sides:
        found = counts(side.said)
        total = sum(found)
        bars = [sum(found[at : at + width]) / total if total else 0.0 for at in range(0, BINS, width)]
        shares.append((side, bars))
    top = max((share for _, bars in shares for share in bars), default=0.0) or 1.0
    marks = [_path(side, _stairs([share / top for share in bars]), filled=True) for side, bars in shares]
    said = "; ".join(f"{side.name}: {grouped(sum(counts(side.said)))} examples" for side in sides)
    return _figure(title, f"{title}: {said}", "score", f"share, up to {percent(top)}", marks, ("0", "0.5", "1"), ())


def _stairs(heights: Sequence[float]) -> list[Point]:
    step = 1 / len(heights)
    points = [(0.0, 0.0)]
    for at, height in enumerate(heights):
        points += [(at * step, height), ((at + 1) * step, height)]
    return [*points, (1.0, 0.0)]


def _calibration(sides: Sequence[_Side], word: str) -> Markup:
    marks = [_line(0, 0, 1, 1, "zero dashed")]
    for side in sides:
        groups = side.said.calibration()
        marks.append(_path(side, [(one.score, one.share) for one in groups]))
        for one in groups:
            low, high = one.interval
            marks += [_line(one.score, low, one.score, high, f"s-{side.kind}"), _spot(side, one)]
    said = "; ".join(f"{side.name}: {_said_groups(side.said.calibration())}" for side in sides)
    return _figure("Calibration", f"Calibration: {said}", "score", f"share that {word}", marks)


def _said_groups(groups: Sequence[Calibrated]) -> str:
    return ", ".join(f"{number(one.score)} → {number(one.share)}" for one in groups)


def _calibration_table(sides: Sequence[_Side]) -> Markup:
    head = [el("th", text, scope="col", class_="n" if text != "Model" else None) for text in _CALIBRATION]
    body = [
        el(
            "tr",
            el("th", side.name, scope="row"),
            el("td", number(one.score), class_="n", data_label="score"),
            el("td", _share(round(one.share * one.count), one.count), class_="n", data_label="share"),
            el("td", grouped(one.count), class_="n", data_label="examples"),
        )
        for side in sides
        for one in side.said.calibration()
    ]
    table = el("table", el("thead", el("tr", head)), el("tbody", body), class_="stack")
    return el("details", el("summary", "Calibration as numbers"), table)


_CALIBRATION = ("Model", "Mean score", "Share that was true", "Examples")


def _curves(  # noqa: PLR0917  what a plot of curves is made of
    title: str,
    across: str,
    up: str,
    sides: Sequence[_Side],
    points: Callable[[ModelOutcomes], list[Point]],
    diagonal: bool = False,
) -> Markup:
    marks = [_line(0, 0, 1, 1, "zero dashed")] if diagonal else []
    marks += [_path(side, thinned(points(side.said))) for side in reversed(sides)]
    said = "; ".join(f"{side.name}: {_ends(points(side.said))}" for side in sides)
    return _figure(title, f"{title}, {up} by {across}: {said}", across, up, marks)


def _ends(points: Sequence[Point]) -> str:
    """A few of the points in words."""
    few = points[:: max(1, len(points) // 6)]
    return ", ".join(f"{number(round(y, 3))} at {number(round(x, 3))}" for x, y in few)


def _figure(  # noqa: PLR0917  what a plot with two axes is made of
    title: str,
    said: str,
    across: str,
    up: str,
    marks: Sequence[Markup],
    ticks: Sequence[str] = ("0", "0.5", "1"),
    up_ticks: Sequence[str] = ("0", "0.5", "1"),
) -> Markup:
    frame = [_line(0, 0, 1, 0, "axis"), _line(0, 0, 0, 1, "axis"), _line(0, 1, 1, 1, "axis"), _line(1, 0, 1, 1, "axis")]
    labels = [
        el("text", text, x=_x(at / 2), y=_TOP + _HIGH + 16, text_anchor=("start", "middle", "end")[at])
        for at, text in enumerate(ticks)
    ]
    labels += [el("text", text, x=_LEFT - 6, y=_y(at / 2) + 4, text_anchor="end") for at, text in enumerate(up_ticks)]
    svg = el(
        "svg",
        el("title", said),
        frame,
        marks,
        labels,
        viewBox=f"0 0 {_LEFT + _WIDE + 10} {_TOP + _HIGH + 24}",
        role="img",
        aria_label=said,
        class_="figure",
    )
    return el("div", el("h3", title), el("p", f"{up} ↑, {across} →", class_="note"), svg)


def _path(side: _Side, points: Sequence[Point], filled: bool = False) -> Markup:
    steps = "L".join(f"{_x(x):.1f} {_y(y):.1f}" for x, y in points)
    shade = f" fill-{side.kind}" if filled else ""
    return el("path", d=f"M{steps}" if points else None, class_=f"curve s-{side.kind}{shade}")


def _spot(side: _Side, one: Calibrated) -> Markup:
    paint = "hollow s-old" if side.kind == "old" else "f-new"
    return el("circle", cx=_x(one.score), cy=_y(one.share), r=4, class_=paint, stroke_width=2)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return el("line", x1=_x(x1), y1=_y(y1), x2=_x(x2), y2=_y(y2), class_=kind)


def _x(share: float) -> float:
    return _LEFT + _WIDE * share


def _y(share: float) -> float:
    return _TOP + _HIGH * (1 - share)
