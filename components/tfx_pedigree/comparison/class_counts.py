"""How many examples of a class there are: a recall of three positives says nothing, of however many examples.

A metric of one class, or of a model that says yes or no, has one count. An average over classes, the best predictions
and what is only of several classes rest on each class, so each of them must have as many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tfx_pedigree.comparison.metric_names import MetricName, parsed
from tfx_pedigree.comparison.metrics import known
from tfx_pedigree.errors import InvalidInputError

POSITIVES, NEGATIVES = "positives", "negatives"
_OF_ALL_CLASSES = ("categorical_accuracy", "categorical_crossentropy", "sparse_categorical_accuracy")


def has_classes(metric: str) -> bool:
    """Not a metric of queries, nor one whose name says nothing: these have no examples of a class."""
    name = parsed(metric)
    return name is not None and not known(name.base).of_queries


def is_of_each_class(metric: str) -> bool:
    name = parsed(metric)
    if name is None or not has_classes(metric) or name.class_id is not None:
        return False
    best = name.k is not None or name.top_k is not None
    return bool(name.average) or best or name.base in _OF_ALL_CLASSES


def class_counts(metric: str, least: Mapping[str, int]) -> list[str]:
    """The counts that must be known, of a metric that has one class."""
    if not has_classes(metric) or is_of_each_class(metric):
        return []
    return [_named(metric, which) for which, asked in least.items() if asked]


def counts_of_each_class(metric: str, least: Mapping[str, int], classes: int | None) -> list[str]:
    """The counts that must be known, of a metric that rests on each class."""
    asked = [which for which, number in least.items() if number]
    if not asked or not is_of_each_class(metric):
        return []
    if classes is None:
        raise InvalidInputError(
            f"The policy asks for {listed_least(least)} of each class behind `{metric}`, so it must be known how many "
            "classes there are. Give ModelInputs(classes=…)."
        )
    return [_named(metric, which, at) for which in asked for at in range(classes)]


def listed_least(least: Mapping[str, int]) -> str:
    return " and ".join(f"{number} {which}" for which, number in least.items() if number)


def counted(metric: str, which: str, there: Iterable[str]) -> list[str]:
    """What of the numbers that are there counts the examples behind the metric; nothing where nothing does."""
    if not is_of_each_class(metric):
        return [_named(metric, which)] if has_classes(metric) else []
    bare = _named(metric, which)
    found = {
        name.class_id: text
        for text in there
        if (name := parsed(text)) and name.class_id is not None and str(replace(name, class_id=None)) == bare
    }
    return [found[at] for at in sorted(found)]


def _named(metric: str, which: str, class_id: int | None = None) -> str:
    name = MetricName.parse(metric)
    class_id = name.class_id if class_id is None else class_id
    return str(MetricName(which, output=name.output, class_id=class_id))
