"""A plan tried out before anything is moved: how often it rolls a harmless candidate back, how soon it sees a harmful
one, and whether the traffic is enough to decide at all.

The judge is the real one, and so are the rules by which a step ends; only the requests are drawn. The stable version's
error rate drifts by half of itself up and down, as real ones do: the judge must not take that for harm.
"""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import dataclass, replace
from enum import Enum

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.rollout.judge import Increment, Tally, judge
from tfx_pedigree.rollout.plan import Plan, Step
from tfx_pedigree.rollout.traffic.api import WHOLE
from tfx_pedigree.text import listed

RATIOS = (1.5, 2.0, 5.0, 20.0)
DRIFT = 0.5
_LOOKS_PER_BAKE = 12
_GROWTH = 1.2
_EXACT = 40.0


class End(str, Enum):
    HEALTHY = "healthy"  # it went through all steps
    ROLLED_BACK = "rolled-back"  # harm was shown
    UNDECIDED = "undecided"  # a step's time was over


@dataclass(frozen=True)
class Traffic(JsonForm):
    """What is assumed of the requests of both versions together."""

    per_second: float
    error_rate: float

    def __post_init__(self) -> None:
        if not 0 < self.per_second <= 1e6:
            raise InvalidInputError("The requests per second must be more than 0 and at most 1,000,000.")
        if not 0 <= self.error_rate < 0.5:
            raise InvalidInputError("The error rate must be below 50 %.")


@dataclass(frozen=True)
class Played(JsonForm):
    """One rollout that was played."""

    end: End
    seconds: float
    candidate_requests: int
    candidate_failures: int


@dataclass(frozen=True)
class Case(JsonForm):
    """What came of many rollouts whose candidate fails `ratio` times as often as the stable version."""

    ratio: float
    runs: int
    healthy: float
    rolled_back: float
    undecided: float
    median_seconds: float  # until the end
    median_requests: float  # of the candidate, until the end
    median_failures: float  # of the candidate's answers, more than none of which would have been the stable version's


@dataclass(frozen=True)
class Simulation(JsonForm):
    traffic: Traffic
    harmless: Case
    harmful: tuple[Case, ...]
    warnings: tuple[str, ...]


def simulate(
    plan: Plan, traffic: Traffic, *, runs: int = 100, seed: int = 1, progress: Progress = silent
) -> Simulation:
    whole, plan = plan, errors_alone(plan)
    cases = []
    for index, ratio in enumerate((1.0, *RATIOS)):
        draw = random.Random(f"{seed}/{ratio}")  # noqa: S311  no secret
        played = []
        for number in range(runs):
            played.append(play(plan, traffic, ratio, draw))
            progress(index * runs + number + 1, (len(RATIOS) + 1) * runs, f"{ratio:g} times the errors")
        cases.append(_case(ratio, played))
    warnings = (*_not_played(whole), *_warnings(plan, traffic, cases))
    return Simulation(traffic, cases[0], tuple(cases[1:]), warnings)


def errors_alone(plan: Plan) -> Plan:
    """Only errors are drawn. They keep their part of alpha, as the other tests have theirs in a real rollout."""
    alone = replace(
        plan.judge, alpha=plan.judge.alpha / plan.tests, slow_than_ms=None, metrics=(), answers=None, counts=None
    )
    return replace(plan, judge=alone)


def _not_played(plan: Plan) -> list[str]:
    judged = plan.judge
    others = {"slow": judged.slow_than_ms is not None, "metrics": judged.metrics, "answers": judged.answers is not None}
    names = [name for name, given in others.items() if given]
    if not names:
        return []
    return [
        f"Only errors are drawn: what the plan says of {listed(names)} is not played, and can only add to the time."
    ]


def play(plan: Plan, traffic: Traffic, ratio: float, draw: random.Random) -> Played:
    """One rollout from its first step on."""
    tally, now, phase = Tally.begin(plan.judge), 0.0, draw.random() * 2 * math.pi
    end = End.HEALTHY
    for step in plan.steps:
        tally = tally.next_step(plan.judge)
        requests = _Requests(traffic, step, ratio, draw, phase)
        found, tally, now = _play_step(plan, step, tally, now, requests)
        if found is not None:
            end = found
            break
    return Played(end, now, tally.candidate.requests, tally.candidate.failures)


