"""What a policy may ask for beside the score: a margin of both kinds, other gains, gaps between slices.

Each demand is held against exact arithmetic with fractions, and against its laws.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tfma_rule import tfma_blesses

from tfx_pedigree.comparison import (
    OVERALL,
    Check,
    CheckOutcome,
    Gap,
    GateDecision,
    Guardrail,
    Key,
    MetricValue,
    Policy,
    Recommendation,
    Regression,
    Rule,
    RuleKind,
    Scores,
    Similar,
    Slice,
    Verdict,
    decide,
    evaluator_plan,
    parse_policy,
    read_policy,
)
from tfx_pedigree.comparison.intervals import TFMA_DEGREES_OF_FREEDOM, t_quantile
from tfx_pedigree.errors import InvalidInputError

UNKNOWN = CheckOutcome.UNKNOWN
PASS, FAIL, INSUFFICIENT = Verdict.PASS, Verdict.FAIL, Verdict.INSUFFICIENT
BOTH = Rule(RuleKind.RELATIVE, 0.05, None, 0.01)
hundredths = st.integers(0, 100).map(lambda step: step / 100)
shares = st.integers(0, 90).map(lambda step: step / 100)


def more(gain: Fraction, asked: Fraction) -> bool:
    """As documented: "more" begins at 1.00001 times what is asked for."""
    return gain > asked * (1 + Fraction(1, 10**5))


def near(*pairs: tuple[Fraction, Fraction]) -> bool:
    """Where floats may round to the other side of the line, which has a tolerance for that."""
    return any(abs(gain - asked * (1 + Fraction(1, 10**5))) < Fraction(1, 10**12) for gain, asked in pairs)


def exactly(value: float) -> Fraction:
    return Fraction(value).limit_denominator(1000)


def of(metric: str, new: float, old: float, **policy: Any) -> GateDecision:
    return decide(Policy(metric, **policy), Scores.of(**{metric: new}), Scores.of(**{metric: old}))


@given(hundredths, hundredths, shares, hundredths, st.sampled_from(["auc", "brier_score"]))
def test_a_margin_of_both_kinds_is_won_by_who_exceeds_both(
    new: float, old: float, share: float, absolute: float, metric: str
) -> None:
    x, y, t, a = map(exactly, (new, old, share, absolute))
    gain = x - y if metric == "auc" else y - x
    assume(not near((gain, t * y), (gain, a), (-gain, t * x), (-gain, a)))
    found = of(metric, new, old, rule=Rule(RuleKind.RELATIVE, share, None, absolute))
    wins, loses = more(gain, t * y) and more(gain, a), more(-gain, t * x) and more(-gain, a)
    assert (found.verdict is PASS) is wins
    assert (found.recommendation is Recommendation.CHALLENGER) is wins
    assert (found.recommendation is Recommendation.CHAMPION) is loses


@given(hundredths, hundredths, shares, hundredths)
def test_who_prefers_fresh_data_refuses_what_lost_more_than_both(
    new: float, old: float, share: float, absolute: float
) -> None:
    x, y, t, a = map(exactly, (new, old, share, absolute))
    assume(not near((y - x, t * y), (y - x, a), (y - x, t * x)))
    rule = Rule(RuleKind.RELATIVE, share, None, absolute)
    found = of("auc", new, old, rule=rule, similar=Similar.PREFER_CHALLENGER)
    lost = (more(y - x, t * y) or more(y - x, t * x)) and more(y - x, a)
    assert (found.verdict is FAIL) is lost


@given(hundredths, hundredths, shares, hundredths)
def test_swapping_the_models_swaps_the_recommendation(new: float, old: float, share: float, absolute: float) -> None:
    rule = Rule(RuleKind.RELATIVE, share, None, absolute)
    swapped = {Recommendation.CHALLENGER: Recommendation.CHAMPION, Recommendation.CHAMPION: Recommendation.CHALLENGER}
    one, other = of("auc", new, old, rule=rule).recommendation, of("auc", old, new, rule=rule).recommendation
    assert one is not None
    assert other is swapped.get(one, one)


def test_both_are_asked_for_in_the_sentence() -> None:
    found = of("auc", 0.84, 0.79, rule=Rule(RuleKind.RELATIVE, 0.05, None, 0.1))
    assert "6.33 % better, not more than the 5 % and 0.1 that the policy asks for" in found.reason


def with_interval(new: float, old: float, half: float) -> dict[str, Any]:
    key = Key("auc")
    return {
        "challenger": Scores({key: MetricValue(new, (new - half, new + half), 1000)}),
        "champion": Scores({key: MetricValue(old, (old - half, old + half), 1000)}),
        "differences": {key: MetricValue(new - old, (new - old - half, new - old + half), 1000)},
    }


@pytest.mark.parametrize(("half", "verdict"), [(0.01, PASS), (0.03, INSUFFICIENT)])
def test_the_interval_must_be_clear_of_both(half: float, verdict: Verdict) -> None:
    """The gain is .1: clear of 5 % of .2, which is .01, in both; of .08 only in the narrow one."""
    policy = Policy("auc", rule=Rule(RuleKind.RELATIVE, 0.05, None, 0.08), confidence=0.95)
    assert decide(policy, **with_interval(0.3, 0.2, half)).verdict is verdict


# --- a guardrail that must rise as well ---------------------------------------------------------------------------


def rising(asked: Rule, new: float, old: float) -> Check:
    policy = Policy("auc", rule=Rule(RuleKind.ABSOLUTE, 0.0), guardrails=(Guardrail("recall", min_gain=asked),))
    found = decide(policy, Scores.of(auc=0.9, recall=new), Scores.of(auc=0.8, recall=old))
    (check,) = found.checks[1:]
    assert (found.verdict is PASS) is (check.outcome is CheckOutcome.HOLDS)
    return check


@given(hundredths, hundredths, shares, st.none() | hundredths)
def test_a_metric_that_must_rise_does_by_more_than_is_asked(
    new: float, old: float, share: float, absolute: float | None
) -> None:
    x, y, t = map(exactly, (new, old, share))
    a = exactly(absolute) if absolute is not None else Fraction(-1)
    assume(not near((x - y, t * y), (x - y, a)))
    check = rising(Rule(RuleKind.RELATIVE, share, None, absolute), new, old)
    rises = more(x - y, t * y) and (absolute is None or more(x - y, a))
    assert check.outcome is (CheckOutcome.HOLDS if rises else CheckOutcome.BROKEN)


def test_a_gain_that_is_missing_says_how_much() -> None:
    check = rising(Rule(RuleKind.RELATIVE, 0.05), 0.81, 0.8)
    assert check.sentence == "recall rose from 0.8 to 0.81, 1.25 % better, not more than the 5 % that must be gained"


def test_a_first_version_has_nothing_to_rise_over() -> None:
    policy = Policy("auc", guardrails=(Guardrail("recall", min_gain=Rule()),))
    assert decide(policy, Scores.of(auc=0.9, recall=0.5), None).verdict is PASS


def test_a_gain_is_judged_by_its_interval_and_on_each_slice() -> None:
    jfk = Slice((("origin", "JFK"),))
    rail = Guardrail("auc", min_gain=Rule(RuleKind.ABSOLUTE, 0.0), each_slice_of=("origin",))
    policy = Policy("auc", rule=Rule(RuleKind.ABSOLUTE, 0.0), confidence=0.95, guardrails=(rail,))
    given = with_interval(0.9, 0.8, 0.01)
    for part in ("challenger", "champion"):
        given[part] = Scores({Key("auc", where): next(iter(given[part].metrics.values())) for where in (OVERALL, jfk)})
    difference = given["differences"][Key("auc")]
    for half, verdict in ((0.05, PASS), (0.2, INSUFFICIENT)):
        here = replace(difference, interval=(difference.value - half, difference.value + half))
        given["differences"] = {Key("auc"): difference, Key("auc", jfk): here}
        assert decide(policy, **given).verdict is verdict


# --- two limits of a loss -----------------------------------------------------------------------------------------


@given(hundredths, hundredths, shares, hundredths)
def test_a_loss_must_keep_within_both_limits(new: float, old: float, share: float, absolute: float) -> None:
    x, y, t, a = map(exactly, (new, old, share, absolute))
    assume(not near((y - x, t * y), (y - x, a)))
    rail = Guardrail("recall", max_regression=Regression(share, and_absolute=absolute))
    found = decide(
        Policy("auc", rule=Rule(RuleKind.ABSOLUTE, 0.0), guardrails=(rail,)),
        Scores.of(auc=0.9, recall=new),
        Scores.of(auc=0.8, recall=old),
    )
    assert (found.verdict is PASS) is not (more(y - x, t * y) or more(y - x, a))


# --- gaps between slices ------------------------------------------------------------------------------------------

SLICES = [Slice((("sex", one),)) for one in "fmx"]
GAP = Guardrail("recall", max_gap=Gap(0.1), each_slice_of=("sex",))


def by_slice(values: Mapping[Slice, MetricValue]) -> Scores:
    whole = MetricValue(0.9, (0.89, 0.91), 1000)
    return Scores({Key("auc"): whole, **{Key("recall", where): value for where, value in values.items()}})


def gap_of(rail: Guardrail, values: list[MetricValue], **policy: Any) -> Check:
    slices = dict(zip(SLICES, values, strict=False))
    found = decide(Policy("auc", guardrails=(rail,), **policy), by_slice(slices), None)
    (check,) = [check for check in found.checks if check.name.startswith("gap")]
    return check


@given(st.lists(hundredths, min_size=2, max_size=3), hundredths)
def test_a_gap_is_that_of_the_best_and_the_worst_slice(values: list[float], limit: float) -> None:
    gap = max(map(exactly, values)) - min(map(exactly, values))
    assume(not near((gap, exactly(limit))))
    check = gap_of(replace(GAP, max_gap=Gap(limit)), [MetricValue(one, count=100) for one in values])
    assert (check.outcome is CheckOutcome.HOLDS) is not more(gap, exactly(limit))
    assert check.numbers["gap"] == pytest.approx(float(gap))


@pytest.mark.parametrize(
    ("high", "half", "outcome"),
    [
        (0.55, 0.02, CheckOutcome.HOLDS),  # .05 ± .028
        (0.55, 0.04, CheckOutcome.UNKNOWN),  # .05 ± .057
        (0.8, 0.02, CheckOutcome.BROKEN),
    ],
)
def test_a_gap_is_judged_by_the_interval_of_two_independent_slices(
    high: float, half: float, outcome: CheckOutcome
) -> None:
    values = [MetricValue(one, (one - half, one + half), 100) for one in (0.5, high)]
    check = gap_of(GAP, values, confidence=0.95)
    assert check.outcome is outcome
    assert f"interval {max(0.0, round(high - 0.5 - half * math.sqrt(2), 5)):.4g} to" in check.sentence
    # Without intervals, or by the values alone, the point decides.
    assert gap_of(replace(GAP, point_estimate=True), values, confidence=0.95).outcome is not CheckOutcome.UNKNOWN


@given(st.lists(st.tuples(hundredths, st.floats(0.001, 0.2)), min_size=2, max_size=3), st.floats(0.001, 0.2))
def test_a_wider_interval_never_decides_more(values: list[tuple[float, float]], wider: float) -> None:
    def check(extra: float) -> Check:
        found = [MetricValue(one, (one - half - extra, one + half + extra), 100) for one, half in values]
        return gap_of(GAP, found, confidence=0.95)

    assert check(wider).outcome in (check(0.0).outcome, CheckOutcome.UNKNOWN)


def test_a_gap_of_which_a_slice_has_no_number_is_not_known() -> None:
    values = {SLICES[0]: MetricValue(0.5), SLICES[1]: MetricValue(math.nan)}
    found = decide(Policy("auc", guardrails=(GAP,)), by_slice(values), None)
    assert found.verdict is INSUFFICIENT
    assert "needs two slices" in gap_of(GAP, [MetricValue(0.5, count=9)]).sentence


def test_many_slices_are_judged_by_their_own_intervals() -> None:
    slices = {Slice((("tail", str(number)),)): MetricValue(0.5, (0.45, 0.55), 100) for number in range(1200)}
    rail = replace(GAP, each_slice_of=("tail",))
    found = decide(Policy("auc", guardrails=(rail,), confidence=0.95), by_slice(slices), None)
    (check,) = [check for check in found.checks if check.name.startswith("gap")]
    assert check.outcome is CheckOutcome.HOLDS  # .45 to .55, which is exactly .1


WORSE = replace(GAP, max_gap=Gap(worse_by=0.05))


def against(rail: Guardrail, new: list[MetricValue], old: list[MetricValue], apart: float, **policy: Any) -> Check:
    """`apart`: half the width of each slice's paired difference."""
    differences = {
        Key("recall", where): MetricValue(a.value - b.value, (a.value - b.value - apart, a.value - b.value + apart))
        for where, a, b in zip(SLICES, new, old, strict=False)
    }
    differences[Key("auc")] = MetricValue(0.0, (-0.01, 0.01))
    sides = [by_slice(dict(zip(SLICES, one, strict=False))) for one in (new, old)]
    found = decide(Policy("auc", guardrails=(rail,), **policy), *sides, differences=differences)
    (check,) = [check for check in found.checks if check.name.startswith("gap")]
    return check


