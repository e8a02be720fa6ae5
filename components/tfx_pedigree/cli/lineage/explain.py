"""`explain`: how a version was made, judged and used, in plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.text import visible

if TYPE_CHECKING:
    from tfx_pedigree.lineage.explain import Explanation


@click.command(cls=PedigreeCommand)
@click.argument("version", metavar="REF", shell_complete=references)
@pass_app
def explain(app: App, version: str) -> None:
    """Tell in plain sentences how a version was made.

    On which data, by which code and in which environment, what it was compared with and what the gate said, when it
    served and why. What was not recorded is said.
    """
    with app.open() as workspace:
        found = workspace.lineage.explain(version)
    output.answer(found, _print)


def _print(found: Explanation) -> None:
    from rich.text import Text

    version = found.version
    title = Text(visible(version.name), style="bold")
    title.append(f"  {version.state}", style="green" if version.state.value == "production" else "")
    output.show(title)
    for section in found.sections:
        output.show("", Text(section.title, style="bold cyan"))
        for sentence in section.sentences:
            output.say(sentence, indent=2)
    name = f"{version.model}@{version.version}"
    if version.predecessor:
        output.next_step("diff", f"{version.model}@{version.predecessor}", name)
    elif found.recorded:
        output.next_step("lineage", name)
