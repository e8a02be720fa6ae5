"""`serving-config`: what TensorFlow Serving reads, for versions of the registry."""

from __future__ import annotations

from pathlib import Path

import click

from tfx_pedigree.cli import inputs, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.text import plural

_FILE = click.Path(path_type=Path)


@click.command("serving-config", cls=PedigreeCommand)
@click.argument("refs", nargs=-1, required=True, metavar="REF...", shell_complete=references)
@click.option(
    "--folder", default="/models", show_default=True, metavar="PATH", help="Where the server finds the models."
)
@click.option(
    "--label", "labels", multiple=True, metavar="NAME=REF", help="A label, in place of `stable` and the aliases."
)
@click.option("--output", "file", type=_FILE, help="Change this file; entries of other models stay.")
@click.option(
    "--requests", type=_FILE, help="Requests as JSON, one a line: each version is warmed up with them before it serves."
)
@click.option("--laid-out", "laid_out", type=_FILE, help="Where --folder is on this computer, for --requests.")
@pass_app
def serving_config(
    app: App,
    *,
    refs: tuple[str, ...],
    folder: str,
    labels: tuple[str, ...],
    file: Path | None,
    requests: Path | None,
    laid_out: Path | None,
) -> None:
    """Write TensorFlow Serving's model config file.

    It names the versions by their sequence, as they lie in the server's folder: MODEL/SEQUENCE. The champion has the
    label `stable`, as rollouts call it, and aliases are labels too.
    """
    from tfx_pedigree.integrations import config_text, served_models, warm_up, write_config

    told = inputs.pairs(labels, "label")
    with app.open() as workspace:
        registry = workspace.registry
        versions = [registry.get(ref) for ref in refs]
        named = {label: registry.get(ref) for label, ref in told.items()} if told else None
        models = served_models(registry, versions, folder, named)
        where = Path(folder) if laid_out is None else laid_out
        text = inputs.read_text(requests, "requests") if requests is not None else None
        warmed = warm_up(workspace, versions, text, where) if text is not None else {}
    for name, path in warmed.items():
        output.done(f"{name} is warmed up by {path}.")
    if file is None and not app.json:
        click.echo(config_text(models), nl=False)
        return
    changed = write_config(file, models) if file is not None else False
    count = plural(sum(len(one.versions) for one in models), "version")
    said = f"{file} names {count} now." if changed else f"{file} names {count} already; nothing changed."
    output.answer(
        {"changed": changed, "models": models, "warm_up": [str(path) for path in warmed]}, lambda _: output.done(said)
    )
