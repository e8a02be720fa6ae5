"""`pipeline compile`: the pipeline of the config as Kubeflow or Vertex takes it, corrected, checked, written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.pipelines.common import config_file
from tfx_pedigree.text import plural, short_digest

if TYPE_CHECKING:
    from tfx_pedigree.service.pipelines.compilation import Compilation


@click.command("compile", cls=PedigreeCommand)
@click.option(
    "--span", type=click.IntRange(min=0), help="Fix the span of the data; left out, each run takes the newest."
)
@click.option("--output", "file", metavar="FILE", help="Where to write it, instead of where the config says.")
@click.option("--force", is_flag=True, help="Write the file in spite of errors.")
@click.pass_context
@pass_app
def compile_(app: App, ctx: click.Context, span: int | None, file: str | None, force: bool) -> None:
    """Compile the pipeline for Kubeflow or Vertex.

    The config (--config or PEDIGREE_CONFIG) has a section `pipeline:` and a section `target:`, which says for which
    service. What TFX's compiler gets wrong is corrected, and the rest is checked. Exit code 1 says that something
    in it would fail on the service, or show a secret: then nothing is written, unless with --force.
    """
    from tfx_pedigree.service.pipelines.compilation import compile_to_file

    config = config_file(app, "compile", "kubeflow")
    path = Path(file).expanduser() if file else None
    compiled = compile_to_file(config, app.settings, span=span, file=path, force=force)
    output.answer(compiled, _tell)
    if compiled.errors:
        ctx.exit(exits.FOUND_PROBLEMS)


def _tell(compiled: Compilation) -> None:
    from tfx_pedigree.orchestration.ir import sentences

    pipeline = compiled.pipeline
    where = f"It is in {compiled.file}." if compiled.file else "It was not written."
    tasks = plural(len(pipeline.tasks), "task")
    output.say(f"Compiled {pipeline.name} for {pipeline.kind}: {tasks}, {short_digest(pipeline.digest)}. {where}")
    for sentence in sentences(compiled.findings):
        output.say(sentence, indent=2)
    for note in compiled.mended:
        output.note(f"Corrected. {note}")
    if compiled.file is None:
        output.note("Correct the errors, or write the file in spite of them with --force.")
