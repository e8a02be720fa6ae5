"""TFMA's validation in a few lines, so that tests without TensorFlow can hold an EvalConfig against it.

From tensorflow_model_analysis/evaluators/metrics_validator.py (0.47): equality meets a threshold, a change is the
plain difference divided by the baseline, NaN where that is 0; a missing metric or slice refuses; without a baseline the
change thresholds are dropped, and without any threshold nothing is blessed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from tfx_pedigree.comparison import Key, Slice
from tfx_pedigree.comparison.metrics import KNOWN


def tfma_blesses(config: Mapping[str, Any], new: Mapping[Key, float], old: Mapping[Key, float] | None) -> bool:
    answers = []
    for metric, spec, threshold in _thresholds(config):
        if "valueThreshold" not in threshold and ("changeThreshold" not in threshold or old is None):
            continue
        places = [key for key in new if key.metric == metric and _matches(spec, key.slice)]
        answers.append(bool(places))
        answers += [_holds(threshold, new[key], None if old is None else old.get(key, math.nan)) for key in places]
    return bool(answers) and all(answers)


def _thresholds(config: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    names = {metric.class_name: name for name, metric in KNOWN.items() if not metric.config}
    for spec in config["metricsSpecs"]:
        found = {}
        for one in spec["metrics"]:
            name = json.loads(one.get("config", "{}")).get("name") or names[one["className"]]
            found[name] = one.get("perSliceThresholds", [])
        found |= {name: one["thresholds"] for name, one in spec.get("perSliceThresholds", {}).items()}
        for metric, thresholds in found.items():
            for one in thresholds:
                for where in one["slicingSpecs"]:
                    yield metric, where, one["threshold"]


def _matches(spec: Mapping[str, Any], where: Slice) -> bool:
    values = spec.get("featureValues", {})
    features = {*spec.get("featureKeys", []), *values}
    return features == set(where.features) and all(pair in where.pairs for pair in values.items())


def _holds(threshold: Mapping[str, Any], value: float, baseline: float | None) -> bool:
    bounds = threshold.get("valueThreshold")
    if bounds is not None and not bounds.get("lowerBound", -math.inf) <= value <= bounds.get("upperBound", math.inf):
        return False
    change = threshold.get("changeThreshold")
    if change is None or baseline is None:
        return True
    difference = value - baseline
    ratio = math.nan if baseline == 0 else difference / baseline
    for name, found in (("absolute", difference), ("relative", ratio)):
        if name in change:
            lower = change["direction"] == "LOWER_IS_BETTER"
            if not (found <= change[name] if lower else found >= change[name]):
                return False
    return True
