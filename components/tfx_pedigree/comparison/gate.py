"""The decision: a pure function from the policy and both models' numbers to a verdict with its reasons.

Laws, which tests/unit/comparison/test_gate_laws.py holds and docs/policy.md explains: a better challenger never turns
PASS into FAIL; swapping the two models swaps the recommendation; scale does not matter to `relative`, nor shift to
`absolute`; and what is missing or NaN never promotes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tfx_pedigree.comparison.best_champion import anchor_warnings
from tfx_pedigree.comparison.budget_checks import budget_checks
from tfx_pedigree.comparison.check import Check, CheckOutcome
from tfx_pedigree.comparison.earlier import Earlier
from tfx_pedigree.comparison.gap_checks import gap_checks
from tfx_pedigree.comparison.guardrail_checks import floor_checks, gain_checks, guardrail_checks
from tfx_pedigree.comparison.luck import confidence_of, reuse_warnings, widened, year_checks
from tfx_pedigree.comparison.margin import Pair
from tfx_pedigree.comparison.measured import Latency, Measured, enough, few_of_class, missing, named, paired
from tfx_pedigree.comparison.metrics import Direction, known
from tfx_pedigree.comparison.numbers import Key, MetricValue, Scores
from tfx_pedigree.comparison.past import Anchor, Standing
from tfx_pedigree.comparison.policy import MajorChange, NotComparable, Policy, RuleKind, Similar
from tfx_pedigree.comparison.rule import Contest, ScoreChange, recommend, score_change, score_outcome, share
from tfx_pedigree.comparison.wording import asked_of, graded, moved, number
from tfx_pedigree.comparison.wording import interval as interval_text
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.text import listed, plain
from tfx_pedigree.verdict import Recommendation, Verdict

SCORE = "score"
# Among the numbers of the score's check where both scores were tested against each other.
GAIN = "gain"


@dataclass(frozen=True)
class GateDecision(JsonForm):
    """`reason` is one sentence. `change` is None where there was nothing to compare with, or a number was missing."""

    JSON: ClassVar[Layout] = Layout(whole=True)

    verdict: Verdict
    reason: str
    recommendation: Recommendation | None = None
    change: ScoreChange | None = None
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def won(self) -> bool | None:
        """Whether the score alone was enough; None where the two scores were not tested against each other."""
        score = self.checks[0] if self.checks else None
        return score.outcome is CheckOutcome.HOLDS if score is not None and GAIN in score.numbers else None


def decide(
    policy: Policy,
    challenger: Scores,
    champion: Scores | None,
    *,
    differences: Mapping[Key, MetricValue] | None = None,
    latency: Latency | None = None,
    not_comparable: str | None = None,
    breaking: str | None = None,
    earlier: Earlier | None = None,
    standing: Standing | None = None,
    anchor: Anchor | None = None,
) -> GateDecision:
    """`not_comparable` says why a champion that exists could not be evaluated on these data; `breaking` what callers of
    the champion cannot rely on any more, where the change is a MAJOR one; `earlier` on which slices it was judged;
    `standing` what earlier decisions mean for this one; `anchor` the best champion so far on the same rows."""
    if not_comparable is not None and policy.not_comparable is NotComparable.HUMAN:
        reason = f"Not decided: the champion cannot be compared ({not_comparable}), so a person must decide."
        return GateDecision(Verdict.INSUFFICIENT, reason, warnings=(not_comparable,))
    if champion is None or not_comparable is not None:
        alone = Measured(challenger, latency=latency or Latency(), earlier=earlier or {})
        return _alone(policy, alone, not_comparable)
    found = Measured(challenger, champion, differences or {}, latency or Latency(), earlier or {})
    confidence = confidence_of(policy, standing)
    score, recommendation, change = _score(policy, found, confidence)
    year = year_checks(policy, found, standing, anchor)
    others = (*_guarded(policy, found), *budget_checks(policy, found), *year, *_major(policy, breaking))
    checks = (score, *others)
    verdict = _verdict(checks)
    warnings = (
        *_out_of_reach(policy, champion, verdict),
        *_skipped(checks),
        *reuse_warnings(policy, found, standing),
        *anchor_warnings(policy, standing, anchor),
    )
    lead = {
        Verdict.PASS: "The challenger wins",
        Verdict.FAIL: "The champion stays",
        Verdict.INSUFFICIENT: "Not decided",
    }[verdict]
    return GateDecision(verdict, _reason(lead, verdict, checks), recommendation, change, checks, warnings)


def _alone(policy: Policy, found: Measured, not_comparable: str | None) -> GateDecision:
    """There is no champion to beat: the floors, the bounds and the budgets decide."""
    checks = (
        _usable(policy, found),
        *floor_checks(policy, found),
        *_guarded(policy, found),
        *budget_checks(policy, found),
    )
    verdict = _verdict(checks)
    opening = "First version, with no champion to beat"
    warnings = _skipped(checks)
    if not_comparable is not None:
        opening = f"The champion cannot be compared ({not_comparable}), and the policy lets the floors decide"
        warnings = (not_comparable, *warnings)
    if verdict is Verdict.PASS and not policy.first_version:
        warnings = (*warnings, "the policy sets no floors for a version without a champion: any score passes")
    words = {Verdict.PASS: "it passes", Verdict.FAIL: "it fails", Verdict.INSUFFICIENT: "it is not decided"}
    lead = f"{opening}; {words[verdict]}"
    return GateDecision(verdict, _reason(lead, verdict, checks), None, None, checks, warnings)


def _guarded(policy: Policy, found: Measured) -> tuple[Check, ...]:
    return (*guardrail_checks(policy, found), *gain_checks(policy, found), *gap_checks(policy, found))


def _usable(policy: Policy, found: Measured) -> Check:
    key = Key(policy.metric)
    if problem := missing("challenger", key, found.challenger) or _too_few(policy, key, found):
        return Check(SCORE, CheckOutcome.UNKNOWN, problem)
    value = found.challenger.metrics[key].value
    return Check(SCORE, CheckOutcome.HOLDS, f"{named(key)} is {number(value)}", {"challenger": value})


def _too_few(policy: Policy, key: Key, found: Measured) -> str | None:
    few = few_of_class(key, found, policy.least_of_each())
    return enough(key, found, policy.min_examples) or (few[0] if few else None)


def _major(policy: Policy, breaking: str | None) -> Iterator[Check]:
    """Whoever calls the model must change with it, which no metric tells."""
    if breaking is not None and policy.major is MajorChange.HUMAN:
        sentence = f"the change is a MAJOR one ({breaking}), which a person must promote"
        yield Check("MAJOR change", CheckOutcome.UNKNOWN, sentence)


def _score(
    policy: Policy, found: Measured, confidence: float | None
) -> tuple[Check, Recommendation | None, ScoreChange | None]:
    """With a confidence that may be higher than the policy's: see `luck`."""
    key = Key(policy.metric)
    contest = Contest(policy.rule, policy.better)
    values = paired(key, found, contest.measure, confident=False, least=policy.min_examples)
    if isinstance(values, str):
        return Check(SCORE, CheckOutcome.UNKNOWN, values), None, None
    pair = paired(key, found, contest.measure, confident=policy.confidence is not None, least=policy.min_examples)
    pair = pair if isinstance(pair, str) else widened(pair, policy.confidence, confidence)
    problem = _too_few(policy, key, found) or (pair if isinstance(pair, str) else None)
    change = score_change(contest, values if isinstance(pair, str) else pair)
    if problem or isinstance(pair, str):
        numbers = {"challenger": values.challenger, "champion": values.champion}
        return Check(SCORE, CheckOutcome.UNKNOWN, problem or "", numbers), None, change
    recommendation = recommend(contest, pair)
    outcome = score_outcome(contest, policy.similar, pair)
    sentence = _score_sentence(policy, change, outcome, recommendation, confidence)
    numbers = {"challenger": pair.challenger, "champion": pair.champion, GAIN: change.gain}
    return Check(SCORE, outcome, sentence, numbers), recommendation, change


