"""`pipeline backfill`: a model for each span of a range, in order; called again, it goes on where it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.pipelines.common import (
    config_file,
    tell_failure,
    tell_lines,
    training_teller,
)
from tfx_pedigree.cli.stopping import stopped_by_kill
from tfx_pedigree.text import listed, plural

if TYPE_CHECKING:
    from tfx_pedigree.service.pipelines.backfill import Backfill, BackfillPlan, BackfillRequest
    from tfx_pedigree.service.pipelines.training import TrainingJob

_NUMBER = click.IntRange(min=0)


@click.command("backfill", cls=PedigreeCommand)
@click.option("--from", "first", type=_NUMBER, required=True, help="The first span.")
@click.option("--to", "last", type=_NUMBER, required=True, help="The last span.")
@click.option("--again", is_flag=True, help="Also the spans that have been trained on already.")
@click.option("--reason", help="Why; recorded in the audit log.")
@click.option("--dry-run", is_flag=True, help="Print the spans, and do nothing.")
@pass_app
@click.pass_context
def backfill(
    ctx: click.Context, app: App, *, first: int, last: int, again: bool, reason: str | None, dry_run: bool
) -> None:
    """Train on a range of spans, in order.

    Spans that were trained on before are skipped. The first run that fails ends it with exit code 1; the same command
    goes on from there. Nothing starts while another run is going on (exit code 4).

    What is trained on older data than the champion is registered and judged, but does not take its place by itself.
    """
    from tfx_pedigree.service.pipelines import backfill as service
    from tfx_pedigree.service.pipelines.training import TrainingJob

    request = service.BackfillRequest(first, last, again, reason)
    job = TrainingJob.of(config_file(app, "backfill"), app.settings)
    if dry_run:
        with app.open() as workspace:
            plan = service.plan_backfill(workspace.registry, job, request, clock=app.clock)
        output.answer(plan, _tell_plan, job)
        return
    with app.open() as workspace, stopped_by_kill():
        done = service.backfill(workspace.registry, job, request, tell=training_teller(app), clock=app.clock)
    if app.json:
        output.emit(done.to_json())
    if done.rest is not None:
        tell_failure(done.runs[-1].planned.span, done.runs[-1].code, job.log, *_words(app, done.rest))
        ctx.exit(exits.FOUND_PROBLEMS)
    if not app.json:
        _tell_end(job, done)


def _words(app: App, rest: BackfillRequest) -> list[str]:
    words = ["--config", str(app.settings.file), "pipeline", "backfill"]
    words += ["--from", str(rest.first), "--to", str(rest.last), *(["--again"] if rest.again else [])]
    return [*words, "--reason", rest.reason] if rest.reason else words


def _tell_plan(plan: BackfillPlan, job: TrainingJob) -> None:
    spans = listed([str(one.span) for one in plan.planned])
    output.say(f"{job.model} would be trained on {spans or 'no span'}.")
    _tell_rest(plan)


def _tell_end(job: TrainingJob, done: Backfill) -> None:
    many = plural(len(done.runs), "span")
    output.say(f"{job.model} was trained on {many}." if done.runs else f"There is nothing to train {job.model} on.")
    _tell_rest(done.plan)


def _tell_rest(plan: BackfillPlan) -> None:
    if plan.skipped:
        spans = listed([str(span) for span in plan.skipped])
        output.note(f"Skipped, since they were trained on before: {spans}.")
    tell_lines(plan.missing)
