"""Rollouts over a server: ordered, looked at and aborted there, and carried out by a controller at the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pedigree_testing import candidate, digest
from server_testing import Switch, opened
from tfx_pedigree.errors import ConflictError, ForbiddenError, NotFoundError, UnavailableError
from tfx_pedigree.registry import Evidence, PromotionRequest, Reference, Registry, Verdict
from tfx_pedigree.rollout import plan as plans
from tfx_pedigree.rollout.api import RolloutApi
from tfx_pedigree.rollout.controller import Controller
from tfx_pedigree.rollout.ledger import Ledger
from tfx_pedigree.rollout.state import Ask, Phase
from tfx_pedigree.rollout.traffic.api import ManagerContext, ServedVersion, WantedRoutes
from tfx_pedigree.rollout.traffic.memory import MemoryBalancer, MemoryTraffic
from tfx_pedigree.service.rollouts.desk import RolloutDesk
from tfx_pedigree.service.runs.push import PushOutcome
from tfx_pedigree.service.runs.push_rollout import ByRollout, PipelineRollout
from tfx_pedigree.service.workspace import Workspace

MODEL = "penguin"


def prepared(folder: Path) -> Registry:
    registry = Registry.create(folder, actor="ada")
    for seed in "ab":
        registry.add(MODEL, candidate(seed))
    registry.promote(f"{MODEL}@1.0.0", PromotionRequest(expect="none"))
    registry.attach_evidence(f"{MODEL}@1.0.1", Evidence(digest("b"), digest("a"), Verdict.PASS, "measured"))
    return registry


def remote(address: str, actor: str = "ada") -> RolloutApi:
    found: RolloutApi = opened(address, actor).rollouts  # type: ignore[attr-defined]
    return found


def test_what_is_ordered_over_a_server_is_carried_out_beside_it(switch: Switch, tmp_path: Path) -> None:
    balancer = MemoryBalancer()
    manager = MemoryTraffic(balancer)
    manager.prepare(ServedVersion(MODEL, digest("a"), "1.0.0", 1))
    manager.apply(WantedRoutes.all_to(digest("a")), epoch=1)
    registry = prepared(tmp_path / "registry")
    with switch.registry(registry, "") as address:
        far = remote(address)
        rollout = far.start_rollout(MODEL, "1.0.1", "eu", plans.canary(), PromotionRequest())
        assert rollout.stable is not None
        assert (rollout.candidate.version, rollout.stable.version) == ("1.0.1", "1.0.0")
        controller = Controller(Ledger(registry), lambda _: MemoryTraffic(balancer), holder="here")
        for _ in range(3):
            controller.tick(MODEL)
        status = far.rollout(MODEL)
        assert (status.rollout.state.phase, status.rollout.share, status.controller) == (Phase.STEPPING, 1000, "here")
        assert status.watch is not None
        asked = far.ask(MODEL, Ask.ABORT, "enough")
        assert (asked.changed, asked.rollout.state.phase) == (True, Phase.ROLLING_BACK)
        for _ in range(3):
            controller.tick(MODEL)
        assert [one.state.phase for one in far.rollouts(MODEL)] == [Phase.ROLLED_BACK]
        assert far.rollouts(only_open=True) == ()
        champion = far.champion(MODEL)
        assert champion is not None
        assert champion.digest == digest("a")


def test_a_rollback_over_a_server_orders_the_traffic_with_it(switch: Switch, tmp_path: Path) -> None:
    with switch.registry(prepared(tmp_path / "registry"), "") as address:
        far = remote(address)
        followed = far.promote_and_deploy(Reference(MODEL, "1.0.1"), PromotionRequest(), "eu")
        assert (followed.version.version, followed.deployment.candidate.version) == ("1.0.1", "1.0.1")
        back = far.roll_back(MODEL, "eu", reason="complaints")
        assert (back.version.version, back.deployment.number) == ("1.0.0", 2)
        assert far.deploy(MODEL, "eu", reason="again").number == 3


def test_refusals_come_back_as_they_were(switch: Switch, tmp_path: Path) -> None:
    with switch.registry(prepared(tmp_path / "registry"), "") as address:
        with pytest.raises(NotFoundError, match="has had no rollout yet"):
            remote(address).rollout(MODEL)
        with pytest.raises(ForbiddenError, match="needs releaser"):
            remote(address, "bob").deploy(MODEL, "eu")
        with pytest.raises(ConflictError, match="champion already"):
            remote(address).start_rollout(MODEL, "1.0.0", "eu", plans.canary(), PromotionRequest())


def test_a_run_over_a_server_orders_its_rollout_once(switch: Switch, tmp_path: Path) -> None:
    with switch.registry(prepared(tmp_path / "registry"), "") as address:
        far, reference = opened(address, "ada"), Reference(MODEL, "1.0.1")
        move = ByRollout(remote(address), PipelineRollout("edge", plans.canary()))
        ordered = move(far, reference, PromotionRequest())
        assert (ordered.outcome, ordered.rollout) == (PushOutcome.ROLLING_OUT, 1)
        assert move(far, reference, PromotionRequest()) == ordered
        assert len(remote(address).rollouts(MODEL)) == 1


def test_without_a_config_of_its_own_a_client_names_the_target_and_sees_what_the_controller_saw(
    switch: Switch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfx_pedigree.service.rollouts.desk.PERIOD_SECONDS", 0.0)
    balancer, registry = MemoryBalancer(), prepared(tmp_path / "registry")
    with switch.registry(registry, "") as address:
        desk = RolloutDesk(Workspace(opened(address, "ada")), None)
        with pytest.raises(NotFoundError, match="Name the target as the controller's config does"):
            desk.deploy(MODEL)
        desk.deploy(MODEL, "eu")
        with pytest.raises(UnavailableError, match="No controller has looked at eu"):
            desk.serving(MODEL)
        controller = Controller(Ledger(registry), lambda _: MemoryTraffic(balancer), holder="here")
        rollout = desk.drive(MODEL, lambda tick: controller.tick(MODEL) and None)
        assert rollout.state.phase is Phase.DONE
        found = desk.serving(MODEL)
        assert (found.target, found.agrees, found.names) == ("eu", True, {digest("a"): "1.0.0"})
        assert found.seen_at is not None
        assert desk.is_served(MODEL)
        assert desk.start("penguin@1.0.1", plans.canary(), PromotionRequest()).order.target == "eu"
        back = desk.promote("penguin@1.0.1", PromotionRequest(), "us", verify=False)
        assert back.deployment.order.target == "us"
        with pytest.raises(NotFoundError, match="Rollouts before went to eu and us"):
            desk.roll_back(MODEL, reason="complaints")


def test_a_client_does_not_wait_for_a_controller_that_is_not_there(
    switch: Switch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfx_pedigree.service.rollouts.desk._NOBODY_SECONDS", 0.0)
    monkeypatch.setattr("tfx_pedigree.service.rollouts.desk.PERIOD_SECONDS", 0.0)
    with switch.registry(prepared(tmp_path / "registry"), "") as address:
        desk, notes = RolloutDesk(Workspace(opened(address, "ada")), None), []
        desk.deploy(MODEL, "eu")
        assert desk.drive(MODEL, lambda tick: notes.extend(tick.notes)).state.phase is Phase.PREPARING
        assert "no controller drives it" in notes[-1]


def test_a_plan_that_the_target_cannot_carry_out_is_sent_back_by_the_controller(switch: Switch, tmp_path: Path) -> None:
    """Over a server nobody else knows the target."""
    config, registry = tmp_path / "c.yaml", prepared(tmp_path / "registry")
    config.write_text(f"serving: {{eu: {{model: {MODEL}, kind: python, factory: 'test_remote_rollouts:made'}}}}")
    with switch.registry(registry, "") as address:
        plan = replace(plans.canary(), judge=plans.JudgePlan(answers=plans.AnswerRule()))
        RolloutDesk(Workspace(opened(address, "ada")), None).start("penguin@1.0.1", plan, PromotionRequest(), "eu")
        here = RolloutDesk(Workspace(registry), config)
        for _ in range(4):
            here.step(MODEL)
        state = remote(address).rollout(MODEL).rollout.state
        assert (state.phase, "names no response log" in str(state.reason)) == (Phase.ROLLED_BACK, True)


BALANCER = MemoryBalancer()


def made(settings: Mapping[str, Any], context: ManagerContext) -> MemoryTraffic:
    manager = MemoryTraffic(BALANCER)
    if not BALANCER.shares():
        manager.prepare(ServedVersion(MODEL, digest("a"), "1.0.0", 1))
        manager.apply(WantedRoutes.all_to(digest("a")), epoch=1)
    return manager