def _score_sentence(
    policy: Policy,
    change: ScoreChange,
    outcome: CheckOutcome,
    recommendation: Recommendation | None,
    confidence: float | None,
) -> str:
    kind, metric = policy.rule.kind, plain(policy.metric)
    said = moved(metric, change.champion, change.challenger)
    if change.gain:
        said += f", {graded(kind, change.gain)}"
    if change.gain_interval is not None:
        said += f" ({interval_text(kind, change.gain_interval, confidence)})"
    asked = f"the {asked_of(policy.rule)} that the policy asks for"
    if recommendation is Recommendation.CHALLENGER:
        return f"{said}, more than {asked}"
    if outcome is CheckOutcome.UNKNOWN:
        return f"{said}, and the interval does not tell whether that is enough: more examples are needed"
    if outcome is CheckOutcome.HOLDS:
        return f"{said}, similar performance, for which the policy prefers the newer model"
    if recommendation is Recommendation.CHAMPION:
        return f"{said}{_seen_from_challenger(policy, change)}"
    if policy.similar is Similar.PREFER_CHALLENGER:
        return f"{said}: more than {asked_of(policy.rule)} of the champion's score is lost"
    return f"{said}, not more than {asked}"


def _seen_from_challenger(policy: Policy, change: ScoreChange) -> str:
    """The champion is recommended by the same rule, in which the challenger is the one to beat."""
    kind, measure = policy.rule.kind, Contest(policy.rule, policy.better).measure
    lead = share(measure.gain(Pair(change.champion, change.challenger)), measure.unit(change.challenger))
    asked = asked_of(policy.rule)
    return f"; seen from the challenger the champion is {graded(kind, lead)}, more than {asked}"


