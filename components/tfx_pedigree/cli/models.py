"""`models`, `versions`, `search`: what there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import model_names
from tfx_pedigree.cli.inputs import paging
from tfx_pedigree.cli.lazy import PedigreeCommand

if TYPE_CHECKING:
    from rich.table import Table

    from tfx_pedigree.registry import Page, Version


@click.command(cls=PedigreeCommand)
@paging
@pass_app
def models(app: App, limit: int, after: str | None) -> None:
    """List the models of the registry."""
    with app.open() as registry:
        page = registry.models(limit=limit, after=after)
    if app.json:
        output.emit_page(page)
        return
    if not page.items and after is None:
        output.say("There is no model yet.")
        output.next_step("register", "MODEL", "FOLDER")
        return
    table = output.table("model", "champion", "versions>", "created (UTC)", "by…")
    for model in page.items:
        row = (model.name, model.champion, model.versions, output.when(model.created_at), model.created_by)
        table.add_row(*output.cells(row))
    output.show(table)
    output.more(page, "models", "--limit", str(limit))


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@paging
@pass_app
def versions(app: App, model: str, limit: int, after: str | None) -> None:
    """List a model's versions, newest first."""
    with app.open() as registry:
        page = registry.versions(model, limit=limit, after=after)
    _answer(app, page, ("versions", model, "--limit", str(limit)), f"{model} has no version yet.")


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@click.argument("terms", nargs=-1, required=True, metavar="TERM...")
@paging
@pass_app
def search(app: App, model: str, terms: tuple[str, ...], limit: int, after: str | None) -> None:
    """Find versions by metric, state, tag or time.

    All terms must hold. A term is a comparison, in quotes where it contains < or >:

    \b
      'metric.auc>=0.9'     state=staging     tag.team=ops     'created>2026-11-01'

    The first metric that is compared also gives the order, best first; else the newest come first.
    """
    with app.open() as registry:
        page = registry.search(model, terms, limit=limit, after=after)
    words = ("search", model, *terms, "--limit", str(limit))
    _answer(app, page, words, f"No version of {model} fits {' and '.join(terms)}.")


def _answer(app: App, page: Page[Version], words: Sequence[str], nothing: str) -> None:
    if app.json:
        output.emit_page(page)
    elif not page.items:
        output.say(nothing)
    else:
        output.show(_table(page.items))
        output.more(page, *words)


def _table(versions: Sequence[Version]) -> Table:
    """What fits: a wide terminal also shows numbers, digests and people."""
    wide = output.is_wide()
    with_aliases = any(_own_aliases(version) for version in versions)
    columns = ["version", "state", "created (UTC)", *(["aliases…"] if with_aliases else []), "metrics…"]
    table = output.table(*columns, *(["sequence>", "digest", "by…"] if wide else []))
    for version in versions:
        row = [version.version, standing(version), output.when(version.created_at)]
        row += [output.listed(_own_aliases(version))] if with_aliases else []
        row.append(_metrics(version, most=8 if wide else 4))
        if wide:
            row += [str(version.sequence), output.short(version.digest), version.created_by]
        table.add_row(*output.cells(row), style=_STYLES.get(version.state.value))
    return table


def _own_aliases(version: Version) -> list[str]:
    """Those that people gave: that a version is champion stands in its state."""
    return [alias for alias in version.aliases if alias != "champion"]


def _metrics(version: Version, most: int) -> str:
    told = [f"{name} {output.number(value)}" for name, value in sorted(version.metrics.items())]
    return output.listed(told[:most] + ([f"+{len(told) - most} more"] if len(told) > most else []))


_STYLES = {"production": "bold green", "archived": "dim", "reserved": "dim"}


def standing(version: Version) -> str:
    """The state, and in a word what keeps the version there."""
    if version.withdrawn:
        return "archived, kept out"
    if version.refusal and version.state.value in ("development", "staging"):
        return f"{version.state}, refused"
    return str(version.state)
