"""Training again if there is a reason. Made for cron and timers: it may be called at any time, any number of times."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tfx_pedigree.errors import ConflictError, PedigreeError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import RegistryApi
from tfx_pedigree.retraining.decision import Decision, Planned, Situation, decide
from tfx_pedigree.retraining.drift import MeasuredDrift
from tfx_pedigree.retraining.session import RETRAIN, Clock, Session
from tfx_pedigree.service.training import (
    DriftUnknown,
    Listener,
    MeasuringDrift,
    SpanRun,
    TrainingJob,
    run_span,
    settle,
)


class RetrainingOutcome(str, Enum):
    RAN = "ran"
    FAILED = "failed"
    NOTHING = "nothing"
    STUCK = "stuck"
    DRY_RUN = "dry-run"


@dataclass(frozen=True)
class Retraining(JsonForm):
    """What was done (`runs`), and the last decision: what is `planned` still, why there is no more to do (`quiet`), the
    span whose drift is still to be measured, and why nobody goes on without a person (`stuck`)."""

    outcome: RetrainingOutcome
    planned: tuple[Planned, ...]
    quiet: tuple[str, ...]
    measure: int | None
    stuck: str | None
    drift: tuple[MeasuredDrift, ...] = ()
    runs: tuple[SpanRun, ...] = ()


def plan_retraining(
    registry: RegistryApi, job: TrainingJob, *, force: str | None = None, clock: Clock | None = None
) -> Retraining:
    """What `retrain` would do now. Nothing is measured or noted."""
    decision = decide(Session(registry, job.model, clock=clock).look(job.pattern), job.rules, force=force)
    _check_possible(job, decision, force)
    return Retraining(RetrainingOutcome.DRY_RUN, decision.runs, decision.quiet, decision.measure, decision.stuck)


def retrain(
    registry: RegistryApi, job: TrainingJob, *, tell: Listener, force: str | None = None, clock: Clock | None = None
) -> Retraining:
    """Decides anew before each run: the one before may have changed the champion, and new data may have come.

    BusyError if another run of the model is going on; then nothing was done.
    """
    with job.held(RETRAIN) as locks:
        return _CatchingUp(registry, job, tell, locks, clock).to_the_end(force)


class _CatchingUp:
    def __init__(
        self, registry: RegistryApi, job: TrainingJob, tell: Listener, locks: tuple[int, ...], clock: Clock | None
    ) -> None:
        self._job, self._tell, self._locks = job, tell, locks
        self._session = Session(registry, job.model, clock=clock)
        self._drift: list[MeasuredDrift] = []

    def to_the_end(self, force: str | None) -> Retraining:
        runs: list[SpanRun] = []
        while True:
            situation = self._session.look(self._job.pattern)
            if not force and settle(self._job, self._session, situation.ledger.submitted):
                continue
            decision = self._decided(situation, force)
            if not decision.runs:
                break
            runs.append(self._run(decision.runs[0], situation))
            force = None
            if runs[-1].code:
                break
        _check_possible(self._job, decision, force)
        outcome = _outcome(runs, decision)
        if outcome is RetrainingOutcome.NOTHING:
            self._session.nothing(decision, situation)
        return Retraining(
            outcome,
            decision.runs,
            decision.quiet,
            decision.measure,
            decision.stuck,
            tuple(self._drift),
            tuple(runs),
        )

    def _run(self, planned: Planned, situation: Situation) -> SpanRun:
        return run_span(self._job, self._session, planned, situation=situation, locks=self._locks, tell=self._tell)

    def _decided(self, situation: Situation, force: str | None) -> Decision:
        rules = self._job.rules
        decision = decide(situation, rules, force=force)
        champion = situation.champion
        if decision.measure is None or champion is None:
            return decision
        self._tell(MeasuringDrift(self._job.model, champion.version, decision.measure))
        try:
            measured = self._job.pipeline.measure(decision.measure, champion, self._locks)
        except PedigreeError as error:
            # Where something else is a reason already, a distance that cannot be told must not stop it.
            if not decision.runs:
                raise
            self._tell(DriftUnknown(str(error)))
            return decision
        self._drift.append(measured)
        return decide(situation, rules, force=force, measured=measured)


def _outcome(runs: list[SpanRun], decision: Decision) -> RetrainingOutcome:
    if runs:
        return RetrainingOutcome.FAILED if runs[-1].code else RetrainingOutcome.RAN
    return RetrainingOutcome.STUCK if decision.stuck else RetrainingOutcome.NOTHING


def _check_possible(job: TrainingJob, decision: Decision, force: str | None) -> None:
    """Whoever forces a run must not take it for done when there is nothing to run on."""
    if force and not decision.runs:
        raise ConflictError(
            f"{job.model} cannot be trained: {'; '.join(decision.quiet)}. Call again when it is complete."
        )
