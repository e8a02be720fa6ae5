"""What a policy asks beside the score, case by case: guardrails, budgets, major changes, floors of a first version."""

from __future__ import annotations

import math
from typing import Any

import pytest
from gate_testing import AUC, FAIL, INSUFFICIENT, JFK, LGA, PASS, sure_to

from tfx_pedigree.comparison import (
    Bounds,
    CheckOutcome,
    Guardrail,
    Key,
    Latency,
    LatencyBudget,
    MajorChange,
    MetricValue,
    MissingSlice,
    NotComparable,
    Policy,
    Recommendation,
    Regression,
    Rule,
    RuleKind,
    Scores,
    Similar,
    SizeBudget,
    Slice,
    TooFew,
    Verdict,
    decide,
)


def guarded(*rails: Guardrail, **given: Any) -> Policy:
    return Policy("auc", guardrails=rails, **given)


def scores(auc: float, **slices: tuple[float, int]) -> Scores:
    found = {AUC: sure_to(auc, 0.01, 10_000)}
    for name, (value, count) in slices.items():
        found[Key("auc", Slice((("origin", name),)))] = sure_to(value, 0.05, count)
    return Scores(found)


JFK_RAIL = Guardrail("auc", max_regression=Regression(0.02), slice=JFK)


@pytest.mark.parametrize(
    ("jfk", "verdict"), [(0.80, PASS), (0.784, PASS), (0.783, FAIL), (0.9, PASS), (math.nan, INSUFFICIENT)]
)
def test_a_guardrail_lets_so_much_be_lost_and_no_more(jfk: float, verdict: Verdict) -> None:
    decision = decide(guarded(JFK_RAIL), scores(0.9, JFK=(jfk, 500)), scores(0.8, JFK=(0.8, 500)))
    assert decision.verdict is verdict
    assert decision.recommendation is Recommendation.CHALLENGER  # the score speaks for itself
    if verdict is not PASS:
        assert "auc on origin=JFK" in decision.reason


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [(MissingSlice.FAIL, FAIL), (MissingSlice.INSUFFICIENT, INSUFFICIENT), (MissingSlice.WARN, PASS)],
)
def test_a_slice_that_is_not_there_comes_out_as_the_policy_says(answer: MissingSlice, verdict: Verdict) -> None:
    decision = decide(guarded(JFK_RAIL, missing_slice=answer), scores(0.9), scores(0.8))
    assert decision.verdict is verdict
    assert bool(decision.warnings) is (answer is MissingSlice.WARN)


def test_each_slice_is_looked_at_and_small_ones_may_be_skipped() -> None:
    rail = Guardrail("auc", max_regression=Regression(0.02), each_slice_of=("origin",), min_examples=100)
    new, old = scores(0.9, JFK=(0.8, 500), LGA=(0.1, 30)), scores(0.8, JFK=(0.8, 500), LGA=(0.8, 30))
    assert decide(guarded(rail), new, old).verdict is INSUFFICIENT
    lenient = Guardrail(**{**vars(rail), "too_few": TooFew.SKIP})
    decision = decide(guarded(lenient), new, old)
    assert decision.verdict is PASS
    assert decision.warnings == ("1 check skipped, for want of examples or of the slice: auc on origin=LGA",)


def test_an_unknown_count_is_not_too_few() -> None:
    """Whatever hides the count (weights, a config without ExampleCount) must not switch a guardrail off."""
    rail = Guardrail("auc", max_regression=Regression(0.02), slice=JFK, min_examples=100, too_few=TooFew.SKIP)
    broken = Scores({AUC: MetricValue(0.9), Key("auc", JFK): MetricValue(0.1)})
    decision = decide(guarded(rail), broken, Scores({AUC: MetricValue(0.8), Key("auc", JFK): MetricValue(0.8)}))
    assert decision.verdict is INSUFFICIENT
    assert "lacks an unweighted ExampleCount" in decision.reason


def test_a_guardrail_of_which_everything_was_skipped_has_not_been_kept() -> None:
    rail = Guardrail("auc", max_regression=Regression(0.02), each_slice_of=("origin",), min_examples=100)
    lenient = Guardrail(**{**vars(rail), "too_few": TooFew.SKIP})
    new, old = scores(0.9, JFK=(0.1, 30), LGA=(0.1, 30)), scores(0.8, JFK=(0.8, 30), LGA=(0.8, 30))
    decision = decide(guarded(lenient), new, old)
    assert decision.verdict is INSUFFICIENT
    assert "(each slice of origin) guarded nothing" in decision.reason


