"""The gate alone: for a check in CI, for somebody who tries a policy, and for decisions that are made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tfx_pedigree.comparison import (
    Comparison,
    Direction,
    Earlier,
    GateDecision,
    Key,
    MetricValue,
    Policy,
    Scores,
    Verdict,
    decide,
    decide_again,
    parse_policy,
    slices_of,
    unfamiliar,
)
from tfx_pedigree.comparison.explaining import (
    CORRELATION,
    Odds,
    Situation,
    in_words,
    sentences,
    simulate,
    situation,
)
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import WITHOUT_THEM, Evidence, VersionQuestions
from tfx_pedigree.retraining.rules import Rules, performance_in_words
from tfx_pedigree.retraining.rules_file import parse_rules
from tfx_pedigree.service.versions.looking_up import newest_evidence
from tfx_pedigree.text import short_digest

# Where the evidence keeps the whole comparison that it rests on.
COMPARISON = "comparison"


def by_values(policy: Policy, challenger: Mapping[str, float], champion: Mapping[str, float] | None) -> GateDecision:
    """Of numbers over all examples, without intervals or slices."""
    return decide(policy, _scores(challenger), _scores(champion) if champion is not None else None)


def _scores(values: Mapping[str, float]) -> Scores:
    return Scores({Key(name): MetricValue(value) for name, value in values.items()})


@dataclass(frozen=True)
class ExplainedPolicy(JsonForm):
    """`policy` is its digest; the sentences say what it demands and what the simulation found."""

    policy: str
    sentences: tuple[str, ...]
    situation: Situation
    odds: Odds
    warnings: tuple[str, ...] = ()


def explain_policy(
    policy: Policy,
    examples: int,
    score: float | None = None,
    correlation: float | None = None,
    retraining: Rules | None = None,
) -> ExplainedPolicy:
    """Where nothing is given, the champion's true score is an ordinary one, and the two models err alike as retrainings
    do."""
    usual = 0.8 if policy.better is Direction.HIGHER else 0.4
    where = situation(
        policy, examples, usual if score is None else score, CORRELATION if correlation is None else correlation
    )
    odds = simulate(policy, where)
    said = (*sentences(policy), *in_words(policy, where, odds), *performance_in_words(retraining or Rules()))
    return ExplainedPolicy(policy.digest, said, where, odds, tuple(unfamiliar(policy)))


@dataclass(frozen=True)
class CheckedPolicy(JsonForm):
    """`problem`: why it cannot be used, and empty where it can; `warnings` name what may not be meant."""

    policy: str
    problem: str | None = None
    warnings: tuple[str, ...] = ()


def check_policy(text: str, source: str) -> CheckedPolicy:
    """All of the file: what the gate reads of it, and when a challenger is trained at all."""
    try:
        policy = parse_policy(text, source)
        parse_rules(text, source)
    except InvalidInputError as error:
        return CheckedPolicy(source, str(error))
    return CheckedPolicy(source, warnings=tuple(f"{source}: {one}" for one in unfamiliar(policy)))


@dataclass(frozen=True)
class Replayed(JsonForm):
    """`differences` name what came out otherwise; none means that the decision is the one on file, to the letter."""

    version: str
    evidence: str
    verdict: str
    reason: str
    differences: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        return not self.differences


def kept_comparison(evidence: Evidence) -> Comparison:
    """The comparison that a piece of evidence rests on."""
    kept = evidence.details.get(COMPARISON)
    if kept is None:
        raise InvalidInputError(
            f"The evidence {evidence.digest} keeps no comparison: it was attached by hand or by an older release. Its "
            "verdict and reason stand; what they follow from is not on file."
        )
    return Comparison.from_json(kept, f"the comparison in the evidence about {short_digest(evidence.challenger)}")


def slices_judged_on(evidence: Evidence | None) -> Earlier:
    """The slices of the evaluation by which a version was judged; nothing where that is not on file."""
    if evidence is None or COMPARISON not in evidence.details:
        return {}
    try:
        rows = kept_comparison(evidence).metrics
    except InvalidInputError:  # `audit verify` names evidence that cannot be read; a run does not end of it
        return {}
    return slices_of({row.key: row.challenger for row in rows if row.challenger is not None})


def replay(registry: VersionQuestions, reference: str) -> tuple[Replayed, Comparison]:
    """Decides once more on the numbers and the policy that the newest evidence keeps."""
    version, evidence = newest_evidence(registry, reference)
    comparison = kept_comparison(evidence)
    decision = decide_again(comparison)
    return Replayed(
        version.name, evidence.digest, decision.verdict.value, decision.reason, differences(evidence, comparison)
    ), comparison


def differences(evidence: Evidence, comparison: Comparison) -> tuple[str, ...]:
    """Between the decision that follows from the kept numbers and the one on file. A blessing that was withheld, or
    what a rollout found, stands above the gate's decision, which is on file beside it."""
    again = decide_again(comparison)
    verdict, reason = evidence.verdict, evidence.reason
    if WITHOUT_THEM in evidence.details:
        verdict, reason = Verdict.PASS, str(evidence.details.get(WITHOUT_THEM))
    found = []
    if again.to_json() != comparison.decision.to_json():
        found.append("the kept comparison's decision does not follow from its numbers")
    if again.verdict is not verdict:
        found.append(f"the verdict is {again.verdict.value}, the evidence says {verdict.value}")
    if again.reason != reason:
        found.append(f"the reason is “{again.reason}”, the evidence says “{reason}”")
    if comparison.challenger.digest != evidence.challenger:
        found.append("the comparison is of another challenger")
    if (comparison.champion.digest if comparison.champion else None) != evidence.champion:
        found.append("the comparison is with another champion")
    if comparison.policy.digest != evidence.policy:
        found.append("the comparison was made by another policy")
    return tuple(found)
