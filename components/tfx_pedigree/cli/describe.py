"""`describe`: what people wrote about a model, in Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import inputs, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import model_names
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.errors import InvalidInputError

if TYPE_CHECKING:
    from tfx_pedigree.service.versions.describing import Description


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@click.option("--text", help="The new description, in Markdown; an empty one takes it away.")
@click.option("--file", type=click.Path(path_type=Path), metavar="FILE", help="Read it from here; - is standard input.")
@inputs.reason_option(required=False)
@pass_app
def describe(app: App, model: str, text: str | None, file: Path | None, reason: str | None) -> None:
    """Show or change a model's description.

    It stands on the model's page. Earlier ones stay in the log: pedigree history MODEL.
    """
    from tfx_pedigree.service.versions.describing import describe_model, description_of

    if text is not None and file is not None:
        raise InvalidInputError("Give --text or --file, not both.")
    if text is None and file is None:
        if reason is not None:
            raise InvalidInputError("--reason says why the description changes: give --text or --file as well.")
        with app.open().registry as registry:
            found = description_of(registry, model)
        output.answer({"model": model, "description": found}, lambda _: _tell(model, found))
        return
    words = inputs.read_text(file, "description") if file is not None else text or ""
    with app.open().registry as registry:
        change = describe_model(registry, model, words, reason=reason)
    has = change.description is not None and change.description.text
    done = f"{model} has a new description." if has else f"{model} has no description any more."
    already = f"{model} {'has this description' if has else 'has no description'} already; nothing changed."
    output.answer(change, lambda _: output.done(done if change.changed else already))


def _tell(model: str, found: Description | None) -> None:
    if found is None or not found.text:
        output.say(f"{model} has no description.")
        output.next_step("describe", model, "--text", "TEXT")
        return
    output.say(found.text)
    output.note(f"By {found.by}, {output.when(found.at)}: event {found.event} of its history.")
