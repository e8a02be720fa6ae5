"""`evidence`: what a decision about a version rests on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import changes, exits, inputs, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeGroup

if TYPE_CHECKING:
    from tfx_pedigree.service.gate import Replayed


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
        _, found = newest_evidence(registry, ref)
    output.emit(found.to_json())


@evidence.command("replay")
@click.argument("ref", shell_complete=references)
@click.option("--report", type=click.Path(path_type=Path), help="Write the report to this file once more.")
@click.pass_context
@pass_app
def replay(app: App, ctx: click.Context, ref: str, report: Path | None) -> None:
    """Make the decision on a version once more, from the policy and the numbers that its evidence keeps.

    Ends with exit code 1 if anything comes out otherwise than it stands on file.
    """
    from tfx_pedigree.comparison import render
    from tfx_pedigree.service.gate import replay as decide_once_more

    with app.open().registry as registry:
        found, comparison = decide_once_more(registry, ref)
    if report is not None:
        report.write_text(render(comparison), encoding="utf-8")
    output.answer(found, _tell_replayed)
    if not found.same:
        ctx.exit(exits.FOUND_PROBLEMS)


def _tell_replayed(found: Replayed) -> None:
    if found.same:
        output.say(f"{found.version}: {found.verdict}, as it stands on file, to the letter. {found.reason}")
    else:
        output.say(f"{found.version}: the decision cannot be made again. {found.verdict}: {found.reason}")
    for difference in found.differences:
        output.say(difference, indent=2)
