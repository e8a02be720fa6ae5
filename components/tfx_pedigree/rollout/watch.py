"""What a controller remembers between two looks at a rollout, and what it makes of the next look. Pure.

It is saved now and then, and loses nothing by a crash: the counters of the load balancer go on counting, and the next
look takes what was counted since the one that was saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm, Layout, read, to_json
from tfx_pedigree.rollout.eprocess import log_mean
from tfx_pedigree.rollout.judge import RateTests, Tally, increment, judge
from tfx_pedigree.rollout.machine import NOTHING_KNOWN, Judgement
from tfx_pedigree.rollout.plan import JudgePlan, Plan
from tfx_pedigree.rollout.response_log import LogPosition
from tfx_pedigree.rollout.state import Phase, Rollout
from tfx_pedigree.rollout.traffic.api import WHOLE, Convergence, Counters, Readiness, RouteState, WantedRoutes

_JUDGED = (Phase.STEPPING, Phase.PROMOTING, Phase.KEEPING)


@dataclass(frozen=True)
class Look:
    """One look at the backend. None is what it did not answer."""

    at: datetime
    convergence: Convergence | None
    stable: Counters | None = None
    candidate: Counters | None = None
    readiness: Readiness | None = None  # of the candidate, by what is observed
    routes: RouteState | None = None


@dataclass(frozen=True)
class Watch(JsonForm):
    """`wanted` are the shares that it belongs to: with others a new step begins."""

    JSON: ClassVar[Layout] = Layout(format="pedigree.rollout-watch/1")

    wanted: WantedRoutes | None
    tally: Tally
    verified_at: datetime | None = None
    looked_at: datetime | None = None
    disobedient_since: datetime | None = None
    gone_since: datetime | None = None
    stable: Counters | None = None
    candidate: Counters | None = None
    windows: Mapping[str, datetime] = field(default_factory=dict)
    log: LogPosition | None = None
    routes: RouteState | None = None  # as it was seen at `routes_at`
    routes_at: datetime | None = None

    @classmethod
    def restored(cls, rollout: Rollout, saved: Any) -> Watch:
        """As it was saved; a new one where nothing was, or where it belongs to other shares."""
        plan = rollout.order.plan.judge
        try:
            found = read(cls, saved, "what was counted") if saved is not None else None
        except InvalidInputError:  # written by another release: counting begins anew, which is always safe
            found = None
        return (found or cls(rollout.state.wanted, Tally.begin(plan))).belonging_to(rollout)

    def belonging_to(self, rollout: Rollout) -> Watch:
        if self.wanted == rollout.state.wanted:
            return self
        tally = self.tally.next_step(rollout.order.plan.judge)
        begun = Watch(rollout.state.wanted, tally, windows=self.windows, log=self.log)
        return replace(begun, routes=self.routes, routes_at=self.routes_at)

    def after(self, look: Look, plan: JudgePlan, lease_seconds: float) -> Watch:
        """With one more look. Requests count from the moment at which the shares were seen to be in place."""
        in_place = look.convergence is Convergence.CONVERGED
        gap = (look.at - self.looked_at).total_seconds() if self.looked_at else 0.0
        began = self.verified_at is not None
        tally = self.tally
        if began:
            steady = in_place and gap <= lease_seconds
            candidate = increment(self.candidate, look.candidate, plan.slow_than_ms)
            stable = increment(self.stable, look.stable, plan.slow_than_ms)
            tally = replace(
                tally.after(candidate, stable, steady=steady), down_seconds=_down(tally.down_seconds, look, gap)
            )
        return replace(
            self,
            tally=tally,
            verified_at=(self.verified_at or look.at) if in_place else self._still_verified(look),
            looked_at=look.at,
            disobedient_since=None if in_place else self.disobedient_since or look.at,
            gone_since=self.gone_since or look.at if look.readiness in (Readiness.ABSENT, Readiness.FAILED) else None,
            stable=look.stable or self.stable,
            candidate=look.candidate or self.candidate,
            routes=look.routes or self.routes,
            routes_at=look.at if look.routes else self.routes_at,
        )

    def _still_verified(self, look: Look) -> datetime | None:
        """The bake begins anew where the shares were seen to be others; not where nobody answered."""
        return self.verified_at if look.convergence is None else None

    def disobedient_seconds(self, now: datetime) -> float:
        return (now - self.disobedient_since).total_seconds() if self.disobedient_since else 0.0

    def is_gone(self, now: datetime, plan: JudgePlan) -> bool:
        return self.gone_since is not None and (now - self.gone_since).total_seconds() >= plan.down_seconds

    def judged(self, rollout: Rollout, now: datetime) -> Judgement:
        if rollout.state.phase not in _JUDGED:
            return NOTHING_KNOWN
        seconds = (now - self.verified_at).total_seconds() if self.verified_at else 0.0
        found = judge(rollout.order.plan, self.tally, points=_answered(rollout), seconds=seconds)
        return found if self.verified_at else replace(found, healthy=False)

    def numbers(self, plan: Plan) -> dict[str, Any]:
        """What stands in the event of a decision: the sums on which it rests, and what the tests made of them, as
        logarithms of e-values."""
        tally = self.tally
        found: dict[str, Any] = {"candidate": to_json(tally.candidate), "stable": to_json(tally.stable)}
        found["step"] = {"candidate": to_json(tally.step_candidate), "stable": to_json(tally.step_stable)}
        if tally.split_total:
            found["observed_share"] = round(tally.split_candidate / tally.split_total, 4)
        if tally.candidate.requests:
            found["evidence"] = {"errors": _evidence(plan, tally.errors)}
        if tally.candidate.timed:
            found["evidence"] = {**found.get("evidence", {}), "slow": _evidence(plan, tally.slow)}
        if plan.judge.answers is not None:
            harm = [round(test.harm, 3) for test in tally.answers.standings(plan.judge.answers)]
            found["answers"] = {**to_json(replace(tally.answers, first=())), "evidence": harm}
        if tally.metrics:
            found["metrics"] = to_json(tally.metrics)
        return found


def _evidence(plan: Plan, tests: RateTests) -> dict[str, float]:
    harm = log_mean([test.log_e for test in tests.harm], max(len(plan.steps), 1))
    return {"harm": round(harm, 3), "health": round(tests.health.log_e, 3)}


def _answered(rollout: Rollout) -> int:
    """The candidate's share of all requests that were counted: a copy counts beside its original."""
    step = rollout.current_step
    if step is not None and step.shadow:
        return WHOLE * step.points // (WHOLE + step.points)
    return rollout.share


def _down(before: float, look: Look, gap: float) -> float:
    """For how long the load balancer has called the candidate down while the stable version was up."""
    if look.candidate is None or look.candidate.up is not False:
        return 0.0
    if look.stable is not None and look.stable.up is False:
        return 0.0
    return before + gap
