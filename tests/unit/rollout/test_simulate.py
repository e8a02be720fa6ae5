"""A plan is tried out with drawn requests before anything is moved."""

from __future__ import annotations

import random
import statistics
from pathlib import Path

import pytest

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.rollout.plan import Bake, Limits, Plan, Step, Strategy, canary
from tfx_pedigree.rollout.simulate import End, Traffic, binomial, play, simulate
from tfx_pedigree.rollout.spec_file import parse_plan
from tfx_pedigree.rollout.traffic.api import WHOLE

SHORT = Plan(Strategy.CANARY, (Step(2500, Bake(200, 30)), Step(WHOLE, Bake(200, 30))))


def test_a_harmful_candidate_is_seen_and_a_harmless_one_passes() -> None:
    found = simulate(SHORT, Traffic(100, 0.01), runs=15)
    assert found.harmless.rolled_back <= 0.2
    assert found.harmless.healthy >= 0.8
    worst = found.harmful[-1]
    assert (worst.ratio, worst.rolled_back) == (20.0, 1.0)
    assert worst.median_seconds < found.harmless.median_seconds


def test_the_same_seed_gives_the_same_answer() -> None:
    assert simulate(SHORT, Traffic(20, 0.02), runs=3, seed=5) == simulate(SHORT, Traffic(20, 0.02), runs=3, seed=5)


def test_too_little_traffic_is_warned_of() -> None:
    found = simulate(canary(), Traffic(0.0001, 0.01), runs=10)
    assert found.harmless.undecided == 1.0
    assert any("never end well" in one for one in found.warnings)
    assert any("too little traffic" in one for one in found.warnings)


def test_a_step_in_the_shadow_is_played_too() -> None:
    plan = Plan(
        Strategy.CANARY, (Step(5000, Bake(100, 10), shadow=True), *SHORT.steps), limits=Limits(step_seconds=600)
    )
    assert play(plan, Traffic(100, 0.001), 1.0, random.Random(1)).end is End.HEALTHY


@pytest.mark.parametrize(("count", "chance"), [(10, 0.3), (1000, 0.01), (100_000, 0.4), (50, 0.9)])
def test_numbers_are_drawn_from_the_binomial_distribution(count: int, chance: float) -> None:
    draw = random.Random(3)
    drawn = [binomial(draw, count, chance) for _ in range(1500)]
    deviation = (count * chance * (1 - chance)) ** 0.5
    assert abs(statistics.mean(drawn) - count * chance) < 5 * deviation / 1500**0.5
    assert abs(statistics.stdev(drawn) / deviation - 1) < 0.1
    assert binomial(draw, 0, 0.5) == binomial(draw, 10, 0.0) == 0


@pytest.mark.parametrize(("per_second", "rate"), [(0, 0.1), (1e9, 0.1), (1, 0.5), (1, -0.1), (float("nan"), 0.1)])
def test_traffic_that_cannot_be_is_refused(per_second: float, rate: float) -> None:
    with pytest.raises(InvalidInputError):
        Traffic(per_second, rate)


def test_a_plan_that_judges_more_than_errors_is_played_by_its_errors_and_says_so() -> None:
    """The plan of docs/rollout-design.md: nothing of it may wait for what a simulation does not draw."""
    page = (Path(__file__).parents[3] / "docs" / "rollout-design.md").read_text()
    plan = parse_plan(page.partition("## The plan\n\n```yaml\n")[2].partition("```")[0], "the document")
    found = simulate(plan, Traffic(200, 0.01), runs=10)
    assert found.harmless.healthy >= 0.8
    assert "slow, metrics and answers" in found.warnings[0]
