"""`export` and `import`: a model with its whole history and its bytes, from one registry to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from tfx_pedigree.cli import inputs, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import model_names
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.progress import bar
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import format_size, plural

if TYPE_CHECKING:
    from tfx_pedigree.service.archive import ImportReport

_FILE = click.Path(path_type=Path)


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@click.argument("file", type=_FILE)
@pass_app
def export(app: App, model: str, file: Path) -> None:
    """Write a model with its history to one file.

    FILE must not exist yet. It appears whole or not at all. With - the archive goes to standard output.
    """
    from tfx_pedigree.service.archive import export_model, export_to_file

    with app.open() as workspace, bar(f"Exporting {model}") as progress:
        registry = workspace.database("An export")
        if file == inputs.STANDARD:
            report = export_model(registry, model, _standard_output(), progress)
        else:
            report = export_to_file(registry, model, file, progress)
    parts = (plural(report.versions, "version"), plural(report.events, "event"))
    if file == inputs.STANDARD:
        output.note(f"{model} with {' and '.join(parts)} was written to standard output ({format_size(report.size)}).")
        return
    done = f"{model} with {' and '.join(parts)} is in {report.path} ({format_size(report.size)})."
    output.answer(report, lambda _: output.done(done))
    output.next_step("import", str(file))


def _standard_output() -> BinaryIO:
    stream = click.get_binary_stream("stdout")
    if stream.isatty():
        raise InvalidInputError("An archive is not for a terminal. Send it to a command or a file, or name a FILE.")
    return stream


@click.command("import", cls=PedigreeCommand)
@click.argument("file", type=_FILE)
@pass_app
def import_(app: App, file: Path) -> None:
    """Bring a model from an exported file.

    Every byte, event and row is checked before. What is here already stays as it is; a history that differs from
    the one here is refused. With - the archive comes from standard input.
    """
    from tfx_pedigree.service.archive import import_from_file, import_model

    with app.open() as workspace, bar(f"Importing {file.name}") as progress:
        registry = workspace.database("An import")
        if file == inputs.STANDARD:
            report = import_model(registry, click.get_binary_stream("stdin"), "Standard input", progress)
        else:
            report = import_from_file(registry, file, progress)
    output.answer(report, _tell)


def _tell(report: ImportReport) -> None:
    if not report.added:
        output.done(f"All {plural(report.events, 'event')} of {report.model} are here already; nothing changed.")
        return
    parts = (plural(report.versions, "version"), plural(report.added, "new event"))
    output.done(f"{report.model} is here with {' and '.join(parts)}.")
    output.next_step("versions", report.model)
