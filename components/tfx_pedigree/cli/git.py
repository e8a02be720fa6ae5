"""`git`: versions as annotated tags that GTO reads, and what GTO assigned there brought into the registry."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import model_names, references
from tfx_pedigree.cli.lazy import PedigreeGroup
from tfx_pedigree.cli.progress import bar
from tfx_pedigree.text import listed, plural

if TYPE_CHECKING:
    from tfx_pedigree.service.git.following import Assignment, Followed
    from tfx_pedigree.service.git.tags import GitTagging

_NAMED = 5


@click.group(cls=PedigreeGroup)
def git() -> None:
    """Keep versions in step with tags of a git repository."""


@git.command("tag")
@click.argument("ref", shell_complete=references)
@click.option("--all", "everything", is_flag=True, help="Tag all versions of the model REF.")
@click.option("--repo", type=click.Path(path_type=Path), default=Path(), help="The repository, if not the one here.")
@pass_app
def tag(app: App, ref: str, everything: bool, repo: Path) -> None:
    """Tag a version, and the stages of its model, in GTO's convention.

    The tags are on a branch `pedigree` of their own; your files and branches are not touched, and nothing is pushed.
    A version that is no longer in staging or production leaves that stage in git, too. Repeating the command adds
    nothing.
    """
    from tfx_pedigree.service.git.tags import tag_all_versions, tag_version

    with app.open().registry as registry:
        if everything:
            with bar("Tagging", unit="versions") as progress:
                done = tag_all_versions(registry, ref, repo, progress)
        else:
            done = tag_version(registry, ref, repo)
    if app.json:
        told: dict[str, Any] = {"version": done.versions[0].to_json()} if not everything else {"model": ref}
        output.emit({"changed": bool(done.new), "tags": list(done.tags), **told})
    else:
        _say(done, f"{plural(len(done.versions), 'version')} of {ref}" if everything else done.versions[0].name)


@git.command("follow")
@click.argument("model", shell_complete=model_names)
@click.option("--repo", type=click.Path(path_type=Path), default=Path(), help="The repository, if not the one here.")
@click.option("--dry-run", is_flag=True, help="Only say what would be asked of the registry.")
@click.pass_context
@pass_app
def follow(app: App, ctx: click.Context, *, model: str, repo: Path, dry_run: bool) -> None:
    """Promote what was assigned in git with GTO.

    Tags of stages that are newer than what the registry did count; those that Pedigree wrote say nothing new. The
    registry decides as it always does: gate, roles, approvals. Exit code 1 means that it refused something.
    """
    from tfx_pedigree.service.git.following import follow_git, new_assignments

    with app.open() as workspace:
        if dry_run:
            found = new_assignments(workspace.registry, model, repo)
            output.answer({"dry_run": True, "assignments": found}, lambda _: _say_found(model, found))
            return
        with bar("Checking") as progress:
            done = follow_git(workspace, model, repo, progress)
    refused = [one for one in done if one.refusal]
    output.answer({"changed": len(done) > len(refused), "followed": done}, lambda _: _say_followed(model, done))
    if refused:
        ctx.exit(exits.FOUND_PROBLEMS)


def _say_found(model: str, found: tuple[Assignment, ...]) -> None:
    for one in found:
        output.say(f"{one.tag} asks for {model} {one.version} in {one.stage}.")
    if not found:
        output.say(f"Git asks for nothing new of {model}.")


def _say_followed(model: str, done: tuple[Followed, ...]) -> None:
    for one in done:
        asked = one.assignment
        if one.refusal:
            output.say(f"{asked.tag} was refused: {one.refusal}")
        else:
            output.done(f"{model} {asked.version} is in {asked.stage} now, as {asked.tag} says.")
    if not done:
        output.done(f"Git asks for nothing new of {model}; nothing changed.")


def _say(done: GitTagging, subject: str) -> None:
    verb = "is" if len(done.versions) == 1 else "are"
    if not done.new:
        output.done(f"{subject} {verb} in git already; nothing changed.")
        return
    output.done(f"{subject} {verb} in git now. New tags: {listed(done.new, _NAMED)}.")
    output.note(f"Nothing was pushed. To push it: {shlex.join(('git', 'push', 'origin', 'pedigree', *done.new))}")
