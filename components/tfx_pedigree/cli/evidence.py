"""`evidence`: what a decision about a version rests on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import changes, inputs, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeGroup

if TYPE_CHECKING:
    pass


@click.group(cls=PedigreeGroup)
def evidence() -> None:
    """Attach, show or replay the evidence for a decision."""


@evidence.command("attach")
@click.argument("ref", shell_complete=references)
@click.argument("file", type=click.Path(path_type=Path))
@pass_app
def attach(app: App, ref: str, file: Path) -> None:
    """Attach the verdict in a JSON file to the version that it judges.

    The newest evidence of a version decides whether it may be promoted. FILE may be - for standard input.
    """
    from tfx_pedigree.registry import Evidence, Verdict

    found = Evidence.from_json(inputs.read_json(file, "evidence"))
    with app.open().registry as registry:
        change = registry.attach_evidence(ref, found)
    version = change.version
    changes.answer(
        change,
        done=f"{version.name} has the verdict {found.verdict.value} now: {found.reason}",
        already=f"{version.name} has this evidence already",
        evidence=found.digest,
    )
    if change.changed and found.verdict is Verdict.PASS:
        output.next_step("promote", changes.reference(version))


@evidence.command("show")
@click.argument("ref", shell_complete=references)
@pass_app
def show(app: App, ref: str) -> None:
    """Show the newest evidence of a version.

    What is printed, as people read it or with --json, is what `attach` takes: the evidence's own JSON form.
    """
    from tfx_pedigree.service.looking_up import newest_evidence

    with app.open().registry as registry:
        found = newest_evidence(registry, ref)
    output.emit(found.to_json())
