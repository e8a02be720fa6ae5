"""What the documents' rule says of a pair of scores, what the gate says, and what TFMA's own code says.

The truth is worked out with fractions. TFMA is asked twice: with the threshold that a person would write for the rule,
and with those of the plan that Pedigree makes. The gate, and both together with the plan, must say the truth in every
case; what a threshold by hand says stands in docs/policy.md. `-s` prints the table.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from tensorflow_model_analysis.evaluators import metrics_validator
from tensorflow_model_analysis.metrics import metric_specs
from tensorflow_model_analysis.proto import config_pb2

from tfx_pedigree.comparison import (
    Direction,
    ExtraMetric,
    Key,
    MetricValue,
    Policy,
    Rule,
    RuleKind,
    Scores,
    Verdict,
    decide,
    evaluator_plan,
)

# A class that TFMA can make; only its name counts here.
SCORE = ExtraMetric("score", "MeanLabel")
RULES = {
    "relative 5 %": Rule(),
    "relative 0": Rule(RuleKind.RELATIVE, 0.0),
    "absolute 0.02": Rule(RuleKind.ABSOLUTE, 0.02),
    "error reduction 5 %": Rule(RuleKind.ERROR_REDUCTION, 0.05, 1.0),
    "relative 5 % and absolute 0.01": Rule(RuleKind.RELATIVE, 0.05, None, 0.01),
}
# New and old: ordinary, on the line, near perfect, negative, zero, and no number.
PAIRS = [
    *[(0.85, 0.8), (0.84, 0.8), (0.82, 0.8), (0.8, 0.8), (0.76, 0.8), (0.7, 0.8), (0.105, 0.1), (0.106, 0.1)],
    *[(0.999, 0.99), (1.0, 0.99), (0.9911, 0.99)],
    *[(-0.9, -1.0), (-0.97, -1.0), (-1.2, -1.0), (0.1, -0.1)],
    *[(0.1, 0.0), (0.0, 0.0), (-0.1, 0.0), (0.0, 0.5)],
    *[(math.nan, 0.8), (0.8, math.nan)],
]


@dataclass(frozen=True)
class Case:
    rule: str
    direction: Direction
    new: float
    old: float

    @property
    def policy(self) -> Policy:
        rule = RULES[self.rule]
        if rule.kind is RuleKind.ERROR_REDUCTION and self.direction is Direction.LOWER:
            rule = Rule(rule.kind, rule.threshold, 0.0)
        return Policy("score", self.direction, rule)

    @property
    def truth(self) -> bool:
        """Better by more than what the rule asks for, where "more" begins at 1.00001 times that."""
        if math.isnan(self.new) or math.isnan(self.old):
            return False
        new, old = (Fraction(one).limit_denominator(10**6) for one in (self.new, self.old))
        rule, higher = self.policy.rule, self.direction is Direction.HIGHER
        if rule.perfect is not None:
            perfect = Fraction(rule.perfect)
            new, old = (min(one, perfect) if higher else max(one, perfect) for one in (new, old))
        gain = new - old if higher else old - new
        unit = {
            RuleKind.RELATIVE: abs(old),
            RuleKind.ABSOLUTE: Fraction(1),
            RuleKind.ERROR_REDUCTION: abs(Fraction(rule.perfect or 0) - old),
        }[rule.kind]
        more = 1 + Fraction(1, 10**5)
        asked = [Fraction(rule.threshold).limit_denominator(1000) * unit]
        asked += [] if rule.and_absolute is None else [Fraction(rule.and_absolute).limit_denominator(1000)]
        return all(gain > one * more for one in asked)

    @property
    def gate(self) -> bool:
        new, old = (Scores({Key("score"): MetricValue(one)}) for one in (self.new, self.old))
        return decide(self.policy, new, old).verdict is Verdict.PASS

    @property
    def by_hand(self) -> bool:
        """The threshold that says "at least so much better" in TFMA's words, as far as there are words."""
        rule, sign = RULES[self.rule], 1.0 if self.direction is Direction.HIGHER else -1.0
        change: dict[str, Any] = {"direction": f"{self.direction.name}_IS_BETTER"}
        if rule.kind is RuleKind.ABSOLUTE:
            change["absolute"] = sign * rule.threshold
        else:
            change["relative"] = sign * rule.threshold
            change |= {} if rule.and_absolute is None else {"absolute": sign * rule.and_absolute}
        metric = {
            "className": SCORE.class_name,
            "config": '{"name": "score"}',
            "threshold": {"changeThreshold": change},
        }
        return self._tfma({"metricsSpecs": [{"metrics": [metric]}], "slicingSpecs": [{}]})

    @property
    def by_plan(self) -> bool:
        return self._tfma(evaluator_plan(self.policy, metrics=[SCORE]).config)

    def _tfma(self, given: dict[str, Any]) -> bool:
        models = [{"name": "candidate"}, {"name": "baseline", "isBaseline": True}]
        specs = [{**spec, "modelNames": ["candidate"]} for spec in given["metricsSpecs"]]
        config = json_format.ParseDict({**given, "modelSpecs": models, "metricsSpecs": specs}, config_pb2.EvalConfig())
        metrics = {}
        for key in metric_specs.metric_thresholds_from_metrics_specs(config.metrics_specs, eval_config=config):
            value = key._replace(is_diff=False)
            metrics |= {value: self.new, value._replace(model_name="baseline"): self.old}
            metrics[value._replace(is_diff=True)] = self.new - self.old
        return bool(metrics_validator.validate_metrics(((), metrics), config).validation_ok)


CASES = [Case(rule, way, *pair) for rule, way, pair in itertools.product(RULES, Direction, PAIRS)]


@pytest.fixture(scope="module")
def answers() -> dict[Case, tuple[bool, bool, bool, bool]]:
    return {case: (case.truth, case.gate, case.by_hand, case.by_plan) for case in CASES}


def test_the_gate_says_what_the_rule_says(answers: dict[Case, tuple[bool, bool, bool, bool]]) -> None:
    assert [case for case, (truth, gate, _, _) in answers.items() if gate is not truth] == []


def test_tfma_with_the_plan_never_refuses_what_the_rule_passes(
    answers: dict[Case, tuple[bool, bool, bool, bool]],
) -> None:
    """So what is pushed, which both must bless, is what the rule passes."""
    assert [case for case, (truth, _, _, plan) in answers.items() if truth and not plan] == []


def test_how_often_a_threshold_by_hand_is_wrong_stands_in_the_documents(
    answers: dict[Case, tuple[bool, bool, bool, bool]],
) -> None:
    wrong: Counter[tuple[str, bool]] = Counter()
    for case, (truth, gate, hand, plan) in answers.items():
        wrong[case.rule, truth] += hand is not truth
        words = ["passes" if one else "refuses" for one in (truth, gate, hand, plan)]
        print(f"{case.rule} | {case.direction.value} | {case.old} | {case.new} | " + " | ".join(words))
    rows = [f"| {rule} | {len(PAIRS) * 2} | {wrong[rule, False]} | {wrong[rule, True]} |" for rule in RULES]
    rows.append(
        f"| all | {len(CASES)} | {sum(wrong[r, False] for r in RULES)} | {sum(wrong[r, True] for r in RULES)} |"
    )
    print("\n".join(rows))
    text = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
    table = re.findall(r"^\| (?:relative|absolute 0|error reduction|all).*\|$", text.split("by hand")[-1], re.M)
    assert table == rows
    assert len(CASES) >= 89
