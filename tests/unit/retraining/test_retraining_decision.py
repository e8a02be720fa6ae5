"""Reasons and spans: a table of situations, and laws that hold for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retraining_testing import DAY, NOW, attempts, situation, trained

from tfx_pedigree.comparison import Direction
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.retraining.decision import Decision, ReasonKind, Situation, decide
from tfx_pedigree.retraining.drift import Excess, Feature, MeasuredDrift, excesses
from tfx_pedigree.retraining.ledger import Attempt, AttemptOutcome, Ledger
from tfx_pedigree.retraining.performance import Level, Seen, Watched, judge
from tfx_pedigree.retraining.rules import Bounds, Decline, DriftRule, Rules
from tfx_pedigree.retraining.spans import Spans

DRIFT = DriftRule(Bounds(jensen_shannon=0.1), {"carrier": Bounds(infinity_norm=0.05)}, ("date",))
ALL = Rules(new_span=True, max_age=30 * DAY, drift=DRIFT)
QUIET = Rules(new_span=False)


def spans(decision: Decision) -> list[int]:
    return [run.span for run in decision.runs]


def kinds(decision: Decision) -> list[ReasonKind]:
    return [reason.kind for reason in decision.runs[0].reasons]


def moved(distance: float, span: int = 5, **features: Feature) -> MeasuredDrift:
    given = {"delay": Feature({"jensen_shannon": distance}), "date": Feature({"jensen_shannon": 1.0}, True)}
    carrier = Feature({"jensen_shannon": 0.5, "infinity_norm": 0.01}, True)
    return MeasuredDrift("3", span, {**given, "carrier": carrier, **features})


# New spans


@pytest.mark.parametrize(
    ("held", "done", "runs"),
    [
        ((1, 2, 3), (1, 2, 3), []),
        ((1, 2, 3), (1,), [2, 3]),
        # Newer than the newest of all versions: a gap is a backfill's work.
        ((1, 2, 3, 4), (1, 3), [4]),
        ((5, 9, 20), (5,), [9, 20]),
        # The data of what was trained may be gone.
        ((4,), (9,), []),
        # Before the first version the whole history would be new.
        ((1, 2, 3), (), [3]),
    ],
)
def test_spans_that_came_after_the_newest_trained_are_run_oldest_first(
    held: tuple[int, ...], done: tuple[int, ...], runs: list[int]
) -> None:
    decision = decide(situation(*held, ledger=Ledger(trained(*done))), Rules())
    assert spans(decision) == runs
    assert all(kind is ReasonKind.NEW_SPAN for run in decision.runs for kind in [one.kind for one in run.reasons])


def test_first_training_leaves_older_spans_to_a_backfill_and_says_so() -> None:
    decision = decide(situation(1, 2, 3), Rules())
    assert decision.runs[0].text == "no version was trained yet"
    assert decision.quiet == ("2 older spans are left to `pedigree pipeline backfill --from 1 --to 2`",)


def test_first_training_that_failed_is_not_skipped_when_a_newer_span_comes() -> None:
    known = Ledger({}, attempts(("started", 2), ("failed", 2)))
    assert spans(decide(situation(1, 2, 3), Rules())) == [3]
    assert spans(decide(situation(1, 2, 3, ledger=known), Rules())) == [2, 3]


def test_every_run_has_its_own_reason() -> None:
    decision = decide(situation(1, 2, 3, ledger=Ledger(trained(1))), Rules())
    assert [run.text for run in decision.runs] == [
        "span 2 is new, 1 was the newest so far",
        "span 3 is new, 1 was the newest so far",
    ]


def test_span_that_came_late_is_told_with_the_command_that_trains_on_it() -> None:
    """It is older than what was trained on: to run it by itself would train out of order."""
    late = decide(situation(1, 2, 3, 4, ledger=Ledger(trained(2, 4))), Rules())
    assert late.runs == ()
    assert late.quiet == (
        "no span is newer than 4, the newest that was trained on",
        "span 3 is older than 4 and was not trained on; `pedigree pipeline backfill --from 3 --to 3` does it",
    )
    more = decide(situation(2, 3, 4, 6, 7, ledger=Ledger(trained(2, 6))), Rules())
    assert spans(more) == [7]
    assert more.quiet == (
        "2 spans older than 6 were not trained on; `pedigree pipeline backfill --from 3 --to 4` does it",
    )
    # Where drift decides, spans are passed over on purpose.
    assert "backfill" not in " ".join(decide(situation(2, 3, 4, ledger=Ledger(trained(2, 4))), QUIET).quiet)


def test_run_that_was_killed_is_run_again_where_a_new_span_is_no_reason() -> None:
    """Somebody forced it, and his words are no reason any more; or it was for an age that its version seems to end."""
    (begun,) = attempts(("started", 2))
    known = Ledger(trained(1, 2), (replace(begun, details={"reasons": ["force"]}),))
    decision = decide(situation(1, 2, 3, ledger=known), QUIET)
    assert (spans(decision), kinds(decision)) == ([2], [ReasonKind.FORCE])
    assert decision.runs[0].text == "the run on span 2 of 2026-11-21 11:00 UTC did not finish"
    failed = Ledger(trained(1), attempts(("started", 2), ("failed", 2)))
    assert decide(situation(1, 2, ledger=failed), QUIET).runs == ()
    for_ever = Ledger(trained(1), attempts(*[("started", 2)] * 3))
    assert decide(situation(1, 2, ledger=for_ever), QUIET).stuck is not None


def test_only_version_that_is_being_trained_again_is_not_said_to_be_none() -> None:
    known = Ledger(trained(2), attempts(("started", 2)))
    assert decide(situation(1, 2, ledger=known), Rules()).runs[0].text.startswith("no run has succeeded yet; its")


def test_run_that_was_killed_is_run_again_and_one_that_failed_is_too() -> None:
    killed = Ledger(trained(1, 2, ago=timedelta(minutes=1)), attempts(("started", 2)))
    decision = decide(situation(1, 2, 3, ledger=killed), Rules())
    assert spans(decision) == [2, 3]
    assert "its run of 2026-11-21 11:00 UTC did not finish" in decision.runs[0].text
    failed = Ledger(trained(1), attempts(("started", 2), ("failed", 2)))
    assert "its run of 2026-11-21 11:00 UTC failed" in decide(situation(1, 2, ledger=failed), Rules()).runs[0].text


def test_span_that_never_ends_well_is_given_up_until_somebody_forces_it() -> None:
    known = Ledger(trained(1), attempts(*[("started", 2), ("failed", 2)] * 3))
    decision = decide(situation(1, 2, 3, ledger=known), Rules())
    assert decision.runs == ()
    assert decision.stuck == "span 2 was started 3 times and never succeeded; the policy allows 3"
    assert spans(decide(situation(1, 2, 3, ledger=known), Rules(attempts=4))) == [2, 3]
    assert spans(decide(situation(1, 2, 3, ledger=known), Rules(), force="the disk is larger now")) == [2, 3]


def test_unfinished_span_is_told_and_no_reason() -> None:
    decision = decide(situation(1, ledger=Ledger(trained(1)), unfinished="span 2 is not complete yet"), Rules())
    assert decision.runs == ()
    assert decision.quiet[0] == "span 2 is not complete yet; it and the spans after it wait"
    assert decide(situation(unfinished="span 1 is not complete yet"), Rules(), force="now").runs == ()


def test_run_on_a_service_is_waited_for_unless_forced() -> None:
    known = Ledger(trained(1), attempts(("started", 2), ("submitted", 2)))
    waiting = decide(situation(1, 2, 3, ledger=known), Rules())
    assert waiting.runs == ()
    assert waiting.quiet == ("span 2 was submitted as run-2 at 2026-11-21 11:00 UTC; it goes on",)
    assert spans(decide(situation(1, 2, 3, ledger=known), Rules(), force="it hangs")) == [2, 3]
    over = Ledger(trained(1, 2, ago=timedelta(minutes=1)), known.attempts)
    assert spans(decide(situation(1, 2, 3, ledger=over), Rules())) == [3]


# Age


@pytest.mark.parametrize(
    ("age", "last", "runs", "says"),
    [
        (31 * DAY, 31 * DAY, [5], "the champion 1.0.3 was trained 31 days ago, more than the 30 days allowed"),
        (30 * DAY, 30 * DAY, [], "the champion 1.0.3 was trained 30 days ago, 30 days are allowed"),
        # Trained since and refused by the gate: the same data would give the same model.
        (31 * DAY, 2 * DAY, [], "but the last training was 2 days ago and did not replace it"),
        (90 * DAY, 31 * DAY, [5], "the champion 1.0.3 was trained 90 days ago"),
    ],
)
def test_champion_that_is_too_old_is_a_reason_once_in_that_time(
    age: timedelta, last: timedelta, runs: list[int], says: str
) -> None:
    known = Ledger({**trained(3, ago=age), **trained(5, ago=last)})
    decision = decide(situation(3, 5, ledger=known, champion=3, age=age), replace(ALL, drift=None))
    assert spans(decision) == runs
    assert says in (decision.runs[0].text if runs else " ".join(decision.quiet))
    assert not runs or kinds(decision) == [ReasonKind.AGE]


def test_age_is_no_reason_without_a_champion_or_without_a_limit() -> None:
    old = Ledger(trained(5, ago=300 * DAY))
    assert decide(situation(5, ledger=old), ALL).runs == ()
    assert decide(situation(5, ledger=old, champion=5, age=300 * DAY), Rules()).runs == ()


# Drift


def test_drift_is_asked_for_before_it_is_known_and_decides_alone_where_new_spans_do_not() -> None:
    rules, known = replace(QUIET, drift=DRIFT), situation(3, 4, 5, ledger=Ledger(trained(3)), champion=3)
    asked = decide(known, rules)
    assert (asked.runs, asked.measure) == ((), 5)
    drifted = decide(known, rules, measured=moved(0.2))
    assert (spans(drifted), kinds(drifted), drifted.measure) == ([5], [ReasonKind.DRIFT], None)
    assert drifted.runs[0].text == (
        "span 5 drifted from the data of the champion 1.0.3: delay: Jensen-Shannon divergence 0.2, more than 0.1"
    )
    steady = decide(known, rules, measured=moved(0.1))
    assert (steady.runs, steady.measure) == ((), None)
    assert "span 5 has not drifted from the data of the champion 1.0.3" in steady.quiet


def test_span_that_has_not_drifted_is_not_measured_again_by_the_same_rule() -> None:
    rules, known = replace(QUIET, drift=DRIFT), situation(3, 5, ledger=Ledger(trained(3)), champion=3)
    steady = decide(known, rules, measured=moved(0.05))
    assert steady.steady == DRIFT.digest
    details = {"span": 5, "champion": "1.0.3", "drift": DRIFT.digest}
    noted = Attempt(AttemptOutcome.NO_REASON, 5, NOW, 1, details=details)
    later = replace(known, ledger=replace(known.ledger, attempts=(noted,)))
    again = decide(later, rules)
    assert (again.measure, again.runs, again.steady) == (None, (), DRIFT.digest)
    assert "span 5 had not drifted from the data of the champion 1.0.3 at 2026-11-21 12:00 UTC" in again.quiet
    assert decide(later, replace(rules, drift=DriftRule(Bounds(0.01)))).measure == 5
    assert decide(replace(later, spans=Spans((3, 5, 6))), rules).measure == 6
    assert decide(replace(later, champion=replace(known.champion, version="1.0.4")), rules).measure == 5


def test_drift_is_told_beside_a_new_span_of_the_run_that_is_next() -> None:
    known = situation(3, 4, 5, ledger=Ledger(trained(3)), champion=3)
    assert decide(known, ALL).measure == 4
    decision = decide(known, ALL, measured=moved(0.2, span=4))
    assert (spans(decision), kinds(decision)) == ([4, 5], [ReasonKind.NEW_SPAN, ReasonKind.DRIFT])
    # Measured of another span, it says nothing of this one.
    assert decide(known, ALL, measured=moved(0.2, span=5)).measure == 4


def test_drift_of_a_span_that_was_trained_on_is_not_asked_for() -> None:
    """Its version was refused: the same data would give the same model, today and every day."""
    rules = replace(QUIET, drift=DRIFT)
    assert decide(situation(3, 5, ledger=Ledger(trained(3, 5)), champion=3), rules).measure is None
    assert decide(situation(5, ledger=Ledger(trained(5)), champion=5), rules).measure is None
    assert decide(situation(5, ledger=Ledger(trained(3))), rules).measure is None


def test_drift_that_cannot_be_measured_is_told_and_no_reason() -> None:
    known = situation(3, 5, ledger=Ledger(trained(3)), champion=3)
    decision = decide(known, replace(QUIET, drift=DRIFT), measured=MeasuredDrift(missing="its statistics are gone"))
    assert decision.runs == ()
    assert "drift of span 5 was not measured: its statistics are gone" in decision.quiet


def test_only_what_lies_beyond_its_own_bound_counts_the_furthest_first() -> None:
    far = {"x": Feature({"jensen_shannon": 0.9}), "y": Feature(gone=True), "z": Feature({"jensen_shannon": 0.11})}
    found = excesses(moved(0.05, **far), DRIFT)
    assert [one.feature for one in found] == ["y", "x", "z"]
    assert str(found[0]) == "y has no values any more"
    carrier = Feature({"infinity_norm": 0.06, "jensen_shannon": 0.9}, True)
    assert excesses(moved(0.05, carrier=carrier), DRIFT) == (Excess("carrier", "infinity_norm", 0.06, 0.05),)


def test_what_was_measured_is_read_back_as_it_was_written() -> None:
    told = moved(0.2, old=Feature(gone=True))
    assert MeasuredDrift.from_json(told.to_json()) == told
    missing = MeasuredDrift(missing="its statistics are gone")
    assert MeasuredDrift.from_json(missing.to_json()) == missing


def test_default_infinity_norm_is_asked_of_texts_only() -> None:
    numbers = MeasuredDrift("3", 5, {"delay": Feature({"infinity_norm": 0.5})})
    assert excesses(numbers, DriftRule(Bounds(infinity_norm=0.01))) == ()


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ({"carier": Bounds(0.1)}, "have no such feature. They have carrier, date, delay"),
        ({"delay": Bounds(infinity_norm=0.1)}, "which is not a text: a number has no shares"),
    ],
)
def test_bound_that_could_never_be_exceeded_is_refused(bounds: dict[str, Bounds], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        excesses(moved(0.0), DriftRule(features=bounds))


# Performance

LEVEL = Level("1.0.3", 0.85, of_evidence=True)


def declined(*seen: Seen, level: Level | None = LEVEL, rule: Decline | None = None, **more: Any) -> Decision:
    known = situation(3, 5, ledger=Ledger(trained(3)), champion=3, **more)
    rules = replace(QUIET, performance={"auc": rule or Decline(0.03, 7 * DAY, 5000)})
    return decide(replace(known, watched={"auc": Watched(level, seen)}), rules)


def test_champion_that_got_worse_while_it_served_is_a_reason_with_the_numbers() -> None:
    decision = declined(Seen(0.8, 6000), Seen(0.84, 2000))
    assert (spans(decision), kinds(decision)) == ([5], [ReasonKind.PERFORMANCE])
    assert decision.runs[0].text == (
        "auc of the champion 1.0.3 was 0.81 on 8,000 examples within 7 days, and 0.85 in its evidence; a drop of 0.03 "
        "is allowed"
    )
    assert declined(Seen(0.83, 6000)).runs == ()


@pytest.mark.parametrize(
    ("seen", "level", "says"),
    [
        ((), LEVEL, "auc of the champion was not observed within 7 days"),
        ((Seen(0.1, 4999),), LEVEL, "was observed on 4,999 examples within 7 days, 5,000 are needed"),
        ((Seen(0.1, None), Seen(0.1, 1)), LEVEL, "on 1 example within 7 days, 5,000 are needed; 1 value has no count"),
        ((Seen(0.1, 6000),), None, "auc of the champion has no level"),
    ],
)
def test_what_is_missing_is_said_and_no_reason(seen: tuple[Seen, ...], level: Level | None, says: str) -> None:
    decision = declined(*seen, level=level)
    assert decision.runs == ()
    assert any(says in text for text in decision.quiet), decision.quiet


def test_decline_without_data_that_are_new_is_told_and_trains_nothing() -> None:
    known = situation(3, 5, ledger=Ledger(trained(3, 5)), champion=3)
    watched = {"auc": Watched(LEVEL, (Seen(0.5, 6000),))}
    rules = replace(QUIET, performance={"auc": Decline(0.03, 7 * DAY)})
    decision = decide(replace(known, watched=watched), rules)
    assert decision.runs == ()
    assert any("but span 5 was trained on already" in text for text in decision.quiet)


def test_decline_is_told_beside_a_new_span_and_of_a_loss_it_is_a_rise() -> None:
    known = situation(3, 5, ledger=Ledger(trained(3)), champion=3)
    level = Level("1.0.3", 0.3, of_evidence=False)
    rules = Rules(performance={"loss": Decline(0.03, DAY, 1, Direction.LOWER)})
    decision = decide(replace(known, watched={"loss": Watched(level, (Seen(0.34, 10),))}), rules)
    assert kinds(decision) == [ReasonKind.NEW_SPAN, ReasonKind.PERFORMANCE]
    assert "0.3 when it was registered" in decision.runs[0].text


judged_values = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 9000)), min_size=1, max_size=8)
rules_for_judging = st.builds(
    Decline, st.floats(0.001, 1), st.just(DAY), st.integers(1, 20000), st.sampled_from(list(Direction))
)


def judged(rule: Decline, values: Sequence[tuple[float, int]], level: float = 0.8) -> bool:
    seen = tuple(Seen(value, count) for value, count in values)
    return judge("m", rule, Watched(Level("1", level, of_evidence=True), seen)).declined


@given(rules_for_judging, st.floats(0, 1))
def test_without_observations_there_is_no_decline(rule: Decline, level: float) -> None:
    uncounted = (Seen(0.0, None), Seen(1.0, 0))
    for seen in ((), uncounted):
        assert not judge("m", rule, Watched(Level("1", level, of_evidence=True), seen)).declined


@given(rules_for_judging, judged_values, st.integers(0, 7), st.floats(0, 1), st.floats(0, 1))
def test_worse_value_never_takes_a_decline_away_and_a_larger_drop_never_makes_one(
    rule: Decline, values: list[tuple[float, int]], at: int, by: float, level: float
) -> None:
    before, place = judged(rule, values, level), at % len(values)
    way = -1 if rule.direction is Direction.HIGHER else 1
    worse = [(value + way * by if where == place else value, count) for where, (value, count) in enumerate(values)]
    assert before <= judged(rule, worse, level)
    assert judged(replace(rule, drop=rule.drop + by), values, level) <= before
    assert judged(replace(rule, min_examples=rule.min_examples + at), values, level) <= before


# Force


def test_force_runs_the_newest_span_and_records_the_reason() -> None:
    decision = decide(situation(1, 2, ledger=Ledger(trained(1, 2))), Rules(), force="a mistake in the labels")
    assert (spans(decision), kinds(decision)) == ([2], [ReasonKind.FORCE])
    assert decision.runs[0].text == "a mistake in the labels"
    new = decide(situation(1, 2, 3, ledger=Ledger(trained(1))), Rules(), force="now")
    assert (spans(new), kinds(new)) == ([2, 3], [ReasonKind.FORCE, ReasonKind.NEW_SPAN])


# Laws

outcomes = st.sampled_from(["started", "finished", "failed", "submitted", "no-reason"])
ledgers = st.builds(
    lambda done, told: Ledger(trained(*done), attempts(*told)),
    st.sets(st.integers(0, 9)),
    st.lists(st.tuples(outcomes, st.integers(0, 9)), max_size=8),
)
DECLINE = Decline(0.03, 7 * DAY, 5000)
rules_of_any_kind = st.builds(
    Rules,
    performance=st.sampled_from([{}, {"auc": DECLINE}]),
    new_span=st.booleans(),
    max_age=st.one_of(st.none(), st.integers(1, 60).map(lambda days: days * DAY)),
    drift=st.one_of(st.none(), st.just(DRIFT)),
    attempts=st.integers(1, 4),
)
seen_values = st.lists(st.builds(Seen, st.floats(0, 1), st.none() | st.integers(0, 9000)), max_size=6).map(tuple)
watched = st.builds(
    Watched, st.none() | st.floats(0, 1).map(lambda value: Level("1", value, of_evidence=True)), seen_values
)
situations = st.builds(
    lambda held, known, champion, age, seen: replace(
        situation(*sorted(held), ledger=known, champion=champion, age=age * DAY), watched={"auc": seen}
    ),
    st.sets(st.integers(0, 9)),
    ledgers,
    st.one_of(st.none(), st.integers(0, 9)),
    st.integers(0, 90),
    watched,
)
distances = st.one_of(st.none(), st.floats(0, 1))


def decided(known: Situation, rules: Rules, distance: float | None, force: str | None = None) -> Decision:
    """As the command line does it: what is asked for is measured."""
    decision = decide(known, rules, force=force)
    if decision.measure is None or distance is None:
        return decision
    return decide(known, rules, force=force, measured=moved(distance, span=decision.measure))


@given(situations, rules_of_any_kind, distances, st.sampled_from([None, "now"]))
def test_no_run_is_without_a_reason_and_spans_rise(
    known: Situation, rules: Rules, distance: float | None, force: str | None
) -> None:
    decision = decided(known, rules, distance, force)
    assert all(run.reasons for run in decision.runs)
    assert spans(decision) == sorted(set(spans(decision)))
    assert set(spans(decision)) <= set(known.spans.whole)
    assert not (decision.runs and decision.stuck)


@given(situations, rules_of_any_kind, distances)
def test_what_was_run_well_is_never_run_again_by_itself(known: Situation, rules: Rules, distance: float | None) -> None:
    """A timer that calls for ever comes to rest: each run that ends well takes its reason away."""
    told: list[int] = []
    while decision := decided(known, rules, distance):
        if not decision.runs or decision.stuck:
            break
        span = decision.runs[0].span
        told.append(span)
        ends = Attempt(AttemptOutcome.FINISHED, span, NOW, known.ledger.position + 1)
        known = replace(known, ledger=replace(known.ledger, attempts=(ends, *known.ledger.attempts)))
        assert len(told) <= len(known.spans.whole)
    assert told == sorted(set(told))


@given(situations, rules_of_any_kind, st.sets(st.integers(10, 15), min_size=1))
def test_newer_data_never_take_a_run_away(known: Situation, rules: Rules, more: set[int]) -> None:
    rules = replace(rules, new_span=True, drift=None, max_age=None)
    before = decide(known, rules)
    grown = replace(known, spans=Spans((*known.spans.whole, *sorted(more))))
    if before.runs and known.ledger.newest_done is not None:
        assert spans(decide(grown, rules))[: len(before.runs)] == spans(before)
