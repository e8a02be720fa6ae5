"""Whether the champion got worse while it served: what was observed of it, against what its evidence says of it.

The decision is pure. Laws, which the tests hold: without observations there is no decline; a worse value never takes a
decline away, and a larger allowed drop never makes one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tfx_pedigree.comparison.metrics import Direction
from tfx_pedigree.comparison.wording import number
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import LARGEST_PAGE, Evidence, RegistryApi, Version, every
from tfx_pedigree.retraining.rules import Decline, in_words
from tfx_pedigree.text import plural

# Of one metric in one window: the newest of them, if there are more.
_MOST = 10_000


@dataclass(frozen=True)
class Level(JsonForm):
    """What was measured of a version before it served: in the evidence by which it was judged, or with its files."""

    version: str
    value: float
    of_evidence: bool


@dataclass(frozen=True)
class Seen:
    """An observed value; on how many examples, None where nobody counted them."""

    value: float
    examples: int | None


@dataclass(frozen=True)
class Watched:
    """What is known of one metric of the champion: its level, and what was observed within the rule's time."""

    level: Level | None = None
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True)
class Finding:
    """`declined` only where it is shown; the text says what was found, or what is missing to find it."""

    declined: bool
    text: str


def level_of(version: Version | None, evidence: Evidence | None, metric: str) -> Level | None:
    """The version's own value in the newest evidence about it; without one, the value it was registered with."""
    if version is None:
        return None
    judged = evidence.metrics.get("challenger") if evidence and evidence.challenger == version.digest else None
    found = _number(judged, metric)
    if found is not None:
        return Level(version.version, found, of_evidence=True)
    found = _number(version.metrics, metric)
    return None if found is None else Level(version.version, found, of_evidence=False)


def _number(table: Any, name: str) -> float | None:
    found = table.get(name) if isinstance(table, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    return float(found)


def watch(registry: RegistryApi, champion: Version, rules: Mapping[str, Decline], now: datetime) -> dict[str, Watched]:
    """What the rules need to know, and no more of the series than their windows hold."""
    if not rules:
        return {}
    evidence = registry.evidence(f"{champion.model}@{champion.version}")
    return {
        metric: Watched(level_of(champion, evidence, metric), _seen(registry, champion, metric, rule, now))
        for metric, rule in rules.items()
    }


def _seen(registry: RegistryApi, champion: Version, metric: str, rule: Decline, now: datetime) -> tuple[Seen, ...]:
    found = every(
        lambda after: registry.observations(
            champion.model,
            champion.version,
            metric=metric,
            since=now - rule.over,
            limit=LARGEST_PAGE,
            after=after,
        )
    )
    return tuple(Seen(one.value, one.examples) for one in itertools.islice(found, _MOST))


def judge(metric: str, rule: Decline, watched: Watched) -> Finding:
    """The mean of what was observed, each value with the weight of its examples, against the level less the drop. What
    nobody counted has no weight."""
    counted = [(one.value, one.examples) for one in watched.seen if one.examples]
    within, level = f"within {in_words(rule.over)}", watched.level
    if not watched.seen:
        return Finding(False, f"{metric} of the champion was not observed {within}")
    examples = sum(count for _, count in counted)
    if examples < rule.min_examples:
        uncounted = len(watched.seen) - len(counted)
        more = f"; {plural(uncounted, 'value has', 'values have')} no count" if uncounted else ""
        text = f"on {plural(examples, 'example')} {within}, {rule.min_examples:,} are needed{more}"
        return Finding(False, f"{metric} of the champion was observed {text}")
    if level is None:
        return Finding(False, f"{metric} of the champion has no level: neither its evidence nor its metrics hold it")
    value = mean(counted)
    worse = level.value - value if rule.direction is Direction.HIGHER else value - level.value
    where = "in its evidence" if level.of_evidence else "when it was registered"
    text = (
        f"{metric} of the champion {level.version} was {number(value)} on {plural(examples, 'example')} {within}, and "
        f"{number(level.value)} {where}; a drop of {number(rule.drop)} is allowed"
    )
    return Finding(worse > rule.drop, text)


def mean(counted: Sequence[tuple[float, int]]) -> float:
    """Weighted, and never beyond the least and the largest of the values, also where their sum would be."""
    whole = sum(count for _, count in counted)
    found = math.fsum(value * (count / whole) for value, count in counted)
    return min(max(found, min(value for value, _ in counted)), max(value for value, _ in counted))
