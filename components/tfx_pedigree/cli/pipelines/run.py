"""`pipeline run`: a pipeline of TFX with Pedigree's components, on this machine."""

from __future__ import annotations

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.pipelines.common import config_file, tell_version
from tfx_pedigree.cli.stopping import stopped_by_kill


@click.command("run", cls=PedigreeCommand)
@click.option("--span", type=click.IntRange(min=0), help="The span of the data; left out, the newest.")
@click.pass_context
@pass_app
def run(app: App, ctx: click.Context, span: int | None) -> None:
    """Run the pipeline that the config names here.

    When it is over, it tells what became of the model.

    The config (--config or PEDIGREE_CONFIG) has a section `pipeline:` with `create: module:function`. Exit code 1
    says that the run failed; all that its components said is in the log. Exit code 4: another run, by hand or by
    `retrain` or `backfill`, is going on, and nothing was done.
    """
    from tfx_pedigree.service.pipelines.local_pipeline import LocalPipeline, run_pipeline
    from tfx_pedigree.service.pipelines.tfx_process import how_ended

    pipeline = LocalPipeline.of(config_file(app, "run"), app.settings)
    with app.open() as workspace, stopped_by_kill():
        done = run_pipeline(workspace.registry, pipeline, span)
    if app.json:
        output.emit(done.to_json())
    elif done.version is not None:
        tell_version(done.version)
    if done.code:
        if done.code < 0:
            output.note(f"The pipeline {how_ended(done.code)}.")
        output.note(f"The full log is in {done.log}.")
        ctx.exit(exits.FOUND_PROBLEMS)
