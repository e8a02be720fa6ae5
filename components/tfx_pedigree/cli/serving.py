"""`pedigree deploy` and `pedigree serving`: the traffic follows the registry, and is seen to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import model_names
from tfx_pedigree.cli.inputs import reason_option
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.rollouts.common import Teller, desk_of, percent, sentence, target_option
from tfx_pedigree.text import short_digest

if TYPE_CHECKING:
    from tfx_pedigree.rollout.api import Followed
    from tfx_pedigree.rollout.state import Rollout
    from tfx_pedigree.service.rollouts.desk import RolloutDesk, Serving

WAIT_SECONDS = 600.0
no_wait = click.option(
    "--no-wait", is_flag=True, help="Only order it; a controller that runs elsewhere carries it out."
)


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@target_option
@reason_option(required=False)
@no_wait
@click.pass_context
@pass_app
def deploy(app: App, ctx: click.Context, *, model: str, target: str | None, reason: str | None, no_wait: bool) -> None:
    """Bring the traffic of a model to its champion.

    At once and without a judge: for a canary use `pedigree rollout start`. It is done when the serving side shows the
    champion's digest. What is interrupted is finished by the next call, or by a controller.
    """
    with desk_of(app) as desk:
        rollout = desk.deploy(model, target, reason)
        _drive(desk, ctx, rollout, {"changed": True}, wait=not no_wait)


def finish(desk: RolloutDesk, ctx: click.Context, followed: Followed) -> None:
    """Drives the deployment that followed a change of the champion, and tells how both ended."""
    version = followed.version
    replaces = f"; it replaces {followed.replaced}" if followed.replaced else ""
    output.done(f"{version.name} is champion now{replaces}." if followed.changed else f"{version.name} is champion.")
    told = {"changed": followed.changed, "version": version, "replaced": followed.replaced}
    _drive(desk, ctx, followed.deployment, told, wait=True)


def _drive(desk: RolloutDesk, ctx: click.Context, ordered: Rollout, told: dict[str, Any], *, wait: bool) -> None:
    rollout = desk.drive(ordered.model, Teller(ends=False), seconds=WAIT_SECONDS) if wait else ordered
    output.answer({**told, "rollout": rollout}, lambda _: output.done(sentence(rollout)))
    output.next_step("serving", rollout.model)
    if wait and rollout.state.phase.value != "done":
        ctx.exit(exits.FOUND_PROBLEMS)


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@target_option
@click.pass_context
@pass_app
def serving(app: App, ctx: click.Context, model: str, target: str | None) -> None:
    """Show what should serve, and what does.

    They agree only where the digest that was observed is the wanted one. Exit code 1 means that they differ.
    """
    with desk_of(app) as desk:
        found = desk.serving(model, target)
    output.answer(found, _tell)
    if not found.agrees:
        if found.rollout is None:
            output.next_step("deploy", model, label="To bring it there")
        ctx.exit(exits.FOUND_PROBLEMS)


def _tell(found: Serving) -> None:
    champion = found.champion
    wanted = f"{champion.version} ({short_digest(champion.digest)})" if champion else "nothing: it has no champion"
    output.say(f"The champion of {found.model} is {wanted}.")
    if found.rollout is not None:
        output.say(sentence(found.rollout))
    table = output.table("place", "version", "digest", "share>", "state", "under way>")
    for arm in found.observed.arms:
        number = found.names.get(arm.digest or "")
        digest = short_digest(arm.digest) if arm.digest else None
        state = f"{arm.readiness.value}{f': {arm.reason}' if arm.reason else ''}"
        table.add_row(*output.cells([arm.place, number, digest, percent(arm.points), state, arm.inflight]))
    output.show(table)
    if found.seen_at is not None:
        output.note(f"As a controller saw it last, {output.when(found.seen_at)} UTC.")
    output.say(f"{found.target} serves what is wanted." if found.agrees else f"{found.target} serves something else.")