def test_a_major_change_waits_for_a_person_unless_the_policy_lets_it_pass() -> None:
    why = "input `age` was removed"
    decision = decide(Policy("auc"), Scores.of(auc=0.9), Scores.of(auc=0.8), breaking=why)
    assert (decision.verdict, decision.recommendation) == (INSUFFICIENT, Recommendation.CHALLENGER)
    assert f"the change is a MAJOR one ({why}), which a person must promote" in decision.reason
    worse = decide(Policy("auc"), Scores.of(auc=0.7), Scores.of(auc=0.8), breaking=why)
    assert worse.verdict is FAIL
    allowed = Policy("auc", major=MajorChange.ALLOW)
    assert decide(allowed, Scores.of(auc=0.9), Scores.of(auc=0.8), breaking=why).verdict is PASS


def test_nobody_is_told_that_nobody_can_win_beside_a_win() -> None:
    fresher = Policy("auc", similar=Similar.PREFER_CHALLENGER)
    assert not decide(fresher, Scores.of(auc=0.99), Scores.of(auc=0.96)).warnings


def test_a_slice_that_only_the_champion_has_is_missed() -> None:
    rail = Guardrail("auc", max_regression=Regression(0.02), each_slice_of=("origin",))
    decision = decide(guarded(rail), scores(0.9, JFK=(0.8, 500)), scores(0.8, JFK=(0.8, 5), LGA=(0.8, 5)))
    assert decision.verdict is INSUFFICIENT
    assert "auc on origin=LGA of the challenger is missing" in decision.reason


def test_a_guardrail_can_be_a_floor_or_a_ceiling() -> None:
    rail = Guardrail("calibration", bounds=Bounds(0.8, 1.2))
    for value, verdict in ((0.8, PASS), (1.2, PASS), (0.79, FAIL), (1.21, FAIL)):
        decision = decide(guarded(rail), Scores.of(auc=0.9, calibration=value), Scores.of(auc=0.8, calibration=9))
        assert decision.verdict is verdict


def test_a_guardrail_needs_its_interval_too_unless_it_asks_for_the_values_alone() -> None:
    jfk = Key("auc", JFK)
    new, old = scores(0.9, JFK=(0.8, 500)), scores(0.8, JFK=(0.8, 500))
    differences = {
        AUC: MetricValue(0.1, (0.09, 0.11), 10_000),
        jfk: MetricValue(0.0, (-0.05, 0.05), 500),
    }
    sure = guarded(JFK_RAIL, confidence=0.95)
    assert decide(sure, new, old, differences=differences).verdict is INSUFFICIENT
    by_value = guarded(Guardrail(**{**vars(JFK_RAIL), "point_estimate": True}), confidence=0.95)
    assert decide(by_value, new, old, differences=differences).verdict is PASS


def took(p95: float | None, around: float = 0.0) -> Latency:
    """A champion at 10 ms."""
    if p95 is None:
        return Latency()
    ends = (p95 - around, p95 + around)
    return Latency(MetricValue(p95, ends), MetricValue(p95 / 10, (ends[0] / 10, ends[1] / 10)))


@pytest.mark.parametrize(
    ("p95", "size", "verdict"),
    [(20.0, 100, PASS), (20.1, 100, FAIL), (None, 100, INSUFFICIENT), (20.0, 101, FAIL), (20.0, None, INSUFFICIENT)],
)
def test_budgets(p95: float | None, size: int | None, verdict: Verdict) -> None:
    policy = Policy("auc", latency=LatencyBudget(p95_ms=20, ratio=2), size=SizeBudget(bytes=100, ratio=2))
    new, old = Scores(Scores.of(auc=0.9).metrics, size), Scores(Scores.of(auc=0.8).metrics, 50)
    assert decide(policy, new, old, latency=took(p95)).verdict is verdict


