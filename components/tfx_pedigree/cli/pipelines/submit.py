"""`pipeline submit`: one run of the pipeline on Kubeflow or Vertex."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import exits, inputs, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.pipelines.common import service_teller, target_of
from tfx_pedigree.text import short_digest

if TYPE_CHECKING:
    from tfx_pedigree.orchestration.services.service import ServiceRun
    from tfx_pedigree.service.pipelines.submission import RunRequest, Submission


@click.command("submit", cls=PedigreeCommand)
@click.option("--compiled", metavar="FILE", help="What `pipeline compile` wrote; left out, it is compiled now.")
@click.option("--span", type=click.IntRange(min=0), help="Fix the span of the data; left out, the newest.")
@click.option("--run-name", metavar="NAME", help="A run of this name is started once, however often it is asked for.")
@click.option("--param", "given", metavar="NAME=VALUE", multiple=True, help="A value for a parameter of the pipeline.")
@click.option("--wait", is_flag=True, help="Follow the run to its end; exit code 1 if it fails.")
@click.option("--timeout", metavar="HOURS", type=click.FloatRange(min=0), help="With --wait: how long; else no limit.")
@click.option(
    "--every",
    metavar="SECONDS",
    type=click.FloatRange(min=0.05),
    default=15.0,
    show_default=True,
    help="With --wait: how often to ask.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done.")
@click.pass_context
@pass_app
def submit(
    app: App,
    ctx: click.Context,
    *,
    compiled: str | None,
    span: int | None,
    run_name: str | None,
    given: tuple[str, ...],
    wait: bool,
    timeout: float | None,
    every: float,
    dry_run: bool,
) -> None:
    """Run the pipeline once on Kubeflow or Vertex.

    The config's section `target:` says where. On Kubeflow a version of the pipeline is uploaded first, if it is not
    there yet: it is named after the digest of what was compiled. A run that is submitted again under its name is not
    started a second time.
    """
    from tfx_pedigree.service.pipelines.submission import RunRequest

    file = Path(compiled).expanduser() if compiled else None
    parameters = inputs.pairs(given, "parameter")
    target, tell = target_of(app, "submit"), service_teller(app)
    request = RunRequest.of(target, file=file, span=span, name=run_name, parameters=parameters, tell=tell)
    if dry_run:
        _foretell(app, request)
        return
    done = request.submit()
    if not app.json:
        _tell_submitted(request, done)
    if wait:
        run = request.follow(done.run, every=every, hours=timeout, tell=tell)
        done = dataclasses.replace(done, run=run)
    if app.json:
        output.emit(done.to_json())
    elif wait:
        _tell_ended(done.run)
    if wait and not done.run.well:
        ctx.exit(exits.FOUND_PROBLEMS)


def _tell_submitted(request: RunRequest, done: Submission) -> None:
    run = done.run
    if done.changed:
        output.say(f"The run {run.name} is started at {request.service.where}, from {short_digest(done.digest)}.")
    else:
        output.say(f"The run {run.name} was there already ({run.state.lower()}); nothing was started.")
    if run.url:
        output.note(f"To look at it: {run.url}")


def _tell_ended(run: ServiceRun) -> None:
    output.say(f"The run {run.name} {'succeeded' if run.well else f'ended as {run.state.lower()}'}.")
    for one in run.failed:
        output.say(one, indent=2)


def _foretell(app: App, request: RunRequest) -> None:
    foretold, name, pipeline = request.foretell(), request.name, request.pipeline
    if app.json:
        what = {"changed": foretold.found is None, "upload": foretold.upload}
        output.emit({"dry_run": True, "run": name, **what, "digest": pipeline.digest})
        return
    if foretold.found is not None:
        output.say(f"The run {name} is there already ({foretold.found.state.lower()}): nothing would be started.")
        return
    upload = f"upload {pipeline.name} {short_digest(pipeline.digest)} and " if foretold.upload else ""
    output.say(f"This would {upload}start the run {name} at {request.service.where}.")
