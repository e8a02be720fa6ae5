"""A plan from `rollout.yaml`. What is left out is as the documents promise; what is not known is refused with its line.

    strategy: canary                  # or blue-green
    steps: [10 %, 25 %, 50 %, 100 %]  # or tables: {share: 10 %, requests: 500, time: 5m}; {shadow: 20 %} comes first
    bake: {requests: 500, time: 5m}   # for the steps that do not say it themselves
    judge:
      alpha: 0.05                     # how often chance may roll a harmless candidate back
      errors: {margin: 2, acceptable: 2 %}
      slow: {than: 200 ms, margin: 1.5, acceptable: 5 %}
      metrics:
        - {name: score, higher_is_better: true, margin: 0.01, query: 'avg(score{version="$version"})'}
      answers: {agreement: 98 %, shift: 10 %}  # from the target's response log
    validate: {requests: recorded.jsonl, path: /v1/models/penguin:predict, agreement: 99 %}
    undecided: roll-back              # or pause: when a step's time is over and nothing was shown
    keep: 10m                         # how long the version before it stays warm
    lease: 15s                        # after so long without a controller the load balancer ends the shares
    limits: {prepare: 30m, step: 24h, obey: 60s}
    target: edge                      # where it is rolled out; else `--target`, or the model's only one

Recorded requests are a file of the folder that the target names: an order chooses no path on the controller's host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import read_bounded
from tfx_pedigree.comparison.config_reader import ConfigNode, from_yaml, optional
from tfx_pedigree.digest import canonical_json
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.rollout.plan import (
    AnswerRule,
    Bake,
    CountQueries,
    Direction,
    JudgePlan,
    Limits,
    MetricRule,
    Plan,
    Rate,
    Step,
    Strategy,
    Undecided,
    Validation,
    checked,
    default_steps,
)
from tfx_pedigree.rollout.traffic.api import WHOLE

_TOP = ("strategy", "steps", "bake", "judge", "validate", "undecided", "keep", "lease", "limits", "target")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|m|h|d)")
_PERCENT = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*%")


@dataclass(frozen=True)
class RolloutFile:
    """`target` where the file names one."""

    plan: Plan
    target: str | None = None


def load_rollout(file: Path) -> RolloutFile:
    try:
        text = read_bounded(file).decode()
    except OSError as error:
        raise NotFoundError(f"The rollout's file {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"The rollout's file {file} is not UTF-8 text.") from None
    return parse_rollout(text, str(file))


def load_plan(file: Path) -> Plan:
    return load_rollout(file).plan


def rollout_from_data(values: Mapping[str, Any], source: str) -> RolloutFile:
    """The same keys and values as in a file."""
    return parse_rollout(canonical_json(dict(values)).decode(), source)


def parse_rollout(text: str, source: str) -> RolloutFile:
    root = from_yaml(text, source)
    found = root.fields(_TOP)
    return RolloutFile(_plan(found, source), optional(found, "target", ConfigNode.text))


def parse_plan(text: str, source: str) -> Plan:
    return parse_rollout(text, source).plan


def _plan(found: dict[str, ConfigNode], source: str) -> Plan:
    strategy = optional(found, "strategy", _strategy) or Strategy.CANARY
    bake = optional(found, "bake", lambda node: _bake(node, Bake())) or Bake()
    steps = optional(found, "steps", lambda node: node.each(lambda one: _step(one, bake)))
    if steps is None:
        steps = default_steps(bake) if strategy is Strategy.CANARY else (Step(WHOLE, bake),)
    plain = Plan(strategy, (Step(WHOLE),))
    rest: dict[str, Any] = {
        "judge": optional(found, "judge", _judge) or plain.judge,
        "validation": optional(found, "validate", _validation),
        "limits": optional(found, "limits", _limits) or plain.limits,
        "undecided": optional(found, "undecided", lambda node: node.choice(Undecided)) or plain.undecided,
        "keep_seconds": _or(optional(found, "keep", seconds), plain.keep_seconds),
        "lease_seconds": _or(optional(found, "lease", _lease), plain.lease_seconds),
    }
    try:
        return checked(Plan(strategy, steps, **rest), "the plan")
    except InvalidInputError as error:
        raise InvalidInputError(f"{source}: {error}") from None


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _strategy(node: ConfigNode) -> Strategy:
    found = node.choice(Strategy)
    if found is Strategy.DEPLOY:
        raise node.wrong("is deploy, which has no steps: use `pedigree deploy MODEL`. Here it is canary or blue-green.")
    return found


def seconds(node: ConfigNode) -> float:
    """A length of time: `90s`, `5m`, `200 ms`, `24h`, `0`."""
    text = node.raw if node.raw is not None else ""
    match = _TIME.fullmatch(text.strip())
    if match is None and text.strip() != "0":
        raise node.must_be("a length of time such as 90s, 5m, 24h or 200 ms")
    found = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if found > 366 * 86400:
        raise node.must_be("at most 366 d")
    return found


def _lease(node: ConfigNode) -> float:
    found = seconds(node)
    if not 1 <= found <= 3600:
        raise node.must_be("between 1s and 1h")
    return found


def chance(node: ConfigNode) -> float:
    """`2 %` or `0.02`."""
    match = _PERCENT.fullmatch((node.raw or "").strip())
    found = float(match[1]) / 100 if match else node.number()
    if not 0 <= found <= 1:
        raise node.must_be("between 0 and 1, or a percentage")
    return found


def _points(node: ConfigNode) -> int:
    """A share in percent: `10 %`, or 10 alone."""
    match = _PERCENT.fullmatch((node.raw or "").strip())
    percent = float(match[1]) if match else node.number()
    points = percent * 100
    if not 0 < percent <= 100 or abs(points - round(points)) > 1e-6:
        raise node.must_be("a share above 0 % and up to 100 %, in steps of 0.01 %")
    return round(points)


def _step(node: ConfigNode, bake: Bake) -> Step:
    if not isinstance(node.value, dict):
        return Step(_points(node), bake)
    found = node.fields(("share", "shadow", "requests", "time"))
    if ("share" in found) == ("shadow" in found):
        raise node.wrong("must have either `share` or `shadow`.")
    key = "shadow" if "shadow" in found else "share"
    return Step(_points(found[key]), _baked(found, bake), key == "shadow")


def _bake(node: ConfigNode, usual: Bake) -> Bake:
    return _baked(node.fields(("requests", "time")), usual)


def _baked(found: dict[str, ConfigNode], usual: Bake) -> Bake:
    requests = optional(found, "requests", ConfigNode.whole)
    return Bake(usual.requests if requests is None else requests, _or(optional(found, "time", seconds), usual.seconds))


def _judge(node: ConfigNode) -> JudgePlan:
    found = node.fields(("alpha", "beta", "errors", "slow", "metrics", "ratio_tolerance", "down", "answers", "counts"))
    usual = JudgePlan()
    slow = found.get("slow")
    return JudgePlan(
        _alpha(found, "alpha", usual.alpha),
        _alpha(found, "beta", usual.beta),
        optional(found, "errors", lambda one: _rate(one, usual.errors)) or usual.errors,
        1000 * seconds(slow.fields(("than", "harm", "margin", "acceptable"), ("than",))["than"]) if slow else None,
        _rate(slow, usual.slow) if slow else usual.slow,
        optional(found, "metrics", lambda one: one.each(_metric)) or (),
        _or(optional(found, "ratio_tolerance", chance), usual.ratio_tolerance),
        _or(optional(found, "down", seconds), usual.down_seconds),
        optional(found, "answers", _answers),
        optional(found, "counts", _counts),
    )


def _counts(node: ConfigNode) -> CountQueries:
    found = node.fields(("requests", "failed"), ("requests", "failed"))
    return CountQueries(found["requests"].text(), found["failed"].text())


def _answers(node: ConfigNode) -> AnswerRule:
    found, usual = node.fields(("agreement", "tolerance", "shift", "score")), AnswerRule()
    shift = _or(optional(found, "shift", chance), usual.shift)
    if not 0.01 <= shift <= 0.4:
        raise found["shift"].must_be("between 1 % and 40 %")
    tolerance = _or(optional(found, "tolerance", _tolerance), usual.tolerance)
    return AnswerRule(optional(found, "agreement", chance), tolerance, shift, optional(found, "score", ConfigNode.text))


def _alpha(found: dict[str, ConfigNode], key: str, usual: float) -> float:
    value = optional(found, key, chance)
    if value is None:
        return usual
    if not 1e-9 <= value <= 0.5:
        raise found[key].must_be("a chance between 0.000000001 and 0.5")
    return value


def _rate(node: ConfigNode, usual: Rate) -> Rate:
    found = node.fields(("harm", "margin", "acceptable", "than"))
    try:
        return Rate(
            _or(optional(found, "harm", _times), usual.harm),
            _or(optional(found, "margin", _times), usual.margin),
            chance(found["acceptable"]) if "acceptable" in found else usual.acceptable,
        )
    except InvalidInputError as error:
        raise _cannot_be_used(node, error) from None


def _cannot_be_used(node: ConfigNode, error: InvalidInputError) -> InvalidInputError:
    return error if str(error).startswith(node.source) else node.wrong(f"cannot be used: {error}")


def _times(node: ConfigNode) -> float:
    found = node.number()
    if not 1 <= found <= 100:
        raise node.must_be("between 1 and 100 times the stable version's rate")
    return found


def _metric(node: ConfigNode) -> MetricRule:
    found = node.fields(("name", "higher_is_better", "margin", "query", "window"), ("name", "higher_is_better"))
    higher = found["higher_is_better"].truth()
    return MetricRule(
        found["name"].text(),
        Direction.HIGHER if higher else Direction.LOWER,
        _or(optional(found, "margin", ConfigNode.number), 0.0),
        optional(found, "query", ConfigNode.text),
        _or(optional(found, "window", seconds), 30.0),
    )


def _validation(node: ConfigNode) -> Validation:
    found = node.fields(("requests", "path", "agreement", "tolerance", "slower"), ("requests", "path"))
    try:
        given = Validation(found["requests"].text(), found["path"].text())
    except InvalidInputError as error:
        raise _cannot_be_used(node, error) from None
    return replace(
        given,
        agreement=_or(optional(found, "agreement", chance), given.agreement),
        tolerance=_or(optional(found, "tolerance", _tolerance), given.tolerance),
        slower=optional(found, "slower", _times),
    )


def _tolerance(node: ConfigNode) -> float:
    found = node.number()
    if not 0 <= found <= 1e9:
        raise node.must_be("a number from 0 on")
    return found


def _limits(node: ConfigNode) -> Limits:
    found, usual = node.fields(("prepare", "step", "obey")), Limits()
    return Limits(
        _or(optional(found, "prepare", seconds), usual.prepare_seconds),
        _or(optional(found, "step", seconds), usual.step_seconds),
        _or(optional(found, "obey", seconds), usual.obey_seconds),
    )
