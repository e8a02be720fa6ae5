"""`observe`, `observations`, `performance`: what is measured of a version while it serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import inputs, output
from tfx_pedigree.cli.app import App, asked, pass_app
from tfx_pedigree.cli.columns import Column, Columns, Shown
from tfx_pedigree.cli.complete import model_names, references
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.text import listed

if TYPE_CHECKING:
    from tfx_pedigree.registry import Observation
    from tfx_pedigree.service.performance import Performance

_FILE = click.Path(path_type=Path)


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@click.option("--metric", "metric", multiple=True, metavar="NAME=VALUE", help="What was measured; may be repeated.")
@click.option("--metrics", "metrics_file", type=_FILE, help="JSON file with metrics, numbers by name.")
@click.option("--from", "began", required=True, metavar="TIME", help="When what was measured began.")
@click.option("--to", "ended", required=True, metavar="TIME", help="When it ended.")
@click.option("--examples", type=click.IntRange(0), help="On how many examples.")
@click.option("--source", default="pushed", show_default=True, metavar="NAME", help="Who measured it.")
@pass_app
def observe(
    app: App,
    *,
    ref: str,
    metric: tuple[str, ...],
    metrics_file: Path | None,
    began: str,
    ended: str,
    examples: int | None,
    source: str,
) -> None:
    """Add what was measured of a version while it served.

    TIME is 2026-11-20 or 2026-11-20T14:30, in UTC unless it names a zone. The same observation twice is one; what was
    observed never changes.

    \b
      pedigree observe flight-delay@champion --metric auc=0.84 --examples 12000 --from 2026-11-21 --to 2026-11-22
    """
    from tfx_pedigree.registry import NewObservation, parse_time

    values = inputs.metrics(metric, metrics_file)
    if not values:
        raise click.UsageError("Give what was measured: --metric NAME=VALUE, or --metrics FILE.")
    seen = NewObservation(values, parse_time(began), parse_time(ended), examples, source)
    with app.open().registry as registry:
        change = registry.observe(ref, seen)
    name = f"{change.model} {change.version}"
    if change.changed:
        said = f"Observed of {name}: {listed([f'{key}={output.number(values[key])}' for key in change.added])}."
    else:
        said = f"That was observed of {name} already; nothing was changed."
    output.answer(change, lambda _: output.done(said))


_OBSERVATIONS: Columns[Observation] = Columns(
    {
        "to": Column(lambda one: output.when(one.ended_at), "to (UTC)"),
        "from": Column(lambda one: output.when(one.began_at), "from (UTC)", Shown.WIDE),
        "version": Column(lambda one: one.version),
        "metric": Column(lambda one: one.metric),
        "value": Column(lambda one: output.number(one.value), "value>"),
        "examples": Column(lambda one: one.examples, "examples>"),
        "source": Column(lambda one: one.source, "source…"),
        "by": Column(lambda one: one.created_by, shown=Shown.WIDE),
        "noted": Column(lambda one: output.when(one.created_at), "noted (UTC)", Shown.ASKED),
    }
)


@click.command(cls=PedigreeCommand)
@click.argument("ref", metavar="MODEL|REF", shell_complete=references)
@click.option("--metric", metavar="NAME", help="Only this metric.")
@click.option("--since", metavar="TIME", help="Only what ended then or later.")
@click.option("--until", metavar="TIME", help="Only what ended then or earlier.")
@_OBSERVATIONS.option
@inputs.paging
@pass_app
def observations(
    app: App,
    *,
    ref: str,
    metric: str | None,
    since: str | None,
    until: str | None,
    columns: list[str] | None,
    limit: int,
    after: str | None,
) -> None:
    """List what was observed, newest first.

    Of all versions of a model, or of one version (MODEL@VERSION).
    """
    from tfx_pedigree.registry import parse_time

    began, ended = (parse_time(text) if text else None for text in (since, until))
    model, at, _ = ref.partition("@")
    with app.open().registry as registry:
        version = registry.get(ref).version if at else None
        page = registry.observations(model, version, metric=metric, since=began, until=ended, limit=limit, after=after)
    given = {"--metric": metric, "--since": since, "--until": until}
    words = ["observations", ref, *(word for name, text in given.items() if text for word in (name, text))]
    nothing = f"Nothing was observed of {ref}, or nothing that fits."
    _OBSERVATIONS.answer(page, columns, words=[*words, "--limit", str(limit)], nothing=nothing)


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@click.option("--metric", metavar="NAME", help="Only this metric.")
@click.option("--since", metavar="TIME", help="Only what ended then or later.")
@click.option("--html", "html", type=_FILE, help="Write a page with the picture to this new file.")
@pass_app
def performance(app: App, *, model: str, metric: str | None, since: str | None, html: Path | None) -> None:
    """Draw how a model did while it served.

    Its newest observations over time, with the times of its champions and the champion's level before it served.
    """
    from tfx_pedigree.registry import parse_time
    from tfx_pedigree.service.performance import performance as performance_of

    began = parse_time(since) if since else None
    with app.open().registry as registry:
        found = performance_of(registry, model, metric, since=began)
    if html is not None:
        from tfx_pedigree.integrations.performance_pages import performance_as_html

        inputs.write_new(html, performance_as_html(found))
    if html is None or asked().json:
        output.answer(found, _tell)
    else:
        output.done(f"Written to {html}.")


def _tell(found: Performance) -> None:
    from tfx_pedigree.cli.plot import plot

    if not found.series:
        output.say(f"Nothing was observed of {found.model}, or nothing that fits.")
        output.next_step(
            "observe", f"{found.model}@champion", "--metric", "NAME=VALUE", "--from", "TIME", "--to", "TIME"
        )
        return
    width = min(output.console().width, 100)
    for number, series in enumerate(found.series):
        if number:
            output.say("")
        for line in plot(series, found.reigns, width):
            output.say(line)
    if found.more:
        output.note("There are older observations that are not shown.")
