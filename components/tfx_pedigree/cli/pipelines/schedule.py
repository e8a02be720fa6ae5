"""`pipeline schedule`: the pipeline again and again on Kubeflow or Vertex, as the config says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, common_options, pass_app
from tfx_pedigree.cli.lazy import PedigreeGroup
from tfx_pedigree.cli.pipelines.service import ServicePlace
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from tfx_pedigree.orchestration.services.plan import Next, Schedule, ScheduleStep, Wanted
    from tfx_pedigree.orchestration.services.service import Service, Template


class _Schedule(PedigreeGroup):
    """A group that does something by itself: without a word after it, it applies the config's schedule."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += common_options(hidden=True)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return click.Group.parse_args(self, ctx, args)


@click.group("schedule", cls=_Schedule, invoke_without_command=True)
@click.option("--compiled", metavar="FILE", help="What `pipeline compile` wrote; left out, it is compiled now.")
@click.option("--dry-run", is_flag=True, help="Tell the difference and the steps, and do nothing.")
@click.pass_context
@pass_app
def schedule(app: App, ctx: click.Context, compiled: str | None, dry_run: bool) -> None:
    """Run the pipeline on a schedule at Kubeflow or Vertex.

    Without a command it makes the service's schedule what the config's `target.schedule` says: creates it, replaces it
    by a changed one, or finds that nothing is to do. The old and the new one never run at the same time, and a command
    that was interrupted is healed by running it again. One that is paused stays paused.
    """
    if ctx.invoked_subcommand is not None:
        if compiled or dry_run:
            raise InvalidInputError(f"`schedule {ctx.invoked_subcommand}` takes no --compiled or --dry-run before it.")
        return
    _apply(app, compiled, dry_run)


def _apply(app: App, file: str | None, dry_run: bool) -> None:
    from tfx_pedigree.orchestration.services.plan import plan
    from tfx_pedigree.orchestration.services.service import Change, Towards, look, utc_now

    place = ServicePlace.of(app, "schedule")
    template, wanted_of = _wanted(place, file)
    service = place.open()
    wanted = wanted_of(service)
    before = look(service, wanted.name, place.patience)
    if dry_run:
        steps: Sequence[ScheduleStep] = plan(wanted, before, service.traits, utc_now())
    else:
        towards = Towards(wanted, service.traits)
        change = Change(service, wanted.name, towards, place.patience, template, _teller(app), wanted)
        steps = change.carry_out()
    now = before if dry_run else look(service, wanted.name, place.patience)
    applied = _Applied(service, wanted, before, now, steps, dry_run)
    if app.json:
        output.emit(applied.to_json())
    elif dry_run:
        applied.foretell()
    else:
        applied.tell()


def _wanted(place: ServicePlace, file: str | None) -> tuple[Template, Callable[[Service], Wanted]]:
    """What the config says, checked as far as that is possible before the service is asked."""
    from tfx_pedigree.orchestration.services.service import Template
    from tfx_pedigree.orchestration.services.settings import run_parameters, schedule_settings

    section = place.target.schedule
    # Before compiling, which takes a minute; what the pipeline is called is not certain yet.
    schedule_settings(place.file, place.target.kind, section, "pipeline")
    compiled = place.compiled(file)
    settings = schedule_settings(place.file, place.target.kind, section, compiled.name)
    template = Template(compiled, run_parameters(compiled, settings.parameters))
    return template, lambda service: service.wanted(settings.name, settings.cron, settings.timezone, template)


def _teller(app: App) -> Callable[[ScheduleStep], None]:
    from tfx_pedigree.orchestration.services.service import in_words

    def tell(step: ScheduleStep) -> None:
        if not app.json:
            output.note(f"Done: {in_words(step)}.")

    return tell


@dataclass(frozen=True)
class _Applied:
    """What came of applying a schedule, or would come of it."""

    service: Service
    wanted: Wanted
    before: Sequence[Schedule]
    now: Sequence[Schedule]
    steps: Sequence[ScheduleStep]
    dry_run: bool

    @property
    def differences(self) -> dict[str, tuple[str, str]]:
        from tfx_pedigree.orchestration.services.plan import differences

        current = max(self.before, key=lambda one: (one.enabled, one.created), default=None)
        return differences(current.fields if current else {}, self.wanted.fields)

    @property
    def words(self) -> list[str]:
        from tfx_pedigree.orchestration.services.service import in_words

        return [in_words(step) for step in self.steps]

    def to_json(self) -> dict[str, Any]:
        return {
            "changed": bool(self.steps) and not self.dry_run,
            "dry_run": self.dry_run,
            "name": self.wanted.name,
            "enabled": any(one.enabled for one in self.now),
            "differences": [{"field": key, "old": old, "new": new} for key, (old, new) in self.differences.items()],
            "steps": self.words,
            "schedules": [_json(one) for one in self.now],
        }

    def foretell(self) -> None:
        where = f"The schedule {self.wanted.name} at {self.service.where}"
        if not self.steps:
            output.say(f"{where} is as the config says: nothing would be done.")
            return
        output.say(f"{where} would change.")
        rows = [(key, " → ".join(output.cells(pair))) for key, pair in self.differences.items()]
        output.show(output.sheet(rows, indent=2))
        for number, words in enumerate(self.words, 1):
            output.say(f"{number}. {words}", indent=2)

    def tell(self) -> None:
        where = f"{self.wanted.fields['cron']} at {self.service.where}"
        state = "is in place" if self.steps else "is in place already; nothing changed"
        if any(one.enabled for one in self.now):
            output.say(f"The schedule {self.wanted.name} {state}: {where}.")
        else:
            output.say(f"The schedule {self.wanted.name} {state}: {where}. It is paused, as it was.")
            output.next_step("pipeline", "schedule", "resume")
        if len(self.now) > 1:
            output.note(
                "A run of the schedule before is still going, and deleting that schedule would stop it. It is paused; "
                "the next `pedigree pipeline schedule` deletes it."
            )


