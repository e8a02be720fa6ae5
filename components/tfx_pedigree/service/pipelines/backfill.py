"""A model for each span of a range, in order; called again, it goes on where it stopped."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.json_form import to_json
from tfx_pedigree.registry import RegistryApi
from tfx_pedigree.retraining.decision import Planned, ReasonKind, Situation
from tfx_pedigree.retraining.session import BACKFILL, Clock, Session
from tfx_pedigree.retraining.spans import Spans
from tfx_pedigree.service.pipelines.training import Listener, SpanRun, TrainingJob, run_span


@dataclass(frozen=True)
class BackfillRequest:
    """Both borders belong to the range. `again`: also the spans that have been trained on already."""

    first: int
    last: int
    again: bool = False
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise InvalidInputError(f"The range ends before it begins: --from {self.first} --to {self.last}.")

    @property
    def text(self) -> str:
        return f"backfill of the spans {self.first} to {self.last}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class BackfillPlan:
    """`skipped` have been trained on; `missing` says which of the range are not there to be trained on."""

    planned: tuple[Planned, ...]
    skipped: tuple[int, ...]
    missing: tuple[str, ...]
    situation: Situation

    def to_json(self) -> dict[str, Any]:
        planned = [one.span for one in self.planned]
        return {"outcome": "dry-run", "planned": planned, "skipped": list(self.skipped), "missing": list(self.missing)}


@dataclass(frozen=True)
class Backfill:
    """`rest` is what to ask for to go on, where a run failed."""

    plan: BackfillPlan
    runs: tuple[SpanRun, ...]
    rest: BackfillRequest | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "outcome": "failed" if self.rest else "ran" if self.runs else "nothing",
            "runs": to_json(self.runs),
            "skipped": list(self.plan.skipped),
            "missing": list(self.plan.missing),
        }


def plan_backfill(
    registry: RegistryApi, job: TrainingJob, request: BackfillRequest, *, clock: Clock | None = None
) -> BackfillPlan:
    """What `backfill` would do now."""
    return _plan(_session(registry, job, clock), job, request)


def backfill(
    registry: RegistryApi, job: TrainingJob, request: BackfillRequest, *, tell: Listener, clock: Clock | None = None
) -> Backfill:
    """The first run that fails ends it. BusyError if another run of the model is going on; then nothing was done."""
    session = _session(registry, job, clock)
    with job.held(BACKFILL) as locks:
        plan = _plan(session, job, request)
        runs: list[SpanRun] = []
        situation = plan.situation
        for one in plan.planned:
            runs.append(run_span(job, session, one, situation=situation, locks=locks, tell=tell))
            if runs[-1].code:
                # Those before it are passed over by themselves, unless they were to be trained again.
                rest = replace(request, first=one.span) if request.again else request
                return Backfill(plan, tuple(runs), rest)
            situation = session.look(job.pattern)
    return Backfill(plan, tuple(runs))


def _session(registry: RegistryApi, job: TrainingJob, clock: Clock | None) -> Session:
    if job.service is not None:
        raise InvalidInputError(
            f"{job.file} runs the pipeline on {job.service}, where nobody waits for a run to end, and a backfill "
            "takes one span after the other. Give a config without `target:` that names the same registry."
        )
    return Session(registry, job.model, BACKFILL, clock=clock)


def _plan(session: Session, job: TrainingJob, request: BackfillRequest) -> BackfillPlan:
    situation = session.look(job.pattern, after=request.first - 1)
    within = [span for span in situation.spans.whole if request.first <= span <= request.last]
    if not within:
        waits = _waits(situation.spans, request.last)
        raise NotFoundError(
            f"There is no span from {request.first} to {request.last} at {job.pattern.pattern}"
            + (f": {situation.spans.unfinished}." if waits else ". Write the data first.")
        )
    skipped = () if request.again else tuple(span for span in within if situation.ledger.is_done(span))
    planned = tuple(Planned.of(span, ReasonKind.BACKFILL, request.text) for span in within if span not in skipped)
    return BackfillPlan(planned, skipped, tuple(_missing(request, within, situation.spans)), situation)


def _waits(spans: Spans, last: int) -> bool:
    """Whether a span that is not whole ends the range. One that comes after the range has no part in it."""
    return spans.waits is not None and spans.waits <= last


def _missing(request: BackfillRequest, within: list[int], spans: Spans) -> list[str]:
    """Told, so that nobody takes the range for done."""
    end = spans.waits if spans.waits is not None and _waits(spans, request.last) else request.last + 1
    around = itertools.pairwise([request.first - 1, *within, end])
    found = [f"there are no data of {_range(low + 1, high - 1)}" for low, high in around if high - low > 1]
    return [*found, f"{spans.unfinished}; it and the spans after it wait"] if end <= request.last else found


def _range(low: int, high: int) -> str:
    return f"span {low}" if low == high else f"the spans {low} to {high}"
