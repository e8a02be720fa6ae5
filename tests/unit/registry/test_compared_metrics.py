"""Numbers that stand side by side were measured on the same rows, or it is said that they were not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedigree_testing import candidate, digest
from tfx_pedigree.registry import Evidence, Facts, Registry, Verdict, VersionDiff

pytestmark = pytest.mark.conformance


def judged(new: str, old: str | None, data: str | None, **metrics: dict[str, Any]) -> Evidence:
    return Evidence(digest(new), old and digest(old), Verdict.PASS, "ok", None, data, None, metrics)


@pytest.fixture
def local(registry: Registry) -> Registry:
    """1.0.0 was measured on other data than 1.0.1, which was compared with it on its own data."""
    first = judged("a", None, digest("march"), challenger={"auc": 0.636})
    registry.add("m", candidate("a"), facts=Facts({"auc": 0.636, "latency": 2.0}), evidence=first)
    second = judged("b", "a", digest("april"), challenger={"auc": 0.869}, champion={"auc": 0.596})
    registry.add("m", candidate("b"), facts=Facts({"auc": 0.869, "latency": 3.0}), evidence=second)
    return registry


def shown(found: VersionDiff) -> dict[str, tuple[Any, Any, bool]]:
    return {row.name: (row.old, row.new, row.paired) for row in found.metrics}


def test_numbers_that_the_gate_compared_stand_side_by_side(local: Registry) -> None:
    found = local.compare("m@1.0.0", "m@1.0.1")
    assert shown(found)["auc"] == (0.596, 0.869, True)
    assert shown(found)["latency"] == (2.0, 3.0, False)
    assert "measured on the same rows" in found.metrics_note
    assert "(latency) were measured on different data (1.0.0: sha256:" in found.metrics_note


def test_order_of_the_two_does_not_matter(local: Registry) -> None:
    assert shown(local.compare("m@1.0.1", "m@1.0.0"))["auc"] == (0.869, 0.596, True)


def test_without_common_evidence_it_is_said_that_the_data_differ(local: Registry) -> None:
    local.add("m", candidate("c"), facts=Facts({"auc": 0.9}), evidence=judged("c", "b", digest("may")))
    note = local.compare("m@1.0.0", "m@latest").metrics_note
    assert note.startswith("The metrics were measured on different data")


def test_same_data_and_unknown_data_are_told_apart(registry: Registry) -> None:
    for seed, data in (("a", "march"), ("b", "march")):
        registry.add("m", candidate(seed), facts=Facts({"auc": 0.5}), evidence=judged(seed, None, digest(data)))
    registry.add("m", candidate("c"), facts=Facts({"auc": 0.7}))
    registry.add("m", candidate("d"), facts=Facts({"loss": 0.7}))
    assert registry.compare("m@1", "m@2").metrics_note == "The metrics were measured on the same data."
    assert "may come from different data" in registry.compare("m@2", "m@3").metrics_note
    assert registry.compare("m@3", "m@4").metrics_note == ""
    assert registry.compare("m@3", "m@3").metrics_note == ""


@given(
    content=st.dictionaries(
        st.sampled_from(["challenger", "champion", "difference"]),
        st.one_of(st.none(), st.integers(), st.text(max_size=3), st.dictionaries(st.text(max_size=3), st.integers())),
    )
)
def test_evidence_of_any_form_is_compared_or_passed_over(content: dict[str, Any]) -> None:
    from tfx_pedigree.registry.differences import compare_metrics
    from tfx_pedigree.registry.records import Version

    def version(seed: str) -> Version:
        fields: dict[str, Any] = dict.fromkeys(Version.__match_args__)
        return Version(**{**fields, "model": "m", "version": seed, "digest": digest(seed), "metrics": {"auc": 0.5}})

    evidence = Evidence(digest("b"), digest("a"), Verdict.PASS, "ok", metrics=content)
    found = compare_metrics(version("a"), version("b"), None, evidence)
    assert any(row.paired for row in found.rows) == ("same rows" in found.note)
    assert {"auc"} <= {row.name for row in found.rows}
