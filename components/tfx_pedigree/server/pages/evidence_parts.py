"""What pages show of evidence. It may come from elsewhere: what is not of the form that is looked for is left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tfx_pedigree.registry import Evidence
from tfx_pedigree.service.judging.gate import COMPARISON

_OUTCOMES = ("holds", "broken", "unknown", "skipped")
_MOST_CHECKS = 500


def intervals(evidence: Evidence) -> dict[str, tuple[float, float]]:
    """Of the metrics over all examples, where the kept comparison has them."""
    kept = evidence.details.get(COMPARISON)
    rows = kept.get("metrics") if isinstance(kept, Mapping) else None
    return dict(_intervals(rows)) if isinstance(rows, list) else {}


def _intervals(rows: list[Any]) -> Iterator[tuple[str, tuple[float, float]]]:
    for row in rows:
        if not isinstance(row, Mapping) or row.get("slice"):
            continue
        name, value = row.get("metric"), row.get("challenger")
        ends = value.get("interval") if isinstance(value, Mapping) else None
        if isinstance(name, str) and isinstance(ends, list) and len(ends) == 2 and all(map(_finite, ends)):
            yield name, (float(ends[0]), float(ends[1]))


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def checks(evidence: Evidence) -> list[dict[str, str]]:
    """Each with its `name`, `outcome` and `sentence`; what failed first."""
    given = evidence.details.get("checks")
    found = [
        {key: str(one[key]) for key in ("name", "outcome", "sentence")}
        for one in (given if isinstance(given, list) else [])[:_MOST_CHECKS]
        if isinstance(one, Mapping) and {"name", "outcome", "sentence"} <= set(one) and one["outcome"] in _OUTCOMES
    ]
    rank = {"broken": 0, "unknown": 1, "holds": 2, "skipped": 3}
    return sorted(found, key=lambda one: rank[one["outcome"]])
