"""A rollout as the ledger holds it: what was ordered, and where it stands. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import ClassVar

from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.rollout.plan import Plan, Step, Strategy
from tfx_pedigree.rollout.traffic.api import WHOLE, ServedVersion, Share, WantedRoutes


class Phase(str, Enum):
    PREPARING = "preparing"  # the candidate is being loaded and takes no traffic
    VALIDATING = "validating"  # it answers recorded requests
    STEPPING = "stepping"  # it has the share of one of the steps
    PROMOTING = "promoting"  # it is the champion; everything goes to it
    KEEPING = "keeping"  # the version before it is kept warm for a way back
    DONE = "done"
    ROLLING_BACK = "rolling-back"
    ROLLED_BACK = "rolled-back"
    BLOCKED = "blocked"  # decided, but the backend does not do it yet; it is tried again and again
    SUPERSEDED = "superseded"  # a later order took over, with its own wanted shares

    def __str__(self) -> str:
        return self.value

    @property
    def ended(self) -> bool:
        return self in ENDED


ENDED = frozenset({Phase.DONE, Phase.ROLLED_BACK, Phase.SUPERSEDED})


class Ask(str, Enum):
    """What a person may ask of a rollout."""

    PAUSE = "pause"
    RESUME = "resume"
    ADVANCE = "advance"
    ABORT = "abort"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class RolloutOrder(JsonForm):
    """What was ordered, frozen. `stable` is the version that serves at the start, by its digest; None: none is known,
    which only a deployment takes."""

    JSON: ClassVar[Layout] = Layout(format="pedigree.rollout-order/1")

    target: str
    plan: Plan
    stable: ServedVersion | None
    candidate: ServedVersion
    override: bool = False
    reason: str | None = None


@dataclass(frozen=True)
class RolloutState(JsonForm):
    """`revision` counts the decisions. `moved`: this rollout made its candidate the champion. `step` is which of the
    plan's steps, from 0. `since` is when this phase or step began. Once `backwards`, it never goes forward again."""

    JSON: ClassVar[Layout] = Layout(format="pedigree.rollout-state/1")

    phase: Phase
    revision: int
    since: datetime
    wanted: WantedRoutes | None
    step: int = 0
    paused: bool = False
    moved: bool = False
    backwards: bool = False
    reason: str | None = None


@dataclass(frozen=True)
class Rollout(JsonForm):
    """`number` counts the rollouts and deployments of the model."""

    JSON: ClassVar[Layout] = Layout(also=("share",))

    model: str
    number: int
    order: RolloutOrder
    state: RolloutState
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None = None

    @property
    def name(self) -> str:
        return f"{self.model} #{self.number}"

    @property
    def candidate(self) -> ServedVersion:
        return self.order.candidate

    @property
    def stable(self) -> ServedVersion | None:
        return self.order.stable

    @property
    def is_deployment(self) -> bool:
        return self.order.plan.strategy is Strategy.DEPLOY

    @property
    def current_step(self) -> Step | None:
        steps = self.order.plan.steps
        return steps[self.state.step] if self.state.phase is Phase.STEPPING else None

    @property
    def share(self) -> int:
        """The candidate's share as it is wanted now, in basis points."""
        return self.state.wanted.points(self.candidate.digest) if self.state.wanted else 0


def routes_of_step(order: RolloutOrder, step: Step) -> WantedRoutes:
    assert order.stable is not None  # noqa: S101  only deployments have none
    stable, candidate, lease = order.stable.digest, order.candidate.digest, order.plan.lease_seconds
    if not step.shadow:
        return WantedRoutes.two(stable, candidate, step.points, lease)
    shares = (Share(stable, WHOLE), Share(candidate, 0))
    return WantedRoutes(shares, stable, lease, Share(candidate, step.points))


def back_to_stable(order: RolloutOrder) -> WantedRoutes | None:
    return WantedRoutes.all_to(order.stable.digest, order.candidate.digest) if order.stable else None


def over_to_candidate(order: RolloutOrder) -> WantedRoutes:
    others = (order.stable.digest,) if order.stable else ()
    return WantedRoutes.all_to(order.candidate.digest, *others)
