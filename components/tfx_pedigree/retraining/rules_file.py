"""From the policy's section `retraining` to the rules. The file is checked as a whole: gate and retraining."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tfx_pedigree.comparison.config_reader import ConfigNode, from_yaml, optional
from tfx_pedigree.comparison.metrics import Direction, known, no_direction
from tfx_pedigree.comparison.policy_file import RETRAINING, policy_at, policy_text
from tfx_pedigree.retraining.rules import Bounds, Decline, DriftRule, Rules, read_time

_MEASURES = ("jensen_shannon", "infinity_norm")


def load_rules(path: str | Path) -> Rules:
    return parse_rules(policy_text(path), str(path))


def parse_rules(text: str, source: str = "the policy") -> Rules:
    place = from_yaml(text, source)
    policy_at(place)
    section = place.table().get(RETRAINING)
    return Rules() if section is None or section.is_null else rules_at(section)


def rules_at(place: ConfigNode) -> Rules:
    found = place.fields(("new_span", "max_age", "attempts", "drift", "performance"))
    given = {
        "new_span": optional(found, "new_span", ConfigNode.truth),
        "max_age": optional(found, "max_age", _age),
        "attempts": optional(found, "attempts", _attempts),
        "drift": optional(found, "drift", _drift),
        "performance": optional(found, "performance", _performance),
    }
    return Rules(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]


def _age(place: ConfigNode) -> timedelta:
    found = read_time(place.any_text())
    if not found:
        raise place.must_be("a length of time such as 30d, 12h or 2w")
    return found


def _attempts(place: ConfigNode) -> int:
    found = place.whole()
    if found < 1:
        raise place.must_be("1 or more")
    return found


def _drift(place: ConfigNode) -> DriftRule:
    found = place.fields(("default", "features", "ignore"))
    features = optional(found, "features", lambda one: {name: _bounds(each) for name, each in one.table().items()})
    ignore = optional(found, "ignore", lambda one: one.each(ConfigNode.text)) or ()
    default = optional(found, "default", _bounds)
    if default is None and not features:
        raise place.wrong("bounds nothing: give `default`, such as {jensen_shannon: 0.1}, or bounds of `features`.")
    both = sorted(set(features or ()) & set(ignore))
    if both:
        raise found["ignore"].wrong(f"names {both[0]}, which has bounds of its own. Leave one of them.")
    return DriftRule(default or Bounds(), features or {}, ignore)


def _performance(place: ConfigNode) -> dict[str, Decline]:
    rules = {metric: _decline(metric, each) for metric, each in place.table().items()}
    if not rules:
        raise place.wrong("names no metric: give one, such as `auc: {drop: 0.03, over: 7d, min_examples: 5000}`.")
    return rules


def _decline(metric: str, place: ConfigNode) -> Decline:
    found = place.fields(("drop", "over", "min_examples", "direction"), ("drop", "over"))
    drop, least = found["drop"].number(), optional(found, "min_examples", _attempts)
    if not 0 < drop < float("inf"):
        raise found["drop"].must_be("how far the metric may fall, such as 0.03")
    direction = optional(found, "direction", lambda one: one.choice(Direction)) or known(metric).direction
    if direction is None:
        raise place.wrong(f"cannot be watched. {no_direction(metric)}")
    return Decline(drop, _age(found["over"]), least or 1, direction)


def _bounds(place: ConfigNode) -> Bounds:
    found = place.fields(_MEASURES)
    if not found:
        raise place.wrong(f"bounds nothing: give {' or '.join(_MEASURES)}, such as `jensen_shannon: 0.1`.")
    return Bounds(*(optional(found, key, _distance) for key in _MEASURES))


def _distance(place: ConfigNode) -> float:
    found = place.number()
    if not 0 <= found < 1:
        raise place.must_be("a distance from 0 to less than 1: nothing lies further apart than 1")
    return found
