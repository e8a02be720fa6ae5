"""`reproduce`: makes a version once more, and says how far it came out the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.errors import InvalidInputError

if TYPE_CHECKING:
    from tfx_pedigree.service.reproducing.checking import CheckReport
    from tfx_pedigree.service.reproducing.looking import Given
    from tfx_pedigree.service.reproducing.recipe import Recipe
    from tfx_pedigree.service.reproducing.running import Reproduction

_LEVELS = ("bytes", "description", "predictions", "metrics", "verdict")


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@click.option("--check", is_flag=True, help="Only name what cannot be had any more; nothing is built.")
@click.option(
    "--level",
    type=click.Choice(_LEVELS),
    default="predictions",
    show_default=True,
    help="What must come out the same; else the exit code is 1.",
)
@click.option(
    "--into", type=click.Path(path_type=Path), help="A folder of its own.  [default: reproduced-MODEL-VERSION]"
)
@click.option("--repository", type=click.Path(path_type=Path), help="A clone of the repository, where it has moved.")
@click.option(
    "--set", "changed", multiple=True, metavar="NAME=VALUE", help="A setting of the pipeline: where data are."
)
@click.option(
    "--tolerance", type=click.FloatRange(0), default=1e-6, show_default=True, help="Of predictions and metrics."
)
@click.option("--keep-environment", is_flag=True, help="Keep the environment that was built.")
@click.option("--no-record", is_flag=True, help="Do not note the outcome in the audit log.")
@pass_app
@click.pass_context
def reproduce(
    ctx: click.Context,
    app: App,
    /,
    ref: str,
    *,
    check: bool,
    level: str,
    into: Path | None,
    repository: Path | None,
    changed: tuple[str, ...],
    tolerance: float,
    keep_environment: bool,
    no_record: bool,
) -> None:
    """Make a version once more, and say how far it came out the same.

    From the lineage: the commit, the packages, the span's data, the settings. The pipeline runs in a folder of its
    own, with a registry of its own. Called again, it goes on where it stopped.

    Exit code 1: it did not come out the same as far as --level; or, with --check, something cannot be had any more.
    """
    from tfx_pedigree.cli.stopping import stopped_by_kill
    from tfx_pedigree.service.reproducing import running
    from tfx_pedigree.service.reproducing.levels import Level

    given, recipe = _given(repository, changed), _recipe(app)
    with app.open() as workspace, stopped_by_kill():
        if check:
            report = running.check_reproduction(workspace, ref, given, recipe)
            output.answer(report, _tell_report)
            ctx.exit(exits.DONE if report.possible else exits.FOUND_PROBLEMS)
        version = workspace.registry.get(ref)
        folder = into or Path(f"reproduced-{version.model}-{version.version}")
        wanted = running.Wanted(folder, given, tolerance, keep_environment, record=not no_record)
        done = running.reproduce(
            workspace,
            f"{version.model}@{version.version}",
            wanted,
            recipe=recipe,
            tell=lambda part: output.note(f"{part.what[0].upper()}{part.what[1:]}."),
        )
    output.answer(done, _tell)
    if not done.level.reaches(Level(level)):
        ctx.exit(exits.FOUND_PROBLEMS)


def _given(repository: Path | None, changed: tuple[str, ...]) -> Given:
    from tfx_pedigree.service.reproducing.looking import Given

    settings = {}
    for one in changed:
        name, sign, value = one.partition("=")
        if not sign or not name.isidentifier():
            raise InvalidInputError(f"--set {one!r} must be NAME=VALUE, such as data=/mnt/flights.")
        settings[name] = value
    return Given(repository.absolute() if repository else None, settings)


def _recipe(app: App) -> Recipe | None:
    """Of a config that names a pipeline, for a version whose run left none."""
    from tfx_pedigree.pipeline_config import load_pipeline, section_of
    from tfx_pedigree.service.reproducing.recipe import recipe_of

    file = app.settings.file
    if file is None or file.suffix == ".toml" or section_of(file, "pipeline") is None:
        return None
    return recipe_of(load_pipeline(file), None)


def _tell_report(report: CheckReport) -> None:
    if report.possible:
        how = "in an environment that is built" if report.environment.value == "built" else "in the environment here"
        output.say(f"{report.version} can be made again, {how}.")
    else:
        output.say(f"{report.version} cannot be made again.")
    for one in report.missing:
        output.say(f"{one.problem}. {one.step}", indent=2)
    for line in (*report.unknown, *report.notes):
        output.say(line, indent=2)


def _tell(done: Reproduction) -> None:
    from tfx_pedigree.service.reproducing.running import summary

    if done.failure:
        output.say(f"{done.version} was not made again: {done.failure} The full log is in {done.log}.")
        return
    output.say(f"{done.version}: {summary(done)}.")
    table = output.table("level", "same", "what it says…")
    for one in done.levels:
        same = {True: "yes", False: "no", None: output.NOTHING}[one.same]
        table.add_row(*output.cells([one.level.value, same, one.detail]))
    output.show("", table)
    for line in (*done.inputs, *done.notes):
        output.say(line)
    output.note(f"What was made is in {done.folder}.")
