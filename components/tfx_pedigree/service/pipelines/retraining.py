"""Training again if there is a reason. Made for cron and timers: it may be called at any time, any number of times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from tfx_pedigree.errors import ConflictError, PedigreeError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import RegistryApi
from tfx_pedigree.retraining.decision import Decision, Planned, Situation, decide
from tfx_pedigree.retraining.drift import MeasuredDrift
from tfx_pedigree.retraining.session import RETRAIN, Clock, Session
from tfx_pedigree.service.pipelines.training import (
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

    @classmethod
    def of(
        cls,
        outcome: RetrainingOutcome,
        last: Decision,
        drift: Iterable[MeasuredDrift] = (),
        runs: Iterable[SpanRun] = (),
    ) -> Retraining:
        return cls(outcome, last.runs, last.quiet, last.measure, last.stuck, tuple(drift), tuple(runs))


def plan_retraining(
    registry: RegistryApi, job: TrainingJob, *, force: str | None = None, clock: Clock | None = None
) -> Retraining:
    """What `retrain` would do now. Nothing is measured or noted."""
    decision = decide(
        Session(registry, job.model, clock=clock).look(job.pattern, rules=job.rules), job.rules, force=force
    )
    _check_possible(job, decision, force)
    return Retraining.of(RetrainingOutcome.DRY_RUN, decision)


def retrain(
    registry: RegistryApi, job: TrainingJob, *, tell: Listener, force: str | None = None, clock: Clock | None = None
) -> Retraining:
    """Decides anew before each run: the one before may have changed the champion, and new data may have come.

    BusyError if another run of the model is going on; then nothing was done.
    """
    with job.held(RETRAIN) as locks:
        return _CatchingUp(job, Session(registry, job.model, clock=clock), tell, locks).to_the_end(force)


@dataclass(frozen=True)
class _CatchingUp:
    job: TrainingJob
    session: Session
    tell: Listener
    locks: tuple[int, ...]
    drift: list[MeasuredDrift] = field(default_factory=list)

    def to_the_end(self, force: str | None) -> Retraining:
        runs: list[SpanRun] = []
        while True:
            situation = self.session.look(self.job.pattern, rules=self.job.rules)
            if not force and settle(self.job, self.session, situation.ledger.submitted):
                continue
            decision = self._decided(situation, force)
            if not decision.runs:
                break
            to_do = decision.runs[0]
            run = run_span(self.job, self.session, to_do, situation=situation, locks=self.locks, tell=self.tell)
            runs.append(run)
            force = None
            if run.code:
                break
        _check_possible(self.job, decision, force)
        outcome = _outcome(runs, decision)
        if outcome is RetrainingOutcome.NOTHING:
            self.session.nothing(decision, situation)
        return Retraining.of(outcome, decision, self.drift, runs)

    def _decided(self, situation: Situation, force: str | None) -> Decision:
        rules, champion = self.job.rules, situation.champion
        decision = decide(situation, rules, force=force)
        if decision.measure is None or champion is None:
            return decision
        self.tell(MeasuringDrift(self.job.model, champion.version, decision.measure))
        try:
            measured = self.job.pipeline.measure(decision.measure, champion, self.locks)
        except PedigreeError as error:
            # Where something else is a reason already, a distance that cannot be told must not stop it.
            if not decision.runs:
                raise
            self.tell(DriftUnknown(str(error)))
            return decision
        self.drift.append(measured)
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
