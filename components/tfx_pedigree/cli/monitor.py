"""`monitor`: observations that are read from Prometheus."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.stopping import until_stopped
from tfx_pedigree.text import format_minute

if TYPE_CHECKING:
    from tfx_pedigree.service.monitor import Monitor, Pass


@click.command(cls=PedigreeCommand)
@click.option("--once", is_flag=True, help="Look once, and end; exit code 1 if something could not be read.")
@click.option(
    "--period", type=click.FloatRange(1, 86400), default=60, show_default=True, help="Seconds between two looks."
)
@pass_app
def monitor(app: App, *, once: bool, period: float) -> None:
    """Add to the observations what Prometheus knows.

    The section `monitor` of the config says which queries are asked where. The registry is the only memory: it may be
    stopped at any time, run twice, or called by a timer with --once.
    """
    from tfx_pedigree.service.monitor import Monitor, load_monitor

    config = load_monitor(app.settings.file, os.environ)
    with app.open() as workspace:
        looking = Monitor(workspace.registry, config, app.clock or _utc_now)
        if once:
            found = looking.once()
            output.answer(found, _tell)
            if found.problems:
                raise click.exceptions.Exit(exits.FOUND_PROBLEMS)
            return
        output.note(f"Looking every {period:g} s for observations of {workspace.registry.url}. Stop with Ctrl-C.")
        keep_looking(looking, period)


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


def keep_looking(looking: Monitor, period: float) -> None:
    """Until somebody stops it, between two looks."""
    with until_stopped() as stop:
        while not stop.is_set():
            found = looking.once()
            if found.recorded or found.problems:
                _tell(found)
            stop.wait(period)


def _tell(found: Pass) -> None:
    for one in found.recorded:
        values = ", ".join(f"{name}={output.number(value)}" for name, value in sorted(one.metrics.items()))
        counted = "" if one.examples is None else f" on {one.examples:,} examples"
        output.done(f"Observed of {one.model} {one.version} to {format_minute(one.ended_at)}: {values}{counted}.")
    if not found.recorded and not found.problems:
        output.done("Nothing was added: no new window is over, or the queries answered with nothing.")
    for problem in found.problems:
        output.say(f"Not observed: {problem}")
