"""`compare`: two versions side by side, what differs first."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeCommand

if TYPE_CHECKING:
    from tfx_pedigree.registry import Row, VersionDiff


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@click.argument("other", required=False, metavar="[REF]", shell_complete=references)
@click.option("--all", "everything", is_flag=True, help="Also parameters and tensors that are the same.")
@click.option("--exit-code", is_flag=True, help="End with exit code 1 if anything differs.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown"]),
    default="text",
    show_default=True,
    help="Markdown is for a comment on a pull request.",
)
@click.pass_context
@pass_app
def compare(
    app: App, ctx: click.Context, *, ref: str, other: str | None, everything: bool, exit_code: bool, form: str
) -> None:
    """Put two versions side by side.

    With two references the first is the old one. With one reference it is compared with its model's champion.

    Numbers, parameters and interface, as the registry has them; `pedigree diff` adds data, code and environment.
    """
    from tfx_pedigree.service.versions.looking_up import compare_versions

    with app.open().registry as registry:
        comparison = compare_versions(registry, ref, other)
        judged = registry.evidence(_exact(comparison)) if form == "markdown" else None
    if form == "markdown" and not app.json:
        from tfx_pedigree.integrations import comparison_as_markdown

        click.echo(comparison_as_markdown(comparison, judged), nl=False)
    else:
        output.answer(comparison, _print, everything)
    if exit_code and comparison.differs:
        ctx.exit(exits.FOUND_PROBLEMS)


def _exact(comparison: VersionDiff) -> str:
    return f"{comparison.new.model}@{comparison.new.version}"


def _print(comparison: VersionDiff, everything: bool) -> None:
    old, new = comparison.old, comparison.new
    same_model = old.model == new.model
    left, right = (old.version, new.version) if same_model else (old.name, new.name)
    output.say(f"{old.name} ({old.state}) → {new.name} ({new.state})")
    show_reasons(comparison.bump, comparison.reasons)
    show_metrics(comparison.metrics, comparison.metrics_note, left, right)
    show_rows("Parameters", comparison.parameters, left, right, everything)
    show_rows("Interface", comparison.interface, left, right, everything)


def show_reasons(bump: str | None, reasons: Sequence[str]) -> None:
    labels = itertools.chain([bump.upper() if bump else ""], itertools.repeat(""))
    output.show(output.sheet(zip(labels, reasons), indent=2))  # noqa: B905  one of them never ends


def show_metrics(rows: Sequence[Row], measured: str, left: str, right: str) -> None:
    """All of them: that a number stayed as it was is news as well."""
    if not rows:
        return
    table = output.table("", "Metrics…", f"{left}>", f"{right}>", "change")
    for row in rows:
        mark, style = _mark(row)
        values = [row.name, _value(row.old), _value(row.new), _change(row)]
        table.add_row(mark, *output.cells(values[:-1]), values[-1], style=style)
    output.show("", table)
    if measured:
        output.say(measured, indent=2)


def show_rows(heading: str, rows: Sequence[Row], left: str, right: str, everything: bool) -> None:
    shown = [row for row in rows if everything or row.differs]
    if not rows:
        return
    output.show("")
    if shown:
        table = output.table("", f"{heading}…", f"{left}…", f"{right}…")
        for row in shown:
            mark, style = _mark(row)
            table.add_row(mark, *output.cells([row.name, _value(row.old), _value(row.new)]), style=style)
        output.show(table)
    else:
        output.say(heading)
    if len(rows) > len(shown):
        output.say(
            f"{len(rows) - len(shown)} the same; --all shows them" if shown else f"all {len(rows)} the same", indent=2
        )


def _mark(row: Row) -> tuple[str, str]:
    """So that differences are seen without colour too."""
    if not row.differs:
        return " ", "dim"
    if row.old is None:
        return "+", "green"
    return ("-", "red") if row.new is None else ("~", "yellow")


def _value(value: Any) -> str | None:
    return None if value is None else output.number(value)


def _change(row: Row) -> str:
    if row.change is None or not row.differs:
        return ""
    share = f" ({row.change / abs(row.old):+.2%})" if row.old else ""
    return f"{row.change:+.6g}{share}"
