"""Similarity, deltas, flips, importance, timings and quantiles: arithmetic with laws."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedigree_testing import description
from tfx_pedigree.comparison import (
    DeltaSums,
    FlipCounts,
    LatencySummary,
    Patience,
    Timings,
    Weights,
    at_confidence,
    characteristics,
    importance,
    measure,
    ratio,
    similarity,
)
from tfx_pedigree.comparison.intervals import t_quantile
from tfx_pedigree.comparison.latency import percentile
from tfx_pedigree.errors import InvalidInputError

facts = st.frozensets(st.sampled_from("abcdefgh"))
numbers = st.integers(-4096, 4096).map(lambda step: step / 64)  # added without rounding
rows = st.lists(st.tuples(numbers, numbers, numbers), max_size=20)


@given(facts, facts)
def test_similarity_is_symmetric_and_one_for_the_same(one: frozenset[str], other: frozenset[str]) -> None:
    assert similarity(one, other) == similarity(other, one)
    assert similarity(one, one) == 1
    assert 0 <= similarity(one, other) <= 1


def test_characteristics_are_what_makes_a_model() -> None:
    old = characteristics(description(3, units=64), {"epochs": 5}, {"auc"})
    assert old == {
        "metric auc",
        "parameter epochs = 5",
        "parameter units = 64",
        "signature serving_default input features: float32 [?, 3]",
        "signature serving_default output score: float32 [?, 1]",
    }
    wider = characteristics(description(4, units=64), {"epochs": 5}, {"auc"})
    assert similarity(old, wider) == pytest.approx(4 / 6)


def test_performance_delta_in_both_forms() -> None:
    sums = DeltaSums.of(labels=[1, 0, 1], new=[0.9, 0.2, 0.5], old=[0.6, 0.1, math.nan])
    assert sums.count == 2
    assert sums.unusable == 1
    assert sums.mean_signed == pytest.approx(((1 - 0.9) - (1 - 0.6) + (0 - 0.2) - (0 - 0.1)) / 2)
    assert sums.mean_absolute == pytest.approx((0.1 - 0.4 + 0.2 - 0.1) / 2)
    assert math.isnan(DeltaSums().mean_signed)


@given(rows, rows, rows)
def test_delta_sums_can_be_made_in_parts(a: list, b: list, c: list) -> None:  # type: ignore[type-arg]
    def sums(part: list) -> DeltaSums:  # type: ignore[type-arg]
        labels, new, old = zip(*part, strict=True) if part else ((), (), ())
        return DeltaSums.of(labels, new, old)

    assert sums(a) + sums(b) == sums(b) + sums(a) == sums(a + b)
    assert (sums(a) + sums(b)) + sums(c) == sums(a) + (sums(b) + sums(c)) == sums(a + b + c)
    assert sums(a) + DeltaSums() == sums(a)


@given(rows, rows)
def test_flips_can_be_counted_in_parts(a: list, b: list) -> None:  # type: ignore[type-arg]
    def flips(part: list) -> FlipCounts:  # type: ignore[type-arg]
        labels, new, old = zip(*part, strict=True) if part else ((), (), ())
        return FlipCounts.of(labels, new, old)

    assert flips(a) + flips(b) == flips(a + b)
    assert flips(a) + FlipCounts() == flips(a)
    assert flips(a).fixed + flips(a).broken == flips(a).flipped
    assert flips(a).count == len(a)


def test_flips_are_counted_at_the_threshold() -> None:
    flips = FlipCounts.of(labels=[1, 0, 1, 0], new=[0.5, 0.7, 0.1, 0.2], old=[0.4, 0.2, 0.9, 0.9])
    assert (flips.negative_to_positive, flips.positive_to_negative) == (2, 2)
    assert (flips.fixed, flips.broken) == (2, 2)
    assert flips.rate == 1
    with pytest.raises(InvalidInputError, match="cannot be added"):
        flips + FlipCounts(0.3)


def test_predictions_of_different_examples_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="must belong to the same examples"):
        DeltaSums.of([1, 0], [0.5], [0.5, 0.5])


def test_importance_weighs_improvement_against_seconds() -> None:
    assert importance(0.10, 0.05, Weights()) == pytest.approx(0.7 * 0.10 - 0.3 * 0.05)
    assert importance(0.10, -0.05, Weights(1, 0)) == pytest.approx(0.10)


class FakeClock:
    """Each call of a model moves the time on by what that call costs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def model(self, name: str, *seconds: float) -> Callable[[], None]:
        costs = list(seconds)

        def call() -> None:
            self.order.append(name)
            self.now += costs.pop(0) if len(costs) > 1 else costs[0]

        return call


