"""An evaluation of the champion on new data is an observation of it, once; and no run fails of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pedigree_testing import Clock, candidate, digest
from tfx_pedigree.registry import Evidence, Identity, Registry, Verdict
from tfx_pedigree.service.runs.observing import observe_baseline

MODEL = "flight-delay"
TAGS = {"span": "5"}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A champion that was judged on its own data, and a challenger."""
    clock = Clock()
    registry = Registry.create(tmp_path, actor="ada", clock=clock)
    first = Evidence(digest("a"), None, Verdict.PASS, "good", evaluation_data=digest("rows 1"))
    registry.add(MODEL, candidate("a"), evidence=first)
    registry.promote(MODEL)
    registry.add(MODEL, candidate("b"))
    clock.advance(days=1)
    return registry


def evidence(rows: str = "rows 2", reason: str = "not better", **more: Any) -> Evidence:
    metrics = {"challenger": {"auc": 0.8}, "champion": {"auc": 0.79, "example_count": 4000.0, "odd": "NaN"}}
    values: dict[str, Any] = {"metrics": metrics, "details": {"examples": 4000}, "evaluation_data": digest(rows)}
    return Evidence(digest("b"), digest("a"), Verdict.FAIL, reason, **{**values, **more})


def filed(registry: Registry, found: Evidence) -> str | None:
    registry.attach_evidence(f"{MODEL}@latest", found)
    return observe_baseline(registry, MODEL, found, TAGS)


def test_evaluation_on_a_new_span_adds_what_was_measured_of_the_champion(registry: Registry) -> None:
    assert filed(registry, evidence()) is None
    (seen,) = registry.observations(MODEL).items
    assert (seen.version, seen.metric, seen.value, seen.examples) == ("1.0.0", "auc", 0.79, 4000)
    assert seen.source.startswith("evaluation on span 5 (")
    assert seen.began_at == seen.ended_at == registry.judgements(MODEL, limit=1).items[0].filed_at
    assert registry.verify_audit().problems == ()


def test_repeated_run_and_second_challenger_on_the_same_rows_add_nothing(registry: Registry) -> None:
    for found in (evidence(), evidence(), evidence(reason="another challenger")):
        assert filed(registry, found) is None
    assert len(registry.observations(MODEL).items) == 1
    filed(registry, evidence("rows 3"))
    assert len(registry.observations(MODEL).items) == 2


@pytest.mark.parametrize(
    "found",
    [
        None,
        evidence("rows 1"),
        evidence(evaluation_data=None),
        evidence(metrics={"challenger": {"auc": 0.8}}),
        evidence(metrics={"champion": {"example_count": 1.0, "auc": True}}),
    ],
)
def test_what_says_nothing_new_of_the_champion_adds_nothing(registry: Registry, found: Evidence | None) -> None:
    if found is not None:
        registry.attach_evidence(f"{MODEL}@latest", found)
    assert observe_baseline(registry, MODEL, found, TAGS) is None
    assert registry.observations(MODEL).items == ()


def test_evidence_that_was_not_filed_adds_nothing(registry: Registry) -> None:
    assert observe_baseline(registry, MODEL, evidence(), TAGS) is None
    assert registry.observations(MODEL).items == ()


def test_what_goes_wrong_is_told_and_stops_nobody(registry: Registry) -> None:
    registry.attach_evidence(f"{MODEL}@latest", evidence())
    viewer = registry.acting_as(Identity("eve"))
    assert "eve may not observe" in str(observe_baseline(viewer, MODEL, evidence(), TAGS))
