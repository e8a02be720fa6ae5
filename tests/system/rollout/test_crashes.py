"""A controller that dies at any point: one decision comes of it, and the traffic is what the ledger says.

The points are enumerated: before and after each commit, and before and after each call of the backend that changes
something. Each run dies at one of them, and once more during the recovery; then it is played to its end.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rollout_testing import CANDIDATE, MODEL, PLAN, STABLE, CrashError, Points, World, harmful, make_registry

from tfx_pedigree.registry import PromotionRequest, Reference, Registry, audit
from tfx_pedigree.registry.leases import Lease
from tfx_pedigree.rollout.ledger import Ledger
from tfx_pedigree.rollout.machine import Decision, RegistryMove
from tfx_pedigree.rollout.state import Phase, Rollout
from tfx_pedigree.rollout.traffic.api import WHOLE

PASSED = PromotionRequest()


@dataclass(frozen=True)
class Scenario:
    """`begin` is what a person does; what follows is the controller's. `ends` is who serves at the end."""

    begin: Callable[[Ledger], object]
    ends: str
    phase: Phase
    moves: int  # changes of the champion
    prepare: Callable[[World], World] = lambda world: world


def start(ledger: Ledger) -> object:
    return ledger.start_rollout(MODEL, "1.0.1", "eu", PLAN, PASSED)


def promote_and_deploy(ledger: Ledger) -> object:
    return ledger.promote_and_deploy(Reference(MODEL, "1.0.1"), PASSED, "eu", ledger.champion(MODEL))


SCENARIOS = {
    "a good candidate": Scenario(start, CANDIDATE, Phase.DONE, 1),
    "a harmful candidate": Scenario(start, STABLE, Phase.ROLLED_BACK, 0, harmful),
    "a promotion that is deployed": Scenario(promote_and_deploy, CANDIDATE, Phase.DONE, 1),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_registry(tmp_path_factory.mktemp("template") / "registry")


class TwoTransactions(Ledger):
    """A mutant: the champion moves in a transaction of its own, just before the decision."""

    def decide(self, rollout: Rollout, decision: Decision, numbers: Mapping[str, Any], lease: Lease) -> Rollout:
        if decision.move is RegistryMove.PROMOTE:
            self.registry.promote(f"{MODEL}@{rollout.candidate.version}", PromotionRequest(expect="1.0.0"))
            decision = Decision(decision.state)
        return super().decide(rollout, decision, numbers, lease)


def shares(world: World) -> dict[str, int]:
    return {share.digest: share.points for share in world.balancer.shares()}


def check_now(world: World) -> None:
    """What must be true at every moment, also just after a death: the registry and the ledger agree."""
    with Registry.open(world.folder, actor="ada", clock=world.clock) as registry:
        ledger = Ledger(registry)
        champion, rollouts = ledger.champion(MODEL), ledger.rollouts(MODEL)
        for rollout in rollouts[:1]:
            moved = rollout.state.moved or rollout.is_deployment
            assert champion is not None
            assert (champion.digest == CANDIDATE) == moved, "the champion and the decision are not one transaction"
            if rollout.state.phase.ended:
                serving = max(shares(world).items(), key=lambda item: item[1])[0]
                assert serving == champion.digest, "it was said to have ended before the traffic was there"


def check_end(world: World, scenario: Scenario) -> None:
    with Registry.open(world.folder, actor="ada", clock=world.clock) as registry:
        ledger = Ledger(registry)
        champion, rollout = ledger.champion(MODEL), ledger.newest(MODEL)
        assert champion is not None
        assert (champion.digest, rollout.state.phase) == (scenario.ends, scenario.phase)
        assert shares(world)[scenario.ends] == WHOLE
        events = registry.history(MODEL, limit=1000).items
        moves = [e for e in events if e.action in ("promote", "rollback") and e.details.get("expect") != "none"]
        assert len(moves) == scenario.moves, "one decision moves the champion once"
        revisions = [e.details["state"]["revision"] for e in events if e.action == "roll-out"]
        assert revisions == list(range(len(revisions), 0, -1)), "every decision stands there once"
        with registry.transactions.reading(MODEL) as connection:
            assert audit.verify_model(connection, MODEL) == []


def play(world: World, scenario: Scenario, deaths: Iterator[int]) -> int:
    """Lives one after the other until the rollout has ended; returns how many points the last life reached."""
    for _ in range(4):
        world.points = Points(next(deaths, None))
        try:
            with world.process() as (ledger, controller):
                if not ledger.rollouts(MODEL):  # the order itself may have died
                    scenario.begin(ledger)
                if ledger.current(MODEL) is not None:
                    world.play(ledger, controller)
            return world.points.count
        except CrashError:
            world.balancer.fault = lambda point: None
            check_now(world)
            world.clock.advance(seconds=11)  # the dead one's lease is over
    raise AssertionError("it did not come to an end")


def drill(
    template: Path, tmp_path: Path, scenario: Scenario, make_ledger: Callable[[Registry], Ledger]
) -> Iterator[str]:
    """Dies at every point, and again soon after; what is violated."""
    violations: list[str] = []

    def run(*deaths: int) -> int:
        folder = tmp_path / "run"
        shutil.copytree(template, folder)
        world = scenario.prepare(World(folder, make_ledger=make_ledger))
        try:
            count = play(world, scenario, iter(deaths))
            check_end(world, scenario)
            return count
        except AssertionError as error:
            violations.append(f"death at {deaths}: {str(error).splitlines()[0]}")
            return 0
        finally:
            shutil.rmtree(folder)

    points = run()
    assert points > 10 or violations
    for point in range(1, points + 1):
        run(point)
        if point % 3 == 0:
            run(point, 1 + point * 7 % 13)
        yield from violations
        violations.clear()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_death_at_any_point_leaves_one_decision_and_the_traffic_that_follows_from_it(
    template: Path, tmp_path: Path, name: str
) -> None:
    assert list(drill(template, tmp_path, SCENARIOS[name], Ledger)) == []


def test_the_drill_catches_a_decision_in_two_transactions(template: Path, tmp_path: Path) -> None:
    found = drill(template, tmp_path, SCENARIOS["a good candidate"], TwoTransactions)
    assert "not one transaction" in next(found)


def test_what_is_drilled_are_commits_and_calls_of_the_backend(template: Path, tmp_path: Path) -> None:
    world = World(Path(shutil.copytree(template, tmp_path / "run")))
    play(world, SCENARIOS["a good candidate"], iter(()))
    assert {"commit:before", "commit:after", "apply:before", "apply:after", "prepare:after", "retire:after"} <= set(
        world.points.names
    )
