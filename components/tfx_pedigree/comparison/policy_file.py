"""From the policy's YAML to the policy. A refusal names the file, the line and the key, and what would be right.

The section `retraining` says when a challenger is trained at all, not when it wins: the room of that name reads it, and
here it is passed over. The policy and its digest know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from tfx_pedigree.comparison.config_reader import ConfigNode, Fields, from_data, from_yaml, optional
from tfx_pedigree.comparison.metric_names import base_of
from tfx_pedigree.comparison.metrics import Direction, known, no_direction
from tfx_pedigree.comparison.numbers import Slice
from tfx_pedigree.comparison.policy import (
    FORMATS,
    LARGEST_SHARE,
    NEWEST,
    Bounds,
    Gain,
    Gap,
    Guardrail,
    LatencyBudget,
    MajorChange,
    MissingSlice,
    NotComparable,
    Policy,
    Regression,
    Rule,
    RuleKind,
    Similar,
    SizeBudget,
    TooFew,
    Weights,
)
from tfx_pedigree.comparison.policy_sense import misnamed, nonsense
from tfx_pedigree.comparison.policy_utility import Utilities, Utility
from tfx_pedigree.comparison.policy_year import BEST_CHAMPION, ErrorBudget, Holdout, Many, NeverBelow, Reused
from tfx_pedigree.errors import InvalidInputError, NotFoundError

T = TypeVar("T")
E = TypeVar("E", bound=Enum)
RETRAINING = "retraining"
_RULE = tuple(kind.value for kind in RuleKind)


def load_policy(path: str | Path) -> Policy:
    return parse_policy(policy_text(path), str(path))


def policy_text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(
            f"There is no policy at {path}. Give the path of one, such as configs/policy.yaml."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"The policy {path} cannot be read: {error}.") from error


def parse_policy(text: str, source: str = "the policy") -> Policy:
    """What a person wrote, who is told of a demand that can't be meant. Decisions on file are read without that."""
    place = from_yaml(text, source)
    policy = policy_at(place)
    for path, problem in nonsense(policy):
        raise place.inside(path).wrong(problem)
    return policy


def read_policy(data: Any, source: str = "the policy") -> Policy:
    """Over the plain JSON form: `read_policy(p.to_json()) == p`."""
    return policy_at(from_data(data, source))


def policy_at(place: ConfigNode) -> Policy:
    found = place.fields(("format", "metric", "rule", "guardrails", "importance", *_POLICY, RETRAINING), ("metric",))
    form = optional(found, "format", _form) or NEWEST
    metric, given = found["metric"].text(), _given(found, _POLICY, form)
    utilities = given.get("utilities", {})
    direction = given.pop("direction", None) or _better(metric, utilities)
    if direction is None:
        raise found["metric"].wrong(misnamed(metric) or f"cannot be the score. {no_direction(metric)}")
    if "rule" in found:
        given["rule"] = _rule(found["rule"], direction, form)
    given["importance"] = optional(found, "importance", lambda one: _weights(one, form)) or _default_weights(form)
    rails = optional(found, "guardrails", lambda one: one.each(lambda rail: _guardrail(rail, form, utilities))) or ()
    major = given.pop("major", MajorChange.ALLOW if form == 1 else MajorChange.HUMAN)
    return _made(place, lambda: Policy(metric, direction, guardrails=rails, form=form, major=major, **given))


def _given(found: Fields, readers: Mapping[str, Callable[[ConfigNode], Any]], form: int) -> dict[str, Any]:
    """What is given, by its key. What is left out has the default of the policy or the guardrail."""
    if form == 1:
        for key in sorted(_NEW_IN_2 & found.keys()):
            _since_2(found[key], form)
    return {key: read(found[key]) for key, read in readers.items() if key in found}


def _made(place: ConfigNode, make: Callable[[], T]) -> T:
    """What the values themselves refuse is said with the place as well."""
    try:
        return make()
    except InvalidInputError as error:
        raise place.wrong(f"cannot be used. {error}") from None


def _form(place: ConfigNode) -> int:
    if place.value not in FORMATS:
        known = " or ".join(FORMATS)
        raise place.must_be(f"{known}: another form needs another Pedigree, or was never a policy")
    return FORMATS[str(place.value)]


def _since_2(place: ConfigNode, form: int) -> ConfigNode:
    if form == 1:
        raise place.wrong("is not known in pedigree.policy/1. Write `format: pedigree.policy/2`.")
    return place


def _default_weights(form: int) -> Weights:
    return Weights(gain=Gain.RELATIVE if form == 1 else Gain.ABSOLUTE)


