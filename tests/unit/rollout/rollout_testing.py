"""A registry, a load balancer in memory and controllers that can die at any point of what they do."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pedigree_testing import Clock, candidate, digest
from tfx_pedigree.db import Database
from tfx_pedigree.registry import Evidence, PromotionRequest, Registry, Verdict
from tfx_pedigree.rollout.controller import Controller, Tick
from tfx_pedigree.rollout.ledger import Ledger
from tfx_pedigree.rollout.plan import Bake, JudgePlan, Limits, Plan, Rate, Step, Strategy
from tfx_pedigree.rollout.state import Rollout
from tfx_pedigree.rollout.traffic.api import WHOLE, ServedVersion, WantedRoutes
from tfx_pedigree.rollout.traffic.memory import Behaviour, MemoryBalancer, MemoryTraffic

MODEL = "penguin"
STABLE, CANDIDATE = digest("a"), digest("b")
BAKE = Bake(requests=10, seconds=1)
PLAN = Plan(
    Strategy.CANARY,
    (Step(2500, BAKE), Step(WHOLE, BAKE)),
    judge=JudgePlan(errors=Rate(acceptable=0.4)),
    limits=Limits(prepare_seconds=600, step_seconds=3600, obey_seconds=300),
    keep_seconds=2,
    lease_seconds=15,
)


_READS = ("observe", "counters", "drain")


class CrashError(BaseException):
    """The process is gone: nothing of ours catches it."""


def make_registry(folder: Path) -> Path:
    """1.0.0 serves and 1.0.1 passed against it."""
    with Registry.create(folder, actor="ada", store=str(folder / "store"), clock=Clock()) as registry:
        for seed in "ab":
            registry.add(MODEL, candidate(seed))
        registry.promote(f"{MODEL}@1.0.0", PromotionRequest(expect="none"))
        registry.attach_evidence(f"{MODEL}@1.0.1", Evidence(CANDIDATE, STABLE, Verdict.PASS, "measured"))
    return folder


@dataclass
class Points:
    """Counts every commit and every call of the backend, and ends the process at one of them."""

    die_at: int | None = None
    count: int = 0
    names: list[str] = field(default_factory=list)

    def reach(self, name: str) -> None:
        if name.startswith(_READS):  # a death there is one before the next point: nothing was changed in between
            return
        self.count += 1
        self.names.append(name)
        if self.count == self.die_at:
            raise CrashError(f"{self.count}: {name}")


@dataclass
class World:
    """What outlives a controller: the database, the load balancer, the time."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    balancer: MemoryBalancer = field(default_factory=MemoryBalancer)
    points: Points = field(default_factory=Points)
    make_ledger: Callable[[Registry], Ledger] = Ledger
    _processes: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.clock.advance(hours=1)
        self.balancer.clock = lambda: self.clock().timestamp()
        manager = MemoryTraffic(self.balancer)
        manager.prepare(ServedVersion(MODEL, STABLE, "1.0.0", 1))
        manager.apply(WantedRoutes.all_to(STABLE), epoch=1)

    @contextlib.contextmanager
    def process(self) -> Iterator[tuple[Ledger, Controller]]:
        """One life of a controller. Its lease is not given back when it dies."""
        registry = Registry.open(self.folder, actor="ada", store=str(self.folder / "store"), clock=self.clock)
        with registry._database.engine.connect() as connection:
            connection.connection.driver_connection.execute("PRAGMA synchronous = OFF")  # type: ignore[union-attr]
        _count_commits(registry._database, self.points)
        self.balancer.fault = self.points.reach
        ledger = self.make_ledger(registry)
        try:
            yield ledger, Controller(ledger, self.open, holder=f"process-{next(self._processes)}")
        finally:
            self.balancer.fault = lambda point: None
            registry.close()

    def open(self, rollout: Rollout) -> MemoryTraffic:
        return MemoryTraffic(self.balancer)

    def play(self, ledger: Ledger, controller: Controller, most: int = 80) -> list[Tick]:
        """Looks once a second, with requests in between, until the rollout has ended."""
        ticks = []
        for number in range(most):
            ticks.append(controller.tick(MODEL))
            self.balancer.fault = lambda point: None
            self.balancer.send(40, seed=number)
            self.balancer.fault = self.points.reach
            self.clock.advance(seconds=1)
            if ledger.current(MODEL) is None:
                return ticks
        raise AssertionError(f"it has not ended: {ticks[-1]}")


def _count_commits(database: Database, points: Points) -> None:
    """Each writing transaction has a point just before its commit, and one just after it."""
    original = database.writing

    @contextlib.contextmanager
    def writing() -> Iterator[object]:
        with original() as connection:
            yield connection
            points.reach("commit:before")
        points.reach("commit:after")

    database.writing = writing  # type: ignore[method-assign,assignment]


def copied(template: Path, to: Path) -> Path:
    shutil.copytree(template, to)
    return to


def harmful(world: World) -> World:
    world.balancer.behaviour[CANDIDATE] = Behaviour(failing=1.0)
    return world
