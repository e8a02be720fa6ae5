"""What happens next to a rollout: pure functions from what is known to a decision, or to none.

Laws, each of which has a property test: without data nothing advances; an abort is legal in every phase that has not
ended; what rolls back never goes forward again; harm is looked for before anything else, also while paused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from tfx_pedigree.errors import ConflictError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.rollout.plan import Undecided
from tfx_pedigree.rollout.state import (
    Ask,
    Phase,
    Rollout,
    RolloutOrder,
    RolloutState,
    back_to_stable,
    over_to_candidate,
    routes_of_step,
)
from tfx_pedigree.rollout.traffic.api import Convergence, Prepared, Readiness, WantedRoutes
from tfx_pedigree.text import short_digest
from tfx_pedigree.verdict import Verdict

# What is observed of a candidate that no place serves.
GONE = Readiness.ABSENT
_SERVING = (Phase.STEPPING, Phase.PROMOTING, Phase.KEEPING)


class RegistryMove(str, Enum):
    """What the decision does to the champion, in the same transaction."""

    NONE = "none"
    PROMOTE = "promote"
    ROLL_BACK = "roll-back"


@dataclass(frozen=True)
class Decision:
    """`finding` is what the rollout found out about the candidate. It becomes evidence about that version."""

    state: RolloutState
    move: RegistryMove = RegistryMove.NONE
    finding: Verdict | None = None


@dataclass(frozen=True)
class Judgement(JsonForm):
    """What the judge says of the present step. `requests`: the candidate's; `seconds`: since its share is in place."""

    requests: int = 0
    seconds: float = 0.0
    healthy: bool = False
    harm: str | None = None
    waits_for: tuple[str, ...] = ()


NOTHING_KNOWN = Judgement()


@dataclass(frozen=True)
class Seen:
    """What was just observed. None means that a backend was not asked or did not answer; it is never good news."""

    champion: str | None  # the digest of the registry's champion
    prepared: Prepared | None = None
    validated: bool | None = None
    validation_detail: str | None = None
    convergence: Convergence | None = None
    candidate: Readiness | None = None
    disobedient_seconds: float = 0.0  # for how long the shares have not been the wanted ones
    unfit: str | None = None  # why the target cannot carry out the plan
    emptied: bool = False  # what is to be unloaded has no request under way, and is unloaded


def begin(order: RolloutOrder, now: datetime) -> RolloutState:
    return RolloutState(Phase.PREPARING, 1, now, _at_first(order))


def _at_first(order: RolloutOrder) -> WantedRoutes | None:
    """The first shares: all to the stable version. Without one, traffic stays as it is until the version is ready."""
    return WantedRoutes.all_to(order.stable.digest) if order.stable else None


def decide(rollout: Rollout, seen: Seen, judged: Judgement, now: datetime) -> Decision | None:
    """The next decision, or None if nothing changes now."""
    phase = rollout.state.phase
    if phase.ended:
        return None
    if rollout.state.backwards:
        return _backwards(rollout, seen, now)
    if rollout.is_deployment:
        return _deployment(rollout, seen, now)
    bad = _foreign_champion(rollout, seen, now) or _harmed(rollout, seen, judged, now)
    if bad is not None:
        return bad
    if rollout.state.paused:
        return None
    return _FORWARD[phase](rollout, seen, judged, now)


# Ways back


def _backwards(rollout: Rollout, seen: Seen, now: datetime) -> Decision | None:
    state = rollout.state
    if seen.convergence is Convergence.CONVERGED and seen.emptied:
        return _to(rollout, Phase.ROLLED_BACK, now, state.reason)
    if state.phase is Phase.ROLLING_BACK and seen.disobedient_seconds > rollout.order.plan.limits.obey_seconds:
        return _to(rollout, Phase.BLOCKED, now, state.reason)
    return None


def roll_back(
    rollout: Rollout, now: datetime, reason: str, *, champion_follows: bool = True, finding: Verdict | None = None
) -> Decision:
    """Everything back to the version that was stable; where this rollout moved the champion, that moves back too."""
    state = rollout.state
    moves_back = state.moved and champion_follows
    after = replace(
        state,
        phase=Phase.ROLLING_BACK,
        revision=state.revision + 1,
        since=now,
        wanted=back_to_stable(rollout.order),
        paused=False,
        moved=False,
        backwards=True,
        reason=reason,
    )
    return Decision(after, RegistryMove.ROLL_BACK if moves_back else RegistryMove.NONE, finding)


def _foreign_champion(rollout: Rollout, seen: Seen, now: datetime) -> Decision | None:
    """Somebody else changed the champion, so the comparison on which this rollout rests no longer holds."""
    stable, moved = rollout.stable, rollout.state.moved
    expected = rollout.candidate.digest if moved else stable.digest if stable else None
    if seen.champion == expected:
        return None
    now_is = short_digest(seen.champion) if seen.champion else "nothing"
    reason = f"The champion was changed by somebody else: it is {now_is} now."
    if moved and (stable is None or seen.champion != stable.digest):
        return _to(rollout, Phase.SUPERSEDED, now, reason)
    return roll_back(rollout, now, reason, champion_follows=False)


