"""`git`: a version as an annotated tag that GTO reads, for those who keep their history in git."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeGroup

if TYPE_CHECKING:
    from tfx_pedigree.registry import Event, Registry, Version

_STAGES = ("staging", "production")
_MOVES = ("promote", "rollback")


@click.group(cls=PedigreeGroup)
def git() -> None:
    """Write versions into a git repository as tags."""


@git.command("tag")
@click.argument("ref", shell_complete=references)
@click.option("--repo", type=click.Path(path_type=Path), default=Path(), help="The repository, if not the one here.")
@pass_app
def tag(app: App, ref: str, repo: Path) -> None:
    """Tag a version, and the stage in which it is, in GTO's convention.

    The tags are on a branch `pedigree` of their own; your files and branches are not touched, and nothing is pushed.
    Doing it again adds nothing.
    """
    from tfx_pedigree.versioning.git_names import Stamp, VersionPointer
    from tfx_pedigree.versioning.git_tags import GitTags

    with app.open() as registry:
        version = registry.get(ref)
        move = _move(registry, version)
    tags = GitTags(repo)
    before = {known.name for known in tags.tags(version.model)}
    pointer = VersionPointer(
        version.model, version.version, version.sequence, version.digest, version.timestamp_tag, version.reasons
    )
    names = [tags.register(pointer, Stamp(version.created_by, version.created_at))]
    if move is not None:
        stamp = Stamp(move.actor, move.at, move.reason or "", move.hash)
        names.append(tags.assign(version.model, version.version, version.state.value, stamp))
    new = [name for name in names if name not in before]
    if app.json:
        output.emit({"changed": bool(new), "tags": names, "version": version.to_json()})
    elif new:
        output.say(f"{version.name} has the git {'tag' if len(new) == 1 else 'tags'} {output.listed(new)} now.")
        output.note(f"Nothing was pushed. To push it: {shlex.join(('git', 'push', 'origin', 'pedigree', *new))}")
    else:
        output.say(f"{version.name} has the git tags {output.listed(names)} already; nothing changed.")


def _move(registry: Registry, version: Version) -> Event | None:
    """The event that brought the version to the stage in which it is."""
    if version.state.value not in _STAGES:
        return None
    after = None
    while True:
        page = registry.history(version.model, version.version, limit=100, after=after)
        for event in page.items:
            if event.action in _MOVES and event.to_state == version.state.value:
                return event
        if page.next is None:
            return None
        after = page.next