@given(st.lists(st.tuples(hundredths, hundredths), min_size=2, max_size=3), hundredths)
def test_a_gap_may_be_wider_than_the_champions_by_so_much(values: list[tuple[float, float]], limit: float) -> None:
    new, old = zip(*values, strict=True)
    wider = max(map(exactly, new)) - min(map(exactly, new)) - (max(map(exactly, old)) - min(map(exactly, old)))
    assume(not near((wider, exactly(limit))) or wider == exactly(limit) == 0)
    sides = [[MetricValue(one, count=100) for one in side] for side in (new, old)]
    check = against(replace(GAP, max_gap=Gap(worse_by=limit)), *sides, 0.0)
    assert (check.outcome is CheckOutcome.HOLDS) is not more(wider, exactly(limit))
    assert check.numbers["wider"] == pytest.approx(float(wider))


def wide(*values: float, half: float = 0.05) -> list[MetricValue]:
    return [MetricValue(one, (one - half, one + half), 100) for one in values]


@pytest.mark.parametrize(
    ("new", "old", "apart", "outcome"),
    [
        # Both models' own intervals are wide; on the same rows they vary together, and only that counts.
        ((0.5, 0.6), (0.5, 0.6), 0.01, CheckOutcome.HOLDS),
        ((0.5, 0.72), (0.5, 0.6), 0.01, CheckOutcome.BROKEN),
        ((0.5, 0.66), (0.5, 0.6), 0.01, CheckOutcome.UNKNOWN),
        ((0.5, 0.6), (0.5, 0.6), 0.05, CheckOutcome.UNKNOWN),
        # A champion that was as unfair allows as much, whatever the gap is.
        ((0.2, 0.9), (0.2, 0.9), 0.01, CheckOutcome.HOLDS),
        # Another pair is the widest one now: two slices that share no rows.
        ((0.5, 0.6, 0.52), (0.5, 0.52, 0.6), 0.01, CheckOutcome.UNKNOWN),
        ((0.5, 0.6, 0.9), (0.5, 0.52, 0.6), 0.01, CheckOutcome.BROKEN),
    ],
)
def test_a_wider_gap_is_judged_by_what_both_models_said_on_the_same_rows(
    new: tuple[float, ...], old: tuple[float, ...], apart: float, outcome: CheckOutcome
) -> None:
    check = against(WORSE, wide(*new), wide(*old), apart, confidence=0.95)
    assert check.outcome is outcome, check.sentence
    assert against(replace(WORSE, point_estimate=True), wide(*new), wide(*old), apart).outcome is not UNKNOWN


