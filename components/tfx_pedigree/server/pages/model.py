"""Model: how did it get here? Champions over time, a metric over the versions, and the versions themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from tfx_pedigree.comparison.wording import number
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.html import Markup
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import (
    Action,
    Evidence,
    Model,
    Registry,
    State,
    Verdict,
    Version,
)
from tfx_pedigree.server.pages import charts
from tfx_pedigree.server.pages.evidence_parts import intervals
from tfx_pedigree.server.pages.reigns import Reign, reigns
from tfx_pedigree.server.pages.view import PAGE, Asked, Offer, View, of_model, of_version, offer
from tfx_pedigree.service.versions.describing import Description, description_of
from tfx_pedigree.text import format_minute

# As a search sees it, every number lies beyond these: the order is then that of the metric.
_BEST, _WORST = "1e308", "-1e308"


@dataclass(frozen=True)
class VersionLine(JsonForm):
    """A version in the table. `against` is the metric's change against the champion, where both were measured on the
    same rows (`paired`) or not."""

    version: Version
    verdict: Verdict | None
    interval: tuple[float, float] | None
    against: float | None
    paired: bool


@dataclass(frozen=True)
class ModelPage(JsonForm):
    model: Model
    description: Description | None
    champion: Version | None
    metric: str | None
    metrics: tuple[str, ...]
    filters: tuple[str, ...]
    sort: str
    reigns: tuple[Reign, ...]
    versions: tuple[VersionLine, ...]
    next: str | None


def page(asked: Asked) -> View:
    registry, name = asked.registry, asked.path("model")
    model = registry.model(name)
    champion = registry.get(f"{name}@champion") if model.champion else None
    filters = tuple(asked.query("q").split())
    sort = asked.query("sort") or "newest"
    terms = (*filters, *_state(asked.query("state")), *_order(sort))
    found = registry.search(name, terms, limit=PAGE, after=asked.given("after"))
    metrics = _metrics(champion, found.items)
    metric = asked.given("metric") or _leading(sort) or (metrics[0] if metrics else None)
    held = registry.evidence_by_version(name, [one.version for one in found.items])
    lines = tuple(_line(one, held.get(one.version), champion, metric) for one in found.items)
    held_reigns = reigns(registry, name)
    described = description_of(registry, name)
    made = ModelPage(model, described, champion, metric, metrics, filters, sort, held_reigns, lines, found.next)
    extra = {
        "timeline": _timeline(held_reigns),
        "backs": [one for one in held_reigns if one.is_back],
        "chart": _chart(lines, metric, champion),
        "offers": _offers(registry, name, held_reigns),
        "states": [state.value for state in State],
        "state": asked.query("state"),
        "query": asked.query("q"),
        "first": asked.given("after") is None,
        "done": described if described and asked.query("done") == str(described.event) else None,
    }
    command = ("search", name, *terms) if terms else ("versions", name)
    return View("model.html", name, made, command, extra)


def _state(text: str) -> tuple[str, ...]:
    return (f"state={text}",) if text else ()


def _order(sort: str) -> tuple[str, ...]:
    """`-auc`: the highest first; `auc`: the lowest first."""
    if sort == "newest":
        return ()
    name = sort.removeprefix("-")
    if not name:
        raise InvalidInputError(f"{sort!r} is no order. Sort by `newest`, a metric, or -metric for the highest first.")
    return (f"metric.{name}>={_WORST}",) if sort.startswith("-") else (f"metric.{name}<={_BEST}",)


def _leading(sort: str) -> str | None:
    return None if sort == "newest" else sort.removeprefix("-")


def _metrics(champion: Version | None, versions: Sequence[Version]) -> tuple[str, ...]:
    """The champion's first: those count."""
    held = [one.metrics for one in (champion, *versions) if one is not None]
    return tuple(dict.fromkeys(name for metrics in held for name in sorted(metrics)))


def _line(version: Version, evidence: Evidence | None, champion: Version | None, metric: str | None) -> VersionLine:
    verdict = evidence.verdict if evidence else None
    interval = _around(intervals(evidence).get(metric), version.metrics.get(metric)) if evidence and metric else None
    change, paired = _against(version, evidence, champion, metric)
    return VersionLine(version, verdict, interval, change, paired)


def _around(interval: tuple[float, float] | None, value: float | None) -> tuple[float, float] | None:
    """An interval around another number was measured on other data."""
    return interval if interval and value is not None and interval[0] <= value <= interval[1] else None


def _against(
    version: Version, evidence: Evidence | None, champion: Version | None, metric: str | None
) -> tuple[float | None, bool]:
    if champion is None or metric is None or version.version == champion.version:
        return None, False
    if evidence is not None and evidence.champion == champion.digest:
        new, old = (_number(evidence.metrics.get(side), metric) for side in ("challenger", "champion"))
        if new is not None and old is not None:
            return new - old, True
    mine, theirs = (_number(one.metrics, metric) for one in (version, champion))
    return (mine - theirs, False) if mine is not None and theirs is not None else (None, False)


def _number(table: Any, name: str) -> float | None:
    found = table.get(name) if isinstance(table, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    return float(found)


def _timeline(held: Sequence[Reign]) -> Markup | None:
    bars = [
        charts.Bar(
            one.period.version,
            one.period.began_at,
            one.period.ended_at,
            one.is_back,
            of_version(one.period.model, one.period.version),
            _said(one),
        )
        for one in held
    ]
    return charts.timeline(bars, datetime.now(timezone.utc), "Champions over time")


def _said(one: Reign) -> str:
    until = f"to {format_minute(one.period.ended_at)}" if one.period.ended_at else "until now"
    how = "brought back by a rollback" if one.is_back else "promoted"
    who = f", {how} by {one.by}" if one.by else ""
    why = f": {one.reason}" if one.reason else ""
    return f"{one.period.version}, {format_minute(one.period.began_at)} {until}{who}{why}"


def _chart(lines: Sequence[VersionLine], metric: str | None, champion: Version | None) -> Markup | None:
    if metric is None:
        return None
    known = [one for one in lines if metric in one.version.metrics]
    known.sort(key=lambda one: one.version.sequence)
    points = [_point(one, metric, float(one.version.metrics[metric]), champion) for one in known]
    return charts.series(points, f"{metric} of {len(points)} versions, oldest first") if points else None


def _point(one: VersionLine, metric: str, value: float, champion: Version | None) -> charts.Point:
    version = one.version
    serving = champion is not None and champion.version == version.version
    kind = "new" if serving else ("good" if one.verdict is Verdict.PASS else "bad" if one.verdict else "none")
    ends = f" ({number(one.interval[0])} to {number(one.interval[1])})" if one.interval else ""
    verdict = f", verdict {one.verdict.value}" if one.verdict else ""
    said = f"{version.version}: {metric} {number(value)}{ends}, {version.state.value}{verdict}"
    return charts.Point(version.version, value, one.interval, kind, of_version(version.model, version.version), said)


def _offers(registry: Registry, name: str, held: Sequence[Reign]) -> list[Offer]:
    role, at = registry.role(name), of_model(name)
    found = [offer(role, Action.DESCRIBE, "Describe", f"{at}/describe")]
    if len(held) >= 2:
        found.append(offer(role, Action.ROLLBACK, "Roll back", f"{at}/actions/rollback", "danger"))
    return found
