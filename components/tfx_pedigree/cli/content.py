"""`pull`, `verify`, `gc`: the bytes behind the versions."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.inputs import duration, read_text
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.progress import bar, waiting
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import format_size, listed, plural

if TYPE_CHECKING:
    from tfx_pedigree.service.versions.content import ContentReport
    from tfx_pedigree.store import GcReport


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@click.argument("target", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--link",
    type=click.Choice(["copy", "hardlink", "reflink"]),
    default="copy",
    show_default=True,
    help="How files are copied; never write to a hard link.",
)
@click.option(
    "--signed/--unsigned",
    default=None,
    help="Only if a key that the model trusts signed it.  [default: where it trusts keys, but for the champion]",
)
@click.option("--trusted", multiple=True, type=click.Path(path_type=Path), help="Only if this key signed it.")
@pass_app
def pull(app: App, ref: str, target: Path, *, link: Any, signed: bool | None, trusted: tuple[Path, ...]) -> None:
    """Write a version's files to a folder.

    Every byte is checked. The folder appears complete or not at all; if it holds this version already, nothing
    changes. A trusted signature is written beside it, to TARGET.sig.
    """
    from tfx_pedigree.service.versions.signing import pull_version
    from tfx_pedigree.signing import read_trusted

    keys = [read_trusted(path) for path in trusted]
    with app.open() as workspace, bar(f"Pulling {ref}") as progress:
        pulled = pull_version(workspace, ref, target, signed=signed, trusted=keys, link=link, progress=progress)
    output.answer(pulled, lambda _: output.done(f"{pulled.version.name} is in {pulled.path}."))


@click.command(cls=PedigreeCommand)
@click.argument("ref", required=False, metavar="[MODEL|REF]", shell_complete=references)
@click.option("--signature", type=click.Path(path_type=Path), help="Also check this signature of the version.")
@click.option(
    "--trusted", multiple=True, type=click.Path(path_type=Path), help="A key or certificate whose signature counts."
)
@click.pass_context
@pass_app
def verify(app: App, ctx: click.Context, ref: str | None, signature: Path | None, trusted: tuple[Path, ...]) -> None:
    """Check the stored files and tell what is damaged.

    Of one version (MODEL@VERSION), of all versions of a model, or of the whole store. Damaged files are set aside, so
    that registering the same model again repairs them. Exit code 1 means that something is damaged.

    With --signature, the file must hold a signature of the version's files by a trusted key: those that the model
    trusts, unless --trusted names others. It may come from `model_signing sign`.
    """
    if signature is not None or trusted:
        _verify_signature(app, ref, signature, trusted)
        return
    from tfx_pedigree.service.versions.content import verify_content

    with app.open() as workspace, bar("Verifying") as progress:
        report = verify_content(workspace, ref, progress)
    output.answer(report, _print)
    if not report.ok:
        ctx.exit(exits.FOUND_PROBLEMS)


def _verify_signature(app: App, ref: str | None, signature: Path | None, trusted: tuple[Path, ...]) -> None:
    if ref is None or signature is None:
        raise InvalidInputError("A signature is checked against one version: `pedigree verify REF --signature FILE`.")
    from tfx_pedigree.service.versions.signing import check_signature
    from tfx_pedigree.signing import Bundle, read_trusted

    bundle = Bundle.from_text(read_text(signature, "signature"), str(signature))
    keys = [read_trusted(path) for path in trusted]
    with app.open() as workspace, bar("Verifying") as progress:
        report = check_signature(workspace, ref, bundle, keys, progress)
    signer = f" by {report.subject}" if report.subject else ""
    text = f"{report.version.name}: signed{signer}, all {plural(report.files, 'file')} as they were signed."
    output.answer(report, lambda _: output.done(text))


def _print(report: ContentReport) -> None:
    what = f"{plural(report.versions, 'version')}, {plural(report.objects, 'object')}"
    if report.ok:
        output.done(f"{what}, {format_size(report.size)}: all bytes are as they were stored.")
        return
    for problem in report.problems:
        owners = listed(problem.names) or "no registered version"
        thing = listed(problem.paths) or ("its manifest" if problem.kind == "manifest" else problem.name)
        aside = " (set aside)" if problem.set_aside else ""
        output.say(f"{owners}: {thing} is {problem.state}{aside}")
    output.say(f"{plural(len(report.problems), 'problem')} in {what}.")
    output.note("Register the same model again to repair it, or restore the store from a backup.")


@click.command(cls=PedigreeCommand)
@click.option("--delete", is_flag=True, help="Delete it. Without this option nothing is deleted.")
@click.option("--grace", default="24h", show_default=True, metavar="TIME", help="Keep what is younger: 90s 30m 24h 7d.")
@click.option(
    "--force", is_flag=True, help="Go on although the store lacks registered versions, or none is registered."
)
@click.option("--also", multiple=True, metavar="ADDRESS", help="Another registry with the same store; may be repeated.")
@pass_app
def gc(app: App, delete: bool, grace: str, force: bool, also: tuple[str, ...]) -> None:
    """Find or delete bytes that no version needs.

    What any version of any model in this registry needs is kept, also of reserved and archived versions. Where
    several registries share the store, give the others with --also. A short --grace can hit a model that is
    being registered right now.
    """
    from tfx_pedigree.service.versions.content import collect_garbage
    from tfx_pedigree.service.workspace import connect

    spare = duration(grace)
    with contextlib.ExitStack() as stack:
        workspace = stack.enter_context(app.open())
        shared = [stack.enter_context(connect(address, **app.opening)) for address in also]
        others = [one.database("Looking for garbage") for one in shared]
        stack.enter_context(waiting("Looking for what no version needs"))
        report = collect_garbage(workspace, others, delete=delete, grace=spare, force=force)
    output.answer(report, _print_gc, grace, also)


def _print_gc(report: GcReport, grace: str, also: Sequence[str]) -> None:
    parts = [plural(len(report.versions), "unregistered version"), plural(report.objects, "object")]
    if report.leftovers:
        parts.append(plural(report.leftovers, "leftover"))
    nothing = not (report.versions or report.objects or report.leftovers)
    kept = f"{plural(report.kept, 'version')} {'stays' if report.kept == 1 else 'stay'}"
    if nothing:
        output.say(f"There is nothing to delete; {kept}.")
    elif report.dry_run:
        output.say(f"Would delete {listed(parts)} ({format_size(report.size)}); {kept}.")
        options = [*([] if grace == "24h" else ["--grace", grace]), *(word for one in also for word in ("--also", one))]
        output.next_step("gc", "--delete", *options)
    else:
        output.done(f"Deleted {listed(parts)} ({format_size(report.size)}); {kept}.")
