"""The slices that the champion was judged on, so that one which is not there any more is missed.

Only the examples of today say which slices there are. A value that a broken join or a filter took out of them would
take its guardrail with it, and nobody would be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tfx_pedigree.comparison.config_reader import ConfigNode, optional
from tfx_pedigree.comparison.numbers import Key, MetricValue, Slice

# How many examples of each; None where that evaluation did not say. All of them together are `OVERALL`.
Earlier = Mapping[Slice, int | None]


def slices_of(metrics: Mapping[Key, MetricValue]) -> Earlier:
    """What an evaluation had."""
    found: dict[Slice, int | None] = {}
    for key, value in metrics.items():
        found[key.slice] = found.get(key.slice) if value.count is None else value.count
    return found


def by_features(earlier: Earlier, features: Iterable[tuple[str, ...]]) -> Earlier:
    """Those by exactly one of these sets of features, and all examples."""
    wanted = {(), *features}
    kept = {where: count for where, count in earlier.items() if where.features in wanted}
    return kept if any(not where.is_overall for where in kept) else {}


def earlier_to_json(earlier: Earlier) -> list[dict[str, Any]]:
    return [{"slice": where.to_json(), "examples": earlier[where]} for where in sorted(earlier)]


def read_earlier(place: ConfigNode) -> Earlier:
    found = {}
    for one in place.items():
        fields = one.fields(("slice", "examples"), ("slice",))
        found[Slice.read(fields["slice"])] = optional(fields, "examples", ConfigNode.whole)
    return found
