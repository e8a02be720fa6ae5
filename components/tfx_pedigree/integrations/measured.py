"""The numbers of a version's evidence as rows: one for each metric and slice, with its interval if it has one. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.comparison import Comparison
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import Evidence, Version
from tfx_pedigree.service.judging.gate import COMPARISON


@dataclass(frozen=True)
class Measurement(JsonForm):
    """`slice` is None for all examples; `low` and `high` are the interval's ends, `count` the examples behind it."""

    metric: str
    value: float
    slice: str | None = None
    low: float | None = None
    high: float | None = None
    count: int | None = None


def measurements(version: Version, evidence: Evidence | None) -> tuple[Measurement, ...]:
    """Those of the version that stand in its evidence; else those that it was registered with."""
    found = {(one.metric, one.slice): one for one in _of_metrics(version.metrics)}
    if evidence is not None:
        found |= {(one.metric, one.slice): one for one in _of_evidence(evidence)}
    return tuple(found[key] for key in sorted(found, key=lambda key: (key[1] is not None, key[1] or "", key[0])))


def _of_metrics(metrics: Mapping[str, Any]) -> Iterator[Measurement]:
    for name, value in metrics.items():
        if number := _number(value):
            yield Measurement(name, number[0])


def _of_evidence(evidence: Evidence) -> Iterator[Measurement]:
    challenger = evidence.metrics.get("challenger")
    for name, value in (challenger or {}).items():
        if number := _number(value):
            yield Measurement(name, number[0])
    if comparison := kept_comparison(evidence):
        yield from _of_comparison(comparison)
        return
    for check in evidence.details.get("checks") or ():
        if isinstance(check, Mapping) and (found := _of_check(check)):
            yield found


def kept_comparison(evidence: Evidence) -> Comparison | None:
    """The whole comparison, which evidence keeps since it can be replayed; None where it has none that can be read."""
    kept = evidence.details.get(COMPARISON)
    if not isinstance(kept, Mapping):
        return None
    try:
        return Comparison.from_json(kept)
    except InvalidInputError:
        return None


def _of_comparison(comparison: Comparison) -> Iterator[Measurement]:
    for row in comparison.metrics:
        if row.challenger is None or not (number := _number(row.challenger.value)):
            continue
        low, high = row.challenger.interval or (None, None)
        where = None if row.slice.is_overall else str(row.slice)
        yield Measurement(row.metric, number[0], where, low, high, row.challenger.count)


def _of_check(check: Mapping[str, Any]) -> Measurement | None:
    """Of older evidence: what a check on a slice looked at."""
    numbers, name = check.get("numbers"), check.get("name")
    if not isinstance(numbers, Mapping) or not isinstance(name, str) or " on " not in name:
        return None
    metric, _, where = name.partition(" on ")
    number, count = _number(numbers.get("challenger")), numbers.get("count")
    return Measurement(metric, number[0], where, count=count if isinstance(count, int) else None) if number else None


def _number(value: object) -> tuple[float] | None:
    """In a tuple, so that zero counts."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return (float(value),)