@given(st.lists(st.tuples(hundredths, hundredths), min_size=2, max_size=3), st.floats(0.001, 0.1), st.floats(1.01, 4))
def test_the_same_model_is_never_wider_and_less_certainty_decides_no_more(
    values: list[tuple[float, float]], apart: float, wider: float
) -> None:
    new, old = zip(*values, strict=True)
    sure, less = (
        against(WORSE, wide(*new, half=0.05 * by), wide(*old, half=0.05 * by), apart * by, confidence=0.95)
        for by in (1.0, wider)
    )
    assert less.outcome in (sure.outcome, CheckOutcome.UNKNOWN)
    assert against(WORSE, wide(*new), wide(*new), 0.0, confidence=0.95).outcome is CheckOutcome.HOLDS


@pytest.mark.parametrize("apart", [0.06, 0.19, 0.5])
def test_differences_that_vary_more_than_both_models_do_make_nothing_certain(apart: float) -> None:
    assert against(WORSE, wide(0.0, 0.0), wide(0.01, 0.0), apart, confidence=0.95).outcome is CheckOutcome.UNKNOWN
    assert against(WORSE, wide(0.5, 0.5), wide(0.5, 0.5), apart, confidence=0.95).outcome is CheckOutcome.UNKNOWN


def test_what_a_wider_gap_says() -> None:
    check = against(WORSE, wide(0.5, 0.72), wide(0.5, 0.6), 0.01, confidence=0.95)
    assert check.sentence == (
        "the widest gap of recall between slices of sex is 0.22, from 0.5 on sex=f to 0.72 on sex=m, and the "
        "champion's 0.1, from 0.5 on sex=f to 0.6 on sex=m: 0.12 wider (interval 0.1059 to 0.1341), and it may not "
        "be more than 0.05 wider"
    )
    alone = gap_of(WORSE, wide(0.5, 0.9))
    assert alone.outcome is CheckOutcome.SKIPPED and "no champion" in alone.sentence
    slices = dict(zip(SLICES, wide(0.5, 0.9), strict=False))
    policy = Policy("auc", guardrails=(WORSE,), similar=Similar.PREFER_CHALLENGER)
    none = decide(policy, by_slice(slices), by_slice({SLICES[0]: MetricValue(0.5)}))
    assert none.verdict is INSUFFICIENT and "recall on sex=m of the champion is missing" in none.reason


