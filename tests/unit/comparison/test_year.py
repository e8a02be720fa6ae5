"""What a policy promises of many retrainings: a budget of errors, rows that are used again, and no slow decline."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from year_testing import live_through

from pedigree_testing import digest
from tfx_pedigree.comparison import (
    FIRST,
    Anchor,
    Crowning,
    Decided,
    ErrorBudget,
    GateDecision,
    Guardrail,
    Holdout,
    Key,
    Many,
    Measurements,
    MetricValue,
    NeverBelow,
    Past,
    PastDecision,
    Policy,
    Regression,
    Reused,
    Rule,
    RuleKind,
    Scores,
    Side,
    Similar,
    Slice,
    Standing,
    Verdict,
    compare_models,
    decide,
    evaluator_plan,
    read_policy,
    render,
    stake_of,
    standing_of,
)
from tfx_pedigree.comparison.explaining import Situation, in_words, sentences, simulate, situation
from tfx_pedigree.comparison.guardrail_checks import rejected
from tfx_pedigree.comparison.luck import level_of
from tfx_pedigree.comparison.past import Best, Reuse, Stake
from tfx_pedigree.comparison.policy_file import parse_policy
from tfx_pedigree.errors import InvalidInputError

WHERE = Situation(0.8, 1000, 0.0126)
ANY_GAIN = Rule(RuleKind.ABSOLUTE, 0.0)
CONFIDENT = Policy("auc", rule=ANY_GAIN, confidence=0.95)
BUDGET = replace(CONFIDENT, error_budget=ErrorBudget(0.05, 52))
LADDER = replace(CONFIDENT, holdout=Holdout(ladder=True))
KEY = Key("auc")


def decided(new: float, old: float, standing: Standing | None, policy: Policy, half: float = 0.01) -> Verdict:
    return decision(new, old, standing, policy, half=half).verdict


def decision(
    new: float,
    old: float,
    standing: Standing | None,
    policy: Policy,
    *,
    anchor: Anchor | None = None,
    half: float = 0.01,
) -> GateDecision:
    value = {KEY: MetricValue(new, (new - half, new + half), 1000)}, {KEY: MetricValue(old, (old - half, old + half))}
    apart = {KEY: MetricValue(new - old, (new - old - half, new - old + half), 1000)}
    return decide(policy, Scores(value[0]), Scores(value[1]), differences=apart, standing=standing, anchor=anchor)


def test_without_a_budget_a_year_of_equal_models_promotes_and_with_one_it_keeps_the_promise() -> None:
    plain = [live_through(CONFIDENT, WHERE, at) for at in range(25)]
    kept = [live_through(BUDGET, WHERE, at) for at in range(60)]
    assert sum(year.errors > 0 for year in plain) / 25 > 0.5
    assert sum(year.errors > 0 for year in kept) / 60 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 60)


def test_rows_that_are_used_again_overstate_the_champion_and_the_ladder_keeps_it_honest() -> None:
    climbing = [live_through(replace(CONFIDENT, confidence=None), WHERE, at, same_rows=True) for at in range(12)]
    honest = [live_through(LADDER, WHERE, at, same_rows=True) for at in range(25)]
    assert sum(year.measured[-1] - year.truths[-1] for year in climbing) / 12 > 0.006
    assert sum(year.errors > 0 for year in honest) / 25 <= 0.12


def test_a_slow_decline_ends_where_the_best_champion_is_lost() -> None:
    """Each week 1 % worse and "alike": in a year .80 became .474."""
    sinking = Policy("auc", rule=Rule(RuleKind.RELATIVE, 0.05), similar=Similar.PREFER_CHALLENGER)
    where = Situation(0.8, 100_000, 0.001)
    fallen = live_through(sinking, where, 0, gain=lambda _: -0.008)
    held = live_through(replace(sinking, never_below=NeverBelow()), where, 0, gain=lambda _: -0.008)
    assert fallen.truths[-1] < 0.5
    assert 0.8 * 0.94 <= held.truths[-1] < 0.8


chances = st.floats(1e-4, 0.49)


@settings(deadline=None)
@given(chances, st.integers(1, 60), st.lists(st.booleans(), max_size=130))
def test_what_is_lost_in_a_period_is_never_more_than_its_budget(
    chance: float, decisions: int, wins: list[bool]
) -> None:
    """The proof of the promise: the levels of all decisions that could be errors sum to no more than the budget."""
    policy = replace(CONFIDENT, error_budget=ErrorBudget(chance, decisions))
    past: list[PastDecision] = []
    lost = 0.0
    for at, won in enumerate(wins):
        where = standing_of(Past(tuple(past)), policy, (f"c{at}", "champion"), "1.0.0", None)
        stake = stake_of(policy, where)
        assert stake is not None
        lost = 0.0 if stake.number == 1 else lost
        assert stake.number == at % decisions + 1
        assert 0 < stake.level <= 0.025 + 1e-12
        assert lost + stake.level <= chance + 1e-9
        lost += 0.0 if won else stake.level
        past.append(past_decision(f"e{at}", won=won, stake=stake, digests=(f"c{at}", "champion")))


def past_decision(
    evidence: str,
    *,
    won: bool = False,
    passed: bool = False,
    stake: Stake | None = None,
    digests: tuple[str, ...] = ("c", "champion"),
    data: str | None = None,
    challenger: str = "1.0.1",
    champion: str = "1.0.0",
    values: tuple[float, float] = (0.8, 0.8),
    policy: str = "another",
) -> PastDecision:
    names = (challenger, champion, digests, "auc", *values, 0.01, 0.95, data, policy)
    return PastDecision(evidence, passed, Decided(*names, won, stake))


@settings(deadline=None)
@given(st.floats(-0.2, 0.2), st.floats(0, 0.2), st.integers(1, 52), st.floats(0, 0.04), st.integers(0, 60))
def test_a_better_challenger_fares_no_worse_whatever_was_before(
    gain: float, more: float, at: int, lost: float, uses: int
) -> None:
    order = [Verdict.FAIL, Verdict.INSUFFICIENT, Verdict.PASS]
    policy = replace(BUDGET, holdout=Holdout(ladder=True), never_below=NeverBelow())
    where = Standing(at, lost, Reuse(uses, 0), Best("0.9.0", 0.01, 2, 0.002, None), ())
    one, other = (decided(0.5 + by, 0.5, where, policy) for by in (gain, gain + more))
    assert order.index(other) >= order.index(one)


def test_a_win_gives_its_stake_back_and_a_new_period_begins_anew() -> None:
    policy = replace(CONFIDENT, error_budget=ErrorBudget(0.04, 4))
    past: list[PastDecision] = []
    levels = []
    for at, won in enumerate([False, True, False, False, False]):
        where = standing_of(Past(tuple(past)), policy, (f"c{at}", "champion"), "1.0.0", None)
        stake = stake_of(policy, where)
        assert stake is not None
        levels.append(stake.level)
        past.append(past_decision(f"e{at}", won=won, stake=stake, digests=(f"c{at}", "champion")))
    assert levels == pytest.approx([0.01, 0.01, 0.015, 0.015, 0.01])


def test_a_run_that_is_repeated_stakes_nothing_more() -> None:
    asked = ("c", "champion")
    first = standing_of(Past(), BUDGET, asked, "1.0.0", "rows")
    same = past_decision("e", stake=stake_of(BUDGET, first), digests=asked, data="rows", policy=BUDGET.digest)
    assert standing_of(Past((same,)), BUDGET, asked, "1.0.0", "rows") == first
    on_other_rows = standing_of(Past((same,)), BUDGET, asked, "1.0.0", "new rows")
    assert on_other_rows.number == 2


def test_a_decision_under_a_budget_needs_a_wider_interval_and_says_where_it_stands() -> None:
    assert decided(0.812, 0.8, FIRST, CONFIDENT) is Verdict.PASS
    found = decision(0.812, 0.8, FIRST, BUDGET)
    assert found.verdict is Verdict.INSUFFICIENT
    assert "99.8 % interval" in found.reason
    assert decided(0.82, 0.8, FIRST, BUDGET) is Verdict.PASS
    assert "decision 1 of 52 in this period risks 0.0962 % of the 5 % that all of them may" in {
        check.sentence for check in found.checks
    }


@pytest.mark.parametrize("policy", [BUDGET, LADDER, replace(CONFIDENT, never_below=NeverBelow())])
def test_who_was_not_told_of_earlier_decisions_does_not_promote(policy: Policy) -> None:
    found = decision(0.9, 0.8, None, policy)
    assert found.verdict is Verdict.INSUFFICIENT
    assert "was not told of earlier decisions" in found.reason


def test_a_budget_that_is_spent_decides_nothing() -> None:
    spent = replace(FIRST, number=2, lost=0.05)
    found = decision(0.9, 0.8, spent, BUDGET)
    assert (found.verdict, "nothing is left of the error budget" in found.reason) == (Verdict.INSUFFICIENT, True)


@settings(deadline=None)
@given(st.integers(0, 30))
def test_all_ways_to_the_next_answer_share_one_chance(uses: int) -> None:
    ways = 0.0
    for passes in range(uses + 1):
        level = level_of(LADDER, replace(FIRST, reuse=Reuse(uses, passes)))
        assert level is not None
        ways += math.comb(uses, passes) * level
    assert ways == pytest.approx(0.025)


def test_rows_that_decided_too_often_are_named_with_what_they_overstate() -> None:
    often = replace(FIRST, reuse=Reuse(20, 1))
    (warning,) = decision(0.83, 0.8, often, CONFIDENT).warnings
    assert warning.startswith("the same rows have decided 20 times for this model before: the best of so many equally")
    assert "seems 0.0064 better than it is" in warning
    strict = replace(CONFIDENT, holdout=Holdout(20, Reused.INSUFFICIENT))
    found = decision(0.83, 0.8, often, strict)
    assert (found.verdict, found.warnings) == (Verdict.INSUFFICIENT, ())
    assert "the same rows have decided 20 times, and may decide 20 times: evaluate on new rows" in found.reason
    assert decided(0.83, 0.8, replace(FIRST, reuse=Reuse(19, 1)), strict) is Verdict.PASS
    assert decided(0.83, 0.8, replace(FIRST, reuse=None), strict) is Verdict.INSUFFICIENT


CHAIN = Past(
    (
        past_decision("a", passed=True, challenger="1.1.0", champion="1.0.0", values=(0.85, 0.80), data="june"),
        past_decision("b", passed=True, challenger="1.2.0", champion="1.1.0", values=(0.69, 0.70), data="july"),
        past_decision("c", passed=True, challenger="1.3.0", champion="1.2.0", values=(0.765, 0.78), data="august"),
    ),
    (
        Crowning("1.0.0", None, None, rollback=False),
        Crowning("1.1.0", "1.0.0", "a", rollback=False),
        Crowning("1.2.0", "1.1.0", "b", rollback=False),
        Crowning("1.3.0", "1.2.0", "c", rollback=False),
    ),
)
ANCHORED = Policy(
    "auc", rule=Rule(RuleKind.RELATIVE, 0.05), similar=Similar.PREFER_CHALLENGER, never_below=NeverBelow()
)


def best(past: Past, champion: str = "1.3.0", data: str | None = None) -> Best | None:
    return standing_of(past, ANCHORED, ("c", "d"), champion, data).best


def test_the_best_champion_is_found_by_leads_on_the_same_rows_not_by_scores_of_easy_months() -> None:
    found = best(CHAIN)
    assert found is not None
    assert (found.version, found.comparisons, found.value) == ("1.1.0", 2, None)
    assert found.ahead == pytest.approx(0.025)
    assert best(CHAIN, "1.1.0") is None
    on_same = best(CHAIN, data="july")
    assert on_same is not None
    assert on_same.value == pytest.approx(0.70)


def test_a_champion_that_was_rolled_back_is_no_measure_any_more() -> None:
    back = replace(CHAIN, champions=(*CHAIN.champions[:2], Crowning("1.0.0", "1.1.0", None, rollback=True)))
    assert best(back, "1.0.0") is None


def test_a_champion_that_nobody_compared_is_said_to_be_unknown() -> None:
    by_hand = replace(CHAIN, champions=(*CHAIN.champions, Crowning("2.0.0", "1.3.0", None, rollback=False)))
    where = standing_of(by_hand, ANCHORED, ("c", "d"), "2.0.0", None)
    assert (where.best, set(where.unlinked)) == (None, {"1.0.0", "1.1.0", "1.2.0", "1.3.0"})
    said = decision(0.8, 0.8, where, ANCHORED).checks[-1].sentence
    assert said.startswith("the champion is the best so far, of those that it was ever compared with (not 1.0.0")


def test_a_promotion_that_leads_back_to_its_own_past_is_no_endless_line() -> None:
    again = replace(
        CHAIN,
        decisions=(*CHAIN.decisions, past_decision("d", challenger="1.1.0", champion="1.3.0", values=(0.8, 0.7))),
        champions=(*CHAIN.champions, Crowning("1.1.0", "1.3.0", "d", rollback=False)),
    )
    assert best(again, "1.1.0") is None


@pytest.mark.parametrize(
    ("new", "demand", "verdict"),
    [
        (0.785, NeverBelow(), Verdict.PASS),
        (0.77, NeverBelow(), Verdict.FAIL),
        (0.82, NeverBelow(absolute=0.0), Verdict.FAIL),
        (0.826, NeverBelow(absolute=0.0), Verdict.PASS),
        (0.81, NeverBelow(relative=0.02), Verdict.PASS),
        (0.80, NeverBelow(relative=0.02), Verdict.FAIL),
    ],
)
def test_the_challenger_must_hold_against_the_best_champion(new: float, demand: NeverBelow, verdict: Verdict) -> None:
    """The champion has .80 here, so the best one has .825."""
    where = replace(FIRST, best=best(CHAIN))
    found = decision(new, 0.8, where, replace(ANCHORED, never_below=demand))
    assert found.verdict is verdict
    if verdict is Verdict.FAIL:
        assert "the best champion so far, 1.1.0, has 0.825 here (by its lead in 2 comparisons on other rows)" in (
            found.reason
        )


def test_with_a_confidence_the_leads_of_long_ago_make_the_anchor_less_sure() -> None:
    policy = replace(ANCHORED, confidence=0.95)
    where = replace(FIRST, best=best(CHAIN))
    assert decided(0.82, 0.8, where, policy) is Verdict.PASS
    assert decided(0.795, 0.8, where, policy) is Verdict.INSUFFICIENT
    by_values = replace(policy, never_below=NeverBelow(point_estimate=True))
    assert decided(0.795, 0.8, where, by_values) is Verdict.PASS


def anew(best: float, challenger: float, half: float = 0.005, version: str = "1.1.0") -> Anchor:
    apart = challenger - best
    values = (MetricValue(one, (one - 0.01, one + 0.01), 5000) for one in (best, challenger))
    return Anchor(version, *values, MetricValue(apart, (apart - half, apart + half), 5000))


GONE = Anchor("1.1.0", missing="its bytes cannot be used any more")


@pytest.mark.parametrize(
    ("anchor", "verdict", "said"),
    [
        # By its lead the best one has .825 here, of which .82 loses little.
        (None, Verdict.PASS, "by its lead in 2 comparisons on other rows"),
        (
            anew(0.88, 0.82),
            Verdict.FAIL,
            "0.88 here (measured anew on these rows), and the challenger is 6.82 % worse",
        ),
        (
            anew(0.78, 0.82),
            Verdict.PASS,
            "0.78 here (measured anew on these rows), and the challenger is 5.13 % better",
        ),
        (anew(0.863, 0.82), Verdict.INSUFFICIENT, "cannot be told"),
        (GONE, Verdict.PASS, "by its lead in 2 comparisons on other rows"),
        (anew(0.99, 0.82, version="1.0.0"), Verdict.PASS, "by its lead in 2 comparisons on other rows"),
    ],
)
def test_the_best_champion_counts_as_it_is_on_these_rows(anchor: Anchor | None, verdict: Verdict, said: str) -> None:
    where = replace(FIRST, best=best(CHAIN))
    policy = replace(ANCHORED, confidence=0.95)
    found = decision(0.82, 0.8, where, policy, anchor=anchor)
    assert found.verdict is verdict, found.reason
    (check,) = [one for one in found.checks if one.name == "best champion"]
    assert said in check.sentence
    old = anchor is not None and (anchor.missing is not None or anchor.version != "1.1.0")
    assert [("was not measured on these rows" in one) for one in found.warnings] == [True] * old
    if anchor is not None:
        assert Anchor.from_json(anchor.to_json()) == anchor


def test_an_anchor_was_measured_or_it_is_said_why_not() -> None:
    for anchor in ({"missing": None}, {"missing": "gone", "best": MetricValue(0.8), "challenger": MetricValue(0.8)}):
        with pytest.raises(InvalidInputError, match="or it is said why not"):
            Anchor("1.0.0", **anchor)  # type: ignore[arg-type]


SLICES = tuple(Slice((("origin", f"A{at:02}"),)) for at in range(16))


def many_slices(losses: list[float], many: Many) -> GateDecision:
    policy, new, old, apart = judged_on(losses, many)
    return decide(policy, new, old, differences=apart)


def judged_on(losses: list[float], many: Many) -> tuple[Policy, Scores, Scores, dict[Key, MetricValue]]:
    rail = Guardrail("auc", Regression(0.0, relative=False), each_slice_of=("origin",), many=many)
    policy = replace(CONFIDENT, guardrails=(rail,))
    keys = [Key("auc", where) for where in SLICES]
    lost = dict(zip(keys, losses, strict=True))
    new = {KEY: MetricValue(0.9, (0.89, 0.91))} | {key: MetricValue(0.8 - by) for key, by in lost.items()}
    old = {KEY: MetricValue(0.8, (0.79, 0.81))} | {key: MetricValue(0.8) for key in keys}
    apart = {key: MetricValue(-by, (-by - 0.05, -by + 0.05), 100) for key, by in lost.items()}
    apart[KEY] = MetricValue(0.1, (0.09, 0.11), 1600)
    return policy, Scores(new), Scores(old), apart


def test_many_small_slices_stop_an_equal_model_by_luck_and_with_holm_they_do_not() -> None:
    noise = [0.02 * math.sin(7 * at) for at in range(16)]
    noise[3] = 0.052  # by itself, its interval says that it is worse
    assert many_slices(noise, Many.EACH).verdict is Verdict.FAIL
    assert many_slices(noise, Many.HOLM).verdict is Verdict.PASS
    harmed = [*noise[:5], 0.12, *noise[6:]]
    found = many_slices(harmed, Many.HOLM)
    assert found.verdict is Verdict.FAIL
    assert "auc on origin=A05" in found.reason
    assert "among 16 slices (Holm) that is shown" in found.reason


def test_tfma_is_not_asked_what_only_all_slices_together_tell() -> None:
    """It would refuse what the gate lets pass."""
    rail = Guardrail("auc", Regression(0.0, relative=False), each_slice_of=("origin",), many=Many.HOLM)
    plan = evaluator_plan(replace(CONFIDENT, guardrails=(rail,)))
    assert plan.notes[-1] == (
        "the guardrail on auc (each slice of origin) is the gate's alone: TFMA judges each slice by itself"
    )


def test_a_policy_for_a_year_is_told_in_sentences() -> None:
    told = " ".join(sentences(parse_policy(YEAR)))
    assert "in a period of 52 decisions, the chance of any false promotion is at most 5 %" in told
    assert "After the same rows have decided 20 times for this model, they decide nothing any more." in told
    assert "not be worse than the best champion so far by more than 2 % of its auc: that one is measured" in told
    assert "Ladder:" in told and "(Holm)" in told
    where = situation(CONFIDENT, 1000, 0.8)
    simulated = " ".join(in_words(CONFIDENT, where, simulate(CONFIDENT, where, 400)))
    assert "of years: an `error_budget` bounds that." in simulated


def test_the_report_says_which_slices_are_harmed_and_which_may_be_luck() -> None:
    losses = [0.0] * 16
    losses[3], losses[5] = 0.052, 0.12
    policy, new, old, apart = judged_on(losses, Many.EACH)
    sides = Side("1.0.1", digest("new")), Side("1.0.0", digest("old"))
    found = compare_models("m", policy, *sides, Measurements(new.metrics, old.metrics, apart))
    assert found.decision.verdict is Verdict.FAIL
    assert (
        "Of 16 slices of the guardrail on auc (each slice of origin), 2 lose more than they may by their own "
        "intervals. Shown also as some of many (Holm): auc on origin=A05. Of so many, these may be luck: auc on "
        "origin=A03."
    ) in render(found)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 29), st.floats(0, 1))
def test_holm_is_monotone_and_within_its_level(p_values: list[float], at: int, less: float) -> None:
    fallen = rejected(p_values, 0.025)
    assert all(p <= 0.025 for p, one in zip(p_values, fallen, strict=True) if one)
    at %= len(p_values)
    harmed = [*p_values[:at], p_values[at] * less, *p_values[at + 1 :]]
    assert all(new >= old for new, old in zip(rejected(harmed, 0.025), fallen, strict=True))
    assert min(p_values) > 0.025 / len(p_values) or any(fallen)


YEAR = """\
metric: auc
rule: {absolute: 0}
confidence: 0.95
error_budget: {false_promotions: 0.05, decisions: 52}
holdout: {uses: 20, then: insufficient, ladder: true}
never_below:
  best_champion: {relative: 0.02}
  point_estimate: true
