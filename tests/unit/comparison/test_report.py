"""report.html: one file that needs nothing else, says the verdict first, and believes no text that it is given."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from comparison_testing import first_version, not_a_number, outcomes_of, retrained
from hypothesis import given, settings
from test_comparison_document import comparisons, golden, small

from tfx_pedigree.comparison import (
    CheckOutcome,
    Code,
    Comparison,
    Data,
    MetricRow,
    MetricValue,
    ModelOutcomes,
    Origin,
    Outcomes,
    Policy,
    Slice,
    render,
)
from tfx_pedigree.comparison.metrics import Direction
from tfx_pedigree.comparison.report.metrics_plot import metrics_section
from tfx_pedigree.comparison.report.plots import Scale
from tfx_pedigree.comparison.report.style import STYLE

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;\u202e</style></title>"
VOID = {"meta", "wbr"}
INLINE = {"code", "span"}
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "div", "span"),
    *("p", "h1", "h2", "h3", "dl", "dt", "dd", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"),
    *("details", "summary", "pre", "code", "wbr", "svg", "line", "rect", "circle", "path", "text"),
}


class Page(HTMLParser):
    """Reads a page strictly: what is opened is closed, in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.said: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag not in INLINE:
            self.said.append(" ")

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.said.append(data.replace("\u00a0", " "))
        if data.strip():
            self.texts.append((tuple(self.open), data))

    def text_of(self, tag: str) -> list[str]:
        return [text for path, text in self.texts if tag in path]

    @property
    def words(self) -> str:
        """The text as it is read: a name in `code` and a name that may be broken are one text with their sentence."""
        return "".join(self.said)


def many() -> Comparison:
    return retrained(slices=tuple(Slice((("carrier", f"C{index:02}"),)) for index in range(40)))


def bare() -> Comparison:
    return replace(
        retrained(policy=Policy("auc"), slices=()),
        flips=None,
        performance_delta=None,
        similarity=None,
        importance=None,
        changes=(),
        metrics=(),
    )


PAGES: list[Callable[[], Comparison]] = [small, retrained, first_version, not_a_number, many, bare]


@pytest.fixture(params=PAGES, ids=lambda make: make.__name__)
def comparison(request: pytest.FixtureRequest) -> Comparison:
    made: Comparison = request.param()
    return made


def test_the_golden_page() -> None:
    golden("report.html", render(small()))


def test_the_verdict_stands_on_top_in_one_sentence(comparison: Comparison) -> None:
    page = Page(render(comparison))
    paragraphs = page.text_of("body")
    decision = comparison.decision
    assert paragraphs[2].startswith(decision.verdict.value)
    assert decision.reason.replace("`", "") in page.words
    assert decision.reason.endswith(".")
    assert ". " not in decision.reason


def test_the_page_needs_nothing_beside_it_and_runs_nothing(comparison: Comparison) -> None:
    page = Page(render(comparison))
    assert {tag for tag, _ in page.tags} <= ALLOWED
    names = {name for _, attributes in page.tags for name in attributes}
    assert not names & {"src", "href", "srcset", "action", "data", "background", "poster"}
    assert not [name for name in names if name.startswith("on")]
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    policy = next(found["content"] for tag, found in page.tags if "http-equiv" in found)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_it_can_be_read_without_seeing_it(comparison: Comparison) -> None:
    page = Page(render(comparison))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("h1") == tags.count("main") == 1
    levels = [int(tag[1]) for tag in tags if tag in ("h1", "h2", "h3")]
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    for tag, attributes in page.tags:
        if tag == "th":
            assert attributes.get("scope") in ("col", "row")
        if tag == "svg" and attributes.get("aria-hidden") != "true":
            assert attributes.get("role") == "img"
            assert attributes.get("aria-label")
    pictures = sum(tag == "svg" and a.get("role") == "img" for tag, a in page.tags)
    assert pictures == len([1 for path, _ in page.texts if path[-2:] == ("svg", "title")])
    assert page.tags[0] == ("html", {"lang": "en"})


