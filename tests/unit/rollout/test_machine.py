"""What follows from what: no data never advances, an abort is always possible, what goes back never goes forward."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_pedigree.errors import ConflictError
from tfx_pedigree.rollout import machine
from tfx_pedigree.rollout.machine import (
    NOTHING_KNOWN,
    Decision,
    Judgement,
    RegistryMove,
    Seen,
    asked,
    begin,
    decide,
    roll_back,
)
from tfx_pedigree.rollout.plan import DEPLOY, Bake, Limits, Plan, Step, Strategy, Undecided, Validation
from tfx_pedigree.rollout.state import Ask, Phase, Rollout, RolloutOrder
from tfx_pedigree.rollout.traffic.api import WHOLE, Convergence, Prepared, Readiness, ServedVersion

NOW = datetime(2026, 11, 30, tzinfo=timezone.utc)
STABLE = ServedVersion("penguin", "sha256:" + "a" * 64, "1.0.0", 1)
CANDIDATE = ServedVersion("penguin", "sha256:" + "b" * 64, "1.1.0", 2)
BAKE = Bake(requests=100, seconds=60)
PLAN = Plan(
    Strategy.CANARY,
    (Step(1000, BAKE), Step(5000, BAKE), Step(WHOLE, BAKE)),
    limits=Limits(prepare_seconds=600, step_seconds=3600, obey_seconds=30),
    keep_seconds=300,
)
GOOD = Judgement(requests=200, seconds=61, healthy=True)
CONVERGED = Seen(
    STABLE.digest, Prepared(Readiness.READY), None, None, Convergence.CONVERGED, Readiness.READY, emptied=True
)


def rollout(plan: Plan = PLAN, stable: ServedVersion | None = STABLE) -> Rollout:
    order = RolloutOrder("eu", plan, stable, CANDIDATE)
    return Rollout("penguin", 1, order, begin(order, NOW), NOW, "ann")


def after(one: Rollout, decision: Decision | None) -> Rollout:
    assert decision is not None
    return replace(one, state=decision.state)


def at(phase: Phase) -> Rollout:
    """A rollout that has come so far by the machine's own decisions."""
    one, seen = rollout(), CONVERGED
    for _ in range(10):
        if one.state.phase is phase:
            return one
        champion = CANDIDATE.digest if one.state.moved else STABLE.digest
        one = after(one, decide(one, replace(seen, champion=champion), GOOD, one.state.since + timedelta(seconds=301)))
    raise AssertionError(f"it never was {phase}")


def test_a_plan_that_the_target_cannot_carry_out_goes_back_before_anything_moves_and_proves_nothing() -> None:
    decision = decide(rollout(), replace(CONVERGED, unfit="It cannot mirror."), GOOD, NOW)
    assert decision is not None
    assert (decision.state.phase, decision.state.reason) == (Phase.ROLLING_BACK, "It cannot mirror.")
    assert decision.finding is None


def test_a_healthy_canary_goes_through_its_steps_and_becomes_the_champion() -> None:
    shares, moves, one = [], [], rollout()
    while not one.state.phase.ended:
        champion = CANDIDATE.digest if one.state.moved else STABLE.digest
        now = one.state.since + timedelta(seconds=301)
        decision = decide(one, replace(CONVERGED, champion=champion), GOOD, now)
        one = after(one, decision)
        shares.append((one.state.phase, one.share))
        assert decision is not None
        moves += [decision.move] if decision.move is not RegistryMove.NONE else []
    assert shares == [
        (Phase.STEPPING, 1000),
        (Phase.STEPPING, 5000),
        (Phase.STEPPING, WHOLE),
        (Phase.PROMOTING, WHOLE),
        (Phase.KEEPING, WHOLE),
        (Phase.DONE, WHOLE),
    ]
    assert moves == [RegistryMove.PROMOTE]


@pytest.mark.parametrize(
    "judged",
    [
        NOTHING_KNOWN,
        replace(GOOD, requests=99),
        replace(GOOD, seconds=59),
        replace(GOOD, healthy=False),
    ],
)
def test_a_step_ends_only_when_requests_and_time_and_health_are_there(judged: Judgement) -> None:
    assert decide(at(Phase.STEPPING), CONVERGED, judged, NOW + timedelta(seconds=400)) is None


def test_a_bake_of_no_requests_still_needs_one() -> None:
    plan = replace(PLAN, steps=(Step(WHOLE, Bake(0, 0)),))
    one = after(rollout(plan), decide(rollout(plan), CONVERGED, NOTHING_KNOWN, NOW))
    assert decide(one, CONVERGED, Judgement(0, 100, True), NOW) is None