def test_a_gap_that_is_too_much_wider_seldom_passes_by_luck() -> None:
    """On the line, with a champion of which two pairs are equally wide: in 2.5 % of evaluations at the most."""
    chance, noise, shared = random.Random(5), 0.02, 0.8
    t, rounds, passed = t_quantile(0.95, TFMA_DEGREES_OF_FREEDOM), 600, 0
    for _ in range(rounds):
        luck = [chance.gauss(0, math.sqrt(shared)) for _ in SLICES]
        new, old = (
            [
                true + noise * (with_all + chance.gauss(0, math.sqrt(1 - shared)))
                for true, with_all in zip(side, luck, strict=True)
            ]
            for side in ((0.5, 0.65, 0.6), (0.5, 0.6, 0.6))
        )
        apart = noise * math.sqrt(2 * (1 - shared)) * t
        check = against(WORSE, wide(*new, half=noise * t), wide(*old, half=noise * t), apart, confidence=0.95)
        passed += check.outcome is CheckOutcome.HOLDS
    assert passed <= 0.04 * rounds


def test_a_gap_of_many_slices_is_held_against_the_champions_by_their_own_intervals() -> None:
    slices = {Slice((("tail", str(number)),)): MetricValue(0.5, (0.45, 0.55), 100) for number in range(1200)}
    rail = replace(GAP, each_slice_of=("tail",), max_gap=Gap(worse_by=0.1))
    policy = Policy("auc", guardrails=(rail,), confidence=0.95)
    differences = {Key("auc"): MetricValue(0.0, (-0.01, 0.01))}
    found = decide(policy, by_slice(slices), by_slice(slices), differences=differences)
    (check,) = [check for check in found.checks if check.name.startswith("gap")]
    assert check.outcome is CheckOutcome.HOLDS and check.numbers["wider"] == 0


