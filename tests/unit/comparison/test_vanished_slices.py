"""A slice on which the champion was judged and which is not there any more is missed, and not silently passed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from comparison_testing import retrained
from hypothesis import given
from hypothesis import strategies as st

from pedigree_testing import digest
from tfx_pedigree.comparison import (
    OVERALL,
    CheckOutcome,
    Comparison,
    Earlier,
    GateDecision,
    Guardrail,
    Key,
    MetricValue,
    MissingSlice,
    Policy,
    Regression,
    Scores,
    Slice,
    Verdict,
    compare_models,
    decide,
    decide_again,
    slices_of,
)
from tfx_pedigree.comparison.assemble import Measurements
from tfx_pedigree.registry import Evidence
from tfx_pedigree.registry import Verdict as Outcome
from tfx_pedigree.service.judging.gate import COMPARISON, slices_judged_on

JFK, LGA, EWR = (Slice((("origin", one),)) for one in ("JFK", "LGA", "EWR"))
RAIL = Guardrail("auc", max_regression=Regression(0.05), each_slice_of=("origin",))
POLICY = Policy("auc", guardrails=(RAIL,))
BEFORE = {OVERALL: 1000, JFK: 400, LGA: 300, EWR: 300}


def scores(auc: float, *slices: Slice) -> Scores:
    return Scores({Key("auc", where): MetricValue(auc, count=1000) for where in (OVERALL, *slices)})


def decided(policy: Policy = POLICY, earlier: Earlier | None = None) -> GateDecision:
    """EWR is gone from the examples of today."""
    return decide(policy, scores(0.9, JFK, LGA), scores(0.8, JFK, LGA), earlier=BEFORE if earlier is None else earlier)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (MissingSlice.FAIL, Verdict.FAIL),
        (MissingSlice.INSUFFICIENT, Verdict.INSUFFICIENT),
        (MissingSlice.WARN, Verdict.PASS),
    ],
)
def test_a_vanished_slice_ends_as_the_policy_says(answer: MissingSlice, verdict: Verdict) -> None:
    found = decided(replace(POLICY, missing_slice=answer))
    assert found.verdict is verdict
    said = "the evaluation has no examples of origin=EWR, on which the champion was judged with 300"
    assert said in {check.sentence for check in found.checks}
    if answer is MissingSlice.WARN:
        assert "auc on origin=EWR" in found.warnings[0]


def test_where_nothing_is_known_of_before_the_slices_of_today_are_all() -> None:
    assert decided(earlier={}).verdict is Verdict.PASS


def test_a_slice_that_is_still_there_or_is_not_guarded_is_not_missed() -> None:
    other = Slice((("carrier", "AA"),))
    assert decided(earlier={OVERALL: 1000, JFK: 500, other: 500}).verdict is Verdict.PASS
    assert decided(Policy("auc"), BEFORE).verdict is Verdict.PASS


@pytest.mark.parametrize(("had", "missed"), [(6, False), (8, True), (None, True)])
def test_a_slice_of_which_few_examples_were_to_be_expected_may_be_missing_by_chance(
    had: int | None, missed: bool
) -> None:
    found = decided(earlier={OVERALL: 1000, JFK: 900, EWR: had})
    assert found.verdict is (Verdict.FAIL if missed else Verdict.PASS)
    (check,) = [check for check in found.checks if check.name == "auc on origin=EWR"]
    assert (check.outcome is CheckOutcome.SKIPPED) is not missed
    if not missed:
        assert "about 6 were to be expected" in check.sentence
        assert found.warnings


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(0, 10**6))
def test_what_is_expected_follows_from_how_many_examples_there_are_now(had: int, whole: int, now: int) -> None:
    new = Scores({Key("auc", where): MetricValue(0.9, count=now) for where in (OVERALL, JFK)})
    old = Scores({Key("auc", where): MetricValue(0.8, count=now) for where in (OVERALL, JFK)})
    found = decide(POLICY, new, old, earlier={OVERALL: whole, EWR: had})
    assert (found.verdict is Verdict.FAIL) is (had * now / whole >= 7)


def test_a_first_version_by_the_floors_is_held_to_the_slices_as_well() -> None:
    """The champion could not be compared; what it was judged on is known all the same."""
    assert decide(POLICY, scores(0.9, JFK, LGA), None, earlier=BEFORE).verdict is Verdict.FAIL


def compared(earlier: Earlier) -> Comparison:
    one = retrained()
    assert one.champion is not None
    measured = Measurements(scores(0.9, JFK, LGA).metrics, scores(0.8, JFK, LGA).metrics)
    return compare_models(one.model, POLICY, one.challenger, one.champion, measured, earlier=earlier)


def test_the_document_keeps_what_the_decision_follows_from() -> None:
    found = compared({**BEFORE, Slice((("carrier", "AA"),)): 9})
    assert found.decision.verdict is Verdict.FAIL
    read = Comparison.from_text(found.to_text())
    assert read.to_json() == found.to_json()
    assert read.basis is not None
    assert read.basis.earlier == BEFORE  # what no guardrail asks for is left out
    assert decide_again(read).to_json() == found.decision.to_json()


def test_documents_without_it_are_what_they_were() -> None:
    found = compared({})
    assert "earlier" not in found.to_json()["basis"]
    assert Comparison.from_text(found.to_text()).to_json() == found.to_json()


def evidence(details: dict[str, object]) -> Evidence:
    return Evidence(digest("new"), digest("old"), Outcome.PASS, "it won", details=details)


def test_the_champions_slices_come_out_of_the_evidence_that_made_it_champion() -> None:
    kept = compared({})
    found = slices_judged_on(evidence({COMPARISON: kept.to_json()}))
    assert found == slices_of({row.key: row.challenger for row in kept.metrics if row.challenger})
    assert found[JFK] == 1000


@pytest.mark.parametrize("details", [{}, {COMPARISON: {"format": "?"}}, {COMPARISON: 7}])
def test_evidence_that_says_nothing_of_slices_ends_no_run(details: dict[str, object]) -> None:
    assert slices_judged_on(evidence(details)) == {}
    assert slices_judged_on(None) == {}