@pytest.mark.parametrize("confidence", [None, 0.95])
def test_latency_is_always_judged_by_its_interval(confidence: float | None) -> None:
    """A point of 2.2 with an interval of 0.6 to 3.1 says nothing about a budget of 2."""
    policy = Policy("auc", rule=Rule(RuleKind.ABSOLUTE, 0.0), confidence=confidence, latency=LatencyBudget(ratio=2.0))
    differences = {AUC: MetricValue(0.1, (0.09, 0.11), 1000)}
    for (value, ends), verdict in (
        ((1.2, (1.1, 1.4)), PASS),
        ((2.2, (0.63, 3.08)), INSUFFICIENT),
        ((2.2, (2.1, 2.3)), FAIL),
        ((2.2, None), INSUFFICIENT),
    ):
        decision = decide(
            policy,
            Scores.of(auc=0.9),
            Scores.of(auc=0.8),
            differences=differences,
            latency=Latency(ratio=MetricValue(value, ends)),
        )
        assert decision.verdict is verdict


def test_other_programs_on_the_machine_refuse_no_model() -> None:
    policy = Policy("auc", latency=LatencyBudget(ratio=2.0))
    slow, same = MetricValue(2.5, (2.2, 2.8)), MetricValue(1.0, (0.9, 1.1))
    busy = decide(policy, Scores.of(auc=0.9), Scores.of(auc=0.8), latency=Latency(None, slow, same, 0.6))
    assert busy.verdict is INSUFFICIENT
    assert "its processor time is 100 %: the machine was busy" in busy.reason
    truly = decide(policy, Scores.of(auc=0.9), Scores.of(auc=0.8), latency=Latency(None, slow, slow, 0.6))
    assert truly.verdict is FAIL
    wide = Latency(None, MetricValue(1.5, (0.9, 2.8)), same, 0.6)
    decision = decide(policy, Scores.of(auc=0.9), Scores.of(auc=0.8), latency=wide)
    assert "the machine was busy with other work for 60 % of the time" in decision.reason


def test_a_first_version_must_reach_the_floors_and_nothing_else() -> None:
    policy = guarded(
        JFK_RAIL,
        Guardrail("auc", max_regression=Regression(0.0)),
        first_version={"auc": Bounds(at_least=0.6)},
        latency=LatencyBudget(ratio=1),
        missing_slice=MissingSlice.WARN,
    )
    for auc, verdict in ((0.6, PASS), (0.59, FAIL), (math.nan, INSUFFICIENT)):
        decision = decide(policy, scores(auc), None)
        assert decision.verdict is verdict
        assert decision.recommendation is None
        assert decision.change is None
        assert decision.reason.startswith("First version, with no champion to beat")


def test_a_first_version_without_floors_passes_with_a_warning() -> None:
    decision = decide(Policy("auc"), Scores.of(auc=0.1), None)
    assert decision.verdict is PASS
    assert "sets no floors" in decision.warnings[0]


def test_a_champion_that_cannot_be_evaluated_needs_a_person_or_the_floors() -> None:
    why = "the label changed from `delayed` to `arrival_delay`"
    human = decide(Policy("auc"), Scores.of(auc=0.9), None, not_comparable=why)
    assert (human.verdict, human.recommendation) == (INSUFFICIENT, None)
    assert why in human.reason
    floors = Policy("auc", not_comparable=NotComparable.FLOORS, first_version={"auc": Bounds(at_least=0.6)})
    for auc, verdict in ((0.9, PASS), (0.5, FAIL)):
        decision = decide(floors, Scores.of(auc=auc), Scores.of(auc=0.99), not_comparable=why)
        assert decision.verdict is verdict
        assert decision.warnings[0] == why


def test_every_reason_is_one_sentence_and_the_checks_tell_the_rest() -> None:
    policy = guarded(JFK_RAIL, Guardrail("auc", max_regression=Regression(0.02), slice=LGA))
    decision = decide(policy, scores(0.9, JFK=(0.7, 9), LGA=(0.7, 9)), scores(0.8, JFK=(0.8, 9), LGA=(0.8, 9)))
    assert decision.reason == (
        "The champion stays: auc on origin=JFK fell from 0.8 to 0.7: 12.5 % worse, more than the 2 % that may be "
        "lost (1 more check failed), although auc rose from 0.8 to 0.9, 12.5 % better, more than the 5 % that the "
        "policy asks for."
    )
    outcomes = [check.outcome for check in decision.checks]
    assert outcomes == [CheckOutcome.HOLDS, CheckOutcome.BROKEN, CheckOutcome.BROKEN]
