"""How many examples of a class there are: a recall of three positives says nothing, of however many examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tfx_pedigree.comparison.metric_names import MetricName
from tfx_pedigree.errors import InvalidInputError

POSITIVES, NEGATIVES = "positives", "negatives"


def count_name(metric: str, which: str) -> str | None:
    """What the count is called that belongs to the metric's output and class; None where there is no one class."""
    try:
        name = MetricName.parse(metric)
    except InvalidInputError:
        return None
    if name.average or name.k is not None or name.top_k is not None:
        return None
    return str(replace(name, base=which, parameter=None))


def class_counts(metric: str, least: Mapping[str, int]) -> list[str]:
    """The counts that must be known."""
    return [name for which, asked in least.items() if asked and (name := count_name(metric, which))]
