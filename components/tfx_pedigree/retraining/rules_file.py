"""From the policy's section `retraining` to the rules. The file is checked as a whole: gate and retraining."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tfx_pedigree.comparison.config_reader import ConfigNode, from_yaml, optional
from tfx_pedigree.comparison.policy_file import RETRAINING, policy_at, policy_text
from tfx_pedigree.retraining.rules import Bounds, DriftRule, Rules, read_time

_MEASURES = ("jensen_shannon", "infinity_norm")


def load_rules(path: str | Path) -> Rules:
    return parse_rules(policy_text(path), str(path))


def parse_rules(text: str, source: str = "the policy") -> Rules:
    place = from_yaml(text, source)
    policy_at(place)
    section = place.table().get(RETRAINING)
    return Rules() if section is None or section.is_null else rules_at(section)


def rules_at(place: ConfigNode) -> Rules:
    found = place.fields(("new_span", "max_age", "attempts", "drift"))
    given = {
        "new_span": optional(found, "new_span", ConfigNode.truth),
        "max_age": optional(found, "max_age", _age),
        "attempts": optional(found, "attempts", _attempts),
        "drift": optional(found, "drift", _drift),
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
