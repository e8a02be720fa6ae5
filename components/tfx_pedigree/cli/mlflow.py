"""`import-mlflow` and `export-mlflow`: an MLflow registry's models here, and ours there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import model_names
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.progress import bar
from tfx_pedigree.text import listed, plural, visible

if TYPE_CHECKING:
    from tfx_pedigree.integrations.mlflow.exporting import ExportReport
    from tfx_pedigree.integrations.mlflow.importing import ImportReport

# As many notes as anybody reads.
_SHOWN = 10


@click.command("import-mlflow", cls=PedigreeCommand)
@click.argument("source")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Only this model of MLflow; may be repeated.")
@click.option(
    "--artifacts", metavar="PLACE", help="The folder or bucket in which MLflow keeps its files, to be read there."
)
@click.option("--without-bytes", is_flag=True, help="Bring facts only; such versions cannot be promoted.")
@click.option("--dry-run", is_flag=True, help="Read and count; write nothing.")
@pass_app
def import_mlflow(
    app: App, source: str, *, models: tuple[str, ...], artifacts: str | None, without_bytes: bool, dry_run: bool
) -> None:
    """Bring in the models of an MLflow registry.

    SOURCE is the address of an MLflow server, such as https://mlflow.example.com, or of its database: sqlite:///FILE or
    postgresql://USER@HOST/NAME. Versions come with their bytes, tags, aliases and stages, and with the metrics and
    parameters of their runs.

    Nothing is written there. Importing again adds only what is new, and continues what was interrupted; what was
    decided here since stays as it is.
    """
    from tfx_pedigree.integrations.mlflow.importing import ImportPlan, import_registry, opened

    plan = ImportPlan(models, artifacts, without_bytes, dry_run)
    with opened(source) as mlflow, app.open() as workspace, bar("Importing", unit="versions") as progress:
        report = import_registry(workspace, mlflow, plan, progress)
    output.answer(report, _tell_import)


@click.command("export-mlflow", cls=PedigreeCommand)
@click.argument("target")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Only this model; may be repeated.",
    shell_complete=model_names,
)
@click.option("--dry-run", is_flag=True, help="Compare and count; write nothing.")
@pass_app
def export_mlflow(app: App, target: str, *, models: tuple[str, ...], dry_run: bool) -> None:
    """Bring models to an MLflow registry.

    TARGET is the address of an MLflow server that takes artifacts itself. Versions come with their bytes, tags, metrics
    (as tags) and aliases. Exporting again adds only what is new, and continues what was interrupted.
    """
    from tfx_pedigree.integrations.mlflow.exporting import export_registry
    from tfx_pedigree.integrations.mlflow.rest import MlflowServer

    server = MlflowServer.of(target)
    with app.open() as workspace, bar("Exporting", unit="versions") as progress:
        report = export_registry(workspace, server, models, dry_run=dry_run, progress=progress)
    output.answer(report, _tell_export)


def _tell_import(report: ImportReport) -> None:
    for one in report.models:
        name = visible(one.model if one.model == one.name else f"{one.name} (here {one.model})")
        found = f"{name}: {plural(one.versions, 'version')} at MLflow"
        if report.dry_run:
            output.say(f"{found}, {one.added:,} of them new. Nothing was written.")
            continue
        bare = f" ({one.without_bytes:,} without bytes)" if one.without_bytes else ""
        named = [*one.aliases, *([f"champion {one.champion}"] if one.champion else [])]
        output.done(f"{found}, {one.added:,} of them new{bare}{f'; set: {listed(named)}' if named else ''}.")
        _tell_notes(one.notes)
    if not report.models:
        output.say(f"{report.server} has no registered models.")
    elif not report.dry_run:
        output.next_step("versions", report.models[0].model)


def _tell_export(report: ExportReport) -> None:
    for one in report.models:
        found = f"{one.model}: {plural(one.versions, 'version')}, {one.added:,} of them new at MLflow"
        if report.dry_run:
            output.say(f"{found}. Nothing was written.")
            continue
        output.done(f"{found}{f'; aliases {listed(one.aliases)}' if one.aliases else ''}.")
        _tell_notes(one.notes)


def _tell_notes(notes: tuple[str, ...]) -> None:
    for note in notes[:_SHOWN]:
        output.say(visible(note), indent=2)
    if len(notes) > _SHOWN:
        output.say(f"and {len(notes) - _SHOWN:,} more; --json has all of them.", indent=2)
