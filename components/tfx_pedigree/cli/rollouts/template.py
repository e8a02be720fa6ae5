"""`pedigree rollout template`."""

from __future__ import annotations

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.rollouts.common import target_option


@click.command(cls=PedigreeCommand)
@click.argument("kind", type=click.Choice(("envoy", "haproxy", "tensorflow-serving", "vertex")))
@target_option
@click.option("--prepare", is_flag=True, help="Also make the files that it reads when it starts, if they are missing.")
@pass_app
def template(app: App, *, kind: str, target: str | None, prepare: bool) -> None:
    """Write the load balancer's configuration for a target.

    To standard output; what is not the target's affair (certificates, limits, logs) is yours to add. With --prepare the
    first shares are written as well, to the places that the target names: everything goes to the first place. For
    Vertex AI it is the commands that make the endpoint, once.
    """
    from tfx_pedigree.service.rollouts.desk import serving_template

    found = serving_template(app.settings.file, kind, target)
    made = found.begin() if prepare else None
    if made is not None:
        output.note(f"Made {made}")
    output.answer({"text": found.text, "made": made}, lambda _: click.echo(found.text, nl=False))
