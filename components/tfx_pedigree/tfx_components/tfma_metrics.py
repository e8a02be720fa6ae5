"""Metrics that TFMA does not have, made of what it computes: slices, weights, classes and intervals come with that.

An EvalConfig names them by this module, so a stock Evaluator computes them as well.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from tensorflow_model_analysis.metrics import (
    calibration_histogram,
    confusion_matrix_metrics,
    metric_specs,
    metric_types,
    metric_util,
)
from tensorflow_model_analysis.proto import config_pb2

BINS = 10


class Positives(confusion_matrix_metrics.ConfusionMatrixMetric):  # type: ignore[misc]
    """How many examples have the label, or are of the class."""

    def _default_name(self) -> str:
        return "positives"

    def result(self, tp: float, tn: float, fp: float, fn: float) -> float:
        return tp + fn


class Negatives(confusion_matrix_metrics.ConfusionMatrixMetric):  # type: ignore[misc]
    """How many examples do not have the label, or are of another class."""

    def _default_name(self) -> str:
        return "negatives"

    def result(self, tp: float, tn: float, fp: float, fn: float) -> float:
        return tn + fp


class OutcomeUtility(confusion_matrix_metrics.ConfusionMatrixMetricBase):  # type: ignore[misc]
    """The mean over the examples of what their outcome is worth."""

    def __init__(self, worth: dict[str, float], thresholds: Any = None, name: str = "outcome_utility") -> None:
        super().__init__(thresholds=thresholds, name=name, worth=worth)

    def _metric_value(self, key: Any, matrices: Any, worth: dict[str, float]) -> float:
        counts = {
            "true_positive": matrices.tp[0],
            "true_negative": matrices.tn[0],
            "false_positive": matrices.fp[0],
            "false_negative": matrices.fn[0],
        }
        total = sum(counts.values())
        value = sum(worth.get(outcome, 0.0) * count for outcome, count in counts.items())
        return float(value / total) if total else float("nan")


class WeightedSum(metric_types.Metric):  # type: ignore[misc]
    """The sum of other metrics, each times its weight. A term is told with its MetricsSpec, and with what its key in
    TFMA's results is made of: `name`, `output`, `of` (class or best predictions) and `average`."""

    def __init__(self, terms: list[dict[str, Any]], name: str = "weighted_sum") -> None:
        super().__init__(_weighted_sum, name=name, terms=terms)


def _weighted_sum(  # noqa: PLR0917  what TFMA calls it with
    name: str,
    terms: list[dict[str, Any]],
    eval_config: Any = None,
    schema: Any = None,
    model_names: list[str] | None = None,
    example_weighted: bool = False,
) -> Any:
    return [
        computation
        for model in model_names or [""]
        for computation in _sum_of_one_model(name, terms, (eval_config, schema), model, example_weighted)
    ]


def _sum_of_one_model(
    name: str, terms: list[dict[str, Any]], told: tuple[Any, Any], model: str, example_weighted: bool
) -> list[Any]:
    computations: list[Any] = []
    weights: list[tuple[Any, float]] = []
    for term in terms:
        spec = json_format.ParseDict(term["spec"], config_pb2.MetricsSpec())
        spec.model_names[:] = [model]
        # As the same metric is computed where it stands by itself: twice, with weights and without, it would be two.
        weighted = example_weighted or _has_weights(told[0], term["output"])
        spec.example_weights.weighted, spec.example_weights.unweighted = weighted, not weighted
        computations += metric_specs.to_computations([spec], eval_config=told[0], schema=told[1])
        key = metric_types.MetricKey(
            name=term["name"],
            model_name=model,
            output_name=term["output"],
            sub_key=metric_types.SubKey(**term["of"]) if term["of"] else None,
            aggregation_type=metric_types.AggregationType(**{term["average"]: True}) if term["average"] else None,
            example_weighted=weighted,
        )
        weights.append((key, float(term["weight"])))
    total = metric_types.MetricKey(name=name, model_name=model, example_weighted=example_weighted)

    def result(metrics: dict[Any, Any]) -> dict[Any, float]:
        return {total: sum(weight * float(metrics[term]) for term, weight in weights)}

    return [*computations, metric_types.DerivedMetricComputation(keys=[total], result=result)]


def _has_weights(eval_config: Any, output: str) -> bool:
    """Whether the examples of this output have weights of its own."""
    return eval_config is not None and any(output in spec.example_weight_keys for spec in eval_config.model_specs)


class ExpectedCalibrationError(metric_types.Metric):  # type: ignore[misc]
    """How far predictions and the share of positives are apart, on average over ten bins of predictions."""

    def __init__(self, name: str = "expected_calibration_error", num_bins: int = BINS) -> None:
        super().__init__(metric_util.merge_per_key_computations(_calibration_error), name=name, num_bins=num_bins)


def _calibration_error(  # noqa: PLR0917  what TFMA calls it with
    name: str = "expected_calibration_error",
    num_bins: int = BINS,
    eval_config: Any = None,
    model_name: str = "",
    output_name: str = "",
    sub_key: Any = None,
    aggregation_type: Any = None,
    class_weights: Any = None,
    example_weighted: bool = False,
) -> Any:
    of = {"model_name": model_name, "output_name": output_name, "sub_key": sub_key}
    key = metric_types.MetricKey(name=name, example_weighted=example_weighted, aggregation_type=aggregation_type, **of)
    computations = calibration_histogram.calibration_histogram(
        eval_config=eval_config,
        aggregation_type=aggregation_type,
        class_weights=class_weights,
        example_weighted=example_weighted,
        **of,
    )
    (histogram,) = computations[-1].keys

    def result(metrics: dict[Any, Any]) -> dict[Any, float]:
        bins = calibration_histogram.rebin([number / num_bins for number in range(num_bins)], metrics[histogram])
        examples = sum(one.weighted_examples for one in bins)
        apart = sum(abs(one.weighted_labels - one.weighted_predictions) for one in bins)
        return {key: apart / examples if examples else float("nan")}

    return [*computations, metric_types.DerivedMetricComputation(keys=[key], result=result)]
