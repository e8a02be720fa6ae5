"""`pipeline schedule`: the pipeline again and again on Kubeflow or Vertex, as the config says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import AnsweringGroup
from tfx_pedigree.cli.pipelines.common import service_teller, target_of
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import short_digest

if TYPE_CHECKING:
    from tfx_pedigree.orchestration.services.plan import Schedule
    from tfx_pedigree.service.pipelines.scheduling import AppliedSchedule


class _Schedule(AnsweringGroup):
    """Without a word after it, it applies the config's schedule."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return click.Group.parse_args(self, ctx, args)


@click.group("schedule", cls=_Schedule, invoke_without_command=True)
@click.option("--compiled", metavar="FILE", help="What `pipeline compile` wrote; left out, it is compiled now.")
@click.option("--dry-run", is_flag=True, help="Print the difference and the steps, and do nothing.")
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


def _apply(app: App, compiled: str | None, dry_run: bool) -> None:
    from tfx_pedigree.service.pipelines.scheduling import apply_schedule

    file = Path(compiled).expanduser() if compiled else None
    applied = apply_schedule(target_of(app, "schedule"), file, dry_run=dry_run, tell=service_teller(app))
    output.answer(applied, _foretell if dry_run else _tell)


def _foretell(applied: AppliedSchedule) -> None:
    from tfx_pedigree.orchestration.services.service import in_words

    where = f"The schedule {applied.wanted.name} at {applied.where}"
    if not applied.steps:
        output.say(f"{where} is as the config says: nothing would be done.")
        return
    output.say(f"{where} would change.")
    rows = [(key, " → ".join(output.cells(pair))) for key, pair in applied.differences.items()]
    output.show(output.sheet(rows, indent=2))
    for number, step in enumerate(applied.steps, 1):
        output.say(f"{number}. {in_words(step)}", indent=2)


def _tell(applied: AppliedSchedule) -> None:
    where = f"{applied.wanted.fields['cron']} at {applied.where}"
    state = "is in place" if applied.steps else "is in place already; nothing changed"
    paused = "" if applied.is_enabled else " It is paused, as it was."
    output.say(f"The schedule {applied.wanted.name} {state}: {where}.{paused}")
    if paused:
        output.next_step("pipeline", "schedule", "resume")
    if len(applied.now) > 1:
        output.note(
            "A run of the previous schedule is still going on, and deleting that schedule would stop it. It is paused; "
            "the next `pedigree pipeline schedule` deletes it."
        )


# Commands


@schedule.command("list")
@pass_app
def list_(app: App) -> None:
    """List the schedules that Pedigree made there."""
    from tfx_pedigree.service.pipelines.scheduling import schedules_of

    where, found = schedules_of(target_of(app, "schedule list"))
    output.answer({"items": found, "next": None}, lambda _: _show(found, where))


def _show(found: Sequence[Schedule], where: str) -> None:
    if not found:
        output.say(f"There are no schedules of Pedigree at {where}.")
        output.next_step("pipeline", "schedule")
        return
    table = output.table("name", "state", "cron", "pipeline", "last run (UTC)", "id")
    for one in found:
        cells = [one.name, _state(one), one.fields.get("cron"), short_digest(one.fields.get("pipeline", ""))]
        table.add_row(*output.cells([*cells, output.when(one.last_run), one.id]))
    output.show(table)


def _state(one: Schedule) -> str:
    state = "runs" if one.enabled else "paused"
    return f"{state}, a run is going" if one.busy else state


_name = click.option("--name", metavar="NAME", help="Which schedule; left out, the one that the config names.")


@schedule.command()
@_name
@pass_app
def pause(app: App, name: str | None) -> None:
    """Let the schedule start no more runs until it is resumed.

    A run in progress goes on.
    """
    _move(app, name, "pause", "paused")


@schedule.command()
@_name
@pass_app
def resume(app: App, name: str | None) -> None:
    """Let a paused schedule run again.

    What it missed is not made up for, but that Kubeflow at once starts a run for the latest occurrence it missed.
    """
    _move(app, name, "resume", "running")


@schedule.command()
@_name
@click.option("--stop-runs", is_flag=True, help="Delete it though a run of it is going, which Kubeflow then stops.")
@pass_app
def delete(app: App, name: str | None, stop_runs: bool) -> None:
    """Delete the schedule.

    Runs and versions of the pipeline stay.
    """
    _move(app, name, "delete", "deleted", stop_runs=stop_runs)


def _move(app: App, name: str | None, word: str, done: str, *, stop_runs: bool = False) -> None:
    from tfx_pedigree.service.pipelines.scheduling import ScheduleMove, move_schedule

    target, tell = target_of(app, f"schedule {word}"), service_teller(app)
    moved = move_schedule(target, name, ScheduleMove(word), stop_runs=stop_runs, tell=tell)
    again = "" if moved.changed else " already; nothing changed"
    told = {"changed": moved.changed, "name": moved.name, "schedules": moved.now}
    output.answer(told, lambda _: output.say(f"The schedule {moved.name} at {moved.where} is {done}{again}."))
