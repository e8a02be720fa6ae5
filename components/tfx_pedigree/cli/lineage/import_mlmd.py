"""`lineage import-mlmd`: what an ML Metadata store knows of pipelines, into the lineage graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.progress import bar
from tfx_pedigree.text import plural, visible

if TYPE_CHECKING:
    from tfx_pedigree.mlmd import Imported

# As many cycles as anybody reads.
_SHOWN = 3


@click.command("import-mlmd", cls=PedigreeCommand)
@click.argument("source")
@click.option("--pipeline", metavar="NAME", help="Only the runs of this pipeline.")
@click.option("--since", metavar="TIME", help="Only the runs that began then or later.")
@click.option(
    "--digests", is_flag=True, help="Know models, schemas and transform graphs by the files that still lie there."
)
@click.option("--dry-run", is_flag=True, help="Read and count; write nothing.")
@pass_app
def import_mlmd(
    app: App, source: str, *, pipeline: str | None, since: str | None, digests: bool, dry_run: bool
) -> None:
    """Bring in what an ML Metadata store knows.

    SOURCE is a SQLite file, mysql://USER@HOST/DATABASE, postgresql://USER@HOST/DATABASE, grpc://HOST:PORT, or a file
    with TFX's metadata_connection_config (.pbtxt). A password may stand in PEDIGREE_MLMD_PASSWORD.

    Nothing is written there. Importing again adds only what is new, and continues what was interrupted.
    """
    from tfx_pedigree.registry import parse_time
    from tfx_pedigree.service.mlmd_import import import_mlmd as use_case

    began = parse_time(since) if since else None
    with app.open() as workspace, bar("Importing", unit="nodes") as progress:
        done = use_case(
            workspace,
            source,
            pipeline=pipeline,
            since=began,
            digests=digests,
            dry_run=dry_run,
            progress=progress,
        )
    told = {"source": done.source, "dry_run": dry_run, **done.found.to_json()}
    output.answer(told, lambda _: _print(done.found, done.source, done.whole))


def _print(found: Imported, shown: str, is_all: bool) -> None:
    read = f"{plural(found.runs, 'run')} with {plural(found.executions, 'execution')}"
    output.say(f"{shown} has {read} and {plural(found.artifacts, 'artifact')}{'' if is_all else ' to be imported'}.")
    whole = f"{plural(found.nodes, 'node')} and {plural(found.edges, 'edge')}"
    new = found.recorded
    if new is None:
        output.say(f"They are {whole} of the graph. Nothing was written.")
    elif not new.anything:
        output.say("All of it was in the graph already; nothing changed.")
    else:
        added = f"{plural(new.nodes, 'node')} and {plural(new.edges, 'edge')}"
        output.say(f"They are {whole} of the graph, of which {added} are new.")
        if new.hidden:
            output.say(f"{plural(new.hidden, 'value')} looked like secrets and {_be(new.hidden)} hidden.")
    _print_cycles(found)
    if new is not None and new.anything:
        output.next_step("lineage", "--help")


def _print_cycles(found: Imported) -> None:
    if found.loops:
        outputs = plural(found.loops, "artifact")
        output.say(f"{outputs} came out of an execution that had them as input: that is no edge of the graph.")
    if found.cycles:
        many = len(found.cycles)
        words = "way leads back to where it began" if many == 1 else "ways lead back to where they began, as in"
        output.say(f"{many} {words}:")
        for cycle in found.cycles[:_SHOWN]:
            output.say(" → ".join(visible(key[: key.index(":") + 9]) for key in cycle), indent=2)


def _be(many: int) -> str:
    return "was" if many == 1 else "were"
