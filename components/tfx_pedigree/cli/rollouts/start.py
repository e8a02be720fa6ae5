"""`pedigree rollout start`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.inputs import reason_option
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.rollouts.common import desk_of, percent, sentence, target_option
from tfx_pedigree.text import visible

if TYPE_CHECKING:
    from tfx_pedigree.rollout.plan import Bake, Plan
    from tfx_pedigree.service.rollouts.desk import RolloutPreview


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@click.option(
    "--plan", "file", metavar="FILE", help="rollout.yaml; left out, a canary from 10 % in steps of 10 points."
)
@click.option("--blue-green", is_flag=True, help="Without a file: prepare, switch everything at once, keep a way back.")
@target_option
@click.option("--override", is_flag=True, help="Roll out although the gate refused it; needs --reason.")
@reason_option(required=False)
@click.option("--dry-run", is_flag=True, help="Only show the plan, and what stands in the way.")
@click.pass_context
@pass_app
def start(
    app: App,
    ctx: click.Context,
    *,
    ref: str,
    file: str | None,
    blue_green: bool,
    target: str | None,
    override: bool,
    reason: str | None,
    dry_run: bool,
) -> None:
    """Start a canary or a blue-green rollout of a version.

    The version needs evidence that it passed against the champion that serves now, or --override with a reason. The
    order stands in the registry; a controller carries it out: `pedigree rollout run MODEL`, or one that runs elsewhere.

    With --dry-run nothing is ordered. Exit code 1 means that the start would be refused.

    \b
      pedigree rollout start flight-delay@1.2.0 --dry-run
      pedigree rollout start flight-delay@1.2.0 --plan rollout.yaml --target edge
    """
    from tfx_pedigree.registry import PromotionRequest

    (plan, named), request = _plan(file, blue_green=blue_green), PromotionRequest(override=override, reason=reason)
    target = target or named
    with desk_of(app) as desk:
        if dry_run:
            preview = desk.preview(ref, plan, request, target)
            output.answer({"dry_run": True, **preview.to_json()}, lambda _: _foretell(preview))
            if not preview.allowed:
                ctx.exit(exits.FOUND_PROBLEMS)
            return
        rollout = desk.start(ref, plan, request, target)
    output.answer({"changed": True, "rollout": rollout}, lambda _: output.done(sentence(rollout)))
    if desk.is_far:
        output.next_step(
            "rollout", "watch", rollout.model, label="A controller beside the server drives it. To look on"
        )
    else:
        output.next_step("rollout", "run", rollout.model, label="To drive it from here")


def _plan(file: str | None, *, blue_green: bool) -> tuple[Plan, str | None]:
    """And the target that the file names."""
    from tfx_pedigree.errors import InvalidInputError
    from tfx_pedigree.rollout import plan as plans
    from tfx_pedigree.rollout.spec_file import load_rollout

    if file is None:
        return plans.blue_green() if blue_green else plans.canary(), None
    if blue_green:
        raise InvalidInputError("The file says which strategy it is: give either --plan or --blue-green.")
    found = load_rollout(Path(file).expanduser())
    return found.plan, found.target


def _foretell(preview: RolloutPreview) -> None:
    name = preview.version.name
    champion = f" beside {preview.champion.version}" if preview.champion else ""
    output.say(f"{name} would be rolled out to {preview.target}{champion}.")
    table = output.table("step", "share>", "at least")
    for number, step in enumerate(preview.plan.steps, 1):
        kind = f"{percent(step.points)} of copies" if step.shadow else percent(step.points)
        table.add_row(str(number), kind, _bake(step.bake))
    output.show(table)
    for problem in preview.problems:
        output.say(f"It would be refused: {visible(problem)}")


def _bake(bake: Bake) -> str:
    return f"{bake.requests:,} requests and {bake.seconds:g} s"
