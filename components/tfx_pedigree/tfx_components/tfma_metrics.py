"""Metrics that TFMA does not have, made of what it computes: slices, weights, classes and intervals come with that.

An EvalConfig names them by this module, so a stock Evaluator computes them as well.
"""

from __future__ import annotations

from typing import Any

from tensorflow_model_analysis.metrics import calibration_histogram, confusion_matrix_metrics, metric_types, metric_util

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
