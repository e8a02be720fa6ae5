"""What TFMA measured of challenger and champion, as the gate's numbers.

Read through TFMA's public functions from the records themselves: those say which number is a difference, which model
it belongs to and how wide its interval is, and keep NaN a number. A slice that is not there stays not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow_model_analysis as tfma
from tfx.dsl.io import fileio

from tfx_pedigree.comparison import Key, MetricValue, Slice, at_confidence
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.service.judging.comparison import COUNT, Evaluated

_METRICS_FILE = "metrics"


@dataclass(frozen=True)
class _Number:
    """One number as TFMA wrote it."""

    model: str
    key: Key
    is_difference: bool
    weighted: bool
    value: MetricValue


@dataclass(frozen=True)
class Told:
    """What TFMA was told of the models; empty where it was left to TFMA."""

    label_key: str = ""
    signature: str = ""
    prediction_key: str = ""
    preprocessing: tuple[str, ...] = ()


def read_evaluation(folder: str, confidence: float | None = None) -> Evaluated:
    """With `confidence`, TFMA's intervals (95 %) are turned into ones of that confidence.

    No record at all, as for an empty set of examples, gives no numbers. InvalidInputError where TFMA wrote nothing.
    """
    if not fileio.glob(f"{folder}/{_METRICS_FILE}*"):
        raise InvalidInputError(f"{folder} holds no results of TFMA. Connect the output `evaluation` of an Evaluator.")
    found = [one for record in tfma.load_metrics(folder) for one in _numbers(record, confidence)]
    challenger, champion = _names(folder, {one.model for one in found})
    return Evaluated(
        _table(one for one in found if one.model == challenger and not one.is_difference),
        None if champion is None else _table(one for one in found if one.model == champion and not one.is_difference),
        _table(one for one in found if one.is_difference),
    )


def read_told(folder: str, output: str = "") -> Told:
    """Of a model with several outputs, what was said of that one."""
    for spec in _specs(folder):
        functions = tuple(spec.preprocessing_function_names)
        label = spec.label_keys.get(output, "") or spec.label_key
        # TFMA calls the outputs of a signature as the signature does, unless it was told otherwise.
        prediction = spec.prediction_keys.get(output, "") or spec.prediction_key or output
        return Told(label, spec.signature_name, prediction, functions)
    return Told()


def _specs(folder: str) -> list[Any]:
    """The models of the EvalConfig that TFMA ended up with, in which each has its name."""
    results = tfma.load_eval_results(folder).get_results()
    return list(results[0].config.model_specs) if results and results[0].config else []


def _names(folder: str, models: set[str]) -> tuple[str, str | None]:
    """Challenger's and champion's. One model has an empty name in TFMA, two have what the EvalConfig calls them."""
    specs = _specs(folder)
    baselines = {spec.name for spec in specs if spec.is_baseline}
    others = models - baselines
    if len(others) > 1 or len(baselines) > 1:
        raise InvalidInputError(
            f"The evaluation in {folder} is of the models {', '.join(sorted(models))}. Two are compared here, one of "
            "which must be the baseline: evaluate with one unnamed ModelSpec and give the Evaluator a `baseline_model`."
        )
    return next(iter(others), ""), next(iter(baselines), None)


def _table(found: Iterable[_Number]) -> dict[Key, MetricValue]:
    """With the number of examples beside each value. If a metric is there with weights and without, the one with them
    gets another name; so does a sum of weights that TFMA calls a count, whatever else is there."""
    numbers = list(found)
    plain = {one.key for one in numbers if not one.weighted}
    counts = {one.key.slice: one.value.value for one in numbers if one.key.metric == COUNT and not one.weighted}
    table = {}
    for one in numbers:
        key = one.key
        if one.weighted and (key in plain or key.metric == COUNT):
            key = Key(f"weighted_{key.metric}", key.slice)
        table[key] = MetricValue(
            one.value.value, one.value.interval, None if one.is_difference else _whole(counts, key)
        )
    return table


def _whole(counts: Mapping[Slice, float], key: Key) -> int | None:
    count = counts.get(key.slice, math.nan)
    return int(count) if math.isfinite(count) else None


def _numbers(record: Any, confidence: float | None) -> Iterator[_Number]:
    """Plots, matrices and comparisons between slices are none of the gate's numbers."""
    if record.HasField("cross_slice_key"):
        return
    where = slice_of(record.slice_key)
    for item in record.metric_keys_and_values:
        value = _value(item.value)
        if value is not None:
            interval = _interval(item, confidence)
            key = Key(metric_name(item.key), where)
            weighted = bool(item.key.example_weighted.value)
            yield _Number(item.key.model_name, key, item.key.is_diff, weighted, MetricValue(value, interval))


def slice_of(key: Any) -> Slice:
    return Slice(tuple(_pair(one) for one in key.single_slice_keys))


def _pair(single: Any) -> tuple[str, str]:
    kind = single.WhichOneof("kind")
    value = getattr(single, kind) if kind else ""
    return single.column, value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def metric_name(key: Any) -> str:
    """`auc`; of one output `output/auc`; of one class `auc@class_id=3`; of an average `auc@macro_average`."""
    name = f"{key.output_name}/{key.name}" if key.output_name else str(key.name)
    parts = [f"{one.name}={value.value}" for one, value in key.sub_key.ListFields()]
    parts += [one.name for one, _ in key.aggregation_type.ListFields()]
    return name + "".join(f"@{part}" for part in parts)


def _value(value: Any) -> float | None:
    kind = value.WhichOneof("type")
    if kind == "double_value":
        return float(value.double_value.value)
    if kind == "bounded_value":
        return float(value.bounded_value.value.value)
    return float(value.t_distribution_value.unsampled_value.value) if kind == "t_distribution_value" else None


def _interval(item: Any, confidence: float | None) -> tuple[float, float] | None:
    if item.HasField("confidence_interval"):
        found = item.confidence_interval
        freedom = int(found.degrees_of_freedom.value)
        ends = float(found.lower_bound.double_value.value), float(found.upper_bound.double_value.value)
    elif item.value.WhichOneof("type") == "bounded_value":
        bounded, freedom = item.value.bounded_value, 0
        ends = float(bounded.lower_bound.value), float(bounded.upper_bound.value)
    else:
        return None
    ends = (min(ends), max(ends)) if all(map(math.isfinite, ends)) else ends
    if confidence is None or not all(map(math.isfinite, ends)):
        return ends
    return at_confidence(ends, confidence, degrees_of_freedom=freedom) if freedom else at_confidence(ends, confidence)