def _harmed(rollout: Rollout, seen: Seen, judged: Judgement, now: datetime) -> Decision | None:
    if rollout.state.phase not in _SERVING:
        return None
    if judged.harm is not None:
        return roll_back(rollout, now, judged.harm, finding=Verdict.FAIL)
    if seen.candidate in (Readiness.FAILED, Readiness.ABSENT):
        return roll_back(rollout, now, f"The candidate serves no longer: it is {seen.candidate.value}.")
    if seen.disobedient_seconds > rollout.order.plan.limits.obey_seconds:
        return roll_back(rollout, now, "The traffic did not go where it was sent.")
    return None


# Ways forward


def _preparing(rollout: Rollout, seen: Seen, judged: Judgement, now: datetime) -> Decision | None:
    if seen.unfit is not None:
        return roll_back(rollout, now, seen.unfit)
    prepared = seen.prepared
    if prepared is not None and prepared.readiness is Readiness.FAILED:
        return roll_back(rollout, now, f"The candidate does not load: {prepared.reason or 'no reason is known'}.")
    if (
        prepared is not None
        and prepared.readiness is Readiness.READY
        # What the candidate is to be compared with must be what serves.
        and seen.convergence is Convergence.CONVERGED
    ):
        if rollout.order.plan.validation is not None:
            return _to(rollout, Phase.VALIDATING, now, None)
        return _step(rollout, 0, now, None)
    if _age(rollout, now) > rollout.order.plan.limits.prepare_seconds:
        return roll_back(rollout, now, "The candidate was not ready in time, or the stable version did not serve.")
    return None


def _validating(rollout: Rollout, seen: Seen, judged: Judgement, now: datetime) -> Decision | None:
    if seen.validated is True:
        return _step(rollout, 0, now, seen.validation_detail)
    if seen.validated is False:
        wrong = seen.validation_detail or "Its answers to the recorded requests are not right."
        return roll_back(rollout, now, wrong, finding=Verdict.FAIL)
    if _age(rollout, now) > rollout.order.plan.limits.prepare_seconds:
        return roll_back(rollout, now, "The recorded requests were not answered in time.")
    return None


def _stepping(rollout: Rollout, seen: Seen, judged: Judgement, now: datetime) -> Decision | None:
    plan, state = rollout.order.plan, rollout.state
    bake = plan.steps[state.step].bake
    baked = judged.requests >= max(bake.requests, 1) and judged.seconds >= bake.seconds
    if seen.convergence is Convergence.CONVERGED and judged.healthy and baked:
        return _next_step(rollout, now, None)
    if _age(rollout, now) <= plan.limits.step_seconds:
        return None
    reason = f"Neither harm nor health was shown in time: it waits for {' and '.join(judged.waits_for) or 'requests'}."
    if plan.undecided is Undecided.PAUSE:
        return Decision(replace(state, paused=True, revision=state.revision + 1, since=now, reason=reason))
    return roll_back(rollout, now, reason)


def _next_step(rollout: Rollout, now: datetime, reason: str | None) -> Decision:
    following = rollout.state.step + 1
    if following < len(rollout.order.plan.steps):
        return _step(rollout, following, now, reason)
    promoted = _to(rollout, Phase.PROMOTING, now, reason, over_to_candidate(rollout.order))
    return Decision(replace(promoted.state, moved=True), RegistryMove.PROMOTE)


def _promoting(rollout: Rollout, seen: Seen, judged: Judgement, now: datetime) -> Decision | None:
    if seen.convergence is Convergence.CONVERGED:
        return _to(rollout, Phase.KEEPING, now, None)
    return None


def _keeping(rollout: Rollout, seen: Seen, judged: Judgement, now: datetime) -> Decision | None:
    if kept_long_enough(rollout, now) and seen.convergence is Convergence.CONVERGED and seen.emptied:
        done = _to(rollout, Phase.DONE, now, None)
        return replace(done, finding=Verdict.PASS)
    return None


def kept_long_enough(rollout: Rollout, now: datetime) -> bool:
    return rollout.state.phase is Phase.KEEPING and _age(rollout, now) >= rollout.order.plan.keep_seconds


_FORWARD = {
    Phase.PREPARING: _preparing,
    Phase.VALIDATING: _validating,
    Phase.STEPPING: _stepping,
    Phase.PROMOTING: _promoting,
    Phase.KEEPING: _keeping,
}


# Deployments: the registry has its champion already, and the traffic follows


