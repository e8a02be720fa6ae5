"""The judge: harm is seen, chance is not taken for harm, and without requests nothing is known."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_pedigree.json_form import read, to_json
from tfx_pedigree.rollout.eprocess import RatioTest, log_e_rate
from tfx_pedigree.rollout.judge import Increment, Tally, increment, judge, skewed
from tfx_pedigree.rollout.machine import Judgement
from tfx_pedigree.rollout.plan import Direction, JudgePlan, MetricRule, Plan, Step, Strategy
from tfx_pedigree.rollout.traffic.api import WHOLE, Counters, Latency

PLAN = Plan(Strategy.CANARY, (Step(1000), Step(5000), Step(WHOLE)))


def judged(tally: Tally, plan: Plan = PLAN, points: int = 1000) -> Judgement:
    return judge(plan, tally, points=points, seconds=100)


def fed(plan: Plan, *looks: tuple[Increment, Increment]) -> Tally:
    tally = Tally.begin(plan.judge)
    for candidate, stable in looks:
        tally = tally.after(candidate, stable)
    return tally


def test_nothing_counted_is_no_health_and_no_harm() -> None:
    found = judged(Tally.begin(PLAN.judge))
    assert (found.healthy, found.harm, found.requests) == (False, None, 0)
    assert found.waits_for


def test_a_stable_version_alone_says_nothing_of_the_candidate() -> None:
    assert not judged(fed(PLAN, (Increment(), Increment(10**6)))).healthy


def test_many_requests_without_an_error_are_healthy() -> None:
    assert judged(fed(PLAN, (Increment(1000), Increment(9000)))).healthy


def test_errors_as_often_as_the_stable_version_has_them_are_healthy_where_there_are_enough() -> None:
    """Both fail in 10 % of the requests, which is not acceptable in itself: the ratio shows it."""
    assert not judged(fed(PLAN, (Increment(50, 5), Increment(450, 45)))).healthy
    found = judged(fed(PLAN, *[(Increment(100, 10), Increment(900, 90))] * 30))
    assert (found.healthy, found.harm) == (True, None)


def test_more_errors_than_the_stable_version_are_harm() -> None:
    harm = judged(fed(PLAN, *[(Increment(10, 5), Increment(90, 1))] * 5)).harm
    assert harm is not None
    assert "25 in 50 requests" in harm


def test_harm_after_long_health_is_seen_as_fast_as_at_once() -> None:
    """A candidate that fails only under more load is not protected by how healthy it was before."""
    healthy = fed(PLAN, *[(Increment(100, 1), Increment(900, 9))] * 200).next_step(PLAN.judge)
    for _ in range(10):
        healthy = healthy.after(Increment(50, 5), Increment(50, 1))
    assert judged(healthy, points=5000).harm


def test_slow_answers_are_judged_where_the_plan_says_what_is_slow() -> None:
    looks = [(Increment(100, 0, 40, 100), Increment(900, 0, 20, 900))] * 3
    assert judged(fed(PLAN, *looks)).harm is None
    plan = replace(PLAN, judge=JudgePlan(slow_than_ms=200))
    assert "Slow answers" in str(judged(fed(plan, *looks), plan).harm)
    untimed = judged(fed(plan, (Increment(5000), Increment(5000))), plan)
    assert not untimed.healthy  # nothing is known of how fast it is


@pytest.mark.parametrize("points", [1000, 5000])
def test_a_split_that_is_not_the_wanted_one_stops_the_advance(points: int) -> None:
    wanted = points / WHOLE
    good = fed(PLAN, (Increment(int(10_000 * wanted)), Increment(int(10_000 * (1 - wanted)))))
    assert not skewed(PLAN.judge, good, points)
    bad = fed(PLAN, (Increment(int(5_000 * wanted)), Increment(10_000 - int(5_000 * wanted))))
    assert skewed(PLAN.judge, bad, points)
    assert "split" in " ".join(judged(bad, points=points).waits_for)


def test_a_metric_that_is_worse_in_window_after_window_is_harm_and_a_better_one_is_healthy() -> None:
    rule = MetricRule("auc", Direction.HIGHER, margin=0.01)
    plan = replace(PLAN, judge=JudgePlan(metrics=(rule,)))
    base = fed(plan, (Increment(1000), Increment(9000)))
    worse, better, unknown = base, base, base
    for _ in range(12):
        worse = worse.measured(rule, 0.80, 0.90)
        better = better.measured(rule, 0.895, 0.90)  # within the margin
        unknown = unknown.measured(rule, math.nan, 0.90)
    assert "auc" in str(judged(worse, plan).harm)
    assert judged(better, plan).healthy
    assert not judged(unknown, plan).healthy


def test_counting_that_began_anew_loses_nothing_and_invents_nothing() -> None:
    def counters(process: str, requests: int, failures: int = 0) -> Counters:
        return Counters(process, requests, responses_5xx=failures)

    assert increment(counters("a", 100, 3), counters("a", 150, 4), None) == Increment(50, 1)
    assert increment(counters("a", 100, 3), counters("b", 20, 1), None) == Increment(20, 1)
    assert increment(counters("a", 100), counters("a", 20), None) == Increment(20)  # went back: began anew
    assert increment(None, counters("a", 500, 9), None) == Increment()
    assert increment(counters("a", 100), None, None) == Increment()


def test_what_is_slow_is_counted_by_the_bound_at_the_limit_or_below_it() -> None:
    def timed(fast: int, slower: int, total: int) -> Counters:
        return Counters("a", total, latency=Latency((100.0, 250.0), (fast, slower), total))

    assert increment(timed(0, 0, 0), timed(80, 90, 100), 200.0) == Increment(100, 0, 20, 100)
    assert increment(timed(0, 0, 0), timed(80, 90, 100), 250.0) == Increment(100, 0, 10, 100)
    assert increment(timed(0, 0, 0), timed(80, 90, 100), 50.0) == Increment(100, 0, 0, 0)


def test_a_tally_survives_its_json() -> None:
    tally = fed(PLAN, (Increment(10, 1, 1, 10), Increment(90, 2, 1, 90)))
    assert read(Tally, to_json(tally), "the tally") == tally


@settings(max_examples=100, deadline=None)
@given(
    requests=st.integers(0, 30),
    others=st.integers(0, 30),
    bad=st.integers(0, 30),
)
def test_the_expected_evidence_of_chance_alone_is_at_most_one(requests: int, others: int, bad: int) -> None:
    """Exactly, over all ways in which `bad` bad requests can fall among the requests of both arms."""
    bad = min(bad, requests + others)
    if requests + others == 0:
        return
    total = math.comb(requests + others, bad)
    expected = 0.0
    for mine in range(max(0, bad - others), min(bad, requests) + 1):
        chance = math.comb(requests, mine) * math.comb(others, bad - mine) / total
        test = RatioTest(1.0, True).after((requests, mine), (others, bad - mine))
        expected += chance * math.exp(test.log_e)
    assert expected <= 1 + 1e-9


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize("null", [0.02, 0.5])
def test_the_expected_evidence_about_a_rate_is_at_most_one_under_its_hypothesis(above: bool, null: float) -> None:
    for rate in (null, null / 2 if above else min(1.0, null * 2)):
        expected = sum(
            math.comb(40, bad) * rate**bad * (1 - rate) ** (40 - bad) * math.exp(log_e_rate(bad, 40, null, above=above))
            for bad in range(41)
        )
        assert expected <= 1 + 1e-9


def test_looking_all_the_time_does_not_make_chance_look_like_harm() -> None:
    """A small simulation; benchmarks/rollout.py runs thousands. The base rate drifts between 2.5 % and 7.5 %."""
    draw, alarms = random.Random(7), 0
    for _ in range(40):
        tally = Tally.begin(PLAN.judge)
        for look in range(60):
            rate = 0.05 * (1 + 0.5 * math.sin(look / 7))
            candidate, stable = (sum(draw.random() < rate for _ in range(count)) for count in (20, 80))
            tally = tally.after(Increment(20, candidate), Increment(80, stable))
            if judged(tally, points=2000).harm:
                alarms += 1
                break
    assert alarms <= 4


def test_sums_of_one_share_keep_alpha_however_often_they_are_judged() -> None:
    """The expectation of the evidence after each request is at most what it was before, exactly."""
    share, rate = 0.25, 0.2
    for mine, bad, others, others_bad in [(3, 1, 9, 2), (0, 0, 4, 1), (10, 4, 30, 2)]:

        def evidence(a: int, b: int, c: int, d: int) -> float:
            expected = (a + c) * share  # of the requests, as the share that was wanted says
            test = RatioTest(1.0, True).after((round(100 * expected), b), (round(100 * (a + c - expected)), d))
            return math.exp(test.log_e)

        after = (
            share * rate * evidence(mine + 1, bad + 1, others, others_bad)
            + share * (1 - rate) * evidence(mine + 1, bad, others, others_bad)
            + (1 - share) * rate * evidence(mine, bad, others + 1, others_bad + 1)
            + (1 - share) * (1 - rate) * evidence(mine, bad, others + 1, others_bad)
        )
        assert after <= evidence(mine, bad, others, others_bad) * (1 + 1e-9)


def test_bake_is_counted_in_the_candidates_own_requests_of_the_step() -> None:
    tally = fed(PLAN, (Increment(70), Increment(900)))
    assert judged(tally).requests == 70
    assert judged(tally.next_step(PLAN.judge)).requests == 0
