"""The policy's YAML: what it may say, and where a refusal points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_pedigree.comparison import (
    Bounds,
    Direction,
    Gain,
    Guardrail,
    LatencyBudget,
    MajorChange,
    MissingSlice,
    NotComparable,
    Policy,
    Regression,
    Rule,
    RuleKind,
    Similar,
    SizeBudget,
    Slice,
    TooFew,
    Weights,
    load_policy,
    parse_policy,
    read_policy,
)
from tfx_pedigree.comparison.policy_sense import nonsense, unfamiliar
from tfx_pedigree.errors import InvalidInputError, NotFoundError

ROOT = Path(__file__).resolve().parents[3]

names = st.text(st.characters(max_codepoint=0xFFFF, blacklist_categories=("Cs",)), min_size=1, max_size=12)
shares = st.floats(0, 0.9)
amounts = st.floats(0, 1e12)
positive = st.floats(1e-6, 1e12)


@st.composite
def bounds(draw: Any) -> Bounds:
    ends = sorted(draw(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=2)))
    return Bounds(*draw(st.sampled_from([(ends[0], None), (None, ends[1]), tuple(ends)])))


@st.composite
def rules(draw: Any) -> Rule:
    kind = draw(st.sampled_from(RuleKind))
    if kind is RuleKind.ABSOLUTE:
        return Rule(kind, draw(amounts))
    perfect = draw(st.floats(-1e6, 1e6)) if kind is RuleKind.ERROR_REDUCTION else None
    return Rule(kind, draw(shares), perfect)


@st.composite
def guardrails(draw: Any) -> Guardrail:
    where = draw(
        st.sampled_from(["overall", "slice", "each"]),
    )
    guards = draw(
        st.sampled_from(["change", "bounds", "both"]),
    )
    pairs = tuple(draw(st.dictionaries(names, names, min_size=1, max_size=2)).items())
    return Guardrail(
        draw(names),
        max_regression=Regression(draw(amounts), draw(st.booleans())) if guards != "bounds" else None,
        bounds=draw(bounds()) if guards != "change" else None,
        slice=Slice(pairs) if where == "slice" else None,
        each_slice_of=tuple(draw(st.lists(names, min_size=1, max_size=2))) if where == "each" else (),
        direction=draw(st.sampled_from(Direction)),
        min_examples=draw(st.none() | st.integers(0, 10**6)),
        too_few=draw(st.sampled_from(TooFew)),
        point_estimate=draw(st.booleans()),
    )


newest = st.fixed_dictionaries(
    {
        "importance": st.builds(Weights, amounts, amounts, st.sampled_from(Gain)),
        "major": st.sampled_from(MajorChange),
        "form": st.just(2),
    }
)
first_form = st.fixed_dictionaries(
    {
        "importance": st.builds(Weights, amounts, amounts, st.just(Gain.RELATIVE)),
        "major": st.just(MajorChange.ALLOW),
        "form": st.just(1),
    }
)
policies = st.builds(
    lambda later, **given: Policy(**given, **later),
    later=newest | first_form,
    metric=names,
    direction=st.sampled_from(Direction),
    rule=rules(),
    similar=st.sampled_from(Similar),
    confidence=st.none() | st.floats(0.5, 0.999),
    min_examples=st.integers(0, 10**9),
    guardrails=st.lists(guardrails(), max_size=3).map(tuple),
    latency=st.builds(LatencyBudget, st.none() | positive, st.none() | positive),
    size=st.builds(SizeBudget, st.none() | st.integers(0, 2**52), st.none() | positive),
    first_version=st.dictionaries(names, bounds(), max_size=3),
    not_comparable=st.sampled_from(NotComparable),
    missing_slice=st.sampled_from(MissingSlice),
)


@given(policies)
def test_a_policy_comes_back_from_its_json(policy: Policy) -> None:
    assert read_policy(policy.to_json()) == policy
    assert read_policy(json.loads(json.dumps(policy.to_json()))).digest == policy.digest


@given(policies)
def test_json_is_read_as_the_yaml_that_it_is(policy: Policy) -> None:
    if not list(nonsense(policy)):
        assert parse_policy(json.dumps(policy.to_json())) == policy


def test_a_policy_of_the_first_form_decides_as_before_under_its_old_digest() -> None:
    text = "format: pedigree.policy/1\nmetric: auc"
    policy = parse_policy(text)
    assert policy.digest == "sha256:a3ec3f87b6fe847d6aa20d0e420487db993d3a0734233662a3ed3b633a6d07e3"
    assert (policy.major, policy.importance.gain) == (MajorChange.ALLOW, Gain.RELATIVE)
    assert parse_policy("metric: auc") == parse_policy("format: pedigree.policy/2\nmetric: auc") == Policy("auc")
    with pytest.raises(InvalidInputError, match=r"line 3: `major` is not known in pedigree.policy/1"):
        parse_policy(text + "\nmajor: human")


SENSELESS = {
    "metric: auc\ndirection: lower": "line 2: `direction` is lower, but auc gets better as it gets higher.",
    "metric: auc\nrule: {absolute: 1}": "line 2: `rule.absolute` is 1, and auc lies from 0 to 1: nobody can win.",
    "metric: auc\nrule: {error_reduction: 0.05, perfect: 0}": "line 2: `rule.perfect` is 0, which no perfect auc is",
    "metric: loss\nrule: {error_reduction: 0.05, perfect: -1}": "`rule.perfect` is −1, which no perfect loss is",
    "metric: auc\nguardrails:\n  - {metric: recall, max_regression: {relative: 5}}": (
        "line 3: `guardrails[0].max_regression.relative` is 5, which allows a loss of 500 %"
    ),
    "metric: auc\nguardrails:\n  - {metric: recall, max_regression: {absolute: 1}}": (
        "`guardrails[0].max_regression.absolute` is 1, and recall lies from 0 to 1: it forbids nothing."
    ),
    "metric: auc\nguardrails:\n  - metric: recall\n    at_least: 80": (
        "line 4: `guardrails[0].at_least` is 80, but recall lies from 0 to 1. Did you mean 0.8?"
    ),
    "metric: auc\nguardrails:\n  - {metric: loss, direction: higher, max_regression: {relative: 0.1}}": (
        "line 3: `guardrails[0].direction` is higher, but loss gets better as it gets lower."
    ),
    "metric: auc\nfirst_version:\n  auc: {at_least: 55}": "line 3: `first_version.auc.at_least` is 55",
}


@pytest.mark.parametrize("text", SENSELESS)
def test_a_demand_that_nobody_can_mean_is_refused_where_it_stands(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_policy(text, "p.yaml")
    assert SENSELESS[text] in str(caught.value)


def test_the_default_is_the_rule_of_the_documents() -> None:
    policy = parse_policy("metric: auc")
    assert policy == Policy("auc")
    assert policy.rule == Rule(RuleKind.RELATIVE, 0.05)
    assert policy.similar is Similar.KEEP_CHAMPION
    assert policy.confidence is None


def test_the_shipped_policy_can_be_read() -> None:
    policy = load_policy(ROOT / "configs" / "policy.yaml")
    assert policy.metric == "auc"
    assert policy.guardrails[3].too_few is TooFew.SKIP
    assert policy.first_version == {"auc": Bounds(at_least=0.55)}


def test_the_digest_tells_policies_apart_and_not_ways_of_writing() -> None:
    spelt_out = "metric: auc\ndirection: higher\nrule: {relative: 5e-2}\n"
    assert parse_policy(spelt_out).digest == Policy("auc").digest
    assert parse_policy("metric: auc\nrule: {relative: 0.04}").digest != Policy("auc").digest


@pytest.mark.parametrize(
    ("metric", "direction", "perfect"),
    [("auc", Direction.HIGHER, 1.0), ("binary_crossentropy", Direction.LOWER, 0.0)],
)
def test_known_metrics_need_no_direction_and_no_perfect_value(
    metric: str, direction: Direction, perfect: float
) -> None:
    policy = parse_policy(f"metric: {metric}\nrule: {{error_reduction: 0.05}}")
    assert policy.better is direction
    assert policy.rule.perfect == perfect


@pytest.mark.parametrize(
    ("written", "where"),
    [
        ("slice: origin=JFK", Slice((("origin", "JFK"),))),
        ("slice: {carrier: NO, code: 007}", Slice((("carrier", "NO"), ("code", "007")))),
        ("slice: a=b=c", Slice((("a", "b=c"),))),
        ("slice: overall", None),
    ],
)
def test_slices_are_read_as_they_are_typed(written: str, where: Slice | None) -> None:
    text = f"metric: auc\nguardrails:\n  - metric: auc\n    at_least: 0.5\n    {written}\n"
    assert parse_policy(text).guardrails[0].slice == where


REFUSALS = {
    "metric: auc\nrule:\n  relatve: 0.05": "p.yaml, line 3: `rule.relatve` is not known. Did you mean `relative`?",
    "metric: auc\nrule: {relative: 5}": "p.yaml, line 2: `rule.relative` is 5, but must be a share from 0 to 0.9",
    "metric: auc\n\nsimilar: keep": "line 3: `similar` is 'keep', but must be keep_champion or prefer_challenger",
    "metric: revenue": "line 1: `metric` cannot be the score. `revenue` has no known direction. Give `direction",
    "metric: AUC": "`AUC` has no known direction. Did you mean `auc`? For a metric of your own give `direction",
    "metric: late/F1Scor@class_id=2": "Did you mean `late/f1_score@class_id=2`?",
    "metric: calibration": "it can have bounds (`at_least`, `at_most`)",
    "metric: calibration\ndirection: higher": "line 2: `direction` is higher, but neither way is better",
    "metric: /auc": "line 1: `metric` cannot be read",
    "metric: ndcg@top_k=0": "line 1: `metric` is `ndcg@top_k=0`: the best predictions are counted from 1 on",
    "metric: auc@k=2@class_id=1": "it names its classes twice",
    "metric: precision_at_recall(1.5)": "its recall is 1.5, but must be from 0 to 1",
    "metric: pay\ndirection: lower\nutilities: {pay: {weights: {recall: 1}}}": "line 2: `direction` is lower, but more",
    "metric: pay\nutilities: {pay: {outcomes: {true_positive: 1}, threshold: 3}}": "threshold` is 3, but predictions",
    "metric: auc\nsize: {bytes: 0}": "line 2: `size.bytes` is 0, and no model has so few",
    "metric: auc\nguardrails:\n  - metric: recal\n    max_regression: {absolute: 0.1}": "Did you mean `recall`?",
    "rule: {relative: 0.05}": "line 1: it lacks `metric`",
    "metric: auc\nrule: {}": "line 2: `rule` must name exactly one of relative, absolute, error_reduction",
    "metric: auc\nrule: {relative: 0.05, perfect: 1}": "line 2: `rule.perfect` belongs to the rule",
    "metric: auc\nconfidence: 95": "line 2: `confidence` is 95, but must be a number from 0.5 to less than 1",
    "metric: auc\nconfidence: yes": "line 2: `confidence` is True, but must be a number",
    "metric: auc\nmin_examples: -1": "line 2: `min_examples` is -1, but must be a whole number",
    "metric: auc\nguardrails:\n  - at_least: 1": "line 3: `guardrails[0]` lacks `metric`",
    "metric: auc\nguardrails:\n  - metric: auc\n": "line 3: `guardrails[0]` cannot be used. The guardrail on `auc`",
    "metric: auc\nguardrails:\n  - metric: x\n    max_regression: {relative: 0.1}": "`x` has no known direction",
    "metric: auc\nguardrails:\n  - {metric: auc, at_least: 0, slice: JFK}": "must be `feature=value`",
    "metric: auc\nguardrails:\n  - {metric: auc, at_least: 0, slice: a=b, each_slice_of: c}": "names its slices twice",
    "metric: auc\nfirst_version:\n  auc: {at_least: 1, at_most: 0}": "line 3: `first_version.auc` cannot be used",
    "metric: auc\nlatency: {p95_ms: 0}": "line 2: `latency.p95_ms` is 0, but must be more than 0",
    "metric: auc\nmetric: loss": "line 2: the key `metric` stands there twice",
    "metric: auc\nformat: pedigree.policy/3": "line 2: `format` is 'pedigree.policy/3', but must be",
    "metric: [auc": "line 1: this is not YAML",
    "- metric: auc": "line 1: it is a list, but must be a table",
    "metric: !!python/name:os.system x": "line 1: this is not YAML: could not determine a constructor",
    "metric: auc\nguardrails: &again [*again]": "line 2",
}


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_points_at_the_line_and_says_what_would_be_right(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_policy(text, "p.yaml")
    assert REFUSALS[text] in str(caught.value)
    assert str(caught.value).startswith("p.yaml, line ")


@pytest.mark.parametrize(
    "text",
    [
        "metric: auc\nguardrails:\n  - {metric: auc, slice: JFK}",
        "metric: auc\nguardrails:\n  - {metric: auc, max_gap: {}, each_slice_of: sex}",
        "metric: auc\nguardrails:\n  - {metric: auc, at_least: 1, at_most: 0}",
    ],
)
def test_a_refusal_names_one_place(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_policy(text, "p.yaml")
    assert str(caught.value).count("p.yaml") == 1


def test_names_that_are_nearly_those_of_known_metrics_are_warned_of() -> None:
    """A bound needs no direction, so nothing else would tell a misspelt metric from one of the user's own."""
    text = """
        metric: pay
        utilities: {pay: {weights: {recal: 1}}}
        guardrails: [{metric: late/accurcy, at_least: 0.5}, {metric: revenue, at_least: 3}, {metric: auc, at_least: 0}]
        first_version: {BinaryAccuracy: {at_least: 0.5}, pay: {at_least: 0}}
    """
    assert list(unfamiliar(parse_policy(text))) == [
        "`guardrails[0].metric` is 'late/accurcy', which Pedigree does not know. Did you mean `late/accuracy`?",
        "`first_version.BinaryAccuracy` is 'BinaryAccuracy', which Pedigree does not know. "
        "Did you mean `binary_accuracy`?",
        "`utilities.pay.weights` is 'recal', which Pedigree does not know. Did you mean `recall`?",
    ]


def test_a_policy_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"There is no policy at .*nowhere.yaml"):
        load_policy(tmp_path / "nowhere.yaml")