# --- the file, the sense, the digest ------------------------------------------------------------------------------

EVERYTHING = """
metric: auc
rule: {relative: 0.05, absolute: 0.01}
guardrails:
  - {metric: recall, min_gain: {absolute: 0.01}}
  - {metric: precision, min_gain: {error_reduction: 0.1, absolute: 0.001}}
  - {metric: recall, max_gap: 0.1, each_slice_of: sex}
  - {metric: binary_accuracy, max_regression: {relative: 0.02, absolute: 0.01}}
"""


def test_the_file_says_all_of_it_and_the_json_form_says_it_again() -> None:
    policy = parse_policy(EVERYTHING)
    assert policy.rule == BOTH
    assert policy.guardrails[0].min_gain == Rule(RuleKind.ABSOLUTE, 0.01)
    assert policy.guardrails[1].min_gain == Rule(RuleKind.ERROR_REDUCTION, 0.1, 1.0, 0.001)
    assert policy.guardrails[2].max_gap == Gap(0.1)
    assert policy.guardrails[3].max_regression == Regression(0.02, and_absolute=0.01)
    assert read_policy(policy.to_json()) == policy
    assert read_policy(policy.to_json()).digest == policy.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metric: auc\nrule: {relative: 0.05, error_reduction: 0.1}", "must name exactly one of"),
        ("format: pedigree.policy/1\nmetric: auc\nrule: {relative: 0.05, absolute: 0.1}", "pedigree.policy/2"),
        ("metric: auc\nrule: {relative: 0.05, absolute: 1.5}", "`rule.absolute` is 1.5, and auc lies from 0 to 1"),
        ("metric: auc\nguardrails: [{metric: recall, max_gap: 0.1}]", "the features in `each_slice_of`"),
        ("metric: auc\nguardrails: [{metric: recall, max_gap: 10, each_slice_of: sex}]", "it forbids nothing"),
        ("metric: auc\nguardrails: [{metric: recall, max_gap: {}, each_slice_of: sex}]", "`at_most`, by `worse_by`"),
        ("metric: auc\nguardrails: [{metric: recall, max_gap: {worse_by: 1}, each_slice_of: sex}]", "forbids nothing"),
        ("metric: auc\nguardrails: [{metric: recall, max_gap: {worse_by: -1}, each_slice_of: sex}]", "0 or more"),
        ("metric: auc\nguardrails: [{metric: calibration, min_gain: {absolute: 0.1}}]", "it can have bounds"),
        ("metric: auc\nguardrails: [{metric: recall, min_gain: {absolute: 2}}]", "nobody can win"),
        ("metric: auc\nguardrails: [{metric: recall, max_regression: {}}]", "or both"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=r"line \d") as refused:
        parse_policy(text, "p.yaml")
    assert said in str(refused.value)


