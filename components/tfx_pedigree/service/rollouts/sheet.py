"""Where a rollout stands, with what its judge makes of what was counted: for who looks at it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.rollout.eprocess import Standing, log_mean
from tfx_pedigree.rollout.judge import RateTests, standings
from tfx_pedigree.rollout.machine import NOTHING_KNOWN, Judgement
from tfx_pedigree.rollout.plan import Plan
from tfx_pedigree.rollout.state import Rollout
from tfx_pedigree.rollout.traffic.api import WHOLE
from tfx_pedigree.rollout.watch import Watch
from tfx_pedigree.service.workspace import Workspace


@dataclass(frozen=True)
class ArmCount(JsonForm):
    """Of `requests`, so many were bad."""

    requests: int
    bad: int

    @property
    def rate(self) -> float | None:
        return self.bad / self.requests if self.requests else None


@dataclass(frozen=True)
class RateEvidence(JsonForm):
    """Of one kind of bad request: the evidence so far as logarithms of e-values, and what each must reach. `harm` rolls
    back, `health` lets the next step begin."""

    name: str
    candidate: ArmCount
    stable: ArmCount
    harm: float
    harm_needed: float
    health: float
    health_needed: float


@dataclass(frozen=True)
class JudgedTest(JsonForm):
    """Of a test of a metric, or of the answers: what was counted, and the evidence as above. `health` is None where no
    advance waits for it."""

    name: str
    counted: str
    harm: float
    harm_needed: float
    health: float | None
    health_needed: float


@dataclass(frozen=True)
class RolloutSheet(JsonForm):
    """`observed` is the candidate's share of the requests of this step in basis points, while the wanted shares were
    seen to be in place; None where nothing was counted yet."""

    rollout: Rollout
    controller: str | None
    judgement: Judgement
    observed: int | None
    evidence: tuple[RateEvidence, ...]
    tests: tuple[JudgedTest, ...] = ()


def rollout_sheet(workspace: Workspace, model: str, number: int | None = None) -> RolloutSheet:
    """Of the newest rollout or deployment of the model, or of one by its number."""
    status = workspace.rollouts.rollout(model, number)
    rollout, watch = status.rollout, status.watch
    holder = None if rollout.state.phase.ended else status.controller
    if watch is None or rollout.is_deployment:
        return RolloutSheet(rollout, holder, NOTHING_KNOWN, None, ())
    judgement = NOTHING_KNOWN if rollout.state.phase.ended else watch.judged(rollout, status.at)
    tally = watch.tally
    observed = round(WHOLE * tally.split_candidate / tally.split_total) if tally.split_total else None
    tests = tuple(_test(rollout.order.plan, one) for one in standings(rollout.order.plan, tally))
    return RolloutSheet(rollout, holder, judgement, observed, _evidence(rollout, watch), tests)


def _test(plan: Plan, test: Standing) -> JudgedTest:
    needed = math.log(plan.tests / plan.judge.alpha), math.log(1 / plan.judge.beta)
    return JudgedTest(test.name, test.counted, test.harm, needed[0], test.health, needed[1])


def _evidence(rollout: Rollout, watch: Watch) -> tuple[RateEvidence, ...]:
    tally, plan = watch.tally, rollout.order.plan
    new, old = tally.candidate, tally.stable
    found = [("errors", tally.errors, ArmCount(new.requests, new.failures), ArmCount(old.requests, old.failures))]
    if plan.judge.slow_than_ms is not None:
        slow = ArmCount(new.timed, new.slow), ArmCount(old.timed, old.slow)
        found.append((f"answers slower than {plan.judge.slow_than_ms:g} ms", tally.slow, *slow))
    return tuple(_rate(rollout, *one) for one in found)


def _rate(rollout: Rollout, name: str, tests: RateTests, candidate: ArmCount, stable: ArmCount) -> RateEvidence:
    """The bounds are those of the judge."""
    plan = rollout.order.plan
    harm = log_mean([test.log_e for test in tests.harm], max(len(plan.steps), 1))
    needed = math.log(plan.tests / plan.judge.alpha), math.log(2 / plan.judge.beta)
    return RateEvidence(name, candidate, stable, harm, needed[0], tests.health.log_e, needed[1])
