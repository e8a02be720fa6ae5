"""`audit`: whether the log and the rows tell the truth, and a note of where the log ends to be kept elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import exits, inputs, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeGroup
from tfx_pedigree.cli.progress import bar
from tfx_pedigree.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfx_pedigree.lineage.verifying import GraphReport
    from tfx_pedigree.registry import Anchor, AuditReport

_FILE = click.Path(path_type=Path)


@click.group(cls=PedigreeGroup)
def audit() -> None:
    """Check the audit log, or anchor it elsewhere."""


@audit.command("verify")
@click.option("--anchor", "anchor_file", type=_FILE, help="What `pedigree audit anchor` printed at an earlier time.")
@click.pass_context
@pass_app
def verify(app: App, ctx: click.Context, anchor_file: Path | None) -> None:
    """Check that no event was altered, removed or reordered, and that the rows and the lineage are what the events say.

    With an anchor that was kept outside the database, a history that was rewritten as a whole is found as well.
    Exit code 1 says that something is wrong.
    """
    from tfx_pedigree.lineage.lineage import Lineage
    from tfx_pedigree.registry import Anchor

    anchor = Anchor.from_json(inputs.read_json(anchor_file, "anchor")) if anchor_file else None
    with app.open().registry as registry:
        with bar("Checking", unit="events") as progress:
            report = registry.verify_audit(anchor, progress)
        with bar("Checking the lineage graph", unit="nodes") as progress:
            graph = Lineage(registry).verify(progress)
    problems = (*report.problems, *graph.problems)
    if app.json:
        emitted = {**report.to_json(), "ok": not problems, "problems": list(problems)}
        output.emit({**emitted, "lineage": graph.to_json()})
    else:
        _tell(report, graph, problems)
        if not problems and anchor is None:
            output.note("Without an anchor, who owns the database could have rewritten it: pedigree audit anchor")
    if problems:
        ctx.exit(exits.FOUND_PROBLEMS)


def _tell(report: AuditReport, graph: GraphReport, problems: Sequence[str]) -> None:
    events = plural(report.events, "event")
    rows = [plural(many, noun) for many, noun in ((graph.nodes, "node"), (graph.edges, "edge"))]
    lineage = f", {' and '.join(rows)} of lineage" if graph.nodes or graph.edges else ""
    if not problems:
        output.done(f"{events} in {plural(report.chains, 'log')}{lineage}: all is as it was.")
        return
    for problem in problems:
        output.say(problem)
    output.say(f"{plural(len(problems), 'problem')} in {events}{lineage}.")
    output.note("Restore the database from a backup, and find out who can write to it.")


@audit.command("anchor")
@click.option("--output", "file", type=_FILE, help="Write it to this new file.")
@click.option("--git", "repository", type=_FILE, help="Keep it as an annotated tag in this git repository.")
@pass_app
def anchor(app: App, file: Path | None, repository: Path | None) -> None:
    """Print where all logs end now, as JSON, to be kept outside the database.

    Keep it where those who own the database cannot change it: in a git tag, a ticket, another system.
    """
    with app.open().registry as registry:
        taken = registry.anchor()
    if repository is not None:
        _keep_in_git(app, taken, repository)
        return
    if file is None or file == inputs.STANDARD:
        output.emit(taken.to_json())
        return
    inputs.write_new(file, json.dumps(taken.to_json(), indent=2) + "\n")
    if app.json:
        output.emit({"file": str(file), "digest": taken.digest})
    else:
        output.done(f"The anchor of {plural(len(taken.heads), 'log')} is in {file}.")
        output.next_step("audit", "verify", "--anchor", str(file))


def _keep_in_git(app: App, taken: Anchor, repository: Path) -> None:
    from tfx_pedigree.versioning.git_anchor import tag_anchor

    text = json.dumps(taken.to_json(), indent=2) + "\n"
    logs = plural(len(taken.heads), "log")
    name, new = tag_anchor(repository, taken.digest, text, f"Anchor of {logs} of the registry {taken.registry}")
    if app.json:
        output.emit({"changed": new, "tag": name, "digest": taken.digest})
        return
    output.done(f"The anchor of {logs} is the git tag {name}.")
    output.note(f"Nothing was pushed. To check against it: git cat-file blob {name} > anchor.json")
    output.next_step("audit", "verify", "--anchor", "anchor.json")
