"""`diff`: what changed between two versions in data, code, parameters, environment and interface."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.compare import show_metrics, show_reasons, show_rows
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.digest import is_digest
from tfx_pedigree.text import listed, short_digest, visible

if TYPE_CHECKING:
    from tfx_pedigree.lineage.differences import DataChange, LineageDiff
    from tfx_pedigree.registry import Row

_COMMIT = re.compile(r"^([0-9a-f]{12})[0-9a-f]{28}$")
_MOST = 20
_SECTIONS = (
    ("Code", "code"),
    ("Modules", "modules"),
    ("Parameters", "parameters"),
    ("Training", "training"),
    ("Schema and transform", "making"),
    ("Environment", "environment"),
    ("Packages", "packages"),
    ("Interface", "interface"),
)


@click.command(cls=PedigreeCommand)
@click.argument("v1", metavar="REF", shell_complete=references)
@click.argument("v2", required=False, metavar="[REF]", shell_complete=references)
@click.option("--all", "everything", is_flag=True, help="Also what is the same.")
@click.option("--exit-code", is_flag=True, help="End with exit code 1 if anything differs.")
@click.pass_context
@pass_app
def diff(app: App, ctx: click.Context, *, v1: str, v2: str | None, everything: bool, exit_code: bool) -> None:
    """Tell what was made differently between two versions.

    In data, code, parameters, environment and interface, as far as lineage was recorded; the versions may be of
    different models. With two references the first is the old one. One alone is compared with its model's champion.

    `pedigree compare` puts what the registry itself knows side by side: numbers, parameters and interface. This command
    adds where they come from.
    """
    from tfx_pedigree.service.versions.looking_up import pair

    with app.open() as workspace:
        old, new = pair(workspace.registry, v1, v2, verb="diff")
        found = workspace.lineage.diff(str(old), str(new))
    output.answer(found, _print, everything)
    if exit_code and found.differs:
        ctx.exit(exits.FOUND_PROBLEMS)


def _print(found: LineageDiff, everything: bool) -> None:
    old, new = found.old, found.new
    left, right = (old.version, new.version) if old.model == new.model else (old.name, new.name)
    output.say(f"{old.name} ({old.state}) → {new.name} ({new.state})")
    show_reasons(found.bump, found.reasons)
    for sentence in found.unknown:
        output.say(sentence)
    _data("Trained on", found.data, everything)
    _data("Measured on", found.judged_on, everything)
    same = []
    for heading, name in _SECTIONS:
        rows = _short(getattr(found, name))
        if everything or any(row.differs for row in rows):
            changed = sum(row.differs for row in rows)
            show_rows(heading, rows if everything else _cut(rows), left, right, everything)
            if changed > _MOST and not everything:
                output.say(f"… and {changed - _MOST} more that differ; --all shows them", indent=2)
        elif rows:
            same.append(f"{heading.lower()} ({len(rows)})")
    show_metrics(found.metrics, found.metrics_note, left, right)
    if same:
        output.show("")
        output.say(f"The same: {listed(same)}. --all shows them.")
    if not found.differs:
        output.say("Nothing differs.")


def _data(heading: str, change: DataChange, everything: bool) -> None:
    from rich.text import Text

    if not (change.differs or change.kept):
        return
    output.show("", Text(f"   {heading}", style="bold"))
    parts = [("-", "red", change.removed), ("+", "green", change.added)]
    if everything or not change.differs:
        parts.append((" ", "dim", change.kept))
    for mark, style, nodes in parts:
        for node in nodes:
            output.show(Text(f"{mark}  {visible(str(node))}", style=style))
    hidden = 0 if everything or not change.differs else len(change.kept)
    if hidden:
        output.say(f"{hidden} the same; --all shows them", indent=2)


def _cut(rows: Sequence[Row]) -> list[Row]:
    """So that another installation does not push everything else off the screen."""
    late = {row.name for row in [row for row in rows if row.differs][_MOST:]}
    return [row for row in rows if row.name not in late]


def _short(rows: Sequence[Row]) -> list[Row]:
    """Digests and commits are there to be told apart; --json has them whole."""
    return [dataclasses.replace(row, old=_shown(row.old), new=_shown(row.new)) for row in rows]


def _shown(value: object) -> object:
    if isinstance(value, str):
        return short_digest(value) if is_digest(value) else _COMMIT.sub(r"\1", value)
    return value
