"""How long two models take, fairly: in turn, in one process, after a warm-up, on the same batch.

Whatever slows the machine down for a moment slows both models down, and rounds go on until the interval of the answer
is narrow. `measure` takes callables and clocks, so it knows nothing of what it measures; the rest is arithmetic over
what it returned.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from tfx_pedigree.comparison.numbers import MetricValue
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import Count, JsonForm, Measured

T = TypeVar("T")
RESAMPLES = 1000
_SEED = 20130101
_POINTS = {"min_ms": 0.0, "p25_ms": 0.25, "p50_ms": 0.5, "p75_ms": 0.75, "p95_ms": 0.95, "max_ms": 1.0}


@dataclass(frozen=True)
class Timings:
    """Milliseconds per call, in the order of the rounds: `challenger[i]` and `champion[i]` were taken together.

    `processor` holds the processor time of the same calls, the challenger's and the champion's: what other programs
    took away is in the first two and not in these.
    """

    challenger: tuple[float, ...]
    champion: tuple[float, ...] = ()
    processor: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

    def __post_init__(self) -> None:
        if self.champion and len(self.champion) != len(self.challenger):
            raise InvalidInputError(
                f"{len(self.challenger)} and {len(self.champion)} timings cannot be paired: each round times both."
            )

    @property
    def on_processor(self) -> Timings | None:
        """The same rounds by processor time. None where a clock is too coarse to see the calls."""
        if not self.processor[0] or any(sum(one) <= 0 for one in self.processor if one):
            return None
        return Timings(*self.processor)

    @property
    def waited(self) -> float:
        """The share of the time in which neither model had a processor, from 0 to 1."""
        taken, worked = sum(self.challenger) + sum(self.champion), sum(map(sum, self.processor))
        return max(0.0, 1 - worked / taken) if taken > 0 and worked > 0 else 0.0


@dataclass(frozen=True)
class Patience:
    """Rounds double until the ratio's interval is no wider than this share of it, or until it has taken long enough."""

    width: float = math.inf
    seconds: float = 0.0
    rounds: int = 0

    def more(self, timings: Timings, taken: float) -> bool:
        if taken * 2 > self.seconds or len(timings.challenger) * 2 > self.rounds:
            return False
        found = ratio(timings)
        return found.interval is None or found.interval[1] - found.interval[0] > self.width * found.value


NONE_MORE = Patience()


def measure(
    challenger: Callable[[], object],
    champion: Callable[[], object] | None,
    *,
    rounds: int,
    warmup: int,
    patience: Patience = NONE_MORE,
    clock: Callable[[], float] = time.perf_counter,
    processor: Callable[[], float] = time.process_time,
) -> Timings:
    """Times both in turn, and lets each begin every other round. The `warmup` first rounds are run and not counted.

    Clocks give seconds. With `patience` there are more rounds than `rounds` where the interval of the ratio is wide.
    """
    if rounds < 1 or warmup < 0:
        raise InvalidInputError(f"{rounds} rounds after {warmup} of warm-up measure nothing: ask for one or more.")
    calls = [challenger] if champion is None else [challenger, champion]
    walls: list[list[float]] = [[] for _ in calls]
    works: list[list[float]] = [[] for _ in calls]
    begin, turn, until = clock(), 0, warmup + rounds
    while turn < until:
        order = range(len(calls)) if turn % 2 == 0 else reversed(range(len(calls)))
        for index in order:
            start, worked = clock(), processor()
            calls[index]()
            taken, work = clock() - start, processor() - worked
            if turn >= warmup:
                walls[index].append(taken * 1000)
                works[index].append(work * 1000)
        turn += 1
        if turn == until and champion is not None and patience.more(_timings(walls), clock() - begin):
            until += turn - warmup
    return replace(_timings(walls), processor=(tuple(works[0]), tuple(works[1]) if champion else ()))


def _timings(walls: Sequence[Sequence[float]]) -> Timings:
    return Timings(tuple(walls[0]), tuple(walls[1]) if len(walls) > 1 else ())


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
class LatencySummary(JsonForm):
    """Of one model: milliseconds per call with `batch_size` examples, from the fastest call to the slowest."""

    min_ms: Measured
    p25_ms: Measured
    p50_ms: Measured
    p75_ms: Measured
    p95_ms: Measured
    max_ms: Measured
    calls: Count
    batch_size: Count

    @classmethod
    def of(cls, milliseconds: Sequence[float], batch_size: int) -> LatencySummary:
        found = {name: percentile(milliseconds, share) for name, share in _POINTS.items()}
        return cls(**found, calls=len(milliseconds), batch_size=batch_size)


def ratio(timings: Timings, share: float = 0.95, confidence: float = 0.95) -> MetricValue:
    """The challenger's percentile over the champion's, with its interval.

    The interval comes from resampling whole rounds, so that what a round did to both stays together. The seed is
    fixed: the same timings give the same interval.
    """
    if not timings.champion:
        raise InvalidInputError("Only the challenger was timed: there is nothing to divide by.")
    return _resampled(list(zip(timings.challenger, timings.champion, strict=True)), _divided, share, confidence)


def highest(timings: Timings, share: float = 0.95, confidence: float = 0.95) -> MetricValue:
    """The challenger's percentile in milliseconds, with its interval."""
    return _resampled(list(timings.challenger), percentile, share, confidence)


def _resampled(
    rounds: Sequence[T], statistic: Callable[[Sequence[T], float], float], share: float, confidence: float
) -> MetricValue:
    value = statistic(rounds, share)
    chance = random.Random(_SEED)  # noqa: S311  resampling needs no secret
    found = [statistic(chance.choices(rounds, k=len(rounds)), share) for _ in range(RESAMPLES)]
    usable = [one for one in found if math.isfinite(one)]
    if not usable:
        return MetricValue(value, None, len(rounds))
    tail = (1 - confidence) / 2
    ends = percentile(usable, tail), percentile(usable, 1 - tail)
    # A percentile of few rounds can lie at the edge of what resampling brings; it is never outside its own interval.
    return MetricValue(value, (min(ends[0], value), max(ends[1], value)), len(rounds))


def _divided(rounds: Sequence[tuple[float, float]], share: float) -> float:
    challenger, champion = (percentile(times, share) for times in zip(*rounds, strict=True))
    return challenger / champion if champion > 0 else math.nan