def test_both_are_timed_in_turn_after_the_warm_up() -> None:
    clock = FakeClock()
    new, old = clock.model("new", 9.0, 9.0, 0.010), clock.model("old", 9.0, 9.0, 0.005)
    timings = measure(new, old, rounds=3, warmup=2, clock=clock)
    assert timings.challenger == pytest.approx((10, 10, 10))
    assert timings.champion == pytest.approx((5, 5, 5))
    assert clock.order == ["new", "old", "old", "new"] * 2 + ["new", "old"]


def test_a_first_version_is_timed_alone() -> None:
    clock = FakeClock()
    timings = measure(clock.model("new", 0.002), None, rounds=2, warmup=0, clock=clock, processor=clock)
    assert timings.challenger == pytest.approx((2, 2))
    assert timings.champion == ()
    assert timings.on_processor is not None
    with pytest.raises(InvalidInputError, match="nothing to divide by"):
        ratio(timings)


def test_rounds_go_on_until_the_answer_is_narrow_or_the_time_is_up() -> None:
    def rounds_of(*new: float, **patience: float) -> int:
        clock = FakeClock()
        times = [one / 1000 for one in new]
        found = measure(
            clock.model("new", *times),
            clock.model("old", 0.005),
            rounds=4,
            warmup=0,
            patience=Patience(**{"width": 0.25, "seconds": 60.0, "rounds": 64, **patience}),  # type: ignore[arg-type]
            clock=clock,
        )
        return len(found.challenger)

    noisy = [5.0, 50.0, 5.0, 9.0, 30.0] * 6
    assert rounds_of(5.0) == 4
    assert rounds_of(*noisy) > 16
    assert rounds_of(*noisy, rounds=8) == 8
    assert rounds_of(*noisy, seconds=0.1) == 4


def test_what_other_programs_took_shows_beside_the_processor_time() -> None:
    alone = Timings((10.0, 10.0), (5.0, 5.0), ((10.0, 10.0), (5.0, 5.0)))
    assert alone.waited == 0
    crowded = Timings((20.0, 20.0), (10.0, 10.0), ((10.0, 10.0), (5.0, 5.0)))
    assert crowded.waited == pytest.approx(0.5)
    assert Timings((1.0,), (1.0,), ((0.0,), (0.0,))).on_processor is None  # a clock that ticks too seldom


def test_nothing_is_measured_in_no_round() -> None:
    with pytest.raises(InvalidInputError, match="measure nothing"):
        measure(lambda: None, None, rounds=0, warmup=1)


def test_percentiles_of_known_numbers() -> None:
    values = [float(one) for one in range(1, 102)]
    summary = LatencySummary.of(values, batch_size=32)
    assert (summary.min_ms, summary.p50_ms, summary.p95_ms, summary.max_ms) == (1, 51, 96, 101)
    assert (summary.calls, summary.batch_size) == (101, 32)
    assert math.isnan(percentile([], 0.5))


@given(st.lists(st.floats(0.1, 1e3), min_size=1, max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_percentiles_rise_and_stay_inside(values: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert min(values) <= percentile(values, low) <= max(values)
    assert percentile(values, low) <= percentile(values, high) * (1 + 1e-12)


def test_the_ratio_has_an_interval_and_noise_that_both_share_does_not_widen_it() -> None:
    noise = [1 + (index * 7 % 13) / 3 for index in range(40)]
    shared = ratio(Timings(tuple(2 * one for one in noise), tuple(noise)))
    assert shared.value == pytest.approx(2)
    assert shared.interval == pytest.approx((2, 2))
    apart = ratio(Timings(tuple(2 * one for one in reversed(noise)), tuple(noise)))
    assert apart.interval is not None
    assert apart.interval[0] < 2 < apart.interval[1]
    assert apart == ratio(Timings(tuple(2 * one for one in reversed(noise)), tuple(noise)))


def test_timings_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="cannot be paired"):
        Timings((1.0, 2.0), (1.0,))


@pytest.mark.parametrize(
    ("confidence", "freedom", "table"),
    [(0.95, 1, 12.706), (0.95, 2, 4.303), (0.95, 19, 2.093), (0.99, 10, 3.169), (0.90, 5, 2.015), (0.95, 100, 1.984)],
)
def test_students_t_as_in_the_tables(confidence: float, freedom: int, table: float) -> None:
    assert t_quantile(confidence, freedom) == pytest.approx(table, abs=5e-4)


def test_an_interval_of_another_confidence_has_the_same_middle() -> None:
    assert at_confidence((0.1, 0.3), 0.95) == (0.1, 0.3)
    low, high = at_confidence((0.1, 0.3), 0.90)
    assert low + high == pytest.approx(0.4)
    assert high - low == pytest.approx(0.2 * 1.7291 / 2.0930, rel=1e-4)
