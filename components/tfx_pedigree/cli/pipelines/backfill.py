"""`pipeline backfill`: a model for each span of a range, in order; called again, it goes on where it stopped."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.pipelines.training import Job, Ran, hold, run_one, stop_at
from tfx_pedigree.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from tfx_pedigree.retraining.decision import Planned, Situation
    from tfx_pedigree.retraining.session import Session
    from tfx_pedigree.retraining.spans import Spans

_NUMBER = click.IntRange(min=0)


@click.command("backfill", cls=PedigreeCommand)
@click.option("--from", "first", type=_NUMBER, required=True, help="The first span.")
@click.option("--to", "last", type=_NUMBER, required=True, help="The last span.")
@click.option("--again", is_flag=True, help="Also the spans that have been trained on already.")
@click.option("--reason", help="Why; stands in the audit log.")
@click.option("--dry-run", is_flag=True, help="Tell the spans, and do nothing.")
@pass_app
@click.pass_context
def backfill(
    ctx: click.Context, app: App, *, first: int, last: int, again: bool, reason: str | None, dry_run: bool
) -> None:
    """Train on a range of spans, in order.

    Spans that have been trained on are passed over. The first run that fails ends it with exit code 1; the same command
    goes on from there. Nothing begins while another run is at it (exit code 4).

    What is trained on older data than the champion is registered and judged, but does not take its place by itself.
    """
    from tfx_pedigree.retraining.session import BACKFILL, Session

    if first > last:
        raise InvalidInputError(f"The range ends before it begins: --from {first} --to {last}.")
    job = Job.of(app, "backfill")
    if job.service is not None:
        raise InvalidInputError(
            f"{job.config.file} runs the pipeline on {job.service}, where nobody waits for a run to end, and a "
            "backfill takes one span after the other. Give a config without `target:` that names the same registry."
        )
    if dry_run:
        with app.open() as registry:
            _tell_plan(app, job, _plan(Session(registry, job.model, BACKFILL), job, (first, last), again, reason))
        return
    ran: list[Ran] = []
    with app.open() as registry, hold(app, job, "backfill") as lock:
        session = Session(registry, job.model, BACKFILL, clock=app.clock)
        plan = _plan(session, job, (first, last), again, reason)
        situation = plan.situation
        for one in plan.runs:
            ran.append(run_one(app, job, session, one, situation=situation, lock=lock))
            if ran[-1].code:
                break
            situation = session.look(job.pattern)
    failed = bool(ran and ran[-1].code)
    if app.json:
        outcome, runs = "failed" if failed else "ran" if ran else "nothing", [one.to_json() for one in ran]
        output.emit({"outcome": outcome, "runs": runs, "skipped": plan.skipped, "missing": plan.missing})
    if failed:
        start = ran[-1].planned.span if again else first
        go_on = ["--from", str(start), "--to", str(last), *(["--again"] if again else [])]
        go_on += ["--reason", reason] if reason else []
        stop_at(ctx, job, ran[-1], "--config", str(app.settings.file), "pipeline", "backfill", *go_on)
    if not app.json:
        _tell_end(job, ran, plan)


@dataclass(frozen=True)
class _Plan:
    """`skipped` have been trained on; `missing` says which of the range are not there to be trained on."""

    runs: list[Planned]
    skipped: list[int]
    missing: list[str]
    situation: Situation


def _plan(session: Session, job: Job, borders: tuple[int, int], again: bool, reason: str | None) -> _Plan:
    from tfx_pedigree.retraining.decision import Planned, Reason, ReasonKind

    first, last = borders
    situation = session.look(job.pattern, after=first - 1)
    within = [span for span in situation.spans.whole if first <= span <= last]
    waits = _waits(situation.spans, last)
    if not within:
        raise NotFoundError(
            f"There is no span from {first} to {last} at {job.pattern.pattern}"
            + (f": {situation.spans.unfinished}." if waits else ". Write the data first.")
        )
    skipped = [] if again else [span for span in within if situation.ledger.is_done(span)]
    text = f"backfill of the spans {first} to {last}" + (f": {reason}" if reason else "")
    reasons = (Reason(ReasonKind.BACKFILL, text),)
    runs = [Planned(span, reasons) for span in within if span not in skipped]
    return _Plan(runs, skipped, _missing(borders, within, situation.spans), situation)


def _waits(spans: Spans, last: int) -> bool:
    """Whether a span that is not whole ends the range. One that comes after the range has no part in it."""
    return spans.waits is not None and spans.waits <= last


def _missing(borders: tuple[int, int], within: list[int], spans: Spans) -> list[str]:
    """Told, so that nobody takes the range for done."""
    first, last = borders
    end = spans.waits if spans.waits is not None and _waits(spans, last) else last + 1
    around = itertools.pairwise([first - 1, *within, end])
    found = [f"there are no data of {_range(low + 1, high - 1)}" for low, high in around if high - low > 1]
    return [*found, f"{spans.unfinished}; it waits, and so do those after it"] if end <= last else found


def _range(low: int, high: int) -> str:
    return f"span {low}" if low == high else f"the spans {low} to {high}"


def _tell_plan(app: App, job: Job, plan: _Plan) -> None:
    planned = [one.span for one in plan.runs]
    if app.json:
        output.emit({"outcome": "dry-run", "planned": planned, "skipped": plan.skipped, "missing": plan.missing})
        return
    spans = output.listed([str(span) for span in planned])
    output.say(f"{job.model} would be trained on {spans or 'no span'}.")
    _tell_rest(plan)


def _tell_end(job: Job, ran: list[Ran], plan: _Plan) -> None:
    many = output.count(len(ran), "span")
    output.say(f"{job.model} was trained on {many}." if ran else f"There is nothing to train {job.model} on.")
    _tell_rest(plan)


def _tell_rest(plan: _Plan) -> None:
    if plan.skipped:
        spans = output.listed([str(span) for span in plan.skipped])
        output.note(f"Passed over, since they have been trained on: {spans}.")
    for line in plan.missing:
        output.note(f"{line[0].upper()}{line[1:]}.")
