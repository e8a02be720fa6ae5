"""What holds for all numbers: a better challenger fares no worse, and the two models are judged by one measure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tfx_pedigree.comparison import (
    Bounds,
    Direction,
    GateDecision,
    Guardrail,
    Key,
    Latency,
    LatencyBudget,
    MetricValue,
    Policy,
    Recommendation,
    Regression,
    Rule,
    RuleKind,
    Scores,
    Similar,
    SizeBudget,
    Verdict,
    decide,
)

SWAPPED = {
    Recommendation.CHALLENGER: Recommendation.CHAMPION,
    Recommendation.CHAMPION: Recommendation.CHALLENGER,
    Recommendation.SIMILAR: Recommendation.SIMILAR,
    None: None,
}
SCORE = Key("m")
# Around the thresholds as well as anywhere: two scores from a coarse grid often differ by exactly 5 %.
grid = st.integers(-40, 40).map(lambda step: step / 40)
scores = st.one_of(grid, st.floats(-1e6, 1e6), st.floats(0, 1))
widths = st.one_of(st.just(0.0), st.floats(0, 0.2), st.floats(0, 1e5))
steps = st.one_of(st.just(0.0), st.floats(0, 0.1), st.floats(0, 1e6))
directions = st.sampled_from(Direction)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    kind = draw(st.sampled_from(RuleKind))
    if kind is RuleKind.ABSOLUTE:
        return Rule(kind, draw(st.floats(0, 2)))
    perfect = draw(st.floats(-1, 1)) if kind is RuleKind.ERROR_REDUCTION else None
    return Rule(kind, draw(st.sampled_from([0.0, 0.05, 0.5, 0.9]) | st.floats(0, 0.9)), perfect)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return Policy(
        "m",
        draw(directions),
        draw(rules()),
        similar=draw(st.sampled_from(Similar)),
        confidence=draw(st.sampled_from([None, 0.95])),
        min_examples=draw(st.sampled_from([0, 100])),
    )


@dataclass(frozen=True)
class Around:
    """How far the difference's interval reaches below and above it, and the two values' own intervals.

    Three intervals that were measured together fit together: no correlation makes the difference surer than the two
    values' own widths lie apart, nor less sure than both together.
    """

    below: float
    above: float
    challenger: float
    champion: float

    def swapped(self) -> Around:
        return Around(self.above, self.below, self.champion, self.challenger)


@st.composite
def arounds(draw: st.DrawFn) -> Around:
    challenger, champion = draw(widths), draw(widths)
    apart = abs(challenger - champion)
    half = apart + draw(st.floats(0, 1)) * (challenger + champion - apart)
    lean = draw(st.floats(0, 2))
    return Around(half * lean, half * (2 - lean), challenger, champion)


POINT = Around(0.0, 0.0, 0.0, 0.0)


def judged(policy: Policy, challenger: float, champion: float, around: Around = POINT) -> GateDecision:
    difference = challenger - champion
    ends = (difference - around.below, difference + around.above)

    def one(value: float, half: float) -> Scores:
        return Scores({SCORE: MetricValue(value, (value - half, value + half), 1000)})

    return decide(
        policy,
        one(challenger, around.challenger),
        one(champion, around.champion),
        differences={SCORE: MetricValue(difference, ends, 1000)},
    )


@given(policies(), scores, scores, arounds())
@settings(max_examples=250)
def test_antisymmetric_swapping_the_two_swaps_the_recommendation(
    policy: Policy, challenger: float, champion: float, around: Around
) -> None:
    there = judged(policy, challenger, champion, around).recommendation
    back = judged(policy, champion, challenger, around.swapped()).recommendation
    assert back is SWAPPED[there]


@given(policy=policies(), challenger=scores, champion=scores, step=steps, around=arounds())
@settings(max_examples=250)
def test_monotone_a_better_challenger_never_turns_pass_into_fail(
    policy: Policy, challenger: float, champion: float, step: float, around: Around
) -> None:
    better = challenger + step if policy.direction is Direction.HIGHER else challenger - step
    order = {Verdict.FAIL: 0, Verdict.INSUFFICIENT: 1, Verdict.PASS: 2}
    before = judged(policy, challenger, champion, around)
    after = judged(policy, better, champion, around)
    # An interval that lost its width to rounding is not trusted, and that is no judgement of the model.
    assume("no width" not in before.reason + after.reason)
    assert order[after.verdict] >= order[before.verdict]


pairs = st.tuples(st.floats(0.5, 0.7), st.floats(0.5, 0.7))


def took(p95: float) -> Latency:
    """A champion at 30 ms."""
    return Latency(MetricValue(p95, (p95, p95)), MetricValue(p95 / 30, (p95 / 30, p95 / 30)))


@given(pairs, st.tuples(st.floats(0, 0.3), st.floats(0, 0.3)), st.floats(1, 50), st.integers(1, 99))
def test_monotone_in_everything_that_is_looked_at(
    at_first: tuple[float, float], gained: tuple[float, float], p95: float, size: int
) -> None:
    policy = Policy(
        "auc",
        guardrails=(
            Guardrail("recall", max_regression=Regression(0.05)),
            Guardrail("recall", bounds=Bounds(at_least=0.55)),
        ),
        latency=LatencyBudget(p95_ms=40, ratio=1.2),
        size=SizeBudget(bytes=60, ratio=1.5),
    )
    champion = Scores(Scores.of(auc=0.6, recall=0.6).metrics, 50)
    worse = Scores(Scores.of(auc=at_first[0], recall=at_first[1]).metrics, size)
    auc, recall = (one + more for one, more in zip(at_first, gained, strict=True))
    better = Scores(Scores.of(auc=auc, recall=recall).metrics, size // 2)
    if decide(policy, worse, champion, latency=took(p95)).verdict is Verdict.PASS:
        assert decide(policy, better, champion, latency=took(p95 / 2)).verdict is Verdict.PASS


@given(directions, st.floats(0, 0.9), scores, scores, st.integers(-60, 60))
def test_relative_is_free_of_scale(
    direction: Direction, threshold: float, challenger: float, champion: float, power: int
) -> None:
    """Powers of two change no digit, so the law is tested without rounding."""
    policy = Policy("m", direction, Rule(RuleKind.RELATIVE, threshold))
    scaled = [math.ldexp(one, power) for one in (challenger, champion)]
    assume(all(math.ldexp(one, -power) == back for one, back in zip(scaled, (challenger, champion), strict=True)))
    assume(all(one == 0 or abs(one) > 1e-250 for one in (*scaled, challenger, champion, challenger - champion)))
    before, after = judged(policy, challenger, champion), judged(policy, scaled[0], scaled[1])
    assert after.recommendation is before.recommendation
    assert after.change is not None
    assert before.change is not None
    assert after.change.gain == before.change.gain


@given(directions, st.integers(0, 2000), st.integers(-9999, 9999), st.integers(-9999, 9999), st.integers(-9999, 9999))
def test_absolute_is_free_of_shift(
    direction: Direction, threshold: int, challenger: int, champion: int, shift: int
) -> None:
    """Multiples of 1/64 are added without rounding."""
    policy = Policy("m", direction, Rule(RuleKind.ABSOLUTE, threshold / 64))
    before = judged(policy, challenger / 64, champion / 64)
    after = judged(policy, (challenger + shift) / 64, (champion + shift) / 64)
    assert (after.verdict, after.recommendation) == (before.verdict, before.recommendation)


@given(policies(), scores, scores, arounds())
def test_nothing_is_recommended_against_and_promoted(
    policy: Policy, challenger: float, champion: float, around: Around
) -> None:
    decision = judged(policy, challenger, champion, around)
    if decision.recommendation is Recommendation.CHAMPION:
        assert decision.verdict is not Verdict.PASS
    if policy.similar is Similar.KEEP_CHAMPION:
        assert (decision.verdict is Verdict.PASS) is (decision.recommendation is Recommendation.CHALLENGER)


@given(policies(), scores, st.sampled_from([math.nan, math.inf, -math.inf]), st.booleans())
def test_what_is_no_number_never_promotes(policy: Policy, score: float, bad: float, mine: bool) -> None:
    pair = (bad, score) if mine else (score, bad)
    decision = decide(policy, Scores.of(m=pair[0]), Scores.of(m=pair[1]))
    assert decision.verdict is Verdict.INSUFFICIENT
    assert decision.recommendation is None


@given(policies(), scores, scores)
def test_the_same_numbers_give_the_same_decision(policy: Policy, challenger: float, champion: float) -> None:
    once, again = (judged(policy, challenger, champion, Around(0.01, 0.01, 0.01, 0.01)) for _ in range(2))
    assert once.to_json() == again.to_json()


@given(policies(), scores, scores, arounds())
def test_what_the_interval_decides_the_value_inside_it_decides_alike(
    policy: Policy, challenger: float, champion: float, around: Around
) -> None:
    sure = judged(policy, challenger, champion, around)
    plain = judged(replace(policy, confidence=None), challenger, champion)
    if sure.recommendation is not None:
        assert plain.recommendation is sure.recommendation


@given(policies(), scores, scores, arounds())
def test_the_interval_that_is_said_is_the_one_that_decided(
    policy: Policy, challenger: float, champion: float, around: Around
) -> None:
    """A gain of "6 to 9 %" must not stand beside "that is not more than 5 %"."""
    symmetric = replace(around, below=(around.below + around.above) / 2, above=(around.below + around.above) / 2)
    decision = judged(replace(policy, confidence=0.95), challenger, champion, symmetric)
    if decision.recommendation is None or decision.change is None or decision.change.gain_interval is None:
        return
    low, high = decision.change.gain_interval
    slack = 1e-4 * (abs(low) + abs(high) + policy.rule.threshold) + 1e-9
    if decision.recommendation is Recommendation.CHALLENGER:
        assert low > policy.rule.threshold - slack
    else:
        assert high <= policy.rule.threshold + slack