def test_health_on_shares_that_are_not_in_place_advances_nothing() -> None:
    for convergence in (None, Convergence.PENDING, Convergence.DIVERGED):
        assert decide(at(Phase.STEPPING), replace(CONVERGED, convergence=convergence), GOOD, NOW) is None


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("phase", [Phase.STEPPING, Phase.PROMOTING, Phase.KEEPING])
def test_harm_rolls_back_also_while_paused(phase: Phase, paused: bool) -> None:
    one = at(phase)
    one = replace(one, state=replace(one.state, paused=paused))
    champion = CANDIDATE.digest if one.state.moved else STABLE.digest
    decision = decide(one, replace(CONVERGED, champion=champion), Judgement(harm="errors"), NOW)
    assert decision is not None
    assert decision.state.phase is Phase.ROLLING_BACK
    assert decision.state.wanted is not None
    assert decision.state.wanted.points(STABLE.digest) == WHOLE
    assert decision.move is (RegistryMove.ROLL_BACK if one.state.moved else RegistryMove.NONE)


@pytest.mark.parametrize("readiness", [Readiness.FAILED, Readiness.ABSENT])
def test_a_candidate_that_is_gone_is_rolled_back(readiness: Readiness) -> None:
    decision = decide(at(Phase.STEPPING), replace(CONVERGED, candidate=readiness), NOTHING_KNOWN, NOW)
    assert decision is not None
    assert decision.state.phase is Phase.ROLLING_BACK


def test_neither_harm_nor_health_until_the_deadline_is_what_the_plan_says() -> None:
    one, late = at(Phase.STEPPING), NOW + timedelta(hours=3)
    decision = decide(one, CONVERGED, NOTHING_KNOWN, late)
    assert decision is not None
    assert decision.state.phase is Phase.ROLLING_BACK
    pausing = replace(one, order=replace(one.order, plan=replace(PLAN, undecided=Undecided.PAUSE)))
    decision = decide(pausing, CONVERGED, NOTHING_KNOWN, late)
    assert decision is not None
    assert (decision.state.phase, decision.state.paused, decision.state.step) == (Phase.STEPPING, True, 0)


def test_a_champion_that_somebody_else_changed_aborts() -> None:
    other = replace(CONVERGED, champion="sha256:" + "c" * 64)
    for phase in (Phase.PREPARING, Phase.STEPPING):
        decision = decide(at(phase), other, GOOD, NOW)
        assert decision is not None
        assert (decision.state.phase, decision.move) == (Phase.ROLLING_BACK, RegistryMove.NONE)
    decision = decide(at(Phase.KEEPING), other, GOOD, NOW)
    assert decision is not None
    assert decision.state.phase is Phase.SUPERSEDED
    decision = decide(at(Phase.KEEPING), replace(other, champion=STABLE.digest), GOOD, NOW)
    assert decision is not None
    assert (decision.state.phase, decision.move) == (Phase.ROLLING_BACK, RegistryMove.NONE)


def test_a_candidate_that_does_not_load_or_answers_wrongly_takes_no_traffic() -> None:
    failed = replace(CONVERGED, prepared=Prepared(Readiness.FAILED, "no signature"))
    decision = decide(rollout(), failed, NOTHING_KNOWN, NOW)
    assert decision is not None
    assert decision.state.phase is Phase.ROLLING_BACK
    assert "no signature" in str(decision.state.reason)
    checked = replace(PLAN, validation=Validation("requests.jsonl", "/v1/models/penguin:predict"))
    one = after(rollout(checked), decide(rollout(checked), CONVERGED, NOTHING_KNOWN, NOW))
    assert (one.state.phase, one.share) == (Phase.VALIDATING, 0)
    decision = decide(one, replace(CONVERGED, validated=False), NOTHING_KNOWN, NOW)
    assert decision is not None
    assert decision.state.phase is Phase.ROLLING_BACK


def test_a_backend_that_does_not_obey_a_rollback_blocks_it_until_it_does() -> None:
    one = after(rollout(), roll_back(at(Phase.STEPPING), NOW, "harm"))
    lost = replace(CONVERGED, convergence=Convergence.DIVERGED, disobedient_seconds=31)
    one = after(one, decide(one, lost, NOTHING_KNOWN, NOW))
    assert one.state.phase is Phase.BLOCKED
    assert decide(one, lost, GOOD, NOW) is None
    one = after(one, decide(one, CONVERGED, GOOD, NOW))
    assert one.state.phase is Phase.ROLLED_BACK


