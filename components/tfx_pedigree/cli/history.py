"""`history` and `at`: what happened, and what served when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.columns import Column, Columns, Shown
from tfx_pedigree.cli.complete import model_names, references
from tfx_pedigree.cli.inputs import paging
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.service.event_words import told
from tfx_pedigree.text import format_minute, short_digest

if TYPE_CHECKING:
    from tfx_pedigree.registry import Event


_EVENTS: Columns[Event] = Columns(
    {
        "when": Column(lambda event: output.when(event.at), "when (UTC)"),
        "who": Column(lambda event: event.actor),
        "what": Column(told, "what…"),
        "why": Column(lambda event: event.reason, "why…"),
        "action": Column(lambda event: event.action, shown=Shown.ASKED),
        "version": Column(lambda event: event.subject, shown=Shown.ASKED),
        "position": Column(lambda event: event.position, "position>", Shown.ASKED),
        "hash": Column(lambda event: short_digest(event.hash), shown=Shown.ASKED),
    }
)


@click.command(cls=PedigreeCommand)
@click.argument("ref", required=False, metavar="[MODEL|REF]", shell_complete=references)
@_EVENTS.option
@paging
@pass_app
def history(app: App, ref: str | None, columns: list[str] | None, limit: int, after: str | None) -> None:
    """Show who did what, when and why.

    Newest first: of a model, of one version (MODEL@VERSION), or of the registry itself where neither is given.
    """
    with app.open().registry as registry:
        model, at, _ = (ref or "").partition("@")
        version = registry.get(ref).version if ref and at else None
        page = registry.history(model or None, version, limit=limit, after=after)
    words = ("history", *([ref] if ref else []), "--limit", str(limit))
    _EVENTS.answer(page, columns, words=words, nothing="There is nothing more.")


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@click.argument("time")
@pass_app
def at(app: App, model: str, time: str) -> None:
    """Tell which version was champion at a given time.

    TIME is 2026-11-20 or 2026-11-20T14:30, in UTC unless it names a zone. The version is shown as it is now.
    """
    from tfx_pedigree.registry import parse_time

    moment = parse_time(time)
    with app.open().registry as registry:
        version = registry.at(model, moment)
    said = (
        f"{version.name} was champion at {format_minute(moment)} ({short_digest(version.digest)})."
        if version
        else f"{model} had no champion at {format_minute(moment)}."
    )
    output.answer({"model": model, "at": moment, "version": version}, lambda _: output.say(said))
