"""A decision is made again from what its evidence keeps: the same to the letter, or said to be another."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from comparison_testing import first_version, not_a_number, retrained

from pedigree_testing import digest
from tfx_pedigree.comparison import Comparison, NotComparable, Policy, Verdict, decide_again
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import Evidence
from tfx_pedigree.service.judging.gate import COMPARISON, differences, kept_comparison

GOLDENS = Path(__file__).parents[1] / "comparison" / "goldens"
WITHOUT_BOUNDS = Policy("auc", not_comparable=NotComparable.FLOORS)

COMPARISONS: dict[str, Callable[[], Comparison]] = {
    "a winner": retrained,
    "a loser": lambda: retrained(gain=0.001),
    "a first version": first_version,
    "no number": not_a_number,
    "with a note": lambda: retrained().noted("TFMA's Evaluator did not bless the challenger"),
    "the default policy": lambda: retrained(Policy("auc")),
}


def evidence_of(comparison: Comparison) -> Evidence:
    return Evidence(
        comparison.challenger.digest,
        comparison.champion.digest if comparison.champion else None,
        comparison.decision.verdict,
        comparison.decision.reason,
        policy=comparison.policy.digest,
        details={COMPARISON: comparison.to_json()},
    )


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_decision_follows_from_its_document_to_the_letter(name: str) -> None:
    comparison = COMPARISONS[name]()
    read = Comparison.from_text(comparison.to_text())
    assert decide_again(read).to_json() == comparison.decision.to_json()
    evidence = Evidence.from_text(json.dumps(evidence_of(comparison).to_json()))
    assert differences(evidence, kept_comparison(evidence)) == ()


def test_another_policy_says_something_else_of_the_same_numbers() -> None:
    comparison = retrained()
    assert comparison.decision.verdict is Verdict.PASS
    strict = replace(comparison.policy, rule=replace(comparison.policy.rule, threshold=0.5))
    assert decide_again(comparison, strict).verdict is Verdict.FAIL


def altered(change: Callable[[dict[str, Any]], None]) -> tuple[Evidence, Comparison]:
    evidence = evidence_of(retrained())
    details = copy.deepcopy(dict(evidence.details))
    change(details[COMPARISON])
    changed = replace(evidence, details=details)
    return changed, kept_comparison(changed)


def lower_the_score(document: dict[str, Any]) -> None:
    document["metrics"][0]["challenger"] = {"value": 0.6, "interval": [0.594, 0.606], "count": 24951}


def claim_a_pass(document: dict[str, Any]) -> None:
    document["reason"] = "The challenger wins."


def swap_the_challenger(document: dict[str, Any]) -> None:
    document["challenger"]["digest"] = digest("another")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lower_the_score, "the verdict is"),
        (claim_a_pass, "the kept comparison's decision does not follow from its numbers"),
        (swap_the_challenger, "the comparison is of another challenger"),
    ],
)
def test_what_does_not_follow_is_named(change: Callable[[dict[str, Any]], None], said: str) -> None:
    found = differences(*altered(change))
    assert any(said in one for one in found)


def test_evidence_that_keeps_no_comparison_says_so() -> None:
    bare = replace(evidence_of(retrained()), details={})
    with pytest.raises(InvalidInputError, match="keeps no comparison: it was attached by hand or by an older release"):
        kept_comparison(bare)
    old = Comparison.from_text((GOLDENS / "comparison_of_policy_1.json").read_text(encoding="utf-8"))
    with pytest.raises(InvalidInputError, match="written by an older release"):
        decide_again(old)