def test_a_deployment_switches_when_its_version_is_ready_and_follows_the_champion() -> None:
    one = rollout(DEPLOY)
    champion = replace(CONVERGED, champion=CANDIDATE.digest)
    assert decide(one, replace(champion, prepared=Prepared(Readiness.LOADING)), NOTHING_KNOWN, NOW) is None
    blocked = after(one, decide(one, replace(champion, prepared=Prepared(Readiness.FAILED, "x")), NOTHING_KNOWN, NOW))
    assert (blocked.state.phase, blocked.share) == (Phase.BLOCKED, 0)
    for start in (one, blocked):
        switched = after(start, decide(start, champion, NOTHING_KNOWN, NOW))
        assert (switched.state.phase, switched.share) == (Phase.PROMOTING, WHOLE)
        assert after(switched, decide(switched, champion, NOTHING_KNOWN, NOW)).state.phase is Phase.DONE
    decision = decide(one, replace(champion, champion=STABLE.digest), NOTHING_KNOWN, NOW)
    assert decision is not None
    assert decision.state.phase is Phase.SUPERSEDED


def test_a_deployment_that_was_aborted_never_switches_again() -> None:
    one = after(rollout(DEPLOY), asked(rollout(DEPLOY), Ask.ABORT, "stop", NOW))
    lost = replace(CONVERGED, champion=CANDIDATE.digest, convergence=None, disobedient_seconds=61)
    one = after(one, decide(one, lost, NOTHING_KNOWN, NOW))
    assert one.state.phase is Phase.BLOCKED
    decision = decide(one, replace(CONVERGED, champion=CANDIDATE.digest), NOTHING_KNOWN, NOW)
    assert decision is not None
    assert decision.state.phase is Phase.ROLLED_BACK


def test_what_is_asked_in_vain_says_why() -> None:
    with pytest.raises(ConflictError, match="only a step can be cut short"):
        asked(rollout(), Ask.ADVANCE, "hurry", NOW)
    back = after(rollout(), roll_back(at(Phase.STEPPING), NOW, "harm"))
    for ask in (Ask.PAUSE, Ask.RESUME, Ask.ADVANCE):
        with pytest.raises(ConflictError, match="never goes forward"):
            asked(back, ask, "please", NOW)
    assert asked(back, Ask.ABORT, "again", NOW) is None
    done = replace(rollout(), state=replace(rollout().state, phase=Phase.DONE))
    with pytest.raises(ConflictError, match="nothing to abort"):
        asked(done, Ask.ABORT, "too late", NOW)


# Properties

_AS_IT_SHOULD_BE = "as it should be"
# What is usual is drawn often: with each thing as likely as another, hardly a sequence would come to a first step.
_seen = st.builds(
    Seen,
    champion=st.sampled_from([_AS_IT_SHOULD_BE] * 9 + [STABLE.digest, CANDIDATE.digest, None]),
    prepared=st.sampled_from([Prepared(Readiness.READY)] * 6 + [None, *(Prepared(one, None) for one in Readiness)]),
    validated=st.sampled_from([True, True, True, None, False]),
    convergence=st.sampled_from([Convergence.CONVERGED] * 6 + [None, *Convergence]),
    candidate=st.sampled_from([Readiness.READY] * 8 + [None, *Readiness]),
    disobedient_seconds=st.sampled_from([0.0] * 8 + [100.0]),
    emptied=st.booleans(),
)
_judged = st.builds(
    Judgement,
    requests=st.sampled_from([0, 50, 1000]),
    seconds=st.sampled_from([0.0, 1000.0]),
    healthy=st.booleans(),
    harm=st.sampled_from([None, None, None, "harm"]),
)
_asks = st.sampled_from([None, None, None, *Ask])
_events = st.lists(st.tuples(_seen, _judged, _asks, st.sampled_from([1, 100, 5000])), max_size=18)


def _play(one: Rollout, events: list[tuple[Seen, Judgement, Ask | None, int]]) -> list[tuple[Rollout, Ask | None]]:
    """Every state that follows, with what a person asked for just before."""
    now, states = NOW, [(one, None)]
    for drawn, judged, ask, seconds in events:
        now += timedelta(seconds=seconds)
        champion = CANDIDATE if one.state.moved or one.is_deployment else STABLE
        seen = replace(drawn, champion=champion.digest) if drawn.champion == _AS_IT_SHOULD_BE else drawn
        try:
            decision = asked(one, ask, "because", now) if ask else decide(one, seen, judged, now)
        except ConflictError:
            continue
        if decision is not None:
            one = replace(one, state=decision.state)
            states.append((one, ask))
    return states


