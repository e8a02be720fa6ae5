"""`git`: a version as an annotated tag that GTO reads, for those who keep their history in git."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeGroup
from tfx_pedigree.cli.progress import bar
from tfx_pedigree.text import listed

if TYPE_CHECKING:
    from tfx_pedigree.service.git_tags import GitTagging

_NAMED = 5


@click.group(cls=PedigreeGroup)
def git() -> None:
    """Write versions into a git repository as tags."""


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
    from tfx_pedigree.service.git_tags import tag_all_versions, tag_version

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
        _say(done, f"All {len(done.versions)} versions of {ref}" if everything else done.versions[0].name)


def _say(done: GitTagging, subject: str) -> None:
    verb = "is" if len(done.versions) == 1 else "are"
    if not done.new:
        output.done(f"{subject} {verb} in git already; nothing changed.")
        return
    output.done(f"{subject} {verb} in git now. New tags: {listed(done.new, _NAMED)}.")
    output.note(f"Nothing was pushed. To push it: {shlex.join(('git', 'push', 'origin', 'pedigree', *done.new))}")