@dataclass(frozen=True)
class _Requests:
    """Draws what both arms do in a time of a step."""

    traffic: Traffic
    step: Step
    ratio: float
    draw: random.Random
    phase: float

    def between(self, moment: float, length: float) -> tuple[Increment, Increment]:
        expected = self.traffic.per_second * length
        requests = binomial(self.draw, round(expected * 1000), 0.001)
        mine = binomial(self.draw, requests, self.step.points / WHOLE)
        others = requests if self.step.shadow else requests - mine
        rate = self.traffic.error_rate * (1 + DRIFT * math.sin(self.phase + moment / 300))
        failures = binomial(self.draw, mine, min(1.0, rate * self.ratio))
        return Increment(mine, failures), Increment(others, binomial(self.draw, others, rate))


def _play_step(
    plan: Plan, step: Step, tally: Tally, began: float, requests: _Requests
) -> tuple[End | None, Tally, float]:
    """None: the next step follows. Looks come more rarely the longer it lasts, which loses seconds and no errors."""
    points = WHOLE * step.points // (WHOLE + step.points) if step.shadow else step.points
    now, length = began, max(step.bake.seconds, 1.0) / _LOOKS_PER_BAKE
    while now - began <= plan.limits.step_seconds:
        candidate, stable = requests.between(now, length)
        now += length
        tally = tally.after(candidate, stable)
        judged = judge(plan, tally, points=points, seconds=now - began)
        if judged.harm is not None:
            return End.ROLLED_BACK, tally, now
        if judged.healthy and judged.requests >= max(step.bake.requests, 1) and judged.seconds >= step.bake.seconds:
            return None, tally, now
        if now - began > 2 * step.bake.seconds:
            length *= _GROWTH
    return End.UNDECIDED, tally, now


def binomial(draw: random.Random, count: int, chance: float) -> int:
    """How many of `count` happen: exactly where few do, by the normal distribution where many do."""
    if count <= 0 or chance <= 0:
        return 0
    if chance > 0.5:
        return count - binomial(draw, count, 1 - chance)
    if count * chance > _EXACT:
        found = round(draw.gauss(count * chance, math.sqrt(count * chance * (1 - chance))))
        return min(count, max(0, found))
    happened, place, scale = 0, 0, math.log1p(-chance)
    while True:
        place += int(math.log(1 - draw.random()) / scale) + 1
        if place > count:
            return happened
        happened += 1


def _case(ratio: float, played: list[Played]) -> Case:
    runs = len(played)

    def share(end: End) -> float:
        return sum(one.end is end for one in played) / runs

    return Case(
        ratio,
        runs,
        share(End.HEALTHY),
        share(End.ROLLED_BACK),
        share(End.UNDECIDED),
        statistics.median(one.seconds for one in played),
        statistics.median(one.candidate_requests for one in played),
        statistics.median(one.candidate_failures for one in played),
    )


def _warnings(plan: Plan, traffic: Traffic, cases: list[Case]) -> list[str]:
    harmless, found = cases[0], []
    first = next(step for step in plan.steps if not step.shadow)
    needed = first.bake.requests / (traffic.per_second * first.points / WHOLE)
    if needed > plan.limits.step_seconds:
        found.append(
            f"The first step's {first.bake.requests:,} requests take {_length(needed)}, and a step may take "
            f"{_length(plan.limits.step_seconds)}: it can never end well. Give a greater share, fewer requests or more "
            "time."
        )
    if harmless.undecided > 0.05:
        found.append(
            f"{harmless.undecided:.0%} of harmless candidates end undecided: too little traffic to show health "
            "in time. Give a greater share, a wider margin or more time."
        )
    double = next((case for case in cases if case.ratio == 2.0), None)
    if double is not None and double.healthy > plan.judge.beta:
        found.append(
            f"{double.healthy:.0%} of candidates that fail twice as often pass as healthy. Lower `acceptable` or "
            "`margin`, or demand more requests, if that is too many."
        )
    if harmless.rolled_back > 2 * plan.judge.alpha + 3 * math.sqrt(plan.judge.alpha / harmless.runs):
        found.append(f"{harmless.rolled_back:.0%} of harmless candidates were rolled back, more than alpha allows.")
    return found


def _length(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
