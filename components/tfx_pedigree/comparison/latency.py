"""How long two models take, fairly: in turn, in one process, after a warm-up, on the same batch.

Whatever slows the machine down for a moment slows both models down. `measure` takes callables and a clock, so it knows
nothing of what it measures; the rest is arithmetic over what it returned.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.comparison.numbers import MetricValue
from tfx_pedigree.digest import plain_json
from tfx_pedigree.errors import InvalidInputError

RESAMPLES = 1000
_SEED = 20130101
_POINTS = {"min_ms": 0.0, "p25_ms": 0.25, "p50_ms": 0.5, "p75_ms": 0.75, "p95_ms": 0.95, "max_ms": 1.0}


@dataclass(frozen=True)
class Timings:
    """Milliseconds per call, in the order of the rounds: `challenger[i]` and `champion[i]` were taken together."""

    challenger: tuple[float, ...]
    champion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.champion and len(self.champion) != len(self.challenger):
            raise InvalidInputError(
                f"{len(self.challenger)} and {len(self.champion)} timings cannot be paired: each round times both."
            )


def measure(
    challenger: Callable[[], object],
    champion: Callable[[], object] | None,
    *,
    rounds: int,
    warmup: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Timings:
    """Times both in turn, and lets each begin every other round. The `warmup` first rounds are run and not counted.

    `clock` gives seconds.
    """
    if rounds < 1 or warmup < 0:
        raise InvalidInputError(f"{rounds} rounds after {warmup} of warm-up measure nothing: ask for one or more.")
    calls = [challenger] if champion is None else [challenger, champion]
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(warmup + rounds):
        order = range(len(calls)) if turn % 2 == 0 else reversed(range(len(calls)))
        for index in order:
            start = clock()
            calls[index]()
            taken = (clock() - start) * 1000
            if turn >= warmup:
                times[index].append(taken)
    return Timings(*map(tuple, times))


def percentile(values: Sequence[float], share: float) -> float:
    """Between the two nearest order statistics, in proportion; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    rank = share * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


@dataclass(frozen=True)
class LatencySummary:
    """Of one model: milliseconds per call with `batch_size` examples, from the fastest call to the slowest."""

    min_ms: float
    p25_ms: float
    p50_ms: float
    p75_ms: float
    p95_ms: float
    max_ms: float
    calls: int
    batch_size: int

    @classmethod
    def of(cls, milliseconds: Sequence[float], batch_size: int) -> LatencySummary:
        found = {name: percentile(milliseconds, share) for name, share in _POINTS.items()}
        return cls(**found, calls=len(milliseconds), batch_size=batch_size)

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = plain_json(vars(self))
        return found

    @classmethod
    def read(cls, place: ConfigNode) -> LatencySummary:
        names = tuple(cls.__dataclass_fields__)
        found = place.fields(names, names)
        times = {name: found[name].measured() for name in _POINTS}
        return cls(**times, calls=found["calls"].whole(), batch_size=found["batch_size"].whole())


def ratio(timings: Timings, share: float = 0.95, confidence: float = 0.95) -> MetricValue:
    """The challenger's percentile over the champion's, with its interval.

    The interval comes from resampling whole rounds, so that what a round did to both stays together. The seed is
    fixed: the same timings give the same interval.
    """
    if not timings.champion:
        raise InvalidInputError("Only the challenger was timed: there is nothing to divide by.")
    rounds = list(zip(timings.challenger, timings.champion, strict=True))
    value = _divided(rounds, share)
    chance = random.Random(_SEED)  # noqa: S311  resampling needs no secret
    found = [_divided(chance.choices(rounds, k=len(rounds)), share) for _ in range(RESAMPLES)]
    usable = [one for one in found if math.isfinite(one)]
    if not usable:
        return MetricValue(value, None, len(rounds))
    tail = (1 - confidence) / 2
    return MetricValue(value, (percentile(usable, tail), percentile(usable, 1 - tail)), len(rounds))


def _divided(rounds: Sequence[tuple[float, float]], share: float) -> float:
    challenger, champion = (percentile(times, share) for times in zip(*rounds, strict=True))
    return challenger / champion if champion > 0 else math.nan
