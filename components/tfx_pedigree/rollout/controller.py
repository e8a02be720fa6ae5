"""The controller: looks at each rollout, lets the pure rooms decide, and drives the traffic to what was decided.

Its order is what makes a crash harmless at every point: take the lease; look; judge; commit the decision; only then
move traffic. Whoever comes after a crash finds the decision, and drives the traffic to it: shares are absolute, so that
doing it twice is doing it once. Shares that somebody else changed are driven back and never adopted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from tfx_pedigree.errors import ConflictError, ForbiddenError, PedigreeError, UnavailableError
from tfx_pedigree.registry.leases import Lease
from tfx_pedigree.rollout import machine
from tfx_pedigree.rollout.answers import Answered
from tfx_pedigree.rollout.ledger import ChangedMeanwhileError, Ledger
from tfx_pedigree.rollout.machine import Decision, Judgement, RegistryMove, Seen
from tfx_pedigree.rollout.plan import CountQueries, MetricRule
from tfx_pedigree.rollout.prometheus import SUMMED
from tfx_pedigree.rollout.response_log import LogPosition
from tfx_pedigree.rollout.state import Phase, Rollout
from tfx_pedigree.rollout.traffic.api import (
    Convergence,
    Counters,
    FencedError,
    Prepared,
    RouteState,
    ServedVersion,
    TrafficManager,
    Verification,
)
from tfx_pedigree.rollout.watch import Look, Watch

HOLD_SECONDS = 10.0
PERIOD_SECONDS = 0.5
_SAVE_SECONDS = 2.0
_DRAIN_SECONDS = 30.0

# A metric of a version, over the time since; and its requests and failures. None is not known.
Measure = Callable[[MetricRule, ServedVersion, datetime], float | None]
Count = Callable[[CountQueries, ServedVersion], Counters | None]
# What came into the response log since, and where to go on. UnavailableError where it cannot be read.
ReadAnswers = Callable[[Rollout, LogPosition | None], tuple[Answered, LogPosition | None]]
# Why a rollout's target cannot carry out its plan, if it cannot: who ordered it need not know the target.
Unfit = Callable[[Rollout, TrafficManager], str | None]
Validate = Callable[[Rollout, RouteState], tuple[bool | None, str | None]]


@dataclass(frozen=True)
class Tick:
    """What one look led to. `rollout` is None where there was none; `notes` say what did not work."""

    model: str
    rollout: Rollout | None
    decided: bool = False
    judged: Judgement = machine.NOTHING_KNOWN
    held_by: str | None = None  # by another controller
    notes: tuple[str, ...] = ()


def measures_nothing(rule: MetricRule, version: ServedVersion, since: datetime) -> float | None:
    return None


def counts_nothing(queries: CountQueries, version: ServedVersion) -> Counters | None:
    return None


def validates_nothing(rollout: Rollout, state: RouteState) -> tuple[bool | None, str | None]:
    return None, None


def fits_always(rollout: Rollout, manager: TrafficManager) -> str | None:
    return None


def reads_nothing(rollout: Rollout, position: LogPosition | None) -> tuple[Answered, LogPosition | None]:
    return Answered(), position


@dataclass
class _Reign:
    """What is kept while one rollout of one model is driven under one epoch."""

    lease: Lease
    rollout: Rollout
    manager: TrafficManager
    watch: Watch
    saved_at: datetime | None = None


class Controller:
    """`open_manager` gives the traffic manager of a rollout's target; it is asked once for each reign."""

    def __init__(
        self,
        ledger: Ledger,
        open_manager: Callable[[Rollout], TrafficManager],
        *,
        holder: str,
        measure: Measure = measures_nothing,
        validate: Validate = validates_nothing,
        read_answers: ReadAnswers = reads_nothing,
        count: Count = counts_nothing,
        unfit: Unfit = fits_always,
    ) -> None:
        self._ledger = ledger
        self._open_manager = open_manager
        self._holder = holder
        self._measure = measure
        self._validate = validate
        self._read_answers = read_answers
        self._count = count
        self._unfit = unfit
        self._reigns: dict[str, _Reign] = {}

    def tick_all(self) -> tuple[Tick, ...]:
        """One look at every rollout that is going on. What goes wrong with one of them does not stop the others."""
        ticks = []
        for rollout in self._ledger.rollouts(None, only_open=True, limit=1000):
            try:
                ticks.append(self.tick(rollout.model))
            except PedigreeError as error:
                ticks.append(Tick(rollout.model, rollout, notes=(str(error),)))
        return tuple(ticks)

    def tick(self, model: str) -> Tick:
        """One look at the rollout of a model, one decision at the most, and the traffic driven to it."""
        rollout = self._ledger.current(model)
        if rollout is None:
            self.leave(model)
            return Tick(model, None)
        try:
            reign = self._reign(rollout)
            if reign is None:
                return Tick(model, rollout, held_by=self._ledger.holder(model))
            return self._ticked(reign)
        except ChangedMeanwhileError:  # by a person: the next look begins with what that person decided
            return Tick(model, rollout)
        except FencedError as error:  # somebody else reigns: nothing of ours is true any longer
            self._reigns.pop(model, None)
            return Tick(model, rollout, held_by=self._ledger.holder(model), notes=(str(error),))

    def leave(self, model: str) -> None:
        """Gives the model to whoever wants it next."""
        reign = self._reigns.pop(model, None)
        if reign is not None:
            self._ledger.release(reign.lease)

    def leave_all(self) -> None:
        for model in list(self._reigns):
            self.leave(model)

    # Reigning

    def _reign(self, rollout: Rollout) -> _Reign | None:
        """The lease is renewed at half its time. A new reign has an epoch above all that the backend has seen."""
        now, reign = self._ledger.now(), self._reigns.get(rollout.model)
        if reign is not None and (reign.lease.expires_at - now).total_seconds() < HOLD_SECONDS / 2:
            lease = self._ledger.hold(rollout.model, self._holder, HOLD_SECONDS)
            if lease is None or lease.epoch != reign.lease.epoch:
                del self._reigns[rollout.model]
                reign = None
            else:
                reign.lease = lease
        if reign is None or reign.rollout.number != rollout.number:
            reign = self._begin(rollout)
            if reign is None:
                return None
            self._reigns[rollout.model] = reign
        reign.rollout = rollout
        reign.watch = reign.watch.belonging_to(rollout)
        return reign

    def _begin(self, rollout: Rollout) -> _Reign | None:
        lease = self._ledger.hold(rollout.model, self._holder, HOLD_SECONDS)
        if lease is None:
            return None
        try:
            manager = self._open_manager(rollout)
            seen = manager.observe().epoch
        except PedigreeError:
            self._ledger.release(lease)  # another controller may know this target, or reach it
            raise
        if seen is not None and seen >= lease.epoch:
            raised = self._ledger.hold(rollout.model, self._holder, HOLD_SECONDS, above=seen)
            if raised is None:
                return None
            lease = raised
        return _Reign(lease, rollout, manager, Watch.restored(rollout, self._ledger.tally_text(rollout)))

    # Looking, deciding, driving

    def _ticked(self, reign: _Reign) -> Tick:
        notes: list[str] = []
        rollout, now = reign.rollout, self._ledger.now()
        verification = self._verified(reign, notes)
        plan, before = rollout.order.plan, reign.watch.verified_at
        look = self._look(reign, verification, now)
        reign.watch = reign.watch.after(look, plan.judge, plan.lease_seconds)
        if rollout.state.phase is Phase.STEPPING:
            self._measure_windows(reign, now)
            self._judge_answers(reign, notes)
        judged = reign.watch.judged(rollout, now)
        seen = self._seen(reign, verification, now, notes)
        decision = machine.decide(rollout, seen, judged, now)
        if decision is not None:
            self._commit(reign, decision)
        self._drive(reign, verification, decision is not None, notes)
        # From where counting begins is worth a crash: what happens while nobody looks is judged by the next look.
        self._save(reign, now, at_once=decision is not None or reign.watch.verified_at != before)
        if reign.rollout.state.phase.ended:
            self.leave(rollout.model)
        return Tick(rollout.model, reign.rollout, decision is not None, judged, notes=tuple(notes))

    def _verified(self, reign: _Reign, notes: list[str]) -> Verification | None:
        wanted = reign.rollout.state.wanted
        if wanted is None:
            return None
        try:
            return reign.manager.verify(wanted)
        except UnavailableError as error:
            notes.append(str(error))
            return None

    def _look(self, reign: _Reign, verification: Verification | None, now: datetime) -> Look:
        if verification is None:
            return Look(now, None)
        rollout = reign.rollout
        arm = verification.state.arm(rollout.candidate.digest)
        loaded = rollout.state.phase not in (Phase.PREPARING, Phase.BLOCKED)
        try:
            stable = self._counters(reign, rollout.stable)
            candidate = self._counters(reign, rollout.candidate) if loaded else None
        except UnavailableError:
            stable = candidate = None
        if _fell(reign.watch.stable, stable) or _fell(reign.watch.candidate, candidate):
            # Processes went away with what they had counted: from here on it is counted anew, for both.
            reign.watch = replace(reign.watch, stable=None, candidate=None)
        readiness = (arm.readiness if arm else machine.GONE) if loaded else None
        return Look(now, verification.convergence, stable, candidate, readiness, verification.state)

    def _counters(self, reign: _Reign, version: ServedVersion | None) -> Counters | None:
        if version is None:
            return None
        queries = reign.rollout.order.plan.judge.counts
        return self._count(queries, version) if queries else reign.manager.counters(version.digest)

    def _seen(self, reign: _Reign, verification: Verification | None, now: datetime, notes: list[str]) -> Seen:
        rollout, watch = reign.rollout, reign.watch
        champion = self._ledger.champion(rollout.model)
        validated, detail = self._validated(rollout, verification, notes)
        return Seen(
            champion.digest if champion else None,
            self._prepared(reign, verification, notes),
            validated,
            detail,
            verification.convergence if verification else None,
            machine.GONE if watch.is_gone(now, rollout.order.plan.judge) else None,
            watch.disobedient_seconds(now),
            self._unfit(rollout, reign.manager) if rollout.state.phase is Phase.PREPARING else None,
            self._emptied(reign, verification, now, notes),
        )

    def _validated(
        self, rollout: Rollout, verification: Verification | None, notes: list[str]
    ) -> tuple[bool | None, str | None]:
        if rollout.state.phase is not Phase.VALIDATING or verification is None or rollout.state.paused:
            return None, None
        try:
            return self._validate(rollout, verification.state)
        except UnavailableError as error:
            notes.append(str(error))
            return None, None

    def _prepared(self, reign: _Reign, verification: Verification | None, notes: list[str]) -> Prepared | None:
        """Brings the candidate to its place, and a deployment's again where it went away before the switch. A rollout
        waits until the stable version serves: what has no share may have to make room."""
        rollout = reign.rollout
        state = rollout.state
        if state.backwards or not (state.phase is Phase.PREPARING or rollout.is_deployment):
            return None
        if not rollout.is_deployment and not _in_place(verification):
            return None
        try:
            return reign.manager.prepare(rollout.candidate)
        except (UnavailableError, ConflictError) as error:
            if isinstance(error, FencedError):
                raise
            notes.append(str(error))
            return None

    def _emptied(self, reign: _Reign, verification: Verification | None, now: datetime, notes: list[str]) -> bool:
        """Unloads what is no longer needed, once its last requests are answered."""
        rollout = reign.rollout
        if not _in_place(verification):
            return False
        if rollout.state.backwards:
            leaving: ServedVersion | None = rollout.candidate
        elif machine.kept_long_enough(rollout, now) and not rollout.state.paused:
            leaving = rollout.stable
        else:
            return False
        if leaving is None:
            return True
        try:
            waited = (now - reign.watch.verified_at).total_seconds() if reign.watch.verified_at else 0.0
            if not reign.manager.drain(leaving.digest).done and waited < _DRAIN_SECONDS:
                return False
            reign.manager.retire(leaving.digest)
        except FencedError:
            raise
        except ConflictError as error:  # it has no share, which is what matters; the backend keeps it loaded
            notes.append(str(error))
        except UnavailableError as error:
            notes.append(str(error))
            return False
        return True

    def _commit(self, reign: _Reign, decision: Decision) -> None:
        """What the registry refuses becomes the reason to go back."""
        rollout = reign.rollout
        numbers = reign.watch.numbers(rollout.order.plan)
        try:
            reign.rollout = self._ledger.decide(rollout, decision, numbers, reign.lease)
        except (FencedError, ChangedMeanwhileError):
            raise
        except (ConflictError, ForbiddenError) as refusal:  # also where only a person may override
            if decision.move is RegistryMove.NONE:
                raise
            back = machine.roll_back(rollout, self._ledger.now(), str(refusal), champion_follows=False)
            reign.rollout = self._ledger.decide(rollout, back, numbers, reign.lease)
        reign.watch = reign.watch.belonging_to(reign.rollout)

    def _drive(self, reign: _Reign, verification: Verification | None, decided: bool, notes: list[str]) -> None:
        wanted = reign.rollout.state.wanted
        if wanted is None:
            return
        if _in_place(verification) and not decided and not _is_due(reign, verification):
            return
        try:
            reign.manager.apply(wanted, epoch=reign.lease.epoch)
        except FencedError:
            raise
        except (UnavailableError, ConflictError) as error:
            notes.append(str(error))

    def _measure_windows(self, reign: _Reign, now: datetime) -> None:
        rollout, watch = reign.rollout, reign.watch
        for rule in rollout.order.plan.judge.metrics:
            last = watch.windows.get(rule.name) or watch.verified_at
            if last is None or (now - last).total_seconds() < rule.window_seconds or rollout.stable is None:
                continue
            candidate, stable = (self._measure(rule, one, last) for one in (rollout.candidate, rollout.stable))
            watch = replace(watch, windows={**watch.windows, rule.name: now})
            if candidate is not None and stable is not None:
                watch = replace(watch, tally=watch.tally.measured(rule, candidate, stable))
        reign.watch = watch

    def _judge_answers(self, reign: _Reign, notes: list[str]) -> None:
        rollout, watch = reign.rollout, reign.watch
        if rollout.order.plan.judge.answers is None:
            return
        try:
            found, position = self._read_answers(rollout, watch.log)
        except UnavailableError as error:
            notes.append(str(error))
            return
        tally = replace(watch.tally, answers=watch.tally.answers.after(found))
        reign.watch = replace(watch, tally=tally, log=position)

    def _save(self, reign: _Reign, now: datetime, *, at_once: bool) -> None:
        if not at_once and reign.saved_at and (now - reign.saved_at).total_seconds() < _SAVE_SECONDS:
            return
        self._ledger.save_tally(reign.rollout, reign.watch.to_json())
        reign.saved_at = now


def _fell(before: Counters | None, now: Counters | None) -> bool:
    """Of sums over several processes, which are none that begin anew at 0."""
    if before is None or now is None or now.process != SUMMED or before.process != SUMMED:
        return False
    return now.requests < before.requests or now.failures < before.failures


def _in_place(verification: Verification | None) -> bool:
    return verification is not None and verification.convergence is Convergence.CONVERGED


def _is_due(reign: _Reign, verification: Verification | None) -> bool:
    """Whether the load balancer's lease is to be renewed: at two thirds of its time, or always where it is not told."""
    wanted = reign.rollout.state.wanted
    if wanted is None or not wanted.leased or wanted.lease_seconds is None:
        return False
    left = verification.state.lease_left if verification else None
    return left is None or left < wanted.lease_seconds * 2 / 3
