"""Runs on a service, as far as `retrain` needs them: which service the config names, one run, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfx_pedigree.cli.app import App


@dataclass(frozen=True)
class Sent:
    """The run's name on its service, and its pipeline's."""

    run: str
    pipeline: str


@dataclass(frozen=True)
class Ended:
    well: bool
    text: str


def service_of(file: Path) -> str | None:
    """The `kind` of the config's section `target:`; None where the pipeline runs on this machine."""
    from tfx_pedigree.pipeline_config import section_of

    target = section_of(file, "target")
    return str(target.get("kind")) if target else None


def submit(app: App, span: int, name: str) -> Sent:
    """Compiles the pipeline for this span and starts it. A name that the service knows already starts nothing."""
    from tfx_pedigree.cli.pipelines.service import ServicePlace
    from tfx_pedigree.orchestration.services.service import Template, UnansweredError
    from tfx_pedigree.orchestration.services.settings import run_parameters, schedule_parameters

    place = ServicePlace.of(app, "retrain")
    # What a scheduled run is given, one that was asked for is given as well.
    given = schedule_parameters(place.file, place.target.schedule)
    compiled = place.compiled(None, span)
    template, service = Template(compiled, run_parameters(compiled, given)), place.open()
    run, _ = place.patience.calls(lambda: service.submit(template, name), UnansweredError)
    return Sent(run.name, compiled.name)


def ended(app: App, run: str, pipeline: str) -> Ended | None:
    """None for a run that goes on. One that somebody deleted has ended, and not well."""
    from tfx_pedigree.cli.pipelines.service import ServicePlace
    from tfx_pedigree.orchestration.services.service import UnansweredError

    place = ServicePlace.of(app, "retrain")
    service = place.open()
    found = place.patience.calls(lambda: service.find_run(run, pipeline), UnansweredError)
    if found is None:
        return Ended(False, f"the run {run} is no longer at {service.where}")
    if not found.ended:
        return None
    why = f": {'; '.join(found.failed)}" if found.failed else ""
    return Ended(found.well, f"the run {run} ended as {found.state.lower()} at {service.where}{why}")
