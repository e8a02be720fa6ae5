"""The controller: from the first share to the champion, or back at the first harm, with backends that misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rollout_testing import CANDIDATE, MODEL, PLAN, STABLE, World, copied, harmful, make_registry

from pedigree_testing import candidate
from tfx_pedigree.errors import ForbiddenError, UnavailableError
from tfx_pedigree.registry import Evidence, NewObservation, PromotionRequest, Registry, Verdict
from tfx_pedigree.rollout.controller import Controller
from tfx_pedigree.rollout.ledger import Ledger
from tfx_pedigree.rollout.machine import Decision, RegistryMove
from tfx_pedigree.rollout.plan import (
    Bake,
    CountQueries,
    Direction,
    JudgePlan,
    Limits,
    MetricRule,
    Step,
    Validation,
)
from tfx_pedigree.rollout.prometheus import SUMMED, PrometheusMetrics
from tfx_pedigree.rollout.state import Ask, Phase, Rollout
from tfx_pedigree.rollout.traffic.api import WHOLE, Counters, FencedError, ServedVersion, WantedRoutes
from tfx_pedigree.rollout.traffic.memory import Behaviour, MemoryTraffic
from tfx_pedigree.service.rollouts.measuring import Measures

PASSED = PromotionRequest()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_registry(tmp_path_factory.mktemp("template") / "registry")


@pytest.fixture
def world(template: Path, tmp_path: Path) -> World:
    return World(copied(template, tmp_path / "registry"))


@pytest.fixture
def running(world: World) -> Iterator[tuple[Ledger, Controller]]:
    with world.process() as (ledger, controller):
        yield ledger, controller


def shares(world: World) -> dict[str, int]:
    return {share.digest: share.points for share in world.balancer.shares()}


def champion(ledger: Ledger) -> str | None:
    found = ledger.champion(MODEL)
    return found.digest if found else None


def until(world: World, controller: Controller, phase: Phase, most: int = 60) -> Rollout:
    for number in range(most):
        tick = controller.tick(MODEL)
        assert tick.rollout is not None
        if tick.rollout.state.phase is phase:
            return tick.rollout
        world.balancer.send(60, seed=number)
        world.clock.advance(seconds=1)
    raise AssertionError(f"it never was {phase}: {tick}")


def test_a_healthy_candidate_ends_as_champion_with_all_the_traffic(
    world: World, running: tuple[Ledger, Controller]
) -> None:
    ledger, controller = running
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    seen = [tick.rollout.share for tick in world.play(ledger, controller) if tick.rollout]
    assert list(dict.fromkeys(seen)) == [2500, WHOLE]
    assert (champion(ledger), shares(world)[CANDIDATE]) == (CANDIDATE, WHOLE)
    # The version before it was unloaded after it had been kept for a time.
    assert MemoryTraffic(world.balancer).observe().arm(STABLE) is None
    assert ledger.registry.verify_audit().problems == ()


def test_a_harmful_candidate_has_no_share_at_the_end_of_the_look_that_shows_the_harm(
    world: World, running: tuple[Ledger, Controller]
) -> None:
    ledger, controller = running
    harmful(world)
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    for tick in world.play(ledger, controller):
        assert tick.rollout is not None
        if tick.judged.harm:
            assert (tick.rollout.state.phase, shares(world).get(CANDIDATE, 0)) == (Phase.ROLLING_BACK, 0)
            break
    else:
        raise AssertionError("no harm was seen")
    rollout = ledger.newest(MODEL)
    assert (rollout.state.phase, champion(ledger)) == (Phase.ROLLED_BACK, STABLE)
    assert "Errors: the candidate has" in str(rollout.state.reason)
    event = next(e for e in ledger.registry.history(MODEL, limit=9).items if e.to_state == "rolling-back")
    assert event.details["numbers"]["candidate"]["failures"] > 0


def test_a_candidate_that_died_is_rolled_back_although_retries_hid_it(
    world: World, running: tuple[Ledger, Controller]
) -> None:
    ledger, controller = running
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    until(world, controller, Phase.STEPPING)
    world.balancer.behaviour[CANDIDATE] = Behaviour(down=True)
    until(world, controller, Phase.ROLLED_BACK)
    assert shares(world)[STABLE] == WHOLE


def test_a_candidate_that_is_called_down_is_rolled_back_without_a_single_request(
    world: World, running: tuple[Ledger, Controller]
) -> None:
    ledger, controller = running
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    until(world, controller, Phase.STEPPING)
    world.balancer.behaviour[CANDIDATE] = Behaviour(down=True)
    world.balancer._counters[CANDIDATE] = replace(world.balancer.counted(CANDIDATE), up=False)
    for _ in range(5):
        controller.tick(MODEL)
        world.clock.advance(seconds=1)
    assert "down" in str(ledger.newest(MODEL).state.reason)


def test_without_requests_it_stays_at_its_step_and_goes_back_at_the_deadline(
    world: World, running: tuple[Ledger, Controller]
) -> None:
    ledger, controller = running
    plan = replace(PLAN, limits=replace(PLAN.limits, step_seconds=100))
    ledger.start_rollout(MODEL, "1.0.1", "eu", plan, PASSED)
    phases = set()
    for _ in range(130):
        tick = controller.tick(MODEL)
        world.clock.advance(seconds=1)
        if tick.rollout is None:
            break
        phases.add((tick.rollout.state.phase, tick.rollout.state.step))
    assert (Phase.STEPPING, 1) not in phases
    assert ledger.newest(MODEL).state.phase is Phase.ROLLED_BACK
    assert "Neither harm nor health" in str(ledger.newest(MODEL).state.reason)


def test_shares_that_somebody_else_changed_are_driven_back(world: World, running: tuple[Ledger, Controller]) -> None:
    ledger, controller = running
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    until(world, controller, Phase.STEPPING)
    world.balancer.lose_shares()
    assert shares(world)[CANDIDATE] == 0
    controller.tick(MODEL)
    assert shares(world)[CANDIDATE] == 2500


def test_the_lease_is_renewed_while_the_controller_lives_and_ends_without_it(
    world: World, running: tuple[Ledger, Controller]
) -> None:
    ledger, controller = running
    patient = replace(PLAN, steps=(Step(2500, Bake(10**6, 0)), PLAN.steps[1]))
    ledger.start_rollout(MODEL, "1.0.1", "eu", patient, PASSED)
    until(world, controller, Phase.STEPPING)
    for _ in range(40):
        controller.tick(MODEL)
        assert shares(world)[CANDIDATE] == 2500
        world.clock.advance(seconds=1)
    world.clock.advance(seconds=16)
    assert shares(world)[CANDIDATE] == 0
    with world.process() as (_, other):
        other.tick(MODEL)
        other.tick(MODEL)
        assert shares(world)[CANDIDATE] == 2500


def test_harm_that_happened_while_no_controller_was_there_is_judged_before_any_advance(world: World) -> None:
    with world.process() as (ledger, controller):
        ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
        until(world, controller, Phase.STEPPING)
        controller.tick(MODEL)
    harmful(world)
    world.balancer.send(200)
    world.clock.advance(seconds=12)
    with world.process() as (_, other):
        tick = other.tick(MODEL)
        assert tick.rollout is not None
        assert tick.rollout.state.phase is Phase.ROLLING_BACK
        assert shares(world)[CANDIDATE] == 0


def test_two_controllers_do_not_drive_the_same_model(world: World) -> None:
    with world.process() as (ledger, one), world.process() as (_, two):
        ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
        assert one.tick(MODEL).decided
        tick = two.tick(MODEL)
        assert (tick.held_by, tick.decided) == ("process-1", False)
        one.leave_all()
        assert two.tick(MODEL).held_by is None


def test_a_controller_that_slept_through_its_lease_changes_nothing(world: World) -> None:
    with world.process() as (ledger, one), world.process() as (_, two):
        ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
        until(world, one, Phase.STEPPING)
        old = one._reigns[MODEL].lease
        world.clock.advance(seconds=11)
        assert two.tick(MODEL).held_by is None
        with pytest.raises(FencedError):
            MemoryTraffic(world.balancer).apply(ledger.newest(MODEL).state.wanted, epoch=old.epoch)  # type: ignore[arg-type]
        assert one.tick(MODEL).held_by == "process-2"


def test_what_a_person_decides_during_a_look_counts(world: World) -> None:
    class Interrupted(Ledger):
        asked = False

        def decide(self, *arguments: Any) -> Rollout:
            if not self.asked:
                self.asked = True
                self.ask(MODEL, Ask.ABORT, "just now")
            return super().decide(*arguments)

    world.make_ledger = Interrupted
    with world.process() as (ledger, controller):
        ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
        assert not controller.tick(MODEL).decided
        world.play(ledger, controller)
        assert ledger.newest(MODEL).state.reason == "just now"
        assert shares(world) == {STABLE: WHOLE, CANDIDATE: 0}


def test_a_stable_version_that_does_not_serve_is_brought_back_before_anything_is_compared(world: World) -> None:
    with world.process() as (ledger, controller):
        manager = MemoryTraffic(world.balancer)
        manager.prepare(ServedVersion(MODEL, "sha256:" + "e" * 64, "0.0.1", 9))
        manager.apply(WantedRoutes.all_to("sha256:" + "e" * 64), epoch=1)
        ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
        tick = controller.tick(MODEL)
        assert (tick.decided, shares(world)) == (False, {STABLE: WHOLE})


def test_a_backend_that_saw_higher_epochs_than_the_registry_is_led_again(world: World) -> None:
    """As after a registry was restored from an older copy."""
    world.balancer._epoch = 70
    with world.process() as (ledger, controller):
        ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
        world.play(ledger, controller)
        assert champion(ledger) == CANDIDATE
        assert world.balancer._epoch > 70


def test_a_backend_that_does_not_answer_is_asked_again_and_nothing_advances_meanwhile(
    world: World, running: tuple[Ledger, Controller]
) -> None:
    ledger, controller = running
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    until(world, controller, Phase.STEPPING)

    def lost(point: str) -> None:
        raise UnavailableError("the socket is gone")

    world.balancer.fault = lost
    for _ in range(10):
        tick = controller.tick(MODEL)
        world.clock.advance(seconds=1)
        assert tick.rollout is not None
        assert (tick.rollout.state.step, tick.rollout.state.phase) == (0, Phase.STEPPING)
        assert any("socket" in note for note in tick.notes)
    world.balancer.fault = lambda point: None
    world.play(ledger, controller)
    assert champion(ledger) == CANDIDATE


def test_a_backend_that_never_obeys_blocks_the_rollback_visibly_and_is_tried_again(
    world: World, running: tuple[Ledger, Controller]
) -> None:
    ledger, controller = running
    plan = replace(PLAN, limits=Limits(obey_seconds=5))
    ledger.start_rollout(MODEL, "1.0.1", "eu", plan, PASSED)
    until(world, controller, Phase.STEPPING)

    def deaf(point: str) -> None:
        if point == "apply:before":
            raise UnavailableError("no answer")

    world.balancer.fault = deaf
    ledger.ask(MODEL, Ask.ABORT, "stop")
    assert until(world, controller, Phase.BLOCKED).state.backwards
    world.balancer.fault = lambda point: None
    until(world, controller, Phase.ROLLED_BACK)
    assert shares(world)[STABLE] == WHOLE


def test_evidence_that_turned_bad_before_the_promotion_rolls_back(
    world: World, running: tuple[Ledger, Controller]
) -> None:
    ledger, controller = running
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    until(world, controller, Phase.STEPPING)
    ledger.registry.attach_evidence(f"{MODEL}@1.0.1", Evidence(CANDIDATE, STABLE, Verdict.FAIL, "again"))
    world.play(ledger, controller)
    rollout = ledger.newest(MODEL)
    assert (rollout.state.phase, champion(ledger)) == (Phase.ROLLED_BACK, STABLE)
    assert "FAIL" in str(rollout.state.reason)


def test_a_promotion_that_the_controller_may_not_make_rolls_back_with_the_reason(world: World) -> None:
    """As where an admin has overridden what protects the model, and the controller is no admin."""

    class NoAdmin(Ledger):
        def decide(self, rollout: Rollout, decision: Decision, *others: Any) -> Rollout:
            if decision.move is RegistryMove.PROMOTE:
                raise ForbiddenError("only an admin may override approvals", "override-approvals")
            return super().decide(rollout, decision, *others)

    world.make_ledger = NoAdmin
    with world.process() as (ledger, controller):
        ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
        world.play(ledger, controller)
        rollout = ledger.newest(MODEL)
        assert (rollout.state.phase, champion(ledger)) == (Phase.ROLLED_BACK, STABLE)
        assert "only an admin" in str(rollout.state.reason)


def test_an_abort_while_paused_and_one_after_the_promotion_lead_back(
    world: World, running: tuple[Ledger, Controller]
) -> None:
    ledger, controller = running
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)
    until(world, controller, Phase.STEPPING)
    ledger.ask(MODEL, Ask.PAUSE, "lunch")
    for number in range(5):
        controller.tick(MODEL)
        world.balancer.send(60, seed=number)
        world.clock.advance(seconds=1)
    assert shares(world)[CANDIDATE] == 2500
    ledger.ask(MODEL, Ask.ABORT, "no")
    world.play(ledger, controller)
    assert (shares(world)[STABLE], champion(ledger)) == (WHOLE, STABLE)
    ledger.start_rollout(MODEL, "1.0.1", "eu", replace(PLAN, keep_seconds=1000), PASSED)
    until(world, controller, Phase.KEEPING)
    assert champion(ledger) == CANDIDATE
    ledger.ask(MODEL, Ask.ABORT, "no again")
    assert champion(ledger) == STABLE
    world.play(ledger, controller)
    assert shares(world)[STABLE] == WHOLE


def test_a_rollback_of_the_registry_is_followed_by_the_traffic_also_during_a_rollout(
    world: World, running: tuple[Ledger, Controller]
) -> None:
    ledger, controller = running
    ledger.start_rollout(MODEL, "1.0.1", "eu", replace(PLAN, keep_seconds=1000), PASSED)
    until(world, controller, Phase.KEEPING)
    followed = ledger.roll_back(MODEL, "eu", None, reason="complaints")
    assert (followed.version.digest, champion(ledger)) == (STABLE, STABLE)
    world.play(ledger, controller)
    assert shares(world)[STABLE] == WHOLE
    assert [one.state.phase for one in ledger.rollouts(MODEL)] == [Phase.DONE, Phase.SUPERSEDED]


def test_a_deployment_that_cannot_load_leaves_the_traffic_and_goes_on_when_it_can(
    world: World, running: tuple[Ledger, Controller]
) -> None:
    ledger, controller = running
    ledger.registry.promote(f"{MODEL}@1.0.1", PASSED)
    world.balancer.broken.add(CANDIDATE)
    ledger.deploy(MODEL, "eu", None, None)
    rollout = until(world, controller, Phase.BLOCKED)
    assert "does not load" in str(rollout.state.reason)
    assert shares(world)[STABLE] == WHOLE
    world.balancer.broken.clear()
    world.play(ledger, controller)
    assert shares(world)[CANDIDATE] == WHOLE


def test_a_shadow_step_gives_copies_and_no_answers(world: World, running: tuple[Ledger, Controller]) -> None:
    ledger, controller = running
    shadow = replace(PLAN, steps=(Step(5000, Bake(10, 1), shadow=True), *PLAN.steps))
    ledger.start_rollout(MODEL, "1.0.1", "eu", shadow, PASSED)
    until(world, controller, Phase.STEPPING)
    answered = world.balancer.send(200)
    assert answered == {STABLE: 200}
    assert world.balancer.counted(CANDIDATE).requests > 50
    world.play(ledger, controller)
    assert champion(ledger) == CANDIDATE


def test_answers_to_recorded_requests_that_are_wrong_let_no_traffic_through(world: World) -> None:
    plan = replace(PLAN, validation=Validation("requests.jsonl", "/predict"))
    with world.process() as (ledger, _):
        ledger.start_rollout(MODEL, "1.0.1", "eu", plan, PASSED)
        wrong = Controller(ledger, world.open, holder="x", validate=lambda rollout, state: (False, "3 of 10 differ"))
        world.play(ledger, wrong)
        assert "3 of 10 differ" in str(ledger.newest(MODEL).state.reason)
        assert world.balancer.counted(CANDIDATE).requests == 0


def test_a_metric_is_asked_for_once_a_window_and_can_roll_back(world: World) -> None:
    rule = MetricRule("revenue", Direction.HIGHER, window_seconds=3)
    patient = (Step(2500, Bake(10**6, 0)), PLAN.steps[1])
    plan = replace(PLAN, steps=patient, judge=JudgePlan(metrics=(rule,)))
    asked: list[str] = []

    def measure(rule: object, version: object, since: object) -> float:
        asked.append(getattr(version, "digest", ""))
        return 1.0 if asked[-1] == CANDIDATE else 2.0

    with world.process() as (ledger, _):
        ledger.start_rollout(MODEL, "1.0.1", "eu", plan, PASSED)
        until(world, Controller(ledger, world.open, holder="x", measure=measure), Phase.ROLLED_BACK)
        assert "revenue: worse" in str(ledger.newest(MODEL).state.reason)
        assert asked.count(CANDIDATE) < 15


def summing(world: World, lost: dict[str, int] | None = None) -> Callable[[CountQueries, ServedVersion], Counters]:
    """As a Prometheus that sums over processes, some of which are gone with what they had counted."""

    def count(queries: CountQueries, version: ServedVersion) -> Counters:
        found = world.balancer.counted(version.digest)
        gone = (lost or {}).get(version.digest, 0)
        return Counters(SUMMED, max(0, found.requests - gone), max(0, found.failures - gone))

    return count


COUNTED = replace(PLAN, judge=replace(PLAN.judge, counts=CountQueries("requests", "failed")))


@pytest.mark.parametrize(("failing", "end"), [(0.0, CANDIDATE), (1.0, STABLE)])
def test_a_backend_that_counts_nothing_is_judged_by_counts_from_elsewhere(
    world: World, failing: float, end: str
) -> None:
    world.balancer.capabilities = replace(world.balancer.capabilities, counters=False)
    world.balancer.behaviour[CANDIDATE] = Behaviour(failing=failing)
    with world.process() as (ledger, _):
        ledger.start_rollout(MODEL, "1.0.1", "eu", COUNTED, PASSED)
        world.play(ledger, Controller(ledger, world.open, holder="x", count=summing(world)))
        assert champion(ledger) == end


def test_counts_of_processes_that_went_away_are_nobodys_evidence(world: World) -> None:
    """A sum that fell begins anew where it is, for both: nothing that was counted before is counted twice."""
    lost: dict[str, int] = {}
    patient = replace(COUNTED, steps=(Step(2500, Bake(10**6, 0)), PLAN.steps[1]))
    with world.process() as (ledger, _):
        ledger.start_rollout(MODEL, "1.0.1", "eu", patient, PASSED)
        controller = Controller(ledger, world.open, holder="x", count=summing(world, lost))
        until(world, controller, Phase.STEPPING)
        controller.tick(MODEL)
        world.balancer.send(400)
        before = controller.tick(MODEL).judged.requests
        assert before > 50
        lost[CANDIDATE] = 40
        assert controller.tick(MODEL).judged.requests == before
        sent = world.balancer.send(100, seed=9).get(CANDIDATE, 0)
        assert controller.tick(MODEL).judged.requests == before + sent


def test_metrics_without_a_query_are_what_was_observed_since(registry: Registry) -> None:
    for seed in "ab":
        registry.add(MODEL, candidate(seed))
    now = registry.transactions.clock()
    measures = Measures(registry, PrometheusMetrics({}))
    rule, version = MetricRule("revenue", Direction.HIGHER), ServedVersion(MODEL, CANDIDATE, "1.0.1", 2)
    assert measures.measure(rule, version, now) is None
    for minute, value in ((1, 2.0), (2, 4.0)):
        at = now + timedelta(minutes=minute)
        registry.observe(f"{MODEL}@1.0.1", NewObservation({"revenue": value}, at, at))
    assert measures.measure(rule, version, now) == 3.0
    assert measures.measure(rule, version, now + timedelta(seconds=90)) == 4.0
    assert measures.measure(MetricRule("clicks", Direction.HIGHER), version, now) is None
