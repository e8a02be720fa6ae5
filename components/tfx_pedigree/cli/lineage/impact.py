"""`impact`: which versions have something in them, and which of those are or were in production."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.text import plural, visible

if TYPE_CHECKING:
    from tfx_pedigree.lineage.impact import Affected, Impact
    from tfx_pedigree.registry import ChampionPeriod


@click.command(cls=PedigreeCommand)
@click.argument("node", shell_complete=references)
@click.option("--exit-code", is_flag=True, help="End with exit code 1 if a version in production is among them.")
@click.pass_context
@pass_app
def impact(app: App, ctx: click.Context, node: str, exit_code: bool) -> None:
    """Tell which versions some data or code went into.

    And which of them are in production, or were, and when. NODE is written as in `pedigree lineage`: span:3,
    commit:1a2b3c4, module:flight_model.py, a digest. What fits several things means all of them.
    """
    with app.open() as workspace:
        found = workspace.lineage.impact(node)
    output.answer(found, _print)
    if exit_code and found.in_production:
        ctx.exit(exits.FOUND_PROBLEMS)


def _print(found: Impact) -> None:
    from rich.text import Text

    from tfx_pedigree.lineage import wording

    for node in found.start:
        name = wording.data(node) if node.kind.value == "data" else wording.label(node)
        output.show(Text(visible(name), style="bold"))
    output.say(_summary(found))
    if found.versions:
        table = output.table("version", "how…", "state", "champion (UTC)…")
        for one in found.versions:
            table.add_row(
                *output.cells(_row(one)), style="green" if one.standing and one.standing.in_production else ""
            )
        output.show("", table)
    if found.deployments:
        output.show("", Text("Deployed", style="bold"))
        for node in found.deployments:
            output.say(visible(wording.label(node)), indent=2)
            for span in wording.served(node):
                output.say(visible(span), indent=4)
    if found.in_production:
        worst = found.in_production[0]
        output.next_step("explain", wording.handle(worst.node))


def _summary(found: Impact) -> str:
    if not found.versions:
        return "No version has to do with it."
    total, now = len(found.versions), len(found.in_production)
    before = len(found.ever_in_production) - now
    served = [f"{now} {_be(now, 'is', 'are')} in production now"] if now else []
    if before:
        served.append(f"{before} {_be(before, 'was', 'were')} {'before' if now else 'in production, and none is now'}")
    said = ", ".join(served) or "none was ever in production"
    return f"{plural(total, 'version')} {_be(total, 'has', 'have')} to do with it: {said}."


def _be(many: int, one: str, more: str) -> str:
    return one if many == 1 else more


def _row(one: Affected) -> Iterator[str]:
    from tfx_pedigree.lineage import wording

    yield wording.label(one.node)
    yield one.how
    yield str(one.standing.state) if one.standing else "not in this registry"
    yield _reigns(one.standing.reigns) if one.standing else ""


def _reigns(reigns: Sequence[ChampionPeriod]) -> str:
    return "\n".join(f"{output.when(one.began_at)} to {output.when(one.ended_at) or 'now'}" for one in reigns)
