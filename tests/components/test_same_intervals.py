"""The jackknife in one pass comes to what TFMA's own comes to with the same parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import pytest
from tensorflow_model_analysis.evaluators import jackknife
from tensorflow_model_analysis.evaluators import metrics_plots_and_validations_evaluator as evaluation
from tensorflow_model_analysis.metrics.metric_types import MetricKey

from tfx_pedigree.tfx_components.evaluator.same_intervals import NUMBER, same_intervals

PARTS = 4
MEAN, LOGS, SECRET, NAN = MetricKey("mean"), MetricKey("logs"), MetricKey("_secret"), MetricKey("per_count")
OVERALL, FEW, ONE_PART, OF_ONE = (), (("kind", "few"),), (("kind", "one part"),), (("kind", "one"),)


class Mean(beam.CombineFn):  # type: ignore[misc]
    """Notes whether it was set up, and fails if it was not: TFMA's load a model there."""

    ready = False

    def setup(self, *args: Any, **kwargs: Any) -> None:
        self.ready = True

    def create_accumulator(self) -> list[float]:
        assert self.ready
        return [0.0, 0.0]

    def add_input(self, found: list[float], element: dict[str, Any]) -> list[float]:
        found[0] += element["value"]
        found[1] += 1
        return found

    def merge_accumulators(self, accumulators: Iterable[list[float]]) -> list[float]:
        return [sum(every) for every in zip(*accumulators, strict=True)]

    def extract_output(self, found: list[float]) -> dict[MetricKey, Any]:
        assert self.ready
        few = {NAN: found[0] / found[1]} if found[1] < 6 else {}
        return {MEAN: found[0] / found[1], SECRET: found[1], **few}


class Derived(beam.PTransform):  # type: ignore[misc]
    def expand(self, sliced: Any) -> Any:
        return sliced | beam.MapTuple(_with_logs)


def _with_logs(slice_key: Any, metrics: dict[MetricKey, Any]) -> tuple[Any, dict[MetricKey, Any]]:
    return slice_key, {**metrics, LOGS: metrics[MEAN] * metrics[SECRET]}


def rows() -> list[tuple[Any, dict[str, Any]]]:
    every = [{NUMBER: number * 7919 + number % 3, "value": 1 / (number + 3)} for number in range(40)]
    few = [(FEW, row) for row in every[:7]]
    one_part = [(ONE_PART, row) for row in every if row[NUMBER] % PARTS == 1]
    return [*((OVERALL, row) for row in every), *few, *one_part, (OF_ONE, every[3])]


FOUND: dict[Any, dict[str, Any]] = {}


def keep(slice_key: Any, metrics: dict[MetricKey, Any]) -> None:
    FOUND[slice_key] = {one.name: _numbers(value) for one, value in metrics.items()}


def found(*, across_slices: bool) -> dict[Any, dict[str, Any]]:
    FOUND.clear()
    with same_intervals(frozenset(), across_slices=across_slices), beam.Pipeline() as pipeline:
        intervals = evaluation.jackknife.ComputeWithConfidenceIntervals(
            computations_combine_fn=Mean(),
            derived_metrics_ptransform=Derived(),
            num_jackknife_samples=PARTS,
            skip_ci_metric_keys={NAN},
        )
        _ = pipeline | beam.Create(rows(), reshuffle=False) | intervals | beam.MapTuple(keep)
    return dict(FOUND)


def _numbers(value: Any) -> Any:
    names = ("sample_mean", "sample_standard_deviation", "unsampled_value", "sample_degrees_of_freedom")
    return [getattr(value, name) for name in names] if hasattr(value, "sample_mean") else value


def test_one_pass_comes_to_what_tfmas_branches_come_to() -> None:
    before = evaluation.jackknife, jackknife.beam
    ours, theirs = found(across_slices=False), found(across_slices=True)
    assert set(ours) == set(theirs) == {OVERALL, FEW, ONE_PART, OF_ONE}
    for key, metrics in theirs.items():
        assert ours[key].keys() == metrics.keys(), key
        for name in metrics.keys() - {SECRET.name}:
            expected = metrics[name] if name == "__ERROR__" else pytest.approx(metrics[name], rel=1e-12, abs=1e-15)
            assert ours[key][name] == expected, (key, name)
    assert isinstance(theirs[OVERALL]["mean"], list)
    assert ours[OVERALL]["_secret"] == 40, "what TFMA does not show needs no interval"
    assert "only 3 samples were non-empty" in ours[ONE_PART]["__ERROR__"]
    assert (evaluation.jackknife, jackknife.beam) == before