def _one_of(kind: type[E]) -> Callable[[ConfigNode], E]:
    return lambda place: place.choice(kind)


def _confidence(place: ConfigNode) -> float:
    found = place.number()
    if not 0.5 <= found < 1:
        raise place.must_be("a number from 0.5 to less than 1, such as 0.95")
    return found


def _not_negative(place: ConfigNode) -> float:
    found = place.number()
    if found < 0:
        raise place.must_be("0 or more")
    return found


def _positive(place: ConfigNode) -> float:
    found = place.number()
    if found <= 0:
        raise place.must_be("more than 0")
    return found


def _share(place: ConfigNode) -> float:
    found = place.number()
    if not 0 <= found <= LARGEST_SHARE:
        raise place.must_be(f"a share from 0 to {LARGEST_SHARE} (0.05 is 5 %)")
    return found


def _rule(place: ConfigNode, direction: Direction, form: int) -> Rule:
    found = place.fields((*_RULE, "perfect"))
    named = [key for key in _RULE if key in found]
    both = len(named) == 2 and RuleKind.ABSOLUTE.value in named
    if len(named) != 1 and not both:
        raise place.wrong(
            f"must name exactly one of {', '.join(_RULE)}, such as `relative: 0.05`; or a share and with it "
            "`absolute`, for a gain that is more than both."
        )
    also = _not_negative(_since_2(found[RuleKind.ABSOLUTE.value], form)) if both else None
    kind = RuleKind(next(key for key in named if not both or key != RuleKind.ABSOLUTE.value))
    if kind is not RuleKind.ERROR_REDUCTION and "perfect" in found:
        raise found["perfect"].wrong("belongs to the rule `error_reduction`, and to no other.")
    read = _not_negative if kind is RuleKind.ABSOLUTE else _share
    threshold = read(found[kind.value])
    if kind is not RuleKind.ERROR_REDUCTION:
        return Rule(kind, threshold, None, also)
    default = 1.0 if direction is Direction.HIGHER else 0.0
    perfect = optional(found, "perfect", ConfigNode.number)
    return Rule(kind, threshold, default if perfect is None else perfect, also)


def _utilities(place: ConfigNode) -> dict[str, Utility]:
    return {name: Utility.read(one) for name, one in place.table().items()}


def _better(metric: str, utilities: Utilities) -> Direction | None:
    return Direction.HIGHER if base_of(metric) in utilities else known(metric).direction


def _guardrail(place: ConfigNode, form: int, utilities: Utilities) -> Guardrail:
    found = place.fields(("metric", "max_regression", "min_gain", "at_least", "at_most", *_GUARDRAIL), ("metric",))
    metric, given = found["metric"].text(), _given(found, _GUARDRAIL, form)
    if "direction" not in given and base_of(metric) in utilities:
        given["direction"] = Direction.HIGHER
    if "max_regression" in found:
        given["max_regression"] = _regression(found["max_regression"], form)
    if "min_gain" in found:
        # Without a direction the guardrail itself is refused, which says more.
        better = given.get("direction") or known(metric).direction or Direction.HIGHER
        given["min_gain"] = _rule(found["min_gain"], better, form)
    bounds = _bounds(place, found)
    return _made(place, lambda: Guardrail(metric, bounds=bounds, **given))


def _gap(place: ConfigNode) -> Gap:
    """A number, which is the largest gap, or a table."""
    if not isinstance(place.value, dict):
        return Gap(_not_negative(place))
    found = place.fields(("at_most", "worse_by"))
    limits = [optional(found, name, _not_negative) for name in ("at_most", "worse_by")]
    return _made(place, lambda: Gap(*limits))


def _slice(place: ConfigNode) -> Slice | None:
    """`origin=JFK`, a table of several features, or `overall`, which is the same as no slice."""
    if isinstance(place.value, dict):
        return Slice.read(place)
    text = place.any_text()
    if text == "overall":
        return None
    feature, sign, value = text.partition("=")
    if not sign or not feature.strip():
        raise place.must_be("`feature=value`, a table of features and values, or `overall`")
    return Slice(((feature.strip(), value.strip()),))


def _features(place: ConfigNode) -> tuple[str, ...]:
    if isinstance(place.value, list):
        return place.each(ConfigNode.text)
    return (place.text(),)


def _regression(place: ConfigNode, form: int) -> Regression:
    found = place.fields(("relative", "absolute"))
    if not found:
        raise place.wrong("must name `relative` or `absolute`, such as `relative: 0.02`, or both.")
    if len(found) == 2:
        absolute = _not_negative(_since_2(found["absolute"], form))
        return Regression(_not_negative(found["relative"]), and_absolute=absolute)
    if "relative" in found:
        return Regression(_not_negative(found["relative"]))
    return Regression(_not_negative(found["absolute"]), relative=False)


