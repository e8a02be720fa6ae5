"""`pipeline retrain`: asks whether there is a reason to train again, and runs or submits the pipeline if there is."""

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
from tfx_pedigree.errors import ConflictError, InvalidInputError

if TYPE_CHECKING:
    from tfx_pedigree.service.pipelines.retraining import Retraining
    from tfx_pedigree.service.pipelines.training import TrainingJob


@click.command("retrain", cls=PedigreeCommand)
@click.option("--dry-run", is_flag=True, help="Print the reasons and the spans, and do nothing.")
@click.option("--force", metavar="REASON", help="Run also without a reason; it is recorded in the audit log.")
@pass_app
@click.pass_context
def retrain(ctx: click.Context, app: App, dry_run: bool, force: str | None) -> None:
    """Train again if there is a reason.

    A reason is a span that no version was trained on, drift, a champion that got worse while it served, or its age, as
    the policy's section `retraining` says; or --force. Missed spans are caught up one by one, oldest first.

    Exit code 0: done, nothing to do, or another run is going on. 1: a run failed; the next call tries it again. 4: it
    has failed too often, and a person must look into it.
    """
    from tfx_pedigree.retraining.lock import BusyError
    from tfx_pedigree.service.pipelines import retraining
    from tfx_pedigree.service.pipelines.training import TrainingJob

    if force is not None and not force.strip():
        raise InvalidInputError("--force needs a reason in words; it is recorded in the audit log.")
    job = TrainingJob.of(config_file(app, "retrain"), app.settings)
    if dry_run:
        with app.open() as workspace:
            plan = retraining.plan_retraining(workspace.registry, job, force=force, clock=app.clock)
        output.answer(plan, _tell_plan, job)
        return
    try:
        with app.open() as workspace, stopped_by_kill():
            tell = training_teller(app)
            done = retraining.retrain(workspace.registry, job, tell=tell, force=force, clock=app.clock)
    except BusyError as busy:  # whoever calls it every hour need not hear of it
        text = str(busy)
        output.answer({"outcome": "busy", "message": text, "runs": []}, lambda _: output.say(text))
    else:
        _tell_done(ctx, app, job, done)


def _tell_done(ctx: click.Context, app: App, job: TrainingJob, done: Retraining) -> None:
    if app.json:
        output.emit(done.to_json())
    if done.runs and done.runs[-1].code:
        tell_failure(done.runs[-1].planned.span, done.runs[-1].code, job.log)
        ctx.exit(exits.FOUND_PROBLEMS)
    if done.stuck:
        stuck = ConflictError(
            f"{job.model} is not trained: {done.stuck}. See {job.log}, correct what is wrong, and call with --force "
            "REASON."
        )
        if app.json:
            ctx.exit(exits.outcome_of(stuck).code)
        raise stuck
    if not app.json and not done.runs:
        _tell_quiet(job, done)


def _tell_plan(plan: Retraining, job: TrainingJob) -> None:
    for planned in plan.planned:
        output.say(f"{job.model} would be trained on span {planned.span}: {planned.text}.")
    if plan.measure is not None:
        output.say(f"The drift of span {plan.measure} would be measured.")
    if plan.planned or plan.measure is not None:
        tell_lines(plan.quiet)
    if plan.stuck:
        output.say(f"{job.model} would not be trained: {plan.stuck}.")
    elif not plan.planned and plan.measure is None:
        _tell_quiet(job, plan)


def _tell_quiet(job: TrainingJob, decided: Retraining) -> None:
    output.say(f"There is no reason to train {job.model} again.")
    for line in decided.quiet:
        output.say(f"{line}.", indent=2)
