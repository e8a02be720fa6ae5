"""Champion against challenger: whether the new model is really better, and what the difference consists of.

In: a policy and what was measured of two models. Out: a decision with its reasons, comparison.json, report.html and
the Evaluator's EvalConfig. Never: measures a model itself, promotes, reads a file but the policy, or TensorFlow.
"""

from __future__ import annotations

from tfx_pedigree.comparison.assemble import Measurements, compare_models, decide_again
from tfx_pedigree.comparison.check import Check, CheckOutcome
from tfx_pedigree.comparison.document import Basis, Code, Comparison, Data, MetricRow, ParameterChange, Side
from tfx_pedigree.comparison.earlier import Earlier, earlier_to_json, read_earlier, slices_of
from tfx_pedigree.comparison.eval_config import EvaluatorPlan, Share, evaluator_plan
from tfx_pedigree.comparison.gate import GateDecision, decide
from tfx_pedigree.comparison.intervals import at_confidence
from tfx_pedigree.comparison.latency import LatencySummary, Patience, Timings, measure, ratio
from tfx_pedigree.comparison.luck import stake_of
from tfx_pedigree.comparison.measured import Latency
from tfx_pedigree.comparison.metric_names import MetricName, base_of, output_of
from tfx_pedigree.comparison.metrics import Direction, Metric, known, metric_of_class
from tfx_pedigree.comparison.metrics_specs import OF_THE_MODEL, ExtraMetric, ModelInputs, counting_spec
from tfx_pedigree.comparison.numbers import OVERALL, Key, MetricValue, Scores, Slice
from tfx_pedigree.comparison.outcomes import ModelOutcomes, Outcomes
from tfx_pedigree.comparison.past import (
    FIRST,
    Anchor,
    Best,
    Crowning,
    Decided,
    Past,
    PastDecision,
    Standing,
    best_of,
    standing_of,
)
from tfx_pedigree.comparison.policy import (
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
from tfx_pedigree.comparison.policy_file import load_policy, parse_policy, read_policy
from tfx_pedigree.comparison.policy_sense import unfamiliar
from tfx_pedigree.comparison.policy_utility import Utility
from tfx_pedigree.comparison.policy_year import ErrorBudget, Holdout, Many, NeverBelow, Reused
from tfx_pedigree.comparison.report import Origin, render
from tfx_pedigree.comparison.rule import ScoreChange
from tfx_pedigree.comparison.scores import DeltaSums, FlipCounts, characteristics, importance, similarity
from tfx_pedigree.verdict import Recommendation, Verdict

__all__ = [
    "FIRST",
    "OF_THE_MODEL",
    "OVERALL",
    "Anchor",
    "Basis",
    "Best",
    "Bounds",
    "Check",
    "CheckOutcome",
    "Code",
    "Comparison",
    "Crowning",
    "Data",
    "Decided",
    "DeltaSums",
    "Direction",
    "Earlier",
    "ErrorBudget",
    "EvaluatorPlan",
    "ExtraMetric",
    "FlipCounts",
    "Gain",
    "Gap",
    "GateDecision",
    "Guardrail",
    "Holdout",
    "Key",
    "Latency",
    "LatencyBudget",
    "LatencySummary",
    "MajorChange",
    "Many",
    "Measurements",
    "Metric",
    "MetricName",
    "MetricRow",
    "MetricValue",
    "MissingSlice",
    "ModelInputs",
    "ModelOutcomes",
    "NeverBelow",
    "NotComparable",
    "Origin",
    "Outcomes",
    "ParameterChange",
    "Past",
    "PastDecision",
    "Patience",
    "Policy",
    "Recommendation",
    "Regression",
    "Reused",
    "Rule",
    "RuleKind",
    "ScoreChange",
    "Scores",
    "Share",
    "Side",
    "Similar",
    "SizeBudget",
    "Slice",
    "Standing",
    "Timings",
    "TooFew",
    "Utility",
    "Verdict",
    "Weights",
    "at_confidence",
    "base_of",
    "best_of",
    "characteristics",
    "compare_models",
    "counting_spec",
    "decide",
    "decide_again",
    "earlier_to_json",
    "evaluator_plan",
    "importance",
    "known",
    "load_policy",
    "measure",
    "metric_of_class",
    "output_of",
    "parse_policy",
    "ratio",
    "read_earlier",
    "read_policy",
    "render",
    "similarity",
    "slices_of",
    "stake_of",
    "standing_of",
    "unfamiliar",
]
