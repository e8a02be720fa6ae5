"""What is known of the usual metrics: which way is better, between which numbers, and what TFMA calls them.

A metric that is not in this table can be used all the same; the policy then says its direction. What is known of `auc`
holds for `late/auc@class_id=3` as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from tfx_pedigree.comparison.metric_names import MetricName, base_of
from tfx_pedigree.text import nearest

# Metrics that TFMA does not have; an Evaluator of TFX computes them with this module.
OWN_MODULE = "tfx_pedigree.tfx_components.tfma_metrics"


class Direction(str, Enum):
    """Which way a metric gets better."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True)
class Metric:
    """`honest_zero`: a model that works can score exactly 0, as a recall does where nothing is ever predicted.

    `direction` is None where neither way is better, as with calibration. `class_name` is the metric's name in an
    EvalConfig, None for one that the model brings itself. `parameter` names the number that the metric needs, as in
    `precision_at_recall(0.8)`; `of_queries` says that it looks at the examples of one query together.
    """

    name: str
    direction: Direction | None = None
    low: float = -math.inf
    high: float = math.inf
    honest_zero: bool = True
    class_name: str | None = None
    parameter: str | None = None
    of_queries: bool = False
    module: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


def _share(name: str, class_name: str | None, honest_zero: bool = True, parameter: str | None = None) -> Metric:
    return Metric(name, Direction.HIGHER, 0.0, 1.0, honest_zero, class_name, parameter)


def _error_share(name: str, class_name: str) -> Metric:
    return Metric(name, Direction.LOWER, 0.0, 1.0, True, class_name)


def _loss(name: str, class_name: str | None) -> Metric:
    return Metric(name, Direction.LOWER, 0.0, math.inf, False, class_name)


_ALL = (
    _share("auc", "AUC", honest_zero=False),
    _share("auc_precision_recall", "AUCPrecisionRecall", honest_zero=False),
    _share("accuracy", None, honest_zero=False),
    _share("binary_accuracy", "BinaryAccuracy", honest_zero=False),
    _share("balanced_accuracy", "BalancedAccuracy", honest_zero=False),
    _share("categorical_accuracy", "CategoricalAccuracy", honest_zero=False),
    _share("sparse_categorical_accuracy", "SparseCategoricalAccuracy", honest_zero=False),
    _share("precision", "Precision"),
    _share("recall", "Recall"),
    _share("specificity", "Specificity"),
    _share("f1_score", "F1Score"),
    _share("exact_match", "ExactMatch"),
    replace(_share("ndcg", "NDCG"), of_queries=True),
    _share("precision_at_recall", "PrecisionAtRecall", parameter="recall"),
    _share("recall_at_precision", "RecallAtPrecision", parameter="precision"),
    _share("recall_at_false_positive_rate", "RecallAtFalsePositiveRate", parameter="false_positive_rate"),
    _share("sensitivity_at_specificity", "SensitivityAtSpecificity", parameter="specificity"),
    _share("specificity_at_sensitivity", "SpecificityAtSensitivity", parameter="sensitivity"),
    _share("squared_pearson_correlation", "SquaredPearsonCorrelation"),
    Metric("matthews_correlation_coefficient", Direction.HIGHER, -1, 1, True, "MatthewsCorrelationCoefficient"),
    Metric("r2_score", Direction.HIGHER, -math.inf, 1, True, "R2Score"),
    _error_share("fall_out", "FallOut"),
    _error_share("miss_rate", "MissRate"),
    _error_share("false_discovery_rate", "FalseDiscoveryRate"),
    _loss("loss", None),
    _loss("binary_crossentropy", "BinaryCrossEntropy"),
    _loss("categorical_crossentropy", "CategoricalCrossEntropy"),
    _loss("mean_absolute_error", "MeanAbsoluteError"),
    _loss("mean_squared_error", "MeanSquaredError"),
    _loss("root_mean_squared_error", "RootMeanSquaredError"),
    _loss("mean_absolute_percentage_error", "MeanAbsolutePercentageError"),
    _loss("mean_squared_logarithmic_error", "MeanSquaredLogarithmicError"),
    # Of a label that is 0 or 1; of several classes it is the mean over the classes of each one's.
    Metric(
        "brier_score",
        Direction.LOWER,
        0.0,
        1.0,
        class_name="MeanSquaredError",
        config={"name": "brier_score"},
    ),
    Metric(
        "expected_calibration_error",
        Direction.LOWER,
        0.0,
        1.0,
        class_name="ExpectedCalibrationError",
        module=OWN_MODULE,
    ),
    Metric("min_label_position", Direction.LOWER, 0.0, class_name="MinLabelPosition", of_queries=True),
    Metric("calibration", class_name="Calibration"),
    Metric("positives", low=0.0, class_name="Positives", module=OWN_MODULE),
    Metric("negatives", low=0.0, class_name="Negatives", module=OWN_MODULE),
    Metric("example_count", class_name="ExampleCount"),
    Metric("mean_label", class_name="MeanLabel"),
    Metric("mean_prediction", class_name="MeanPrediction"),
)
KNOWN = {one.name: one for one in _ALL}


def known(name: str) -> Metric:
    """What is known of a metric, which is nothing but its name if the table does not have it."""
    found = KNOWN.get(base_of(name))
    return Metric(name) if found is None else replace(found, name=name)


def is_neutral(name: str) -> bool:
    """Of a known metric, whether neither way is better."""
    return base_of(name) in KNOWN and known(name).direction is None


def meant(name: str) -> str:
    """The name of a known metric that is spelt most like this one, which may be TFMA's class; empty where none is."""
    base = base_of(name)
    of_class = metric_of_class(base)
    near = [of_class] if of_class in KNOWN else nearest(base.strip().lower(), KNOWN, 1)
    return name.replace(base, near[0]) if near and base not in KNOWN else ""


def no_direction(metric: str) -> str:
    """Why nothing can be better by this metric, and what to write instead."""
    if is_neutral(metric):
        return f"`{metric}` is not better the higher or the lower it is: it can have bounds (`at_least`, `at_most`)."
    near = meant(metric)
    hint = f"Did you mean `{near}`? For a metric of your own give" if near else "Give"
    return f"`{metric}` has no known direction. {hint} `direction: higher` or `direction: lower`."


def of_no_model(metric: MetricName) -> str:
    """What is wrong with it whatever the model is and however many classes there are; empty where nothing is."""
    given = [one for one in (metric.class_id, metric.k, metric.top_k) if one is not None]
    if len(given) > 1 or (metric.average and metric.top_k is None and given):
        return "it names its classes twice. Give one of class_id, k, top_k, or top_k with an average."
    if 0 in (metric.k, metric.top_k):
        return "the best predictions are counted from 1 on."
    parameter = known(metric.base).parameter
    if parameter and metric.parameter is not None and not 0 <= metric.parameter <= 1:
        return f"its {parameter.replace('_', ' ')} is {metric.parameter}, but must be from 0 to 1."
    return ""


def metric_of_class(class_name: str) -> str:
    """The name that TFMA gives a metric of this class where its configuration gives none."""
    for metric in _ALL:
        if metric.class_name == class_name:
            return metric.name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", class_name).lower()
