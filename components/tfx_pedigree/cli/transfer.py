"""`export` and `import`: a model with its whole history and its bytes, from one registry to another."""

from __future__ import annotations

from pathlib import Path

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import model_names
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.progress import bar
from tfx_pedigree.text import format_size, plural

_FILE = click.Path(path_type=Path)


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@click.argument("file", type=_FILE)
@pass_app
def export(app: App, model: str, file: Path) -> None:
    """Write a model with its history to one file.

    FILE must not exist yet. It appears whole or not at all.
    """
    from tfx_pedigree.lineage.transfer import LineageOfModel
    from tfx_pedigree.registry.transfer import export_model

    with app.open() as registry, bar(f"Exporting {model}", unit="versions") as progress:
        report = export_model(registry, model, file, progress, [LineageOfModel()])
    if app.json:
        output.emit(report.to_json())
        return
    parts = (plural(report.versions, "version"), plural(report.events, "event"))
    output.done(f"{model} with {' and '.join(parts)} is in {report.path} ({format_size(report.size)}).")
    output.next_step("import", str(file))


@click.command("import", cls=PedigreeCommand)
@click.argument("file", type=_FILE)
@pass_app
def import_(app: App, file: Path) -> None:
    """Bring a model from an exported file.

    Every byte and every event is checked before. What is here already stays as it is; a history that differs from
    the one here is refused.
    """
    from tfx_pedigree.lineage.transfer import LineageOfModel
    from tfx_pedigree.registry.transfer import import_model

    with app.open() as registry, bar(f"Importing {file.name}") as progress:
        report = import_model(registry, file, progress, [LineageOfModel()])
    if app.json:
        output.emit(report.to_json())
        return
    if not report.added:
        output.done(f"All {plural(report.events, 'event')} of {report.model} are here already; nothing changed.")
        return
    parts = (plural(report.versions, "version"), plural(report.added, "new event"))
    output.done(f"{report.model} is here with {' and '.join(parts)}.")
    output.next_step("versions", report.model)
