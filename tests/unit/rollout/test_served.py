"""Which version had which share where and when: the log added up, and told to the lineage whoever died before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pedigree_testing import candidate, digest
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.registry import Evidence, PromotionRequest, Registry, Verdict
from tfx_pedigree.rollout import machine
from tfx_pedigree.rollout.ledger import Ledger
from tfx_pedigree.rollout.machine import Judgement, Seen
from tfx_pedigree.rollout.plan import Bake, Plan, Step, Strategy
from tfx_pedigree.rollout.served import ShareChange, share_changes
from tfx_pedigree.rollout.state import Ask, Phase
from tfx_pedigree.rollout.traffic.api import WHOLE, Convergence, Prepared, Readiness
from tfx_pedigree.service.rollouts.served_lineage import record_served
from tfx_pedigree.service.workspace import Workspace

MODEL = "penguin"
PLAN = Plan(Strategy.CANARY, (Step(1000, Bake(1, 0)), Step(5000, Bake(1, 0)), Step(WHOLE, Bake(1, 0))), keep_seconds=0)


@pytest.fixture
def ledger(registry: Registry) -> Ledger:
    for seed in "abc":
        registry.add(MODEL, candidate(seed))
    registry.promote(f"{MODEL}@1.0.0", PromotionRequest(expect="none"))
    for seed, number in (("b", "1.0.1"), ("c", "1.0.2")):
        registry.attach_evidence(f"{MODEL}@{number}", Evidence(digest(seed), digest("a"), Verdict.PASS, "measured"))
    return Ledger(registry)


def looked(ledger: Ledger, until: Phase | int) -> None:
    """A backend that obeys at once, until a phase or a step of the open rollout."""
    lease = ledger.hold(MODEL, "one", 600)
    assert lease is not None
    for _ in range(20):
        rollout = ledger.current(MODEL)
        if rollout is None or until in (rollout.state.phase, rollout.share):
            return
        champion = ledger.champion(MODEL)
        seen = Seen(
            champion.digest if champion else None,
            Prepared(Readiness.READY),
            convergence=Convergence.CONVERGED,
            candidate=Readiness.READY,
            emptied=True,
        )
        now = ledger.now() + timedelta(seconds=1)
        decision = machine.decide(rollout, seen, Judgement(10, 10.0, True), now)
        assert decision is not None
        ledger.decide(rollout, decision, {}, lease)


def changes(ledger: Ledger) -> tuple[ShareChange, ...]:
    events = ledger.registry.history(MODEL, action="roll-out", limit=200).items
    return share_changes(reversed(events))


def said(ledger: Ledger) -> list[tuple[str, int, int]]:
    ordered = sorted(changes(ledger), key=lambda one: (one.at, one.version.version))
    return [(one.version.version, one.points, one.rollout) for one in ordered]


def test_the_shares_of_a_rollout_follow_one_another_and_are_always_a_whole(ledger: Ledger) -> None:
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PromotionRequest())
    looked(ledger, Phase.DONE)
    assert said(ledger) == [
        ("1.0.0", 10_000, 1),
        ("1.0.0", 9000, 1),
        ("1.0.1", 1000, 1),
        ("1.0.0", 5000, 1),
        ("1.0.1", 5000, 1),
        ("1.0.0", 0, 1),
        ("1.0.1", 10_000, 1),
    ]
    now: dict[str, int] = {}
    for one in changes(ledger):
        now[one.version.version] = one.points
        later = [other for other in changes(ledger) if other.at == one.at]
        if one == later[-1]:
            assert sum(now.values()) == WHOLE


def test_what_gave_way_to_another_order_has_no_share_left(ledger: Ledger) -> None:
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PromotionRequest())
    looked(ledger, 1000)
    ledger.promote_and_deploy(f"{MODEL}@1.0.2", PromotionRequest(), "eu")
    looked(ledger, Phase.DONE)
    ended = {version: points for version, points, _ in said(ledger)}
    assert ended == {"1.0.0": 0, "1.0.1": 0, "1.0.2": 10_000}


def test_the_lineage_names_what_was_served_where_and_when_whoever_tells_it(ledger: Ledger) -> None:
    """Nobody told anything meanwhile, as after a crash; telling it twice adds nothing."""
    ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PromotionRequest())
    looked(ledger, 5000)
    ledger.ask(MODEL, Ask.ABORT, "a complaint")
    looked(ledger, Phase.ROLLED_BACK)
    workspace, lineage = Workspace(ledger.registry), Lineage(ledger.registry)
    record_served(workspace, MODEL)
    before = len(ledger.registry.history(MODEL, limit=200).items)
    record_served(workspace, MODEL)
    assert len(ledger.registry.history(MODEL, limit=200).items) == before
    found = {wording.label(node): wording.served(node) for node in lineage.impact(f"{MODEL}@1.0.1").deployments}
    assert list(found) == [f"{MODEL} 1.0.1 at eu"]
    (span,) = found[f"{MODEL} 1.0.1 at eu"]
    assert span.startswith("10 % to 50 % from ")
    stable = lineage.impact(f"{MODEL}@1.0.0").deployments
    assert wording.served(stable[0])[0].startswith("50 % to 100 % since ")
    assert ledger.registry.verify_audit().ok
