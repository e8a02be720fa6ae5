"""Which level is reached, as a table: of two results the strongest that holds, and what is said of the others."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tfx_pedigree.registry import Evidence, Verdict
from tfx_pedigree.service.reproducing.levels import (
    TOLERANCE,
    Level,
    PredictionDifference,
    Reached,
    Result,
    compare_results,
)
from tfx_pedigree.service.reproducing.order import input_differences
from tfx_pedigree.versioning import ModelDescription, Signature, TensorSpec


def _description(name: str) -> ModelDescription:
    spec = {"x": TensorSpec("float32", (None,))}
    return ModelDescription(signatures={name: Signature(spec, {"y": TensorSpec("float32", (None,))})})


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


THEN = Result(
    digest(1),
    _description("serving_default"),
    {"auc": 0.8, "latency_p50_ms": 1.0},
    Evidence(digest(1), None, Verdict.PASS, "above the floor"),
)
SAME, NEAR, APART = (PredictionDifference(9, 0, 0), PredictionDifference(9, 1e-8, 0), PredictionDifference(9, 0.5, 4))
FAIL = Evidence(digest(2), None, Verdict.FAIL, "below the floor")


def now(**changed: Any) -> Result:
    return replace(THEN, digest=digest(2), metrics={"auc": 0.8, "latency_p50_ms": 9.0}, **changed)


def other(**changed: Any) -> Result:
    return replace(now(), **changed)


@pytest.mark.parametrize(
    ("made", "predictions", "level"),
    [
        (THEN, "nobody asked.", Level.BYTES),
        # Bytes say the most, whatever the gate makes of them.
        (replace(THEN, metrics={"auc": 0.1}, evidence=FAIL), "nobody asked.", Level.BYTES),
        (now(), SAME, Level.DESCRIPTION),
        (now(), NEAR, Level.DESCRIPTION),
        # An interface alone is no reproduction.
        (now(), APART, Level.METRICS),
        (now(), "the rows are gone.", Level.METRICS),
        (other(description=_description("other")), NEAR, Level.PREDICTIONS),
        (other(description=_description("other")), APART, Level.METRICS),
        (other(metrics={"auc": 0.81}), APART, Level.VERDICT),
        (other(metrics={}), APART, Level.VERDICT),
        (other(metrics={"auc": 0.8 + TOLERANCE / 2}), APART, Level.METRICS),
        (other(metrics={"auc": math.nan}), APART, Level.VERDICT),
        (other(metrics={"auc": 0.81}, evidence=FAIL), APART, Level.NONE),
        (other(metrics={"auc": 0.81}, evidence=None), APART, Level.NONE),
        (now(), PredictionDifference(0, 0, 0), Level.METRICS),
        (now(), PredictionDifference(9, 0, 0, failed=1), Level.METRICS),
    ],
)
def test_strongest_level_that_holds_is_reached(
    made: Result, predictions: PredictionDifference | str, level: Level
) -> None:
    found = compare_results(THEN, made, predictions)
    assert found.level is level
    assert [one.level for one in found.levels] == [one for one in Level if one is not Level.NONE]
    assert all(one.detail for one in found.levels)
    assert len(found.differences) == sum(not one.same for one in found.levels)


def test_what_was_never_recorded_reaches_no_level() -> None:
    nothing = Result(digest(1), ModelDescription(kind="opaque"), {})
    found = compare_results(nothing, replace(nothing, digest=digest(2), description=_description("x")), "no rows.")
    assert found.level is Level.NONE
    assert [one.same for one in found.levels] == [False, False, None, None, None]


def test_nan_is_the_same_as_nan_and_tolerance_is_relative_to_large_numbers() -> None:
    then = replace(THEN, metrics={"a": math.nan, "loss": 1e9})
    assert compare_results(then, other(metrics={"a": math.nan, "loss": 1e9 + 100}), APART).level is Level.METRICS
    assert compare_results(then, other(metrics={"a": math.nan, "loss": 1e9 + 1e5}), APART).level is Level.VERDICT


def test_each_level_includes_the_weaker_ones() -> None:
    order = list(Level)
    for strong in order:
        assert [strong.reaches(weak) for weak in order] == [order.index(strong) <= order.index(weak) for weak in order]


def test_answer_has_a_json_form_also_where_a_prediction_is_infinite() -> None:
    found = PredictionDifference(2, math.inf, 1)
    assert PredictionDifference.from_json(found.to_json()) == found
    reached = compare_results(THEN, now(), found)
    assert Reached.from_json(reached.to_json()) == reached


def test_same_rows_under_another_name_are_no_other_input() -> None:
    """What one span evaluates is what the next one trains on: the graph has these rows once, by their first name."""

    def made(*parts: tuple[str, str]) -> Any:
        data = [SimpleNamespace(name=name, fingerprint=fingerprint) for name, fingerprint in parts]
        return SimpleNamespace(data=data, code=None, parameters={})

    then = made(("span 1 eval", "sha256:a"))
    assert input_differences(then, made(("span 2 train", "sha256:a"))) == ()
    assert input_differences(then, made(("span 2 train", "sha256:b"))) == (
        "Nothing was trained on span 1 eval this time.",
    )
