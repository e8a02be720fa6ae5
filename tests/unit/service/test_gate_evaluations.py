"""Two evaluations that were made apart are judged by intervals that are never too narrow, or not at all."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_pedigree.comparison import OVERALL, Key, MetricRow, MetricValue, Policy, Rule, RuleKind, Slice, Verdict
from tfx_pedigree.service.judging.gate_evaluations import APART, differences_apart, judge_apart, judge_together

JFK = Slice((("origin", "JFK"),))
numbers = st.integers(1, 99).map(lambda step: step / 100)
halves = st.integers(0, 20).map(lambda step: step / 100)


def rows(auc: float, half: float | None = None, count: float | None = 1000, **more: float) -> list[MetricRow]:
    interval = None if half is None else (auc - half, auc + half)
    found = [MetricRow("auc", OVERALL, challenger=MetricValue(auc, interval, 1000))]
    if count is not None:
        found.append(MetricRow("example_count", OVERALL, challenger=MetricValue(count, None, 1000)))
    return [*found, *(MetricRow(name, OVERALL, challenger=MetricValue(value)) for name, value in more.items())]


@given(numbers, halves, numbers, halves, st.integers(0, 50).map(lambda step: step / 100))
def test_a_pass_needs_the_whole_of_both_intervals(new: float, n: float, old: float, o: float, share: float) -> None:
    """For `relative: t` that is new − (1+t)·old more than n + (1+t)·o, whatever the correlation is."""
    policy = Policy("auc", rule=Rule(RuleKind.RELATIVE, share), confidence=0.95)
    found = judge_apart(policy, rows(new, n), rows(old, o))
    if n == o == 0 or old <= o:
        return  # an interval without width, or a champion that may be 0, has rules of its own
    t = share * (1 + 1e-5)
    spare = (new - (1 + t) * old) - (n + (1 + t) * o)
    if abs(spare) > 1e-9:
        assert (found.verdict is Verdict.PASS) is (spare > 0)
    assert APART in found.warnings


@given(numbers, numbers, st.floats(0.001, 0.2), st.floats(0.001, 0.2), st.floats(-1, 1))
def test_the_interval_is_wide_enough_for_any_correlation(
    new: float, old: float, n: float, o: float, correlation: float
) -> None:
    key = Key("auc")
    sides = [{key: MetricValue(value, (value - half, value + half))} for value, half in ((new, n), (old, o))]
    ends = differences_apart(*sides)[key].interval
    assert ends is not None
    truly = math.sqrt(max(0.0, n * n + o * o - 2 * correlation * n * o))
    assert (ends[1] - ends[0]) / 2 >= truly - 1e-12


def test_without_a_confidence_the_values_decide() -> None:
    assert judge_apart(Policy("auc"), rows(0.9), rows(0.8)).verdict is Verdict.PASS
    assert judge_apart(Policy("auc"), rows(0.81), rows(0.8)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("old", "said"),
    [
        ({"count": 900}, "not of the same rows: example_count is 1000 in one and 900 in the other"),
        ({"count": None}, "does not say how many examples"),
        ({"positives": 31.0}, "positives is 30 in one and 31 in the other"),
        ({"mean_label": 0.5}, "mean_label is 0.4 in one and 0.5 in the other"),
    ],
)
def test_what_is_not_known_to_be_of_the_same_rows_is_not_decided(old: dict[str, Any], said: str) -> None:
    found = judge_apart(Policy("auc"), rows(0.9, positives=30.0, mean_label=0.4), rows(0.8, **old))
    assert found.verdict is Verdict.INSUFFICIENT
    assert said in found.reason


def test_a_slice_of_other_rows_is_enough() -> None:
    def side(auc: float, count: float) -> list[MetricRow]:
        return [*rows(auc), MetricRow("example_count", JFK, challenger=MetricValue(count))]

    assert "on origin=JFK is 10 in one and 11" in judge_apart(Policy("auc"), side(0.9, 10), side(0.8, 11)).reason


def test_one_evaluation_of_both_models_is_judged_by_its_paired_intervals() -> None:
    value = MetricValue(0.85, (0.8, 0.9), 1000)
    row = MetricRow("auc", OVERALL, None, value, MetricValue(0.75, (0.7, 0.8), 1000), MetricValue(0.1, (0.09, 0.11)))
    policy = Policy("auc", rule=Rule(RuleKind.ABSOLUTE, 0.05), confidence=0.95)
    assert judge_together(policy, [row]).verdict is Verdict.PASS
    assert "First version" in judge_together(policy, [MetricRow("auc", OVERALL, None, value)]).reason