def test_every_check_is_told_with_its_outcome(comparison: Comparison) -> None:
    words = Page(render(comparison)).words
    for check in comparison.decision.checks:
        assert check.sentence.replace("`", "") in words
    signs = {CheckOutcome.HOLDS: "✓ holds", CheckOutcome.BROKEN: "✕ broken", CheckOutcome.UNKNOWN: "? unknown"}
    for outcome, sign in signs.items():
        assert words.count(sign) == sum(check.outcome is outcome for check in comparison.decision.checks)


def test_what_changed_is_told() -> None:
    words = Page(render(retrained())).words
    for expected in ("hidden_units", "not set", "64", "train, span 1", "train, span 2", "eval, span 3", "bbbbbbbbbbbb"):
        assert expected in words
    assert "input features changed shape from [?, 8] to [?, 11]" in words


def hostile() -> Comparison:
    made = retrained(policy=Policy("auc"))
    row = MetricRow(HOSTILE, Slice(((HOSTILE, HOSTILE),)), None, made.metrics[0].challenger, made.metrics[0].champion)
    bad = {HOSTILE: HOSTILE, "list": [HOSTILE]}
    return replace(
        made,
        model=HOSTILE,
        challenger=replace(
            made.challenger,
            version=HOSTILE,
            parameters=bad,
            code=Code(HOSTILE, HOSTILE),
            trained_on=(Data(HOSTILE, HOSTILE, HOSTILE),),
        ),
        metrics=(*made.metrics, row, replace(row, slice=Slice())),
        changes=(HOSTILE,),
        bump=HOSTILE,
        decision=replace(made.decision, reason=HOSTILE, warnings=(HOSTILE,)),
    )


def test_no_name_from_a_model_becomes_a_part_of_the_page() -> None:
    html = render(hostile())
    page = Page(html)
    assert {tag for tag, _ in page.tags} <= ALLOWED
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "\u202e" not in html
    assert "alert('x')" in page.words  # shown as the text that it is


@pytest.mark.parametrize("values", [(1.7e308,), (-1.7e308,), (-1.7e308, 1.7e308), (0.0, 5e-324), (1e-308, 2e-308)])
def test_scale_places_the_largest_and_the_smallest_numbers(values: tuple[float, ...]) -> None:
    scale = Scale.over(values)
    assert scale is not None
    assert all(0 <= float(scale.at(value).rstrip("%")) <= 100 for value in values)
    assert all(math.isfinite(tick) for tick in scale.ticks())


@given(comparisons)
@settings(max_examples=30, deadline=None)
def test_every_comparison_has_a_page(comparison: Comparison) -> None:
    page = Page(render(comparison))
    assert {tag for tag, _ in page.tags} <= ALLOWED
    for _, attributes in page.tags:
        assert not any(value and re.search(r"\b(nan|inf)", value) for key, value in attributes.items() if key in PLACES)


PLACES = ("x", "x1", "x2", "cx", "width")


def _colours(sheet: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{3,6})", sheet))


