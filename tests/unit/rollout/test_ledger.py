"""The ledger: a decision is one transaction with the registry, and the audit log holds all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pedigree_testing import Clock, candidate, digest
from tfx_pedigree.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError, StaleEvidenceError
from tfx_pedigree.registry import Evidence, PromotionRequest, Reference, Registry, Role, Verdict
from tfx_pedigree.registry.leases import Lease
from tfx_pedigree.rollout import machine
from tfx_pedigree.rollout.ledger import Ledger
from tfx_pedigree.rollout.machine import Decision, Judgement, Seen
from tfx_pedigree.rollout.plan import Bake, Direction, JudgePlan, MetricRule, Plan, Step, Strategy
from tfx_pedigree.rollout.state import Ask, Phase, Rollout
from tfx_pedigree.rollout.traffic.api import WHOLE, Convergence, FencedError, Prepared, Readiness, ServedVersion

MODEL = "penguin"
PLAN = Plan(Strategy.CANARY, (Step(1000, Bake(1, 0)), Step(WHOLE, Bake(1, 0))), keep_seconds=0)
PASSED = PromotionRequest()
GOOD = Judgement(10, 10.0, True)


@pytest.fixture
def ledger(registry: Registry) -> Ledger:
    """1.0.0 serves; 1.0.1 passed against it; 1.0.2 did not."""
    for seed in "abc":
        registry.add(MODEL, candidate(seed))
    registry.promote(f"{MODEL}@1.0.0", PromotionRequest(expect="none"))
    for seed, number, verdict in (("b", "1.0.1", Verdict.PASS), ("c", "1.0.2", Verdict.FAIL)):
        found = Evidence(digest(seed), digest("a"), verdict, "measured")
        registry.attach_evidence(f"{MODEL}@{number}", found)
    return Ledger(registry)


def lease_of(ledger: Ledger, holder: str = "one", seconds: float = 60) -> Lease:
    lease = ledger.hold(MODEL, holder, seconds)
    assert lease is not None
    return lease


def drive(ledger: Ledger, until: Phase) -> Rollout:
    """As a controller would with a backend that obeys at once."""
    lease, rollout = lease_of(ledger), ledger.current(MODEL)
    assert rollout is not None
    for _ in range(20):
        if rollout.state.phase is until:
            return rollout
        champion = ledger.champion(MODEL)
        seen = Seen(
            champion.digest if champion else None,
            Prepared(Readiness.READY),
            convergence=Convergence.CONVERGED,
            candidate=Readiness.READY,
            emptied=True,
        )
        decision = machine.decide(rollout, seen, GOOD, ledger.now() + timedelta(seconds=1))
        assert decision is not None
        rollout = ledger.decide(rollout, decision, {"requests": 10}, lease)
    raise AssertionError


def champion(ledger: Ledger) -> str | None:
    found = ledger.champion(MODEL)
    return found.version if found else None


def test_a_rollout_of_a_version_that_passed_ends_with_it_as_champion(ledger: Ledger) -> None:
    rollout = ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    assert rollout.stable is not None
    assert (rollout.number, rollout.stable.digest, rollout.candidate.version) == (1, digest("a"), "1.0.1")
    assert drive(ledger, Phase.DONE).closed_at is not None
    assert champion(ledger) == "1.0.1"
    assert ledger.current(MODEL) is None
    assert ledger.registry.verify_audit().problems == ()
    said = [(e.action, e.subject, e.to_state) for e in ledger.registry.history(MODEL, limit=9).items]
    assert [one[2] for one in said if one[0] == "roll-out"][::-1] == [
        "preparing", "stepping", "stepping", "promoting", "keeping", "done",
    ]  # fmt: skip


def test_the_promotion_and_the_decision_are_one_transaction(ledger: Ledger) -> None:
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    drive(ledger, Phase.PROMOTING)
    events = ledger.registry.history(MODEL, limit=3).items
    assert [event.action for event in events] == ["roll-out", "promote", "replace"]
    assert champion(ledger) == "1.0.1"


def test_only_what_passed_against_the_champion_is_rolled_out(ledger: Ledger) -> None:
    with pytest.raises(ConflictError, match="FAIL"):
        ledger.start_rollout(MODEL, "1.0.2", "eu", PLAN, PASSED)
    assert ledger.current(MODEL) is None
    rollout = ledger.start_rollout(MODEL, "1.0.2", "eu", PLAN, PromotionRequest(override=True, reason="we know why"))
    assert rollout.order.override
    drive(ledger, Phase.DONE)
    assert champion(ledger) == "1.0.2"


def test_evidence_that_turned_bad_meanwhile_promotes_nothing(ledger: Ledger) -> None:
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    drive(ledger, Phase.STEPPING)
    again = Evidence(digest("b"), digest("a"), Verdict.FAIL, "measured again")
    ledger.registry.attach_evidence(f"{MODEL}@1.0.1", again)
    with pytest.raises(ConflictError, match="FAIL"):
        drive(ledger, Phase.PROMOTING)
    rollout = ledger.current(MODEL)
    assert rollout is not None
    assert (rollout.state.phase, champion(ledger)) == (Phase.STEPPING, "1.0.0")


def test_a_champion_that_changed_meanwhile_is_not_replaced(ledger: Ledger) -> None:
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    rollout = drive(ledger, Phase.STEPPING)
    ledger.registry.promote(f"{MODEL}@1.0.2", PromotionRequest(override=True, reason="by hand"))
    promoting = replace_promoting(rollout)
    with pytest.raises(StaleEvidenceError):
        ledger.decide(rollout, promoting, {}, lease_of(ledger))
    assert champion(ledger) == "1.0.2"


def replace_promoting(rollout: Rollout) -> Decision:
    seen = Seen(digest("a"), convergence=Convergence.CONVERGED, candidate=Readiness.READY)
    last = machine.decide(rollout, seen, GOOD, rollout.state.since)
    assert last is not None
    from dataclasses import replace

    decision = machine.decide(replace(rollout, state=last.state), seen, GOOD, rollout.state.since)
    assert decision is not None
    return Decision(replace(decision.state, revision=rollout.state.revision + 1), decision.move)


def test_harm_after_the_promotion_takes_champion_and_phase_back_together(ledger: Ledger) -> None:
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    drive(ledger, Phase.KEEPING)
    asked = ledger.ask(MODEL, Ask.ABORT, "it is slow")
    assert (asked.rollout.state.phase, asked.changed, champion(ledger)) == (Phase.ROLLING_BACK, True, "1.0.0")
    assert [e.action for e in ledger.registry.history(MODEL, limit=3).items] == ["roll-out", "rollback", "replace"]
    assert ledger.registry.verify_audit().problems == ()
    assert drive(ledger, Phase.ROLLED_BACK).state.reason == "it is slow"


def test_of_two_who_decide_upon_the_same_state_one_is_refused(ledger: Ledger) -> None:
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    seen = Seen(digest("a"), Prepared(Readiness.READY), convergence=Convergence.CONVERGED)
    rollout, lease = ledger.current(MODEL), lease_of(ledger)
    assert rollout is not None
    decision = machine.decide(rollout, seen, GOOD, ledger.now())
    assert decision is not None
    ledger.decide(rollout, decision, {}, lease)
    with pytest.raises(ConflictError, match="changed since"):
        ledger.decide(rollout, decision, {}, lease)


def test_a_controller_whose_lease_was_taken_decides_nothing(ledger: Ledger, clock: Clock) -> None:
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    old = lease_of(ledger, "one", seconds=10)
    assert ledger.hold(MODEL, "two", 10) is None
    assert ledger.holder(MODEL) == "one"
    renewed = lease_of(ledger, "one", seconds=10)
    assert renewed.epoch == old.epoch
    clock.advance(seconds=11)
    assert lease_of(ledger, "two", seconds=10).epoch == old.epoch + 1
    rollout = ledger.current(MODEL)
    assert rollout is not None
    decision = machine.decide(
        rollout, Seen(digest("a"), Prepared(Readiness.READY), convergence=Convergence.CONVERGED), GOOD, ledger.now()
    )
    assert decision is not None
    with pytest.raises(FencedError):
        ledger.decide(rollout, decision, {}, old)


def test_a_lease_that_was_given_back_is_free_at_once_and_its_epoch_grows(ledger: Ledger) -> None:
    first = lease_of(ledger, "one")
    ledger.release(first)
    assert ledger.holder(MODEL) is None
    second = lease_of(ledger, "two")
    assert second.epoch == first.epoch + 1
    ledger.release(first)  # by somebody who lost it: without effect
    assert ledger.holder(MODEL) == "two"
    above = ledger.hold(MODEL, "two", 60, above=40)
    assert above is not None
    assert above.epoch == 41


def test_there_is_one_rollout_at_a_time(ledger: Ledger) -> None:
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    with pytest.raises(ConflictError, match="pedigree rollout abort penguin --reason WHY"):
        ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    assert [one.number for one in ledger.rollouts(MODEL, only_open=True)] == [1]


def test_a_rollback_moves_champion_and_order_together_and_takes_over_what_goes_on(ledger: Ledger) -> None:
    ledger.registry.promote(f"{MODEL}@1.0.1", PASSED)
    ledger.registry.attach_evidence(
        f"{MODEL}@1.0.2", Evidence(digest("c"), digest("b"), Verdict.PASS, "measured again")
    )
    first = ledger.start_rollout(MODEL, "1.0.2", "eu", PLAN, PASSED)
    followed = ledger.roll_back(MODEL, "eu", None, reason="both are bad")
    assert (followed.version.version, followed.replaced, followed.changed) == ("1.0.0", "1.0.1", True)
    assert ledger.get(MODEL, first.number).state.phase is Phase.SUPERSEDED
    deployment = followed.deployment
    assert deployment.stable is not None
    assert (deployment.candidate.version, deployment.stable.version) == ("1.0.0", "1.0.1")
    assert deployment.state.wanted is not None
    assert deployment.state.wanted.points(digest("b")) == WHOLE  # the candidate's share is gone at once
    assert ledger.registry.verify_audit().problems == ()
    assert drive(ledger, Phase.DONE).candidate.version == "1.0.0"


def test_a_promotion_can_order_the_deployment_with_it(ledger: Ledger) -> None:
    followed = ledger.promote_and_deploy(Reference(MODEL, "1.0.1"), PASSED, "eu", ledger.champion(MODEL))
    assert (followed.version.version, followed.replaced, followed.deployment.number) == ("1.0.1", "1.0.0", 1)
    assert drive(ledger, Phase.DONE).candidate.version == "1.0.1"


def test_who_may_not_release_orders_nothing(ledger: Ledger, open_as: Callable[[str], Registry]) -> None:
    ledger.registry.grant("bob", Role.REVIEWER)
    bob = Ledger(open_as("bob"))
    with pytest.raises(ForbiddenError, match="needs releaser"):
        bob.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    with pytest.raises(ForbiddenError):
        bob.deploy(MODEL, "eu", None, None)
    assert bob.rollouts(MODEL) == ()


def test_what_is_not_there_is_said_with_the_next_step(ledger: Ledger) -> None:
    with pytest.raises(NotFoundError, match="pedigree rollout start penguin@VERSION"):
        ledger.newest(MODEL)
    with pytest.raises(NotFoundError, match="nothing to abort"):
        ledger.ask(MODEL, Ask.ABORT, "why not")
    with pytest.raises(NotFoundError, match="no model 'pinguin'"):
        ledger.rollouts("pinguin")
    with pytest.raises(ConflictError, match="champion already"):
        ledger.start_rollout(MODEL, "1.0.0", "eu", PLAN, PASSED)


def test_what_was_counted_is_kept_and_lost_without_harm(ledger: Ledger) -> None:
    rollout = ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    assert ledger.tally_text(rollout) is None
    for text in ({"a": 1}, {"a": 2}):
        ledger.save_tally(rollout, text)
    assert ledger.tally_text(rollout) == {"a": 2}
    assert ledger.registry.verify_audit().problems == ()


def test_an_archive_carries_rollouts_and_imports_them(ledger: Ledger, tmp_path: Path) -> None:
    from tfx_pedigree.registry import transfer

    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    drive(ledger, Phase.DONE)
    ledger.deploy(MODEL, "eu", None, None)
    rollout = ledger.current(MODEL)
    assert rollout is not None
    ledger.save_tally(rollout, {"a": 1})
    with ledger.registry.transactions.reading(None) as connection:
        events, rows = transfer.read(connection, MODEL)
    from tfx_pedigree.registry.model_replay import ModelReplay
    from tfx_pedigree.registry.model_rows import read_row
    from tfx_pedigree.registry.row_check import RowCheck

    replay = ModelReplay(MODEL)
    for event in events:
        replay.feed(event)
    assert replay.problems == []
    check = RowCheck(MODEL, replay.facts, strange=True)
    checked = [check.accept(read_row(row, "a row")) for row in rows]
    assert check.missing() == []
    with Registry.create(tmp_path / "other", actor="ada") as other, other.transactions.importing(MODEL) as write:
        transfer.write(write, transfer.History(MODEL, [e.hash for e in events], events, checked), len(events))
    with Registry.open(tmp_path / "other", actor="ada") as other:
        assert other.verify_audit().problems == ()
        assert [one.state.phase for one in Ledger(other).rollouts(MODEL)] == [Phase.PREPARING, Phase.DONE]
    # Into the registry from which it came, made longer by nothing: all of it is there.
    with ledger.registry.transactions.reading(None) as connection:
        assert transfer.count_new(connection, transfer.History(MODEL, [e.hash for e in events], events, checked)) == 0


HARM = Judgement(10, 10.0, harm="Errors: too many.")


def harmed(ledger: Ledger, rollout: Rollout, judged: Judgement = HARM) -> Rollout:
    now = ledger.champion(MODEL)
    decision = machine.decide(rollout, Seen(now.digest if now else None), judged, ledger.now() + timedelta(seconds=1))
    assert decision is not None
    lease = lease_of(ledger)
    return ledger.decide(rollout, decision, {"step": {"candidate": {"requests": 10, "failures": 7}}}, lease)


@pytest.mark.parametrize("late", [Phase.STEPPING, Phase.KEEPING])
def test_harm_becomes_evidence_in_the_same_transaction_and_keeps_the_version_out(ledger: Ledger, late: Phase) -> None:
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    gate = ledger.registry.evidence(f"{MODEL}@1.0.1")
    assert gate is not None
    rollout = harmed(ledger, drive(ledger, late))
    assert (rollout.state.phase, champion(ledger)) == (Phase.ROLLING_BACK, "1.0.0")
    actions = [event.action for event in ledger.registry.history(MODEL, limit=4).items]
    assert "attach-evidence" in actions and actions[0] == "roll-out"
    found = ledger.registry.evidence(f"{MODEL}@1.0.1")
    assert found is not None
    assert (found.verdict, found.champion, found.metrics) == (Verdict.FAIL, digest("a"), gate.metrics)
    assert found.reason == "Rollout 1 to eu: Errors: too many."
    assert (found.details["withheld_by"], found.details["without_them"]) == (["rollout 1"], gate.reason)
    told = found.details["rollout"]
    assert (told["steps"][0]["phase"], told["steps"][0]["points"]) == ("stepping", 1000)
    assert told["steps"][-1]["candidate"] == {"requests": 10, "failures": 7}
    assert told["began_at"] < told["steps"][-1]["from"] < told["steps"][-1]["to"] == told["ended_at"]
    with pytest.raises(ConflictError, match="Errors: too many" if late is Phase.STEPPING else "champion once"):
        ledger.registry.promote(f"{MODEL}@1.0.1")
    assert ledger.registry.verify_audit().problems == ()


def test_health_through_all_steps_is_evidence_as_well_and_replays(ledger: Ledger) -> None:
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    drive(ledger, Phase.DONE)
    found = ledger.registry.evidence(f"{MODEL}@1.0.1")
    assert found is not None
    assert (found.verdict, found.details["rollout"]["number"]) == (Verdict.PASS, 1)
    phases = [one["phase"] for one in found.details["rollout"]["steps"]]
    assert phases == ["stepping", "stepping", "promoting", "keeping"]
    assert ledger.registry.verify_audit().problems == ()


def test_what_a_person_ends_is_no_evidence_about_the_version(ledger: Ledger) -> None:
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    before = ledger.registry.evidence(f"{MODEL}@1.0.1")
    ledger.ask(MODEL, Ask.ABORT, "a complaint")
    drive(ledger, Phase.ROLLED_BACK)
    assert ledger.registry.evidence(f"{MODEL}@1.0.1") == before
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)


def test_what_serves_meanwhile_is_a_version_of_the_registry_whatever_an_order_says_of_it(ledger: Ledger) -> None:
    said = ServedVersion("another", digest("a"), "9.9.9", 7)
    followed = ledger.promote_and_deploy(f"{MODEL}@1.0.1", PASSED, "eu", said)
    assert followed.deployment.stable == ServedVersion(MODEL, digest("a"), "1.0.0", 1)
    for unknown in (digest("f"), "../../etc", "x\ny"):
        with pytest.raises((NotFoundError, InvalidInputError)):
            ledger.roll_back(MODEL, "eu", replace(said, digest=unknown), reason="no")
    assert champion(ledger) == "1.0.1"


@pytest.mark.parametrize("target", ["", " ", "a\nb", "\x1b[31mred", "t" * 101])
def test_a_target_is_a_name_that_can_be_shown(ledger: Ledger, target: str) -> None:
    with pytest.raises(InvalidInputError, match="The target"):
        ledger.start_rollout(MODEL, "1.0.1", target, PLAN, PASSED)
    with pytest.raises(InvalidInputError, match="The target"):
        ledger.deploy(MODEL, target)


def test_a_plan_that_could_never_be_read_again_is_refused_when_it_is_ordered(ledger: Ledger) -> None:
    wrong = replace(PLAN, judge=JudgePlan(metrics=(MetricRule("m", Direction.HIGHER, query="u" * 5000),)))
    with pytest.raises(InvalidInputError, match="query"):
        ledger.start_rollout(MODEL, "1.0.1", "eu", wrong, PASSED)
    assert ledger.rollouts(MODEL) == ()