def _verdict(checks: Sequence[Check]) -> Verdict:
    outcomes = {check.outcome for check in checks}
    if CheckOutcome.BROKEN in outcomes:
        return Verdict.FAIL
    return Verdict.INSUFFICIENT if CheckOutcome.UNKNOWN in outcomes else Verdict.PASS


def _reason(lead: str, verdict: Verdict, checks: Sequence[Check]) -> str:
    """One sentence: what decided, then how many other checks came out alike."""
    wanted = {Verdict.FAIL: CheckOutcome.BROKEN, Verdict.INSUFFICIENT: CheckOutcome.UNKNOWN}.get(verdict)
    if wanted is None:
        others = sum(check.outcome is CheckOutcome.HOLDS for check in checks[1:])
        more = f", and {_counted(others, 'other check')} {'holds' if others == 1 else 'hold'}" if others else ""
        return f"{lead}: {checks[0].sentence}{more}."
    deciding = [check for check in checks if check.outcome is wanted]
    how = "failed" if verdict is Verdict.FAIL else "open"
    more = f" ({_counted(len(deciding) - 1, 'more check')} {how})" if len(deciding) > 1 else ""
    although = ""
    if checks[0].outcome is CheckOutcome.HOLDS:
        although = f", although {checks[0].sentence}"
    return f"{lead}: {deciding[0].sentence}{more}{although}."


def _counted(number_of: int, noun: str) -> str:
    """Without a separator of thousands: the reasons of decisions on file come out again to the letter."""
    return f"{number_of} {noun}{'' if number_of == 1 else 's'}"


def _skipped(checks: Sequence[Check]) -> tuple[str, ...]:
    names = [check.name for check in checks if check.warning]
    if not names:
        return ()
    return (f"{_counted(len(names), 'check')} skipped, for want of examples or of the slice: {listed(names, 3)}",)


def _out_of_reach(policy: Policy, champion: Scores, verdict: Verdict) -> tuple[str, ...]:
    """A rule that nobody can satisfy is worth a word before months of retraining go by."""
    if verdict is Verdict.PASS or policy.similar is Similar.PREFER_CHALLENGER:
        return ()
    value = champion.get(policy.metric)
    if value is None or not math.isfinite(value.value) or policy.rule.kind is RuleKind.ERROR_REDUCTION:
        return ()
    metric = known(policy.metric)
    best = metric.high if policy.direction is Direction.HIGHER else metric.low
    contest = Contest(policy.rule, policy.better)
    if not math.isfinite(best) or contest.beats(best, value.value):
        return ()
    asked = asked_of(policy.rule)
    return (
        f"no challenger can win: {metric.name} cannot get better than {number(best)}, which is not more than "
        f"{asked} better than the champion's {number(value.value)}; the rule `error_reduction` stays reachable",
    )