guardrails:
  - {metric: auc, each_slice_of: origin, max_regression: {absolute: 0.02}, many: holm}
"""


def test_a_policy_for_a_year_is_read_as_it_is_written() -> None:
    policy = parse_policy(YEAR)
    assert read_policy(policy.to_json()) == policy
    assert policy.error_budget == ErrorBudget(0.05, 52)
    assert policy.holdout == Holdout(20, Reused.INSUFFICIENT, ladder=True)
    assert policy.never_below == NeverBelow(relative=0.02, point_estimate=True)
    assert parse_policy("metric: auc\nnever_below: best_champion\n").never_below == NeverBelow()


def test_a_policy_without_the_new_keys_keeps_its_digest() -> None:
    assert Policy("auc").digest == "sha256:81f62e0b6fbc423e54f264551d8bbbcbc7a4b3f9ef567e86eabea840c4fa304d"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("error_budget: {false_promotions: 0.05, decisions: 52}", "`error_budget` counts chances"),
        ("holdout: {ladder: true}", "`holdout.ladder` counts chances"),
        ("holdout: {then: warn}", "asks for nothing"),
        ("confidence: 0.95\nerror_budget: {false_promotions: 5, decisions: 52}", "as a chance between 0 and 0.5"),
        ("confidence: 0.95\nerror_budget: {decisions: 52}", "lacks `false_promotions`"),
        ("confidence: 0.95\nerror_budget: {false_promotions: 0.05, decisions: 2}", "risk no more than 5 % .* nothing"),
        ("never_below: champion", "must be `best_champion`"),
        ("never_below: {best_champion: {relative: 0.1, absolute: 0.1}}", "either `relative` or `absolute`"),
        ("never_below: {best_champion: {relative: 2}}", "allows a loss of 200 %"),
        ("format: pedigree.policy/1\nnever_below: best_champion", "is not known in pedigree.policy/1"),
        ("guardrails: [{metric: auc, max_regression: {relative: 0.1}, many: holm}]", "needs `each_slice_of`"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said.replace("{", "\\{")):
        parse_policy(f"metric: auc\n{text}\n")