# --- TFMA never refuses what the gate passes ----------------------------------------------------------------------


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    kind = draw(st.sampled_from([RuleKind.RELATIVE, RuleKind.ERROR_REDUCTION]))
    rule = Rule(kind, draw(shares), 1.0 if kind is RuleKind.ERROR_REDUCTION else None, draw(hundredths))
    rails = [
        draw(
            st.sampled_from(
                [
                    Guardrail("recall", min_gain=Rule(RuleKind.RELATIVE, 0.05, None, 0.01)),
                    Guardrail("auc", min_gain=Rule(RuleKind.RELATIVE, 0.05)),
                    Guardrail("auc", min_gain=Rule(RuleKind.ABSOLUTE, 0.0), each_slice_of=("sex",), min_examples=30),
                    Guardrail("auc", max_regression=Regression(0.1, and_absolute=0.05)),
                    replace(GAP, metric="recall", max_gap=Gap(0.5)),
                ]
            )
        )
    ]
    return Policy(
        draw(st.sampled_from(["auc", "recall"])), rule=rule, similar=draw(st.sampled_from(Similar)), guardrails=rails
    )


@given(policies(), st.lists(hundredths, min_size=12, max_size=12))
@settings(max_examples=200, deadline=None)
def test_tfma_blesses_whatever_the_gate_passes(policy: Policy, values: list[float]) -> None:
    keys = [Key(name, where) for name in ("auc", "recall") for where in (OVERALL, *SLICES[:2])]
    new, old = (
        {key: MetricValue(max(one, 0.01), count=50) for key, one in zip(keys, part, strict=True)}
        for part in (values[:6], values[6:])
    )
    if decide(policy, Scores(new), Scores(old)).verdict is PASS:
        config = evaluator_plan(policy).config
        assert tfma_blesses(config, {k: v.value for k, v in new.items()}, {k: v.value for k, v in old.items()})
