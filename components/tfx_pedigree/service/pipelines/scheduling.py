"""Schedules of a pipeline on Kubeflow or Vertex AI: made what the config says, paused, resumed, deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from tfx_pedigree.errors import ConflictError, NotFoundError
from tfx_pedigree.json_form import to_json
from tfx_pedigree.orchestration.services.plan import (
    Next,
    Schedule,
    ScheduleStep,
    Wanted,
    differences,
    next_delete,
    next_pause,
    next_resume,
    plan,
)
from tfx_pedigree.orchestration.services.service import Change, Service, Template, Towards, in_words, look, utc_now
from tfx_pedigree.orchestration.services.settings import run_parameters, schedule_settings
from tfx_pedigree.service.pipelines.pipeline_target import PipelineTarget, SecretShown
from tfx_pedigree.text import listed

Listener = Callable[[ScheduleStep | SecretShown], None]


class ScheduleMove(str, Enum):
    PAUSE = "pause"
    RESUME = "resume"
    DELETE = "delete"


@dataclass(frozen=True)
class AppliedSchedule:
    """What came of applying a schedule, or would come of it."""

    where: str
    wanted: Wanted
    before: Sequence[Schedule]
    now: Sequence[Schedule]
    steps: Sequence[ScheduleStep]
    dry_run: bool

    @property
    def differences(self) -> dict[str, tuple[str, str]]:
        current = max(self.before, key=lambda one: (one.enabled, one.created), default=None)
        return differences(current.fields if current else {}, self.wanted.fields)

    @property
    def is_enabled(self) -> bool:
        return any(one.enabled for one in self.now)

    def to_json(self) -> dict[str, Any]:
        return {
            "changed": bool(self.steps) and not self.dry_run,
            "dry_run": self.dry_run,
            "name": self.wanted.name,
            "enabled": self.is_enabled,
            "differences": [{"field": key, "old": old, "new": new} for key, (old, new) in self.differences.items()],
            "steps": [in_words(step) for step in self.steps],
            "schedules": to_json(self.now),
        }


@dataclass(frozen=True)
class MovedSchedule:
    """`now` are the schedules of that name that are left."""

    name: str
    where: str
    changed: bool
    now: tuple[Schedule, ...]


def apply_schedule(target: PipelineTarget, file: Path | None, *, dry_run: bool, tell: Listener) -> AppliedSchedule:
    """Makes the service's schedule what the config says; the pipeline is compiled now, or was written to `file` before.
    All that can be checked without the service is checked before it is asked."""
    section, kind = target.config.schedule, target.config.kind
    # Before compiling, which takes a minute; what the pipeline is called is not certain yet.
    schedule_settings(target.config.file, kind, section, "pipeline")
    pipeline = target.compiled() if file is None else target.read(file, tell)
    settings = schedule_settings(target.config.file, kind, section, pipeline.name)
    template = Template(pipeline, run_parameters(pipeline, settings.parameters))
    service = target.open()
    wanted = service.wanted(settings.name, settings.cron, settings.timezone, template)
    before = now = look(service, wanted.name, target.patience)
    if dry_run:
        steps = plan(wanted, before, service.traits, utc_now())
    else:
        towards = Towards(wanted, service.traits)
        steps = Change(service, wanted.name, towards, target.patience, template, tell, wanted).carry_out()
        now = look(service, wanted.name, target.patience)
    return AppliedSchedule(service.where, wanted, before, now, steps, dry_run)


def schedules_of(target: PipelineTarget) -> tuple[str, list[Schedule]]:
    """Where the service is, and the schedules that Pedigree made there."""
    service = target.open()
    return service.where, sorted(look(service, None, target.patience), key=lambda one: (one.name, one.created))


def move_schedule(
    target: PipelineTarget, name: str | None, move: ScheduleMove, *, stop_runs: bool = False, tell: Listener
) -> MovedSchedule:
    """Without a name, the schedule that the config names, or the only one there is. To delete one of which a run is
    going may stop that run: ConflictError then, with the schedule paused, unless `stop_runs`."""
    service = target.open()
    name = _named(target, service, name)
    following: dict[ScheduleMove, Next] = {
        ScheduleMove.PAUSE: lambda found: next_pause(found, service.traits),
        ScheduleMove.RESUME: next_resume,
        ScheduleMove.DELETE: lambda found: next_delete(found, service.traits, stop_runs),
    }
    steps = Change(service, name, following[move], target.patience, told=tell).carry_out()
    now = look(service, name, target.patience)
    if move is ScheduleMove.DELETE and now:
        raise ConflictError(
            f"The schedule {name} is paused but not deleted: a run of it is going, and deleting it now would stop that "
            "run. Delete it when the run is over, or with --stop-runs."
        )
    return MovedSchedule(name, service.where, bool(steps), now)


def _named(target: PipelineTarget, service: Service, name: str | None) -> str:
    names = sorted({one.name for one in look(service, None, target.patience)})
    only = names[0] if len(names) == 1 else ""
    name = name or str(target.config.schedule.get("name") or target.pipeline_name or only)
    if name not in names:
        there = f"There are {listed(names)}." if names else "`pedigree pipeline schedule` makes one."
        which = f"no schedule {name}".rstrip() if name or not names else "more than one schedule: give --name"
        raise NotFoundError(f"At {service.where} there is {which}. {there}")
    return name
