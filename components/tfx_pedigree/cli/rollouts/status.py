"""`pedigree rollout status`, `watch`, `list`, `history`: where rollouts stand."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import model_names
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.rollouts.common import desk_of, percent, sentence
from tfx_pedigree.text import listed, short_digest, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from tfx_pedigree.registry import Event
    from tfx_pedigree.rollout.state import Rollout
    from tfx_pedigree.service.rollouts.desk import RolloutDesk
    from tfx_pedigree.service.rollouts.sheet import ArmCount, RolloutSheet


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@pass_app
def status(app: App, model: str) -> None:
    """Show where a rollout stands and what was counted.

    The newest rollout or deployment of the model.
    """
    with desk_of(app) as desk:
        found = _look(desk, model)
    output.answer(found, lambda _: output.show(*_sheet(found)))
    if not found.rollout.state.phase.ended and found.controller is None:
        output.next_step("rollout", "run", model, label="No controller drives it now. To do that from here")


def _look(desk: RolloutDesk, model: str) -> RolloutSheet:
    from tfx_pedigree.service.rollouts.sheet import rollout_sheet

    return rollout_sheet(desk.workspace, model)


def _sheet(found: RolloutSheet) -> Iterable[RenderableType]:
    rollout, order, judged = found.rollout, found.rollout.order, found.judgement
    yield sentence(rollout)
    waits = listed(judged.waits_for) if judged.waits_for and judged.harm is None else None
    rows: list[tuple[str, Any]] = [
        ("candidate", f"{order.candidate.version} ({short_digest(order.candidate.digest)})"),
        ("stable", f"{order.stable.version} ({short_digest(order.stable.digest)})" if order.stable else None),
        ("target", order.target),
        ("since", output.when(rollout.state.since)),
        ("why", rollout.state.reason),
        ("share seen", percent(found.observed) if found.observed is not None else None),
        ("waits for", waits),
        ("driven by", found.controller),
    ]
    yield output.sheet((name, value) for name, value in rows if value is not None)
    if found.evidence:
        yield _rates(found)
    if found.tests:
        yield _tests(found)


def _rates(found: RolloutSheet) -> RenderableType:
    table = output.table("bad requests", "candidate>", "stable>", "harm>", "health>")
    for one in found.evidence:
        arms = [_arm(arm) for arm in (one.candidate, one.stable)]
        table.add_row(one.name, *arms, _proof(one.harm, one.harm_needed), _proof(one.health, one.health_needed))
    return table


def _tests(found: RolloutSheet) -> RenderableType:
    table = output.table("test", "counted…", "harm>", "health>")
    for one in found.tests:
        health = "–" if one.health is None else _proof(one.health, one.health_needed)
        table.add_row(*output.cells([one.name, one.counted, _proof(one.harm, one.harm_needed), health]))
    return table


def _arm(arm: ArmCount) -> str:
    counted = f"{arm.bad:,} of {arm.requests:,}"
    return counted if arm.rate is None else f"{counted} ({arm.rate:.3%})"


def _proof(log_e: float, needed: float) -> str:
    """The evidence as odds, and how much of it is enough."""
    shown = f"{math.exp(log_e):,.3g}" if log_e < 20 else f"10^{log_e / math.log(10):.0f}"
    return f"{shown} of {math.exp(needed):,.3g}"


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@click.option("--every", type=click.FloatRange(0.2, 60), default=1.0, show_default=True, help="Seconds between looks.")
@pass_app
def watch(app: App, model: str, every: float) -> None:
    """Show a rollout live until it ends.

    Where there is no terminal, a line for each change.
    """
    with desk_of(app) as desk:
        found = _look(desk, model)
        if app.json or not output.console().is_terminal:
            last = 0
            while True:
                if found.rollout.state.revision != last:
                    last = found.rollout.state.revision
                    output.answer(found, lambda one: output.say(sentence(one.rollout)))
                if found.rollout.state.phase.ended:
                    return
                time.sleep(every)
                found = _look(desk, model)
        _watch_live(lambda: _look(desk, model), every)


def _watch_live(look: Any, every: float) -> None:
    from rich.console import Group
    from rich.live import Live

    with Live(console=output.console(), refresh_per_second=4) as live:
        while True:
            found = look()
            live.update(Group(*_sheet(found)))
            if found.rollout.state.phase.ended:
                return
            time.sleep(every)


@click.command("list", cls=PedigreeCommand)
@click.argument("model", required=False, shell_complete=model_names)
@click.option("--open", "only_open", is_flag=True, help="Only those that have not ended.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most this many.")
@pass_app
def list_(app: App, model: str | None, only_open: bool, limit: int) -> None:
    """List rollouts and deployments, newest first."""
    with desk_of(app) as desk:
        found = desk.api.rollouts(model, only_open=only_open, limit=limit)
    output.answer({"items": found, "next": None}, lambda _: _table(found))


def _table(found: tuple[Rollout, ...]) -> None:
    if not found:
        output.say("There are no rollouts.")
        return
    table = output.table("model", "number>", "version", "strategy", "target", "share>", "state", "since (UTC)", "why…")
    for one in found:
        state = f"{one.state.phase}{', paused' if one.state.paused else ''}"
        cells = [one.model, one.number, one.candidate.version, one.order.plan.strategy, one.order.target]
        row = [*cells, percent(one.share), state, output.when(one.state.since), one.state.reason]
        table.add_row(*output.cells(row))
    output.show(table)


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@click.option("--number", type=click.IntRange(1), help="Which rollout; left out, the newest.")
@pass_app
def history(app: App, model: str, number: int | None) -> None:
    """Show every decision of one rollout with its numbers.

    They stand in the audit log, which nobody can rewrite unseen.
    """
    with desk_of(app) as desk:
        rollout, events = desk.history(model, number)
    output.answer({"rollout": rollout, "events": events}, lambda _: _tell(events))


def _tell(events: tuple[Event, ...]) -> None:
    table = output.table("when (UTC)", "who", "state", "requests>", "errors>", "why…")
    for event in events:
        counted = event.details.get("numbers", {}).get("candidate", {})
        numbers = [counted.get("requests"), counted.get("failures")]
        row = [output.when(event.at), event.actor, event.to_state, *numbers, event.reason and visible(event.reason)]
        table.add_row(*output.cells(row))
    output.show(table)
