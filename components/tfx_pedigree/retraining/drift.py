"""What was measured between the champion's training data and a span, against what the policy allows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm, Measured
from tfx_pedigree.retraining.rules import DriftRule

JENSEN_SHANNON = "jensen_shannon"
INFINITY_NORM = "infinity_norm"
_WORDS = {JENSEN_SHANNON: "Jensen-Shannon divergence", INFINITY_NORM: "largest change of a share"}


@dataclass(frozen=True)
class Feature:
    """`distances` by measure. `is_text` features have shares to compare; `gone` ones have no values in the span."""

    distances: Mapping[str, Measured] = field(default_factory=dict)
    is_text: bool = False
    gone: bool = False


@dataclass(frozen=True)
class MeasuredDrift(JsonForm):
    """What `tfx_runner/measure_drift.py` found. `missing` says why there is nothing to compare."""

    champion_span: str | None = None
    span: int | None = None
    features: Mapping[str, Feature] = field(default_factory=dict)
    missing: str | None = None


@dataclass(frozen=True)
class Excess:
    """One feature beyond one of its bounds; `measure` is None for a feature that is gone."""

    feature: str
    measure: str | None = None
    distance: float = 1.0
    bound: float = 0.0

    def __str__(self) -> str:
        if self.measure is None:
            return f"{self.feature} has no values any more"
        return f"{self.feature}: {_WORDS[self.measure]} {self.distance:.3g}, more than {self.bound:g}"


def excesses(measured: MeasuredDrift, rule: DriftRule) -> tuple[Excess, ...]:
    """The furthest beyond its bound first."""
    for name in rule.features:
        feature = measured.features.get(name)
        if feature is None:
            raise InvalidInputError(
                f"The policy bounds the drift of `{name}`, but the champion's training data have no such feature. "
                f"They have {', '.join(sorted(measured.features))}."
            )
        if rule.of(name).infinity_norm is not None and not feature.is_text:
            raise InvalidInputError(
                f"The policy bounds the infinity norm of `{name}`, which is not a text: a number has no shares that "
                "could change. Give it a `jensen_shannon` bound."
            )
    found = [excess for name, feature in measured.features.items() for excess in _of(name, feature, rule)]
    return tuple(sorted(found, key=lambda one: (one.bound - one.distance, one.feature)))


def _of(name: str, feature: Feature, rule: DriftRule) -> list[Excess]:
    bounds = rule.of(name).to_json()
    if feature.gone:
        return [Excess(name)] if bounds else []
    return [
        Excess(name, measure, feature.distances[measure], bound)
        for measure, bound in bounds.items()
        if feature.distances.get(measure, 0.0) > bound and (feature.is_text or measure != INFINITY_NORM)
    ]
