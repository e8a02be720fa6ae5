"""The numbers that the gate decides on: what was measured of a model, overall and by slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tfx_pedigree.comparison.config_reader import ConfigNode, from_data
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import Count, JsonForm, Measured

Interval = tuple[Measured, Measured]


@dataclass(frozen=True, order=True)
class Slice:
    """The examples in which each named feature has the named value. No pair: all examples."""

    pairs: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairs", tuple(sorted((str(key), str(value)) for key, value in self.pairs)))
        if len(set(self.features)) < len(self.pairs):
            raise InvalidInputError(f"The slice {self} names a feature twice.")

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Slice:
        return cls(tuple(values.items()))

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(key for key, _ in self.pairs)

    @property
    def is_overall(self) -> bool:
        return not self.pairs

    def __str__(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.pairs) or "overall"

    def to_json(self) -> dict[str, str]:
        return dict(self.pairs)

    @classmethod
    def read(cls, place: ConfigNode) -> Slice:
        return cls.of({key: value.any_text() for key, value in place.table().items()})

    @classmethod
    def from_json(cls, data: Any) -> Slice:
        return cls.read(from_data(data, "the slice"))


OVERALL = Slice()


class Key(NamedTuple):
    metric: str
    slice: Slice = OVERALL

    def __str__(self) -> str:
        return self.metric if self.slice.is_overall else f"{self.metric} on {self.slice}"


@dataclass(frozen=True)
class MetricValue(JsonForm):
    """One number, the interval in which it lies with the policy's confidence, and of how many examples."""

    value: Measured
    interval: Interval | None = None
    count: Count | None = None

    def __post_init__(self) -> None:
        if self.interval is not None and self.interval[0] > self.interval[1]:
            raise InvalidInputError(f"The interval {self.interval} is upside down: give (low, high).")


@dataclass(frozen=True)
class Scores:
    """All that was measured of one model."""

    metrics: Mapping[Key, MetricValue] = field(default_factory=dict)
    size_bytes: int | None = None

    @classmethod
    def of(cls, **overall: float) -> Scores:
        """Point values over all examples, for a first try and for tests."""
        return cls({Key(name): MetricValue(value) for name, value in overall.items()})

    def get(self, metric: str, where: Slice = OVERALL) -> MetricValue | None:
        return self.metrics.get(Key(metric, where))

    def has_slice(self, where: Slice) -> bool:
        return any(key.slice == where for key in self.metrics)

    def slices_by(self, features: Iterable[str]) -> list[Slice]:
        """The slices over exactly these features, in order."""
        wanted = tuple(sorted(features))
        return sorted({key.slice for key in self.metrics if key.slice.features == wanted})
