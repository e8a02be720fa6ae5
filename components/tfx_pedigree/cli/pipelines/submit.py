"""`pipeline submit`: one run of the pipeline on Kubeflow or Vertex."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.pipelines.service import ServicePlace
from tfx_pedigree.errors import InvalidInputError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from tfx_pedigree.orchestration.ir import CompiledPipeline
    from tfx_pedigree.orchestration.services.service import Service, ServiceRun, Template

T = TypeVar("T")
# Of a pipeline's name in a run's: with all that follows it, Vertex takes 128.
_LONGEST = 80


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
@click.option("--dry-run", is_flag=True, help="Tell what would be done.")
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
    from tfx_pedigree.orchestration.services.service import Template
    from tfx_pedigree.orchestration.services.settings import run_parameters

    place = ServicePlace.of(app, "submit")
    pipeline = place.compiled(compiled, span)
    template = Template(pipeline, run_parameters(pipeline, _pairs(given)))
    name = run_name or _new_name(pipeline, span)
    service = place.open()
    if dry_run:
        _foretell(app, place, service, template, name)
        return
    run, fresh = _asked(place, name, run_name is None, lambda: service.submit(template, name))
    if not app.json:
        _tell_submitted(service, pipeline, run, fresh)
    if wait:
        run = _Following(app, place, service, pipeline, every, timeout, run_name is None).to_the_end(run)
    if app.json:
        output.emit({"run": run.name, "changed": fresh, "digest": pipeline.digest, **run.to_json()})
    elif wait:
        _tell_ended(run)
    if wait and not run.well:
        ctx.exit(exits.FOUND_PROBLEMS)


def _asked(place: ServicePlace, name: str, ours: bool, work: Callable[[], T]) -> T:
    """With patience. Under a name that is `ours` and not the user's, the same command would start another run."""
    from tfx_pedigree.orchestration.services.service import UnansweredError

    try:
        return place.patience.calls(work, UnansweredError)
    except UnansweredError as error:
        if not ours:
            raise
        raise UnansweredError(
            f"{error} The run may have been started all the same: name it then, so that there is no second one, with "
            f"--run-name {name}."
        ) from error


def _tell_submitted(service: Service, pipeline: CompiledPipeline, run: ServiceRun, fresh: bool) -> None:
    if fresh:
        output.say(f"The run {run.name} is started at {service.where}, from {output.short(pipeline.digest)}.")
    else:
        output.say(f"The run {run.name} was there already ({run.state.lower()}); nothing was started.")
    if run.url:
        output.note(f"To look at it: {run.url}")


def _tell_ended(run: ServiceRun) -> None:
    output.say(f"The run {run.name} {'succeeded' if run.well else f'ended as {run.state.lower()}'}.")
    for one in run.failed:
        output.say(one, indent=2)


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InvalidInputError(f"{pair!r} gives no parameter a value. Write it as --param NAME=VALUE.")
        found[name] = value
    return found


def _new_name(pipeline: CompiledPipeline, span: int | None) -> str:
    """Another one each second: who wants a run only once names it."""
    which = [] if span is None else [f"span{span}"]
    digits = pipeline.digest.partition(":")[2][:8]
    return "-".join([pipeline.name[:_LONGEST], *which, digits, time.strftime("%Y%m%d%H%M%S", time.gmtime())])


def _foretell(app: App, place: ServicePlace, service: Service, template: Template, name: str) -> None:
    from tfx_pedigree.orchestration.services.service import UnansweredError

    pipeline = template.compiled
    known = place.patience.calls(lambda: service.has_version(pipeline), UnansweredError)
    found = place.patience.calls(lambda: service.find_run(name, pipeline.name), UnansweredError)
    if app.json:
        output.emit(
            {"dry_run": True, "run": name, "changed": found is None, "upload": not known, "digest": pipeline.digest}
        )
        return
    if found is not None:
        output.say(f"The run {name} is there already ({found.state.lower()}): nothing would be started.")
        return
    upload = "" if known else f"upload {pipeline.name} {output.short(pipeline.digest)} and "
    output.say(f"This would {upload}start the run {name} at {service.where}.")


@dataclass(frozen=True)
class _Following:
    """A run is asked for every so many seconds, and for so many hours at the most."""

    app: App
    place: ServicePlace
    service: Service
    pipeline: CompiledPipeline
    every: float
    hours: float | None
    ours: bool

    def to_the_end(self, run: ServiceRun) -> ServiceRun:
        end = math.inf if self.hours is None else time.monotonic() + 3600 * self.hours
        while not run.ended:
            if time.monotonic() >= end:
                raise self._too_long(run)
            time.sleep(self.every)
            now = self._asked(run.name)
            if now.state != run.state and not self.app.json:
                output.note(f"{run.name} is {now.state.lower()}.")
            run = now
        return run

    def _asked(self, name: str) -> ServiceRun:
        found = _asked(self.place, name, self.ours, lambda: self.service.find_run(name, self.pipeline.name))
        if found is None:
            raise NotFoundError(f"The run {name} is no longer at {self.service.where}: somebody deleted it.")
        return found

    def _too_long(self, run: ServiceRun) -> UnavailableError:
        again = output.command("pipeline", "submit", "--run-name", run.name, "--wait")
        return UnavailableError(
            f"The run {run.name} is still {run.state.lower()} after {self.hours:g} hours. It goes on by itself. "
            f"To wait on: {again}"
        )
