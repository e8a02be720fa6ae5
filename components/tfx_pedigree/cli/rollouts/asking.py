"""`pedigree rollout pause`, `resume`, `advance`, `abort`."""

from __future__ import annotations

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import model_names
from tfx_pedigree.cli.inputs import reason_option
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.rollouts.common import desk_of, sentence

_model = click.argument("model", shell_complete=model_names)


def _ask(app: App, word: str, model: str, reason: str) -> None:
    from tfx_pedigree.rollout.state import Ask

    with desk_of(app) as desk:
        asked = desk.api.ask(model, Ask(word), reason)
        driven_by = desk.api.rollout(model).controller
    rollout, changed = asked.rollout, asked.changed
    already = "" if changed else " Nothing changed."
    output.answer(asked, lambda _: output.done(sentence(rollout) + already))
    if changed and driven_by is None and not rollout.state.phase.ended:
        output.next_step("rollout", "run", model, label="No controller drives it now. To do that from here")


@click.command(cls=PedigreeCommand)
@_model
@reason_option(required=True)
@pass_app
def pause(app: App, model: str, reason: str) -> None:
    """Hold a rollout at its step; harm still rolls it back.

    The shares stay as they are.
    """
    _ask(app, "pause", model, reason)


@click.command(cls=PedigreeCommand)
@_model
@reason_option(required=True)
@pass_app
def resume(app: App, model: str, reason: str) -> None:
    """Let a paused rollout go on.

    The time that its step may take begins anew.
    """
    _ask(app, "resume", model, reason)


@click.command(cls=PedigreeCommand)
@_model
@reason_option(required=True)
@pass_app
def advance(app: App, model: str, reason: str) -> None:
    """Cut the present step short.

    The next step begins although health was not shown yet: your reason stands in the audit log. After the last step the
    version becomes the champion, if its evidence allows that.
    """
    _ask(app, "advance", model, reason)


@click.command(cls=PedigreeCommand)
@_model
@reason_option(required=True)
@pass_app
def abort(app: App, model: str, reason: str) -> None:
    """Send everything back to the stable version.

    Possible at any time before the rollout has ended. Where the version is the champion already, the one before it
    becomes champion again in the same decision.
    """
    _ask(app, "abort", model, reason)