# Commands


@schedule.command("list")
@pass_app
def list_(app: App) -> None:
    """List the schedules that Pedigree made there."""
    from tfx_pedigree.orchestration.services.service import look

    place = ServicePlace.of(app, "schedule list")
    service = place.open()
    found = sorted(look(service, None, place.patience), key=lambda one: (one.name, one.created))
    if app.json:
        output.emit({"items": [_json(one) for one in found], "next": None})
        return
    if not found:
        output.say(f"There are no schedules of Pedigree at {service.where}.")
        output.next_step("pipeline", "schedule")
        return
    table = output.table("name", "state", "cron", "pipeline", "last run (UTC)", "id")
    for one in found:
        cells = [one.name, _state(one), one.fields.get("cron"), output.short(one.fields.get("pipeline", ""))]
        table.add_row(*output.cells([*cells, output.when(one.last_run), one.id]))
    output.show(table)


@schedule.command()
@click.option("--name", metavar="NAME", help="Which schedule; left out, the one that the config names.")
@pass_app
def pause(app: App, name: str | None) -> None:
    """Let the schedule start no more runs until it is resumed.

    A run in progress goes on.
    """
    from tfx_pedigree.orchestration.services.plan import next_pause

    _move(app, name, "pause", lambda service: lambda found: next_pause(found, service.traits))


@schedule.command()
@click.option("--name", metavar="NAME", help="Which schedule; left out, the one that the config names.")
@pass_app
def resume(app: App, name: str | None) -> None:
    """Let a paused schedule run again.

    What it missed is not made up for, but that Kubeflow at once starts a run for the latest occurrence it missed.
    """
    from tfx_pedigree.orchestration.services.plan import next_resume

    _move(app, name, "resume", lambda service: next_resume)


@schedule.command()
@click.option("--name", metavar="NAME", help="Which schedule; left out, the one that the config names.")
@click.option("--stop-runs", is_flag=True, help="Delete it though a run of it is going, which Kubeflow then stops.")
@pass_app
def delete(app: App, name: str | None, stop_runs: bool) -> None:
    """Delete the schedule.

    Runs and versions of the pipeline stay.
    """
    from tfx_pedigree.orchestration.services.plan import next_delete

    left = _move(app, name, "delete", lambda service: lambda found: next_delete(found, service.traits, stop_runs))
    if left:
        raise ConflictError(
            f"The schedule {left[0].name} is paused but not deleted: a run of it is going, and deleting it now would "
            "stop that run. Delete it when the run is over, or with --stop-runs."
        )


def _move(app: App, name: str | None, word: str, following: Callable[[Service], Next]) -> tuple[Schedule, ...]:
    from tfx_pedigree.orchestration.services.service import Change, look

    place = ServicePlace.of(app, f"schedule {word}")
    service = place.open()
    name = _named(place, service, name)
    steps = Change(service, name, following(service), place.patience, told=_teller(app)).carry_out()
    now = look(service, name, place.patience)
    done = {"pause": "paused", "resume": "running", "delete": "deleted"}[word]
    if word == "delete" and now:
        return now
    if app.json:
        output.emit({"changed": bool(steps), "name": name, "schedules": [_json(one) for one in now]})
    else:
        output.say(f"The schedule {name} at {service.where} is {done}{'' if steps else ' already; nothing changed'}.")
    return ()


def _named(place: ServicePlace, service: Service, name: str | None) -> str:
    from tfx_pedigree.orchestration.services.service import look

    names = sorted({one.name for one in look(service, None, place.patience)})
    only = names[0] if len(names) == 1 else ""
    name = name or str(place.target.schedule.get("name") or place.pipeline_name or only)
    if name not in names:
        there = f"There are {output.listed(names)}." if names else "`pedigree pipeline schedule` makes one."
        which = f"no schedule {name}".rstrip() if name or not names else "more than one schedule: give --name"
        raise NotFoundError(f"At {service.where} there is {which}. {there}")
    return name


def _state(one: Schedule) -> str:
    state = "runs" if one.enabled else "paused"
    return f"{state}, a run is going" if one.busy else state


def _json(one: Schedule) -> dict[str, Any]:
    return {
        "name": one.name,
        "id": one.id,
        "enabled": one.enabled,
        "fields": dict(one.fields),
        "created_at": output.moment(one.created),
        "last_run": output.moment(one.last_run) if one.last_run else None,
        "next_run": output.moment(one.next_run) if one.next_run else None,
        "busy": one.busy,
    }