def _light(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * one for one in colour[1:])
    parts = [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_light(one), _light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_marks_stand_out_from_their_ground(scheme: str) -> None:
    light, dark = STYLE.split("@media (prefers-color-scheme:dark)", 1)
    colours = _colours(light) if scheme == "light" else _colours(light) | _colours(dark.split("*{", 1)[0])
    pairs: list[tuple[str, str]] = [(one, "card") for one in ("ink", "muted", "good", "bad", "unsure")]
    pairs += [("ink", "ground"), ("muted", "ground"), ("ink", "track")]
    pairs += [(text, f"{kind}-ground") for kind in ("good", "bad", "unsure") for text in (kind, "ink", "muted")]
    weak = {pair: ratio for pair in pairs if (ratio := _contrast(colours[pair[0]], colours[pair[1]])) < 4.5}
    weak |= {(one, "card"): ratio for one in ("new", "old") if (ratio := _contrast(colours[one], colours["card"])) < 3}
    assert not weak


def test_plots_keep_inside_whatever_they_are_given() -> None:
    from tfx_pedigree.comparison.report.plots import Scale

    huge: Any = Scale.over([-1.7e308, 1.7e308, float("nan")])
    assert huge.at(-1.7e308) == "3.00%"
    assert huge.at(1.7e308) == "97.00%"
    assert huge.ticks() == []
    assert Scale.over([float("nan")]) is None
    ticks = Scale(-0.05, 0.13).ticks()
    assert 0 in ticks
    assert 2 <= len(ticks) <= 5


@pytest.mark.parametrize(("ends", "kind"), [((-0.02, 0.06), ""), ((0.01, 0.06), "good"), ((0.0, 0.06), "")])
def test_a_change_that_may_be_none_is_neither_good_nor_bad(ends: tuple[float, float], kind: str) -> None:
    made = retrained(slices=())
    row = replace(made.metrics[0], direction=Direction.HIGHER, difference=MetricValue(0.03, ends, 40))
    html = str(metrics_section(replace(made, metrics=(row,))))
    assert f'<td class="n lead {kind}">+0.03<span' in html


def test_slices_stand_in_the_order_of_what_they_cost() -> None:
    """A loss of 0.2 on four examples costs less than one of 0.01 on two thousand; gains follow, the largest first."""
    made = retrained(slices=())
    given = {"carrier=B": (-0.2, 4), "carrier=A": (-0.01, 1814), "carrier=C10": (0.01, 50), "carrier=C9": (0.01, 50)}
    rows = [
        replace(
            made.metrics[0],
            slice=Slice((tuple(name.split("=")),)),  # type: ignore[arg-type]
            challenger=MetricValue(0.7 + change, None, count),
            difference=MetricValue(change, None, count),
        )
        for name, (change, count) in given.items()
    ]
    page = Page(render(replace(made, metrics=(*made.metrics, *rows))))
    places = sorted(given, key=page.words.index)
    assert places == ["carrier=A", "carrier=B", "carrier=C9", "carrier=C10"]


def test_intervals_stand_at_values_and_changes_in_numbers() -> None:
    words = Page(render(retrained(slices=()))).words
    assert "0.7522 0.746 to 0.758" in words or "0.75220.746 to 0.758" in words


def test_names_between_backticks_are_code_and_one_alone_stays() -> None:
    made = retrained(slices=())
    html = render(replace(made, decision=replace(made.decision, reason="A `name` and a ` alone.")))
    assert "A <code>name</code> and a ` alone." in html


def test_the_report_says_when_and_where_it_was_made() -> None:
    from datetime import datetime, timezone

    origin = Origin(datetime(2026, 3, 1, 14, 5, tzinfo=timezone.utc), "flight-delay", HOSTILE)
    html = render(retrained(slices=()), origin)
    assert "2026-03-01 14:05 UTC · pipeline flight-delay · run " in html
    assert HOSTILE not in html


def test_what_was_said_is_set_against_the_truth_for_each_class() -> None:
    made = retrained(slices=())
    page = Page(render(made))
    for heading in (
        "Predicted against true",
        "Scores where truth is yes",
        "Calibration",
        "ROC",
        "Precision and recall",
    ):
        assert heading in page.words
    several = replace(made, outcomes=Outcomes(0.5, 5, outcomes_of(0.2, 5), outcomes_of(0.1, 5)))
    words = Page(render(several)).words
    assert "said 4" in words and "ROC" not in words and "Each class, with intervals of 95 %" in words


def test_the_curves_follow_from_the_counts() -> None:
    negative, positive = [0] * 100, [0] * 100
    negative[10], negative[80], positive[60], positive[90] = 3, 1, 2, 2
    found = ModelOutcomes(tuple(negative), tuple(positive))
    assert (0.25, 0.5) in found.roc() and found.roc()[-1] == (1.0, 1.0)
    assert (1.0, 0.8) in found.precision_recall()
    assert [(one.count, one.share) for one in found.calibration()] == [(3, 0.0), (2, 1.0), (1, 0.0), (2, 1.0)]
    assert all(one.interval[0] <= one.share <= one.interval[1] for one in found.calibration())
