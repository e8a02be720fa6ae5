"""`models`, `versions`, `search`: what there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.columns import Column, Columns, Shown
from tfx_pedigree.cli.complete import model_names
from tfx_pedigree.cli.inputs import paging
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.text import format_size, short_digest

if TYPE_CHECKING:
    from tfx_pedigree.registry import Model, Version

_NARROW_METRICS, _WIDE_METRICS = 4, 8


def standing(version: Version) -> str:
    """The state, and in a word what keeps the version there."""
    if version.withdrawn:
        return "archived, kept out"
    if version.refusal and version.state.value in ("development", "staging"):
        return f"{version.state}, refused"
    return str(version.state)


def _own_aliases(version: Version) -> str:
    """Those that people gave: that a version is champion stands in its state."""
    return ", ".join(alias for alias in version.aliases if alias != "champion")


def _metrics(version: Version) -> str:
    told = [f"{name} {output.number(value)}" for name, value in sorted(version.metrics.items())]
    most = _WIDE_METRICS if output.is_wide() else _NARROW_METRICS
    return ", ".join(told[:most] + ([f"+{len(told) - most} more"] if len(told) > most else []))


_MODELS: Columns[Model] = Columns(
    {
        "model": Column(lambda model: model.name),
        "champion": Column(lambda model: model.champion),
        "versions": Column(lambda model: model.versions, "versions>"),
        "created": Column(lambda model: output.when(model.created_at), "created (UTC)"),
        "by": Column(lambda model: model.created_by, "by…"),
    }
)
_STYLES = {"production": "bold green", "archived": "dim", "reserved": "dim"}
_VERSIONS: Columns[Version] = Columns(
    {
        "version": Column(lambda version: version.version),
        "state": Column(standing),
        "created": Column(lambda version: output.when(version.created_at), "created (UTC)"),
        "aliases": Column(_own_aliases, "aliases…", Shown.FILLED),
        "metrics": Column(_metrics, "metrics…"),
        "sequence": Column(lambda version: version.sequence, "sequence>", Shown.WIDE),
        "digest": Column(lambda version: short_digest(version.digest), "digest", Shown.WIDE),
        "by": Column(lambda version: version.created_by, "by…", Shown.WIDE),
        "registered": Column(lambda version: output.when(version.registered_at), "registered (UTC)", Shown.ASKED),
        "after": Column(lambda version: version.predecessor, shown=Shown.ASKED),
        "bump": Column(lambda version: version.bump, shown=Shown.ASKED),
        "size": Column(
            lambda version: None if version.size is None else format_size(version.size), "size>", Shown.ASKED
        ),
        "files": Column(lambda version: version.files, "files>", Shown.ASKED),
        "refused": Column(lambda version: version.refusal, "refused…", Shown.ASKED),
        "tags": Column(lambda version: _pairs(version.tags), "tags…", Shown.ASKED),
        "params": Column(lambda version: _pairs(version.parameters), "params…", Shown.ASKED),
    },
    families={
        "metric": lambda version: version.metrics,
        "param": lambda version: version.parameters,
        "tag": lambda version: version.tags,
    },
    style=lambda version: _STYLES.get(version.state.value),
)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={output.number(value)}" for name, value in sorted(values.items()))


@click.command(cls=PedigreeCommand)
@_MODELS.option
@paging
@pass_app
def models(app: App, columns: list[str] | None, limit: int, after: str | None) -> None:
    """List the models of the registry."""
    with app.open().registry as registry:
        page = registry.models(limit=limit, after=after)
    _MODELS.answer(page, columns, words=("models", "--limit", str(limit)), nothing="There is no model yet.")
    if not page.items and after is None:
        output.next_step("register", "MODEL", "FOLDER")


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@_VERSIONS.option
@paging
@pass_app
def versions(app: App, model: str, columns: list[str] | None, limit: int, after: str | None) -> None:
    """List a model's versions, newest first."""
    with app.open().registry as registry:
        page = registry.versions(model, limit=limit, after=after)
    words = ("versions", model, "--limit", str(limit))
    _VERSIONS.answer(page, columns, words=words, nothing=f"{model} has no version yet.")


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@click.argument("terms", nargs=-1, required=True, metavar="TERM...")
@_VERSIONS.option
@paging
@pass_app
def search(
    app: App, *, model: str, terms: tuple[str, ...], columns: list[str] | None, limit: int, after: str | None
) -> None:
    """Find versions by metric, state, tag or time.

    All terms must hold. A term is a comparison, in quotes where it contains < or >:

    \b
      'metric.auc>=0.9'     state=staging     tag.team=ops     'created>2026-11-01'

    The first metric that is compared also gives the order, best first; else the newest come first.
    """
    with app.open().registry as registry:
        page = registry.search(model, terms, limit=limit, after=after)
    words = ("search", model, *terms, "--limit", str(limit))
    _VERSIONS.answer(page, columns, words=words, nothing=f"No version of {model} fits {' and '.join(terms)}.")
