"""Comparisons to look at and to test with: flights, as the reference pipeline would judge them."""

from __future__ import annotations

import math
import random

from pedigree_testing import description, digest
from tfx_pedigree.comparison import (
    Bounds,
    Code,
    Comparison,
    Data,
    DeltaSums,
    FlipCounts,
    Guardrail,
    Key,
    LatencyBudget,
    LatencySummary,
    MajorChange,
    Measurements,
    MetricValue,
    ModelOutcomes,
    Outcomes,
    Policy,
    Regression,
    Side,
    Slice,
    Timings,
    TooFew,
    compare_models,
)

CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
POLICY = Policy(
    "auc",
    confidence=0.95,
    min_examples=1000,
    guardrails=(
        Guardrail("binary_accuracy", max_regression=Regression(0.02)),
        Guardrail("calibration", bounds=Bounds(0.8, 1.2)),
        Guardrail(
            "auc",
            max_regression=Regression(0.05),
            each_slice_of=("carrier",),
            min_examples=200,
            too_few=TooFew.SKIP,
            point_estimate=True,
        ),
        Guardrail("auc", max_regression=Regression(0.03), slice=Slice((("origin", "JFK"),)), point_estimate=True),
    ),
    latency=LatencyBudget(p95_ms=50.0, ratio=1.5),
    first_version={"auc": Bounds(at_least=0.6)},
    major=MajorChange.ALLOW,
)


def timings(seed: int = 7, calls: int = 60, slower: float = 1.12) -> Timings:
    chance = random.Random(seed)
    champion = [4 + chance.expovariate(1.6) for _ in range(calls)]
    return Timings(tuple(one * slower + chance.random() * 0.3 for one in champion), tuple(champion))


def side(version: str, times: tuple[float, ...], span: str, commit: str, size: int, **parameters: object) -> Side:
    return Side(
        version,
        digest(version),
        size_bytes=size,
        latency=LatencySummary.of(times, batch_size=128) if times else None,
        parameters={"epochs": 5, "learning_rate": 0.001, "optimizer": "adam", **parameters},
        trained_on=(Data("train", span, digest(f"span {span}"), 26398),),
        code=Code(commit * 40, "https://example.org/flights.git", False),
    )


def metrics(seed: int, auc: float, spread: float, slices: tuple[Slice, ...]) -> dict[Key, MetricValue]:
    chance = random.Random(seed)

    def one(middle: float, width: float, count: int) -> MetricValue:
        return moved(MetricValue(middle, (middle - width, middle + width), count), 0)

    found = {
        Key("auc"): one(auc, 0.006, 24951),
        Key("binary_accuracy"): one(0.781 + (auc - 0.7) / 4, 0.003, 24951),
        Key("binary_crossentropy"): one(0.52 - (auc - 0.7) / 2, 0.004, 24951),
        Key("calibration"): one(1.03, 0.02, 24951),
    }
    for place, where in enumerate(slices):
        count = max(11, 4200 - 260 * place)
        width = 0.35 / math.sqrt(count)
        found[Key("auc", where)] = one(auc + chance.gauss(0, spread), width, count)
        found[Key("binary_accuracy", where)] = one(0.78 + chance.gauss(0, spread), width, count)
    return found


def moved(value: MetricValue, by: float) -> MetricValue:
    low, high = value.interval or (value.value, value.value)
    return MetricValue(round(value.value + by, 6), (round(low + by, 6), round(high + by, 6)), value.count)


def paired(new: dict[Key, MetricValue], old: dict[Key, MetricValue]) -> dict[Key, MetricValue]:
    found = {}
    for key, value in new.items():
        change = value.value - old[key].value
        width = 0.25 / math.sqrt(value.count or 1)
        found[key] = MetricValue(change, (change - width, change + width), value.count)
    return found


def outcomes_of(better: float, classes: int = 2) -> ModelOutcomes:
    """Scores that lie around 0.3 where the truth is no, and `better` higher where it is yes."""
    hump = [math.exp(-(((at + 0.5) / 100 - 0.3) ** 2) / 0.02) for at in range(100)]
    shift = round(100 * better)
    negative = tuple(round(700 * one) for one in hump)
    positive = tuple(round(220 * one) for one in (*hump[-shift:], *hump[:-shift]))
    if classes == 2:
        cells = (sum(negative[:50]), sum(negative[50:])), (sum(positive[:50]), sum(positive[50:]))
        return ModelOutcomes(negative, positive, cells)
    rows = tuple(tuple(200 if said == true else 7 * said for said in range(classes)) for true in range(classes))
    return ModelOutcomes(negative, positive, rows)


def flight_slices() -> tuple[Slice, ...]:
    origins = tuple(Slice((("origin", one),)) for one in ("EWR", "JFK", "LGA"))
    return origins + tuple(Slice((("carrier", one),)) for one in CARRIERS)


def retrained(policy: Policy = POLICY, gain: float = 0.051, slices: tuple[Slice, ...] | None = None) -> Comparison:
    """A challenger with more features against the champion."""
    where = flight_slices() if slices is None else slices
    old = metrics(1, 0.7012, 0.02, where)
    chance = random.Random(3)
    new = {}
    for key, value in old.items():
        shift = gain if key.metric == "auc" else (-gain if key.metric == "binary_crossentropy" else gain) / 5
        new[key] = moved(value, shift + (0 if key.slice.is_overall else chance.gauss(0, 0.02)))
    times = timings()
    return compare_models(
        "flight-delay",
        policy,
        side("2.0.0", times.challenger, "2", "b", 412_331, features=11, hidden_units=64),
        side("1.2.1", times.champion, "1", "a", 398_120, features=8),
        Measurements(
            new,
            old,
            paired(new, old),
            times,
            DeltaSums(24951, -73.25, -410.5, 3),
            FlipCounts(0.5, 18931, 1402, 861, 3757, 1311, 952),
            (Data("eval", "3", digest("span 3"), 24951),),
            Outcomes(0.5, 2, outcomes_of(0.24), outcomes_of(0.16)),
        ),
        challenger_description=description(11, hidden_units=64),
        champion_description=description(8),
    )


def first_version(auc: float = 0.7012) -> Comparison:
    times = Timings(timings().champion)
    return compare_models(
        "flight-delay",
        POLICY,
        side("1.0.0", times.challenger, "1", "a", 398_120),
        None,
        Measurements(metrics(1, auc, 0.02, flight_slices()), timings=times),
        challenger_description=description(8),
    )


def not_a_number() -> Comparison:
    """A training that diverged, beside a slice in which only one class occurs."""
    where = flight_slices()[:5]
    old = metrics(1, 0.7012, 0.02, where)
    new: dict[Key, MetricValue] = {key: MetricValue(math.nan, None, value.count) for key, value in old.items()}
    return compare_models(
        "flight-delay",
        POLICY,
        side("1.2.2", (), "2", "a", 398_120, learning_rate=10.0),
        side("1.2.1", (), "1", "a", 398_120),
        Measurements(new, old),
        challenger_description=description(8),
        champion_description=description(8),
    )
