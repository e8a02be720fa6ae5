"""`show`: all that is known of one version, on one page."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.text import format_minute, format_size, listed, plural, short_digest, visible

if TYPE_CHECKING:
    from tfx_pedigree.registry import ChampionPeriod, Evidence, Version
    from tfx_pedigree.service.versions.version_sheet import VersionSheet
    from tfx_pedigree.versioning import ModelDescription

_MOST = 20
Lines = Iterable[tuple[str, Any]]


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@pass_app
def show(app: App, ref: str) -> None:
    """Show all that is known of one version."""
    from tfx_pedigree.service.versions.version_sheet import version_sheet

    with app.open().registry as registry:
        sheet = version_sheet(registry, ref)
    output.answer(sheet, _print)


def _print(sheet: VersionSheet) -> None:
    from rich.text import Text

    version = sheet.version
    title = Text(visible(version.name), style="bold")
    title.append(f"  {version.state}", style="green" if version.state.value == "production" else "")
    output.show(title, Text(version.digest, style="dim"), "")
    _section(None, _standing(version, sheet.reigns))
    _section("Metrics", _values(version.metrics))
    _section("Parameters", _values(version.parameters))
    _section("Tags", _values(version.tags))
    if sheet.evidence is not None:
        _section("Evidence", _evidence(sheet.evidence, sheet.baseline))
    _section("Champion", _reigns(sheet.reigns))
    for heading, lines in _interface(sheet.description):
        _section(heading, lines)


def _section(heading: str | None, lines: Lines) -> None:
    """Nothing at all where there are no lines; a long list is cut, and says so."""
    from rich.text import Text

    rows = list(lines)
    if not rows:
        return
    if heading:
        output.show("", Text(visible(heading), style="bold"))
    output.show(output.sheet(rows[:_MOST], indent=2 if heading else 0))
    if len(rows) > _MOST:
        output.show(f"  … and {len(rows) - _MOST} more; --json shows them all")


def _standing(version: Version, reigns: Sequence[ChampionPeriod]) -> Iterator[tuple[str, Any]]:
    yield "state", _state(version, reigns)
    if version.refusal:
        yield "refused", version.refusal
    bump = f"{version.bump.upper()} after {version.predecessor}" if version.bump and version.predecessor else ""
    for label, reason in zip(itertools.chain(["why"], itertools.repeat("")), version.reasons):  # noqa: B905
        yield label, f"{bump}: {reason}" if label and bump else reason
    aliases = [alias for alias in version.aliases if alias != "champion"]
    if aliases:
        yield "aliases", listed(aliases)
    yield "sequence", version.sequence
    yield "time tag", version.timestamp_tag
    if version.size is not None:
        yield "size", f"{format_size(version.size)} in {plural(version.files or 0, 'file')}"
    yield "created", f"{format_minute(version.created_at)} by {version.created_by}"
    if version.registered_at:
        yield "registered", format_minute(version.registered_at)


def _state(version: Version, reigns: Sequence[ChampionPeriod]) -> str:
    if version.state.value == "production" and reigns:
        return f"production: champion since {format_minute(reigns[0].began_at)}"
    if version.withdrawn:
        return "archived on purpose: it stays out until it is restored"
    if version.state.value == "archived":
        return "archived: it was champion and was replaced"
    return str(version.state)


def _values(values: Mapping[str, Any]) -> Lines:
    return [(name, output.number(value)) for name, value in sorted(values.items())]


def _evidence(evidence: Evidence, baseline: str | None) -> Iterator[tuple[str, Any]]:
    yield "verdict", f"{evidence.verdict.value}: {evidence.reason}"
    if evidence.recommendation:
        yield "recommendation", evidence.recommendation.value
    if evidence.champion:
        yield "compared with", " ".join(filter(None, (baseline, short_digest(evidence.champion))))
    else:
        yield "compared with", "nothing: there was no champion"
    if evidence.evaluation_data:
        yield "data", short_digest(evidence.evaluation_data)
    if evidence.policy:
        yield "policy", short_digest(evidence.policy)
    yield "digest", short_digest(evidence.digest)


def _reigns(reigns: Sequence[ChampionPeriod]) -> Lines:
    return [
        (f"{output.when(reign.began_at)}", f"to {format_minute(reign.ended_at)}" if reign.ended_at else "until now")
        for reign in reigns
    ]


def _interface(description: ModelDescription) -> Iterator[tuple[str, Lines]]:
    if description.is_opaque:
        yield "Interface", [("unknown", "these files hold no SavedModel that could be read")]
        return
    for name, signature in description.signatures.items():
        inputs = [
            (f"input {key}", f"{spec}{', optional' if key in signature.optional else ''}")
            for key, spec in signature.inputs.items()
        ]
        yield f"Signature {name}", inputs + [(f"output {key}", str(spec)) for key, spec in signature.outputs.items()]