@settings(max_examples=100, deadline=None)
@given(events=_events)
def test_no_sequence_of_events_leads_from_no_data_to_an_advance(
    events: list[tuple[Seen, Judgement, Ask | None, int]],
) -> None:
    """Whatever happens: without requests, or without health, no step follows another and nothing is promoted, unless
    a person says so, with a reason."""
    assert not _advanced(_blind(events))


def _blind(events: list[tuple[Seen, Judgement, Ask | None, int]]) -> list[tuple[Seen, Judgement, Ask | None, int]]:
    """The same, as one without data sees it, and without a person's word."""
    return [
        (seen, replace(judged, requests=0, healthy=True) if judged.requests else replace(judged, healthy=False), ask, s)
        for seen, judged, ask, s in events
        if ask is not Ask.ADVANCE
    ]


def _advanced(events: list[tuple[Seen, Judgement, Ask | None, int]]) -> bool:
    return any(one.state.step > 0 or one.state.moved or one.share > 1000 for one, _ in _play(rollout(), events))


def _many(count: int = 1500) -> Iterator[list[tuple[Seen, Judgement, Ask | None, int]]]:
    """Sequences from the same values as the properties' own, drawn without a search."""
    draw = random.Random(1)

    def seen() -> Seen:
        usual = draw.random() < 0.8
        return Seen(
            champion=_AS_IT_SHOULD_BE if usual else draw.choice([STABLE.digest, CANDIDATE.digest, None]),
            prepared=Prepared(Readiness.READY if usual else draw.choice(list(Readiness))),
            validated=draw.choice([True, None, False]),
            convergence=Convergence.CONVERGED if usual else draw.choice([None, *Convergence]),
            candidate=Readiness.READY if usual else draw.choice([None, *Readiness]),
            disobedient_seconds=0.0 if usual else draw.choice([0.0, 100.0]),
            emptied=draw.random() < 0.5,
        )

    def judged() -> Judgement:
        harm = "harm" if draw.random() < 0.05 else None
        return Judgement(draw.choice([0, 50, 1000]), draw.choice([0.0, 1000.0]), draw.random() < 0.7, harm)

    for _ in range(count):
        ask = [draw.choice([*[None] * 12, *Ask]) for _ in range(18)]
        yield [(seen(), judged(), ask[number], draw.choice([1, 100, 5000])) for number in range(18)]


def test_the_laws_hold_of_something() -> None:
    """Sequences like those of the properties come to every phase, to a step without data, and with data beyond it."""
    phases, blind = set(), set()
    for events in _many():
        phases |= {one.state.phase for one, _ in _play(rollout(), events)}
        blind |= {one.state.phase for one, _ in _play(rollout(), _blind(events))}
    assert phases >= set(Phase) - {Phase.VALIDATING, Phase.SUPERSEDED}
    assert Phase.STEPPING in blind
    assert any(_advanced(events) for events in _many(100))
    assert not any(_advanced(_blind(events)) for events in _many())


def test_a_machine_that_advances_without_data_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(one: Rollout, seen: Seen, judged: Judgement, now: datetime) -> Decision | None:
        return machine._next_step(one, now, None) if seen.convergence is Convergence.CONVERGED else None

    monkeypatch.setitem(machine._FORWARD, Phase.STEPPING, careless)
    assert any(_advanced(_blind(events)) for events in _many(100))


@settings(max_examples=100, deadline=None)
@given(events=_events, deployment=st.booleans())
def test_an_abort_is_possible_in_every_state_and_leaves_the_candidate_no_share(
    events: list[tuple[Seen, Judgement, Ask | None, int]], deployment: bool
) -> None:
    for one, _ in _play(rollout(DEPLOY if deployment else PLAN), events):
        if one.state.phase.ended:
            continue
        decision = asked(one, Ask.ABORT, "stop", NOW)
        stopped = replace(one, state=decision.state) if decision else one
        assert stopped.state.backwards
        assert stopped.share == 0
        if one.state.moved:
            assert decision is not None
            assert decision.move is RegistryMove.ROLL_BACK


@settings(max_examples=100, deadline=None)
@given(events=_events, deployment=st.booleans())
def test_what_goes_back_never_goes_forward_again(
    events: list[tuple[Seen, Judgement, Ask | None, int]], deployment: bool
) -> None:
    backwards, last = False, 0
    for one, _ in _play(rollout(DEPLOY if deployment else PLAN), events):
        if backwards:
            assert one.state.phase in (Phase.ROLLING_BACK, Phase.BLOCKED, Phase.ROLLED_BACK)
            assert one.share == 0
        backwards = one.state.backwards
        assert one.state.revision == last + 1
        last = one.state.revision
