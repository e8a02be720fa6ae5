"""The sums over paired predictions: exact, in whatever parts they were taken."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfx_pedigree.comparison import DeltaSums, FlipCounts
from tfx_pedigree.tfx_components.version_comparator.exact_sums import as_float, exact_sums
from tfx_pedigree.tfx_components.version_comparator.paired_sums import PairedSums

# Sums of more than 2**1023 have no float.
_NUMBERS = st.floats(-1e300, 1e300, allow_subnormal=True)
_MAYBE = st.one_of(st.floats(0, 1), st.floats(-5, 5), st.just(math.nan), st.just(math.inf))
_ROW = st.tuples(st.one_of(st.sampled_from((0.0, 1.0, math.nan)), _MAYBE), _MAYBE, _MAYBE)
_ROWS = st.lists(_ROW, max_size=60)


def _of(rows: list[tuple[float, float, float]]) -> PairedSums:
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 3).T
    return PairedSums.of(*columns)


@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(0, 50)), elements=_NUMBERS))
def test_a_sum_is_the_float_nearest_to_the_true_one(rows: np.ndarray) -> None:
    assert [as_float(one) for one in exact_sums(rows)] == [math.fsum(row) for row in rows]


@given(arrays.arrays(np.float64, st.integers(0, 80), elements=_NUMBERS), st.integers(0, 80))
def test_parts_add_up_to_exactly_the_whole(values: np.ndarray, at: int) -> None:
    parts = exact_sums(values[None, :at])[0] + exact_sums(values[None, at:])[0]
    assert parts == exact_sums(values[None, :])[0]


@given(_ROWS)
def test_delta_and_flips_are_those_of_the_plain_form(rows: list[tuple[float, float, float]]) -> None:
    labels, new, old = ([row[at] for row in rows] for at in range(3))
    found = _of(rows)
    assert found.delta == DeltaSums.of(labels, new, old)
    plain = FlipCounts.of(labels, new, old)
    binary = all(row[0] in (0, 1) for row in rows if all(map(math.isfinite, row)))
    assert found.flips == (plain if binary and plain.count else None)


@given(_ROWS, _ROWS, _ROWS)
def test_merging_is_a_sum_in_any_order(
    one: list[tuple[float, float, float]],
    other: list[tuple[float, float, float]],
    third: list[tuple[float, float, float]],
) -> None:
    a, b, c = _of(one), _of(other), PairedSums.failure(3, "b") + _of(third) + PairedSums.failure(1, "a")
    assert a + b == b + a == _of(one + other) == _of(other + one)
    assert (a + b) + c == a + (b + c)
    assert a + PairedSums() == a
    assert (a + c).failed == 4 and (a + c).problem == "a"
    assert (a + b + c).examples == len(one + other + third) + 4


@given(_ROWS)
def test_sums_survive_being_written(rows: list[tuple[float, float, float]]) -> None:
    assert PairedSums.from_json(_of(rows).to_json()) == _of(rows)


def test_agreement_is_what_numpy_says() -> None:
    chance = np.random.default_rng(5)
    new = chance.random(1000).astype(np.float32)
    old = np.clip(new + chance.normal(size=1000) / 10, 0, 1)
    found = PairedSums.of(chance.integers(0, 2, 1000), new, old).agreement
    assert found is not None
    assert found.correlation == pytest.approx(np.corrcoef(new, old)[0, 1], abs=1e-12)
    assert found.mean_difference == pytest.approx(np.abs(new - old).mean(), abs=1e-15)
    assert found.largest_difference == np.abs(new - old).max()


def test_agreement_of_predictions_that_hardly_vary_keeps_its_digits() -> None:
    """The square of a float32 has a float64: only the last steps of the smallest kind are between these."""
    new = (0.5 + np.arange(100) * 2.0**-23).astype(np.float32)
    found = PairedSums.of(np.zeros(100), new, 2 * new - 0.5).agreement
    assert found is not None and found.correlation == pytest.approx(1, abs=1e-12)
    constant = PairedSums.of(np.zeros(100), new * 0 + 0.3, new).agreement
    assert constant is not None and math.isnan(constant.correlation)
    assert PairedSums().agreement is None


def test_a_threshold_says_nothing_of_a_regression() -> None:
    labels = np.array([0.0, 1.0, 17.5])
    assert PairedSums.of(labels, labels, labels).flips is None
    assert PairedSums.of(labels[:2], labels[:2], labels[:2]).flips == FlipCounts(0.5, 1, 0, 0, 1, 0, 0)


def test_several_labels_count_each_on_its_own() -> None:
    labels = np.array([[1.0, 0.0], [0.0, 1.0]])
    new, old = np.array([[0.9, 0.1], [0.2, 0.3]]), np.array([[0.4, 0.1], [0.2, 0.8]])
    found = PairedSums.of_outputs(labels, new, old)
    assert found == PairedSums.of(labels.ravel(), new.ravel(), old.ravel())
    assert found.flips is not None and (found.flips.fixed, found.flips.broken) == (1, 1)


def test_of_several_classes_the_score_of_the_true_one_is_compared_and_the_class_that_is_said_flips() -> None:
    new = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4]])
    old = np.array([[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    found = PairedSums.of_outputs(np.array([0.0, 1.0, 0.0, 7.0]), new, old)
    assert (found.count, found.unusable) == (3, 1)  # there is no class 7
    assert found.flips == FlipCounts(0.5, 1, 1, 0, 1, fixed=1, broken=0, classes=3, changed=2)
    assert found.flips.rate == pytest.approx(2 / 3)
    assert found.delta.mean_absolute == pytest.approx((-0.7 + 0 + 0) / 3)
    halves = [
        PairedSums.of_outputs(np.array(y), new[at], old[at]) for y, at in (([0.0, 1.0], [0, 1]), ([0.0, 7.0], [2, 3]))
    ]
    assert halves[0] + halves[1] == found == PairedSums.from_json(found.to_json())


def test_scores_and_said_classes_are_counted_against_the_truth() -> None:
    labels, new, old = np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.9, 1.0]), np.array([0.6, 0.4, 0.5])
    found = PairedSums.of(labels, new, old).outcomes
    assert found is not None and found.champion is not None
    assert found.challenger.matrix == ((1, 0), (0, 2)) and found.champion.matrix == ((0, 1), (1, 1))
    assert found.challenger.negative[10] == found.challenger.positive[90] == found.challenger.positive[99] == 1
    assert sum(found.champion.negative) == 1 and sum(found.champion.positive) == 2
    assert PairedSums.of(np.array([0.0, 17.5]), new[:2], old[:2]).outcomes is None  # a regression
    logits = PairedSums.of(labels, new * 9, old).outcomes
    assert logits is not None and not logits.challenger.has_scores and logits.challenger.matrix


def test_of_several_classes_there_is_a_matrix_unless_they_are_too_many() -> None:
    new = np.array([[0.8, 0.1, 0.1], [0.1, 0.7, 0.2]])
    found = PairedSums.of_outputs(np.array([0.0, 2.0]), new, new[::-1]).outcomes
    assert found is not None and found.classes == 3
    assert found.challenger.matrix == ((1, 0, 0), (0, 0, 0), (0, 1, 0))
    assert found.challenger.positive[80] == found.challenger.negative[70] == 1
    wide = np.eye(21)[[0, 1]]
    many = PairedSums.of_outputs(np.array([0.0, 2.0]), wide, wide).outcomes
    assert many is not None and many.challenger.matrix == () and many.challenger.has_scores
