"""How a model did while it served: what was observed of its versions, with the times of its champions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import ChampionPeriod, Observation, RegistryApi
from tfx_pedigree.retraining.performance import Level, level_of

# What one picture shows: of older ones, `more` says that there are some.
MOST_POINTS = 1000
MOST_PERIODS = 100


@dataclass(frozen=True)
class Series(JsonForm):
    """The values of one metric over all versions, in the order in which they ended."""

    metric: str
    level: Level | None
    points: tuple[Observation, ...]


@dataclass(frozen=True)
class Performance(JsonForm):
    model: str
    reigns: tuple[ChampionPeriod, ...]
    series: tuple[Series, ...]
    more: bool


def performance(
    registry: RegistryApi, model: str, metric: str | None = None, *, since: datetime | None = None
) -> Performance:
    """The newest observations, of one metric where it is named."""
    page = registry.observations(model, metric=metric, since=since, limit=MOST_POINTS)
    reigns = registry.reigns(model, limit=MOST_PERIODS)
    champion = registry.get(f"{model}@champion") if reigns and reigns[0].ended_at is None else None
    evidence = registry.evidence(f"{model}@{champion.version}") if champion else None
    by_metric: dict[str, list[Observation]] = {}
    for one in reversed(page.items):
        by_metric.setdefault(one.metric, []).append(one)
    series = tuple(
        Series(name, level_of(champion, evidence, name), tuple(points)) for name, points in sorted(by_metric.items())
    )
    return Performance(model, reigns, series, page.next is not None)
