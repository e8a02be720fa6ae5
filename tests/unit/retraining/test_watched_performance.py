"""What the decision is told of the champion: the level in its evidence, and the observations of the rule's own time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pedigree_testing import Clock, candidate, digest
from tfx_pedigree.registry import Evidence, Facts, NewObservation, Registry, Verdict
from tfx_pedigree.retraining.performance import Level, Seen, Watched, watch
from tfx_pedigree.retraining.rules import Decline

MODEL = "flight-delay"
DAY = timedelta(days=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> Registry:
    registry = Registry.create(tmp_path, actor="ada", clock=clock)
    registry.add(MODEL, candidate("a"), facts=Facts({"auc": 0.8, "loss": 0.3}))
    registry.promote(MODEL)
    clock.advance(hours=1)
    return registry


def observe(registry: Registry, clock: Clock, value: float, version: str = "champion") -> None:
    began = clock()
    seen = NewObservation({"auc": value}, began, clock.advance(days=1), 1000)
    registry.observe(f"{MODEL}@{version}", seen)


def watched(registry: Registry, clock: Clock, metric: str = "auc") -> Watched:
    rules = {metric: Decline(0.03, 2 * DAY)}
    return watch(registry, registry.get(f"{MODEL}@champion"), rules, clock())[metric]


def test_only_the_champions_own_values_within_the_time_count(registry: Registry, clock: Clock) -> None:
    registry.add(MODEL, candidate("b"))
    clock.advance(hours=1)
    for value in (0.7, 0.71, 0.72, 0.73):
        observe(registry, clock, value)
    observe(registry, clock, 0.1, "latest")
    assert watched(registry, clock) == Watched(
        Level("1.0.0", 0.8, of_evidence=False), (Seen(0.73, 1000), Seen(0.72, 1000))
    )
    clock.advance(days=9)
    assert watched(registry, clock).seen == ()


def test_level_is_that_of_the_evidence_and_else_of_the_registration(registry: Registry, clock: Clock) -> None:
    values = {"challenger": {"auc": 0.85}, "champion": {"auc": 0.1}}
    evidence = Evidence(digest("a"), None, Verdict.PASS, "better", metrics=values)
    registry.attach_evidence(f"{MODEL}@champion", evidence)
    assert watched(registry, clock).level == Level("1.0.0", 0.85, of_evidence=True)
    assert watched(registry, clock, "loss").level == Level("1.0.0", 0.3, of_evidence=False)
    assert watched(registry, clock, "recall") == Watched()


def test_without_rules_nothing_is_asked(registry: Registry, clock: Clock) -> None:
    champion = registry.get(f"{MODEL}@champion")
    registry.close()
    assert watch(registry, champion, {}, clock()) == {}
