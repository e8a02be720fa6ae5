"""The whole chain with real load balancers: order, controller, shares, judge, and back or on, while clients ask.

The clients try nothing twice. `test_controller` has the same with a load balancer in memory and a clock of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from balancer_testing import VERSIONS, Processes, Serving
from envoy_testing import Envoy
from haproxy_testing import Haproxy
from load_testing import Load
from traffic_conformance import prepared, settled

from pedigree_testing import description
from tfx_pedigree.registry import Candidate, Evidence, PromotionRequest, Registry, Verdict
from tfx_pedigree.rollout.controller import PERIOD_SECONDS, Controller, Tick
from tfx_pedigree.rollout.ledger import Ledger
from tfx_pedigree.rollout.plan import Bake, JudgePlan, Plan, Rate, Step, Strategy
from tfx_pedigree.rollout.state import Phase
from tfx_pedigree.rollout.traffic.api import WHOLE, WantedRoutes

FIRST, SECOND = VERSIONS[0], VERSIONS[1]
MODEL = FIRST.model
SLOWLY = Plan(Strategy.CANARY, (Step(2500, Bake(10**6, 60)), Step(WHOLE)), lease_seconds=5)
QUICKLY = Plan(
    Strategy.CANARY,
    (Step(2500, Bake(50, 0.5)), Step(WHOLE, Bake(50, 0.5))),
    judge=JudgePlan(errors=Rate(acceptable=0.2)),
    keep_seconds=0,
)


@pytest.fixture(params=[Haproxy, Envoy], ids=["haproxy", "envoy"])
def balancer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Haproxy | Envoy]:
    processes = Processes(tmp_path)
    made = request.param(Serving(tmp_path / "models", processes), tmp_path)
    try:
        made.serving.start(together=False)
        made.start()
        manager = made.bench().manager()
        prepared(manager, FIRST, made.bench())
        manager.apply(WantedRoutes.all_to(FIRST.digest), epoch=1)
        settled(manager, WantedRoutes.all_to(FIRST.digest), made.bench())
        yield made
    finally:
        processes.stop()
        made.stop()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """The first version is champion, and the second passed against it."""
    with Registry.create(tmp_path / "registry", actor="ada") as registry:
        for version in (FIRST, SECOND):
            registry.add(MODEL, Candidate(version.digest, description()))
        registry.promote(f"{MODEL}@1.0.0", PromotionRequest(expect="none"))
        passed = Evidence(SECOND.digest, FIRST.digest, Verdict.PASS, "measured")
        registry.attach_evidence(f"{MODEL}@1.0.1", passed)
        yield Ledger(registry)


def drive(controller: Controller, until: Callable[[Tick], bool], seconds: float = 30.0) -> Tick:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        tick = controller.tick(MODEL)
        if until(tick):
            return tick
        time.sleep(PERIOD_SECONDS / 2)
    raise AssertionError(f"not within {seconds} s: {tick}")


def phase(tick: Tick) -> Phase | None:
    return tick.rollout.state.phase if tick.rollout else None


def test_a_candidate_that_is_killed_is_rolled_back_and_no_client_saw_it(
    balancer: Haproxy | Envoy, ledger: Ledger
) -> None:
    manager = balancer.bench().manager()
    controller = Controller(ledger, lambda rollout: manager, holder="here")
    ledger.start_rollout(MODEL, "1.0.1", "eu", SLOWLY, PromotionRequest())
    with Load(balancer.port) as load:
        drive(controller, lambda tick: phase(tick) is Phase.STEPPING and tick.judged.requests > 20)
        arm = manager.observe().arm(SECOND.digest)
        assert arm is not None
        balancer.serving.processes.kill(arm.place)
        killed = time.monotonic()
        tick = drive(controller, lambda tick: phase(tick) is Phase.ROLLING_BACK)
        took = time.monotonic() - killed
        assert manager.observe().points(SECOND.digest) == 0
        drive(controller, lambda tick: phase(tick) in (Phase.ROLLED_BACK, None))
    assert tick.rollout is not None
    assert tick.rollout.state.reason
    assert took < 10
    assert not load.failures
    champion = ledger.champion(MODEL)
    assert champion is not None
    assert champion.digest == FIRST.digest


def test_harm_that_was_shown_ends_the_share_in_the_same_look(balancer: Haproxy | Envoy, ledger: Ledger) -> None:
    """Counted in looks, since a busy machine is slow; with the period of a controller a look is half a second."""
    balancer.serving.behaviour[SECOND.sequence] = {"failing": 1.0}
    manager = balancer.bench().manager()
    controller = Controller(ledger, lambda rollout: manager, holder="here")
    ledger.start_rollout(MODEL, "1.0.1", "eu", SLOWLY, PromotionRequest())
    with Load(balancer.port) as load:
        drive(controller, lambda tick: phase(tick) is Phase.STEPPING)
        tick = drive(controller, lambda tick: tick.judged.harm is not None)
        assert (phase(tick), tick.decided) == (Phase.ROLLING_BACK, True)
        assert manager.observe().points(SECOND.digest) == 0, "at the end of the look that showed the harm"
        time.sleep(0.5)  # what was under way is answered
        failed = load.failures["500"]
        time.sleep(0.5)
        assert load.failures["500"] == failed
    assert failed > 0
    assert load.answers[1] > 0
    evidence = ledger.registry.evidence(f"{MODEL}@1.0.1")
    assert evidence is not None
    assert evidence.verdict is Verdict.FAIL


def test_a_good_candidate_becomes_the_champion_and_a_rollback_returns_the_traffic(
    balancer: Haproxy | Envoy, ledger: Ledger
) -> None:
    manager = balancer.bench().manager()
    controller = Controller(ledger, lambda rollout: manager, holder="here")
    ledger.start_rollout(MODEL, "1.0.1", "eu", replace(QUICKLY, keep_seconds=600), PromotionRequest())
    with Load(balancer.port) as load:
        drive(controller, lambda tick: phase(tick) is Phase.KEEPING)
        assert manager.observe().serving == SECOND.digest
        followed = ledger.roll_back(MODEL, "eu", None, reason="complaints")
        assert followed.version.digest == FIRST.digest
        drive(controller, lambda tick: phase(tick) in (Phase.DONE, None))
        assert manager.observe().serving == FIRST.digest
    assert not load.failures
    assert load.answers[1] > 0
    assert load.answers[2] > 0
