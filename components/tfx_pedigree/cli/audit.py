"""`audit`: whether the log and the rows tell the truth, and a note of where the log ends to be kept elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import exits, inputs, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeGroup
from tfx_pedigree.cli.progress import bar
from tfx_pedigree.text import plural

if TYPE_CHECKING:
    from tfx_pedigree.service.audit import AnchorTag, AuditFindings

_FILE = click.Path(path_type=Path)
# Of notes that say the same of one decision after the other.
_MOST = 5


@click.group(cls=PedigreeGroup)
def audit() -> None:
    """Check the audit log, or anchor it elsewhere."""


@audit.command("verify")
@click.option("--anchor", "anchor_file", type=_FILE, help="What `pedigree audit anchor` printed at an earlier time.")
@click.pass_context
@pass_app
def verify(app: App, ctx: click.Context, anchor_file: Path | None) -> None:
    """Check that no event was altered, removed or reordered, and that the rows and the lineage are what the events say.

    Every decision on file is made again, and named where it comes out otherwise or cannot be made again.
    With an anchor that was kept outside the database, a history that was rewritten as a whole is found as well.
    Exit code 1 says that something is wrong.
    """
    from tfx_pedigree.registry import Anchor
    from tfx_pedigree.service.audit import verify_audit

    anchor = Anchor.from_json(inputs.read_json(anchor_file, "anchor")) if anchor_file else None
    with app.open() as workspace:
        findings = verify_audit(workspace.registry, workspace.lineage, anchor, lambda unit: bar("Checking", unit=unit))
    output.answer(findings, _tell, anchored=anchor is not None)
    if findings.problems:
        ctx.exit(exits.FOUND_PROBLEMS)


def _tell(findings: AuditFindings, *, anchored: bool) -> None:
    log, graph = findings.log, findings.lineage
    events = plural(log.events, "event")
    rows = [plural(many, noun) for many, noun in ((graph.nodes, "node"), (graph.edges, "edge"))]
    lineage = f", {' and '.join(rows)} of lineage" if graph.nodes or graph.edges else ""
    for one in findings.not_on_file[:_MOST]:
        output.note(one)
    if (more := len(findings.not_on_file) - _MOST) > 0:
        output.note(f"{more} more cannot be replayed; --json names them all.")
    if not findings.problems:
        output.done(f"{events} in {plural(log.chains, 'log')}{lineage}: all is as it was.")
        if not anchored:
            output.note("Without an anchor, whoever owns the database could have rewritten all of it.")
            output.next_step("audit", "anchor", label="To make an anchor")
        return
    for problem in findings.problems:
        output.say(problem)
    output.say(f"{plural(len(findings.problems), 'problem')} in {events}{lineage}.")
    output.note("Restore the database from a backup, and find out who can write to it.")


@audit.command("anchor")
@click.option("--output", "file", type=_FILE, help="Write it to this new file.")
@click.option("--git", "repository", type=_FILE, help="Keep it as an annotated tag in this git repository.")
@pass_app
def anchor(app: App, file: Path | None, repository: Path | None) -> None:
    """Print where all logs end now, as JSON, to be kept outside the database.

    Keep it where those who own the database cannot change it: in a git tag, a ticket, another system.
    """
    from tfx_pedigree.service.audit import anchor_text, keep_in_git

    with app.open().registry as registry:
        if repository is not None:
            output.answer(keep_in_git(registry, repository), _tell_of_tag)
            return
        taken = registry.anchor()
    if file is None or file == inputs.STANDARD:
        output.emit(taken.to_json())
        return
    inputs.write_new(file, anchor_text(taken))
    done = f"The anchor of {plural(len(taken.heads), 'log')} is in {file}."
    output.answer({"file": str(file), "digest": taken.digest}, lambda _: output.done(done))
    output.next_step("audit", "verify", "--anchor", str(file))


def _tell_of_tag(kept: AnchorTag) -> None:
    output.done(f"The anchor of {plural(kept.logs, 'log')} is the git tag {kept.tag}.")
    output.note(f"Nothing was pushed. To check against it: git cat-file blob {kept.tag} > anchor.json")
    output.next_step("audit", "verify", "--anchor", "anchor.json")
