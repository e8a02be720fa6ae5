"""comparison.json: what stands in it, that it comes back, and that it is what docs/comparison-format.md shows."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from comparison_testing import POLICY, first_version, not_a_number, retrained, side
from hypothesis import given, settings
from hypothesis import strategies as st

from pedigree_testing import description, digest
from tfx_pedigree.comparison import (
    CheckOutcome,
    Code,
    Comparison,
    Data,
    DeltaSums,
    Direction,
    FlipCounts,
    Gain,
    GateDecision,
    Key,
    LatencySummary,
    Measurements,
    MetricRow,
    MetricValue,
    ModelOutcomes,
    Outcomes,
    Policy,
    Recommendation,
    Side,
    Slice,
    Verdict,
    Weights,
    compare_models,
    decide,
    decide_again,
    render,
)
from tfx_pedigree.errors import InvalidInputError

GOLDENS = Path(__file__).parent / "goldens"
UPDATE = "PEDIGREE_UPDATE_GOLDENS"

texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=10)
maybe = st.none() | texts
floats = st.floats()
counts = st.integers(0, 2**53 - 1)
slices = st.dictionaries(texts, texts, max_size=2).map(Slice.of)
ends = st.tuples(st.floats(-10, 10), st.floats(-10, 10)).map(lambda pair: (min(pair), max(pair)))
values = st.builds(MetricValue, floats, st.none() | ends, st.none() | counts)
latencies = st.builds(LatencySummary, *[floats] * 6, counts, counts)
data = st.builds(Data, texts, maybe, maybe, st.none() | counts)
leaves = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | floats | texts
parameters = st.dictionaries(
    texts, st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2))
)
sides = st.builds(
    Side,
    texts,
    st.integers().map(digest),
    st.none() | counts,
    st.none() | latencies,
    parameters,
    st.lists(data, max_size=2).map(tuple),
    st.none() | st.builds(Code, texts, maybe, st.none() | st.booleans()),
)
rows = st.builds(
    MetricRow,
    texts,
    slices,
    st.none() | st.sampled_from(Direction),
    st.none() | values,
    st.none() | values,
    st.none() | values,
)
decisions = st.one_of(
    st.builds(lambda new, old: decide(Policy("auc"), _scored(new), _scored(old)), floats, floats),
    st.builds(GateDecision, st.sampled_from(Verdict), texts, st.none() | st.sampled_from(Recommendation)),
)
sums = st.builds(DeltaSums, counts, floats, floats, counts)
flips = st.builds(FlipCounts, st.floats(0, 1), *[st.integers(0, 2**40)] * 6)
bins = st.integers(0, 2**90).map(lambda whole: tuple(int(digit) for digit in f"{whole:0100}"[-100:]))
square = st.tuples(*[st.tuples(counts, counts)] * 2)
outcomes = st.just(ModelOutcomes()) | st.builds(ModelOutcomes, bins, bins, square | st.just(()))
comparisons = st.builds(
    Comparison,
    texts,
    sides,
    st.none() | sides,
    st.sampled_from([POLICY, Policy("auc")]),
    decisions,
    st.lists(rows, max_size=3).map(tuple),
    st.lists(data, max_size=2).map(tuple),
    maybe,
    st.lists(texts, max_size=2).map(tuple),
    st.none() | st.floats(0, 1),
    st.none() | sums,
    st.none() | flips,
    st.none() | floats,
    st.none() | values,
    outcomes=st.none() | st.builds(Outcomes, st.floats(0, 1), st.just(2), outcomes, st.none() | outcomes),
)


def _scored(auc: float) -> Any:
    from tfx_pedigree.comparison import Scores

    return Scores.of(auc=auc)


@given(comparisons)
@settings(deadline=None, max_examples=60)
def test_a_comparison_comes_back_from_its_text(comparison: Comparison) -> None:
    again = Comparison.from_text(comparison.to_text())
    assert again.to_json() == comparison.to_json()
    assert again.digest == comparison.digest


@pytest.mark.parametrize("make", [retrained, first_version, not_a_number])
def test_real_comparisons_come_back(make: Any) -> None:
    comparison = make()
    assert Comparison.from_text(comparison.to_text()).to_text() == comparison.to_text()


def golden(name: str, text: str) -> None:
    """`PEDIGREE_UPDATE_GOLDENS=1 pytest` writes them anew; the difference then belongs into the review."""
    path = GOLDENS / name
    if os.environ.get(UPDATE):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{name} changed; set {UPDATE}=1 if that is meant"


def small() -> Comparison:
    return retrained(slices=(Slice((("origin", "JFK"),)), Slice((("carrier", "UA"),))))


def test_the_golden_document() -> None:
    golden("comparison.json", small().to_text())


def test_numbers_that_json_does_not_have_are_written_as_tfma_writes_them() -> None:
    found = json.loads(not_a_number().to_text())
    assert found["metrics"][0]["challenger"]["value"] == "NaN"
    assert found["verdict"] == "INSUFFICIENT"
    assert found["change"] is None
    assert math.isnan(Comparison.from_json(found).metrics[0].challenger.value)  # type: ignore[union-attr]


def test_an_earlier_golden_can_still_be_read() -> None:
    text = (GOLDENS / "comparison.json").read_text(encoding="utf-8")
    assert Comparison.from_text(text).to_text() == text


def test_decisions_on_file_come_out_again_to_the_letter() -> None:
    """117 of them, each with a sentence of its own, as an earlier release wrote them: who changes a word or a
    digit breaks the replay of what is on file. Lines may be added, and none is ever written anew."""
    lines = (GOLDENS / "decisions.jsonl").read_text(encoding="utf-8").splitlines()
    found = [Comparison.from_text(line) for line in lines]
    for line, comparison in zip(lines, found, strict=True):
        again, on_file = decide_again(comparison).to_json(), json.loads(line)
        assert again == {key: on_file[key] for key in again}
        assert render(comparison).startswith("<!doctype html>")
    outcomes = {check.outcome for comparison in found for check in comparison.decision.checks}
    assert (len(found), outcomes) == (117, set(CheckOutcome))
    assert {one.decision.verdict for one in found} == set(Verdict)
    assert {one.policy.form for one in found} == {1, 2}


def test_parameters_that_differ_are_listed_and_types_count() -> None:
    old, new = side("1.0.0", (), "1", "a", 1, rate=1, same=2.0), side("1.1.0", (), "1", "a", 1, rate="1", same=2)
    comparison = compare_models("m", Policy("auc"), new, old, Measurements({}, {}))
    assert [(one.name, one.old, one.new) for one in comparison.parameter_changes] == [("rate", 1, "1")]


def test_the_score_comes_first_and_all_examples_before_their_slices() -> None:
    keys = [(row.metric, str(row.slice)) for row in small().metrics]
    assert keys[:3] == [("auc", "overall"), ("auc", "carrier=UA"), ("auc", "origin=JFK")]
    assert keys[3:] == sorted(keys[3:], key=lambda key: (key[0], key[1] != "overall", key[1]))


def test_a_document_with_a_policy_of_the_first_form_is_read_and_keeps_its_digests() -> None:
    text = (GOLDENS / "comparison_of_policy_1.json").read_text(encoding="utf-8")
    comparison = Comparison.from_text(text)
    assert comparison.policy.form == 1
    assert comparison.to_text() == text


def test_flips_among_classes_come_back_from_their_json() -> None:
    flips = FlipCounts(0.5, 1, 1, 0, 1, fixed=1, classes=3, changed=2)
    comparison = replace(retrained(), flips=flips)
    assert Comparison.from_text(comparison.to_text()).flips == flips
    assert "classes" not in FlipCounts().to_json()  # what was written before there were any stays the same


def test_importance_is_improvement_less_what_latency_costs() -> None:
    comparison = retrained()
    change, new, old = comparison.decision.change, comparison.challenger.latency, comparison.champion
    assert change is not None
    assert new is not None
    assert old is not None
    assert old.latency is not None
    slower = (new.p50_ms - old.latency.p50_ms) / 1000
    assert comparison.importance == pytest.approx(0.7 * 0.051 - 0.3 * slower)
    relative = retrained(replace(POLICY, importance=Weights(gain=Gain.RELATIVE)))
    assert relative.importance == pytest.approx(0.7 * change.relative - 0.3 * slower)


def test_importance_is_left_out_where_a_part_of_it_is_missing() -> None:
    auc = {Key("auc"): MetricValue(0.8)}
    untimed = (side("1.1.0", (), "1", "a", 1), side("1.0.0", (), "1", "a", 1))
    assert compare_models("m", Policy("auc"), *untimed, Measurements(auc, auc)).importance is None
    weightless = Policy("auc", importance=Weights(0.7, 0.0, Gain.RELATIVE))
    assert compare_models("m", weightless, *untimed, Measurements(auc, auc)).importance == 0
    from_zero = Measurements(auc, {Key("auc"): MetricValue(0.0)})
    assert compare_models("m", weightless, *untimed, from_zero).importance is None


def test_a_champion_that_cannot_be_evaluated_is_named_without_numbers() -> None:
    auc = {Key("auc"): MetricValue(0.8)}
    new, old = side("2.0.0", (), "2", "b", 1), side("1.0.0", (), "1", "a", 1)
    comparison = compare_models(
        "m",
        Policy("auc"),
        new,
        old,
        Measurements(auc),
        challenger_description=description(4),
        champion_description=description(3),
        not_comparable="input `features` changed shape",
    )
    assert comparison.decision.verdict is Verdict.INSUFFICIENT
    assert comparison.bump == "MAJOR"
    assert comparison.champion == old
    assert all(row.champion is None and row.difference is None for row in comparison.metrics)


REFUSALS: dict[str, tuple[Any, str]] = {
    "format": ("pedigree.comparison/9", "its `format` must be"),
    "verdict": ("MAYBE", "`verdict` must be one of PASS, FAIL, INSUFFICIENT, but is 'MAYBE'"),
    "model": (None, "`model`"),
    "metrics": ({}, "`metrics` is a table, but must be a list"),
    "policy_digest": (digest("another"), "does not belong to the policy"),
    "surprise": (1, "`surprise` is not known"),
}


@pytest.mark.parametrize("field", REFUSALS)
def test_what_is_no_comparison_is_refused_and_the_field_named(field: str) -> None:
    value, said = REFUSALS[field]
    with pytest.raises(InvalidInputError, match="comparison.json") as caught:
        Comparison.from_json({**small().to_json(), field: value}, "comparison.json")
    assert said in str(caught.value)


def test_a_field_that_is_missing_is_named() -> None:
    found = small().to_json()
    del found["similarity"]
    with pytest.raises(InvalidInputError, match="lacks `similarity`"):
        Comparison.from_json(found)
    with pytest.raises(InvalidInputError, match="this is not JSON"):
        Comparison.from_text("{")


def test_the_same_comparison_has_the_same_digest_and_another_one_another() -> None:
    assert small().digest == small().digest
    assert replace(small(), model="other").digest != small().digest


@pytest.mark.parametrize("comparison", [retrained(), first_version(), not_a_number()], ids=["second", "first", "nan"])
def test_a_notebook_shows_the_decision_its_checks_and_the_metrics(comparison: Comparison) -> None:
    shown = unescape(comparison._repr_html_())
    row = comparison.metrics[-1]
    for words in (comparison.decision.reason, "checks", "metrics", row.metric, str(row.slice)):
        assert words.replace(" %", "\u00a0%") in shown


def test_counts_that_do_not_fit_together_are_refused() -> None:
    found = json.loads(small().to_text())
    for change in ({"negative": [1]}, {"positive": []}, {"matrix": [[1, 2], [3]]}, {"matrix": [[1]]}):
        outcomes = {**found["outcomes"], "challenger": {**found["outcomes"]["challenger"], **change}}
        with pytest.raises(InvalidInputError):
            Comparison.from_json({**found, "outcomes": outcomes})
