"""`serving-config`: what TensorFlow Serving reads, for versions of the registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import inputs, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.text import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tfx_pedigree.registry import Version
    from tfx_pedigree.service.workspace import Workspace

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
    from tfx_pedigree.integrations import config_text, served_models, write_config

    told = inputs.pairs(labels, "label")
    with app.open() as workspace:
        registry = workspace.registry
        versions = [registry.get(ref) for ref in refs]
        named = {label: registry.get(ref) for label, ref in told.items()} if told else None
        models = served_models(registry, versions, folder, named)
        warmed = _warm_up(workspace, versions, requests, Path(folder) if laid_out is None else laid_out)
    if file is None and not app.json:
        click.echo(config_text(models), nl=False)
        return
    changed = write_config(file, models) if file is not None else False
    count = plural(sum(len(one.versions) for one in models), "version")
    said = f"{file} names {count} now." if changed else f"{file} names {count} already; nothing changed."
    output.answer({"changed": changed, "models": models, "warm_up": warmed}, lambda _: output.done(said))


def _warm_up(workspace: Workspace, versions: Sequence[Version], requests: Path | None, folder: Path) -> list[str]:
    if requests is None:
        return []
    from tfx_pedigree.errors import NotFoundError
    from tfx_pedigree.integrations import WARM_UP_FILE, warmup_records, write_warmup

    text = inputs.read_text(requests, "requests")
    made: Mapping[str, bytes] = {
        version.digest: warmup_records(
            text, version.model, workspace.registry.description(f"{version.model}@{version.version}")
        )
        for version in versions
    }
    written = []
    for version in versions:
        place = folder / version.model / str(version.sequence)
        if not place.is_dir():
            raise NotFoundError(
                f"{version.name} is not in {place}. Put it there first: "
                f"`pedigree pull {version.model}@{version.version} {place}`."
            )
        own = workspace.store.manifest(version.digest).file(WARM_UP_FILE) is not None
        written.append(str(write_warmup(place, made[version.digest], own)))
        output.done(f"{version.name} is warmed up by {written[-1]}.")
    return written