def _deployment(rollout: Rollout, seen: Seen, now: datetime) -> Decision | None:
    state, prepared = rollout.state, seen.prepared
    if seen.champion != rollout.candidate.digest:
        reason = "The champion changed before the traffic had followed it."
        return _to(rollout, Phase.SUPERSEDED, now, reason)
    over = over_to_candidate(rollout.order)
    if state.wanted == over:
        return _switching(rollout, seen, now)
    if prepared is not None and prepared.readiness is Readiness.READY:
        return _to(rollout, Phase.PROMOTING, now, None, over)
    if state.phase is Phase.PREPARING and prepared is not None and prepared.readiness is Readiness.FAILED:
        return _to(rollout, Phase.BLOCKED, now, f"The champion does not load: {prepared.reason or 'no reason known'}.")
    return None


def _switching(rollout: Rollout, seen: Seen, now: datetime) -> Decision | None:
    if seen.convergence is Convergence.CONVERGED:
        return _to(rollout, Phase.DONE, now, None)
    late = seen.disobedient_seconds > rollout.order.plan.limits.obey_seconds
    if late and rollout.state.phase is not Phase.BLOCKED:
        return _to(rollout, Phase.BLOCKED, now, "The traffic does not go where it was sent.")
    return None


# What people ask


def asked(rollout: Rollout, ask: Ask, reason: str, now: datetime) -> Decision | None:
    """The decision that a person asked for. None if that is the state already; ConflictError if it is not possible."""
    state = rollout.state
    if state.phase.ended:
        raise ConflictError(
            f"The rollout {rollout.name} is {state.phase} since {state.since:%Y-%m-%d %H:%M} UTC; there is nothing to "
            f"{ask}. See `pedigree rollout list {rollout.model}`."
        )
    return _ASKED[ask](rollout, reason, now)


def _abort(rollout: Rollout, reason: str, now: datetime) -> Decision | None:
    if rollout.state.backwards:
        return None
    if rollout.is_deployment and rollout.stable is None:
        return _to(rollout, Phase.ROLLED_BACK, now, reason)
    return roll_back(rollout, now, reason)


def _pause(rollout: Rollout, reason: str, now: datetime) -> Decision | None:
    _refuse_backwards(rollout, Ask.PAUSE)
    state = rollout.state
    if state.paused:
        return None
    return Decision(replace(state, paused=True, revision=state.revision + 1, reason=reason))


def _resume(rollout: Rollout, reason: str, now: datetime) -> Decision | None:
    _refuse_backwards(rollout, Ask.RESUME)
    state = rollout.state
    if not state.paused:
        return None
    # The time limit of the step starts again: the pause was not the candidate's fault.
    return Decision(replace(state, paused=False, revision=state.revision + 1, since=now, reason=reason))


def _advance(rollout: Rollout, reason: str, now: datetime) -> Decision | None:
    _refuse_backwards(rollout, Ask.ADVANCE)
    if rollout.state.phase is not Phase.STEPPING:
        raise ConflictError(
            f"The rollout {rollout.name} is {rollout.state.phase}; only a step can be cut short. "
            f"See `pedigree rollout status {rollout.model}`."
        )
    return _next_step(rollout, now, reason)


def _refuse_backwards(rollout: Rollout, ask: Ask) -> None:
    if rollout.is_deployment:
        raise ConflictError(f"{rollout.name} is a deployment, which has no steps to {ask}. It can only be aborted.")
    if rollout.state.backwards:
        raise ConflictError(
            f"The rollout {rollout.name} is {rollout.state.phase} and cannot {ask}: what goes back never goes forward "
            f"again. Start another one afterwards: `pedigree rollout start {rollout.model}@"
            f"{rollout.candidate.version}`."
        )


_ASKED = {Ask.PAUSE: _pause, Ask.RESUME: _resume, Ask.ADVANCE: _advance, Ask.ABORT: _abort}


# Small parts


def _step(rollout: Rollout, index: int, now: datetime, reason: str | None) -> Decision:
    step = rollout.order.plan.steps[index]
    decision = _to(rollout, Phase.STEPPING, now, reason, routes_of_step(rollout.order, step))
    return Decision(replace(decision.state, step=index, paused=False))


def _to(
    rollout: Rollout, phase: Phase, now: datetime, reason: str | None, wanted: WantedRoutes | None = None
) -> Decision:
    state = rollout.state
    after = replace(
        state,
        phase=phase,
        revision=state.revision + 1,
        since=now,
        wanted=wanted if wanted is not None else state.wanted,
        reason=reason,
        paused=False if phase.ended else state.paused,
    )
    return Decision(after)


def _age(rollout: Rollout, now: datetime) -> float:
    return (now - rollout.state.since).total_seconds()


def superseded(rollout: Rollout, now: datetime, reason: str) -> Decision:
    """A later order takes over. This rollout's candidate gets no share any more, unless that order names it."""
    return _to(rollout, Phase.SUPERSEDED, now, reason)
