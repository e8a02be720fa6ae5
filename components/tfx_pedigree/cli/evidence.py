"""`evidence`: what a decision about a version rests on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import changes, exits, inputs, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeGroup
from tfx_pedigree.cli.progress import bar
from tfx_pedigree.text import plural

if TYPE_CHECKING:
    from tfx_pedigree.service.judging.gate import Replayed
    from tfx_pedigree.service.judging.replaying import Replays


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
    from tfx_pedigree.service.versions.looking_up import newest_evidence

    with app.open().registry as registry:
        _, found = newest_evidence(registry, ref)
    output.emit(found.to_json())


@evidence.command("replay")
@click.argument("ref", required=False, shell_complete=references)
@click.option("--report", type=click.Path(path_type=Path), help="Write the report to this file once more.")
@click.option("--all", "every", is_flag=True, help="All decisions on file; of one model where REF is its name.")
@click.pass_context
@pass_app
def replay(app: App, ctx: click.Context, ref: str | None, report: Path | None, *, every: bool) -> None:
    """Make the decision on a version once more, from the policy and the numbers that its evidence keeps.

    With --all also those that earlier decisions led to: what each of them was told of the ones before must be what the
    log holds. Ends with exit code 1 if anything comes out otherwise than it stands on file.
    """
    from tfx_pedigree.comparison import render
    from tfx_pedigree.service.judging.gate import replay as decide_once_more

    if every:
        if report is not None:
            raise click.UsageError("--report writes the report of one version: leave --all out.", ctx)
        _replay_all(app, ctx, ref)
        return
    if ref is None:
        raise click.UsageError("Name a version, or give --all.", ctx)
    with app.open().registry as registry:
        found, comparison = decide_once_more(registry, ref)
    if report is not None:
        report.write_text(render(comparison), encoding="utf-8")
    output.answer(found, _tell_replayed)
    if not found.same:
        ctx.exit(exits.FOUND_PROBLEMS)


def _replay_all(app: App, ctx: click.Context, model: str | None) -> None:
    from tfx_pedigree.service.judging.replaying import replay_all

    with app.open().registry as registry, bar("Deciding again", unit="decisions") as progress:
        found = replay_all(registry, model, progress)
    output.answer(found, _tell_all)
    if not found.ok:
        ctx.exit(exits.FOUND_PROBLEMS)


def _tell_all(found: Replays) -> None:
    for one in found.others:
        output.say(str(one))
    if not found.same and not found.others:
        output.say("There is no decision on file yet.")
        return
    wrong = sum(one.wrong for one in found.others)
    kept = f", {len(found.others) - wrong} cannot be made again" if len(found.others) > wrong else ""
    output.say(f"{plural(found.same, 'decision')} as on file, to the letter; {wrong} otherwise{kept}.")


def _tell_replayed(found: Replayed) -> None:
    if found.same:
        output.say(f"{found.version}: {found.verdict}, as it stands on file, to the letter. {found.reason}")
    else:
        output.say(f"{found.version}: the decision cannot be made again. {found.verdict}: {found.reason}")
    for difference in found.differences:
        output.say(difference, indent=2)
