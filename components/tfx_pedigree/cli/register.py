"""`register` and `tag`: how a trained model becomes a version, and what is written on it later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import changes, inputs, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import model_names, references
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.progress import bar
from tfx_pedigree.text import listed

if TYPE_CHECKING:
    from tfx_pedigree.registry import Evidence
    from tfx_pedigree.service.versions.registering import RegisteredModel
    from tfx_pedigree.service.versions.tracked_run import TrackedRun
    from tfx_pedigree.versioning import ModelDescription

_FILE = click.Path(path_type=Path)


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@click.argument("folder", type=_FILE)
@click.option("--metric", "metric", multiple=True, metavar="NAME=VALUE", help="A metric; may be repeated.")
@click.option("--metrics", "metrics_file", type=_FILE, help="JSON file with metrics, numbers by name.")
@click.option("--param", "param", multiple=True, metavar="NAME=VALUE", help="A hyperparameter; may be repeated.")
@click.option("--params", "params_file", type=_FILE, help="JSON file with hyperparameters, values by name.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag; may be repeated.")
@click.option("--bump", type=click.Choice(["major", "minor", "patch"]), help="Raise this part, whatever has changed.")
@click.option("--pre", metavar="WORD", help="Make it a pre-release, such as rc: 1.3.0-rc.1.")
@click.option("--version", "number", metavar="VERSION", help="Give it exactly this version.")
@click.option("--evidence", "evidence_file", type=_FILE, help="JSON file with the evaluation's verdict.")
@click.option("--description", "description_file", type=_FILE, help="JSON file that describes the model.")
@click.option(
    "--from-run",
    metavar="RUN",
    help="Take parameters, metrics and datasets from mlflow:ID, wandb:FOLDER or tensorboard:LOGDIR.",
)
@pass_app
def register(
    app: App,
    *,
    model: str,
    folder: Path,
    metric: tuple[str, ...],
    metrics_file: Path | None,
    param: tuple[str, ...],
    params_file: Path | None,
    tags: tuple[str, ...],
    bump: str | None,
    pre: str | None,
    number: str | None,
    evidence_file: Path | None,
    description_file: Path | None,
    from_run: str | None,
) -> None:
    """Store a trained model and give it a version.

    Its number depends on what changed since the champion, or without one since the newest version. Registering the
    same files again gives the same version; only new metrics, tags and evidence are added. For each file, - means
    standard input.

    With --from-run, what is given here outranks what the run says, and the run is told its version.

    \b
      pedigree register flight-delay export --metric auc=0.81 --param learning_rate=0.01
      pedigree register flight-delay export --metrics metrics.json --evidence evidence.json
    """
    from tfx_pedigree.registry import Facts
    from tfx_pedigree.service.versions.registering import register_model
    from tfx_pedigree.versioning import Request

    request = Request.of(bump, pre, number)
    given, numbers = inputs.pairs(tags, "tag"), inputs.metrics(metric, metrics_file)
    evidence = _evidence(evidence_file)
    parameters, description = inputs.parameters(param, params_file), _description(description_file)
    by_hand = {**(description.parameters if description else {}), **parameters, **given}
    run = _run(from_run)
    with app.open() as workspace, bar("Storing") as progress:
        registered = register_model(
            workspace,
            model,
            folder,
            request,
            facts=Facts(numbers, given),
            evidence=evidence,
            parameters=parameters,
            description=description,
            run=run,
            progress=progress,
        )
        address = workspace.registry.url
    _tell(registered)
    _tell_hidden(by_hand)
    if from_run is not None:
        _tell_run(from_run, registered, address)


def _run(named: str | None) -> TrackedRun | None:
    """What the run says; before anything is stored, for parameters decide the number."""
    if named is None:
        return None
    from tfx_pedigree.integrations.trackers import RunAddress

    run = RunAddress.parse(named).read()
    for note in run.notes:
        output.note(f"Not taken from {run.name}: {note}")
    return run


def _tell_run(named: str, registered: RegisteredModel, registry: str) -> None:
    from tfx_pedigree.integrations.trackers import RunAddress, tell_run

    if refusal := tell_run(RunAddress.parse(named), registered.change.version, registry):
        output.note(refusal)


def _tell(registered: RegisteredModel) -> None:
    change, version = registered.change, registered.change.version
    bump = f", a {version.bump.upper()} change after {version.predecessor}" if version.bump else ""
    already = f"{version.name} holds these files already"
    done = f"Registered {version.name}{bump}." if registered.is_new else f"{already}; what is new was added."
    changes.answer(change, done=done, already=already, ignored=registered.ignored)
    if change.before is None:
        for reason in version.reasons:
            output.done(reason, indent=2)
        if registered.is_opaque:
            output.note("These files hold no SavedModel that could be read. Of later versions, say --bump yourself.")
    if change.changed and version.state.value in ("development", "staging"):
        output.next_step("promote", changes.reference(version))
    if registered.ignored:
        names = listed(f"`{name}`" for name in registered.ignored)
        output.note(f"Not changed: {names}. A version keeps the parameters with which it was first registered.")


def _evidence(file: Path | None) -> Evidence | None:
    from tfx_pedigree.registry import Evidence

    return Evidence.from_json(inputs.read_json(file, "evidence")) if file else None


def _description(file: Path | None) -> ModelDescription | None:
    from tfx_pedigree.versioning import ModelDescription

    return ModelDescription.from_json(inputs.read_json(file, "description")) if file else None


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@click.argument("tags", nargs=-1, required=True, metavar="KEY=VALUE...")
@pass_app
def tag(app: App, ref: str, tags: tuple[str, ...]) -> None:
    """Set or remove tags of a version.

    KEY= without a value removes the tag.
    """
    from tfx_pedigree.registry import Facts

    given = inputs.pairs(tags, "tag")
    facts = Facts(tags=given)
    with app.open().registry as registry:
        change = registry.annotate(ref, facts)
    version = change.version
    held: dict[str, Any] = dict(version.tags)
    done = f"{version.name} has the tags {_told(held)} now." if held else f"{version.name} has no tags now."
    already = (
        f"{version.name} has these tags already" if any(facts.tags.values()) else f"{version.name} has no such tag"
    )
    changes.answer(change, done=done, already=already)
    _tell_hidden(given)


def _tell_hidden(values: Mapping[str, Any]) -> None:
    from tfx_pedigree.secrets import HIDDEN, hidden_names

    names = hidden_names(values)
    if names:
        output.note(f"Not stored, because they look like secrets: {listed(names)}. `{HIDDEN}` was stored instead.")


def _told(tags: dict[str, str]) -> str:
    return listed([f"{key}={value}" for key, value in sorted(tags.items())])