def _bounds(place: ConfigNode, found: Fields) -> Bounds | None:
    low, high = optional(found, "at_least", ConfigNode.number), optional(found, "at_most", ConfigNode.number)
    if low is None and high is None:
        return None
    return _made(place, lambda: Bounds(low, high))


def _floors(place: ConfigNode) -> dict[str, Bounds]:
    floors = {}
    for metric, one in place.table().items():
        bounds = _bounds(one, one.fields(("at_least", "at_most")))
        if bounds is None:
            raise one.wrong("must say `at_least`, `at_most` or both.")
        floors[metric] = bounds
    return floors


def _latency(place: ConfigNode) -> LatencyBudget:
    found = place.fields(("p95_ms", "ratio"))
    return LatencyBudget(optional(found, "p95_ms", _positive), optional(found, "ratio", _positive))


def _size(place: ConfigNode) -> SizeBudget:
    found = place.fields(("bytes", "ratio"))
    return SizeBudget(optional(found, "bytes", ConfigNode.whole), optional(found, "ratio", _positive))


def _weights(place: ConfigNode, form: int) -> Weights:
    found = place.fields(("improvement", "latency", "gain"))
    default = _default_weights(form)
    return Weights(
        _not_negative(found["improvement"]) if "improvement" in found else default.improvement,
        _not_negative(found["latency"]) if "latency" in found else default.latency,
        _since_2(found["gain"], form).choice(Gain) if "gain" in found else default.gain,
    )


def _error_budget(place: ConfigNode) -> ErrorBudget:
    names = ("false_promotions", "decisions")
    found = place.fields(names, names)
    chance, decisions = found["false_promotions"].number(), found["decisions"].whole()
    return _made(place, lambda: ErrorBudget(chance, decisions))


def _holdout(place: ConfigNode) -> Holdout:
    found = place.fields(("uses", "then", "ladder"))
    uses = optional(found, "uses", ConfigNode.whole)
    then = optional(found, "then", lambda one: one.choice(Reused)) or Reused.WARN
    ladder = optional(found, "ladder", ConfigNode.truth) or False
    return _made(place, lambda: Holdout(uses, then, ladder))


def _never_below(place: ConfigNode) -> NeverBelow:
    """`best_champion`, or a table of it and what may be lost."""
    if not isinstance(place.value, dict):
        if place.text() != BEST_CHAMPION:
            raise place.must_be(f"`{BEST_CHAMPION}`, or a table such as `{BEST_CHAMPION}: {{relative: 0.02}}`")
        return NeverBelow()
    found = place.fields((BEST_CHAMPION, "point_estimate"), (BEST_CHAMPION,))
    limits = found[BEST_CHAMPION].fields(("relative", "absolute"))
    relative, absolute = (optional(limits, key, _not_negative) for key in ("relative", "absolute"))
    point = optional(found, "point_estimate", ConfigNode.truth) or False
    return _made(place, lambda: NeverBelow(relative, absolute, point))


# How each key is read that is read by itself.
_POLICY: Mapping[str, Callable[[ConfigNode], Any]] = {
    "direction": _one_of(Direction),
    "similar": _one_of(Similar),
    "confidence": _confidence,
    "min_examples": ConfigNode.whole,
    "latency": _latency,
    "size": _size,
    "first_version": _floors,
    "not_comparable": _one_of(NotComparable),
    "missing_slice": _one_of(MissingSlice),
    "major": _one_of(MajorChange),
    "error_budget": _error_budget,
    "holdout": _holdout,
    "never_below": _never_below,
    "min_positives": ConfigNode.whole,
    "min_negatives": ConfigNode.whole,
    "utilities": _utilities,
}
_GUARDRAIL: Mapping[str, Callable[[ConfigNode], Any]] = {
    "slice": _slice,
    "each_slice_of": _features,
    "direction": _one_of(Direction),
    "min_examples": ConfigNode.whole,
    "too_few": _one_of(TooFew),
    "point_estimate": ConfigNode.truth,
    "max_gap": _gap,
    "min_positives": ConfigNode.whole,
    "min_negatives": ConfigNode.whole,
    "many": _one_of(Many),
}
_NEW_IN_2 = {
    "major",
    "error_budget",
    "holdout",
    "never_below",
    "min_positives",
    "min_negatives",
    "utilities",
    "min_gain",
    "max_gap",
    "many",
}
