"""The judge: from counters of both arms to a judgement. Pure; what it keeps between two looks is `Tally`.

Harm is shown when one of the tests passes its threshold, at whichever look. Health is shown when every rate is shown to
be no worse than the plan's margin, or acceptable in itself. Between both lies "not known yet", which advances nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.rollout.answers import AGREEMENT, AnswerTests
from tfx_pedigree.rollout.eprocess import Count, RatioTest, Standing, log_e_rate, log_mean
from tfx_pedigree.rollout.machine import Judgement
from tfx_pedigree.rollout.plan import Direction, JudgePlan, MetricRule, Plan, Rate, Step, Strategy
from tfx_pedigree.rollout.traffic.api import WHOLE, Counters

_RATIO_ALPHA = 0.001
# An advance waits while the evidence of harm in this step is at least this, however healthy it was before.
_MOUNTING = math.log(5)
_SIGN = 0.5


@dataclass(frozen=True)
class Increment(JsonForm):
    """What one arm did between two looks."""

    requests: Count = 0
    failures: Count = 0
    slow: Count = 0
    timed: Count = 0  # requests whose latency is known

    def __add__(self, other: Increment) -> Increment:
        return Increment(
            self.requests + other.requests,
            self.failures + other.failures,
            self.slow + other.slow,
            self.timed + other.timed,
        )


@dataclass(frozen=True)
class RateTests(JsonForm):
    """The tests of one kind of bad request. `harm` has one that began with each step: a candidate that is bad only
    under more load is not protected by how healthy it was before."""

    harm: tuple[RatioTest, ...]
    health: RatioTest

    @classmethod
    def of(cls, rate: Rate) -> RateTests:
        return cls((RatioTest(rate.harm, True),), RatioTest(rate.margin, False))

    def next_step(self, rate: Rate) -> RateTests:
        return replace(self, harm=(*self.harm, RatioTest(rate.harm, True)))

    def after(self, candidate: tuple[int, int], stable: tuple[int, int]) -> RateTests:
        harm = tuple(test.after(candidate, stable) for test in self.harm)
        return RateTests(harm, self.health.after(candidate, stable))


@dataclass(frozen=True)
class SignTest(JsonForm):
    """Windows in which the candidate's number was worse than the stable one's by more than the margin, of all."""

    windows: Count = 0
    worse: Count = 0


@dataclass(frozen=True)
class Tally(JsonForm):
    """All that the judge knows of a rollout: sums of the whole of it and of the present step, and its tests."""

    errors: RateTests
    slow: RateTests
    candidate: Increment = Increment()
    stable: Increment = Increment()
    step_candidate: Increment = Increment()
    step_stable: Increment = Increment()
    split_candidate: Count = 0  # requests of this step while the shares were seen to be the wanted ones
    split_total: Count = 0
    metrics: Mapping[str, SignTest] = field(default_factory=dict)
    down_seconds: float = 0.0
    answers: AnswerTests = field(default_factory=AnswerTests)

    @classmethod
    def begin(cls, plan: JudgePlan) -> Tally:
        return cls(RateTests.of(plan.errors), RateTests.of(plan.slow))

    def next_step(self, plan: JudgePlan) -> Tally:
        """The first step finds the tests as they were begun."""
        if not (self.step_candidate.requests or self.step_stable.requests):
            return self
        return replace(
            self,
            errors=self.errors.next_step(plan.errors),
            slow=self.slow.next_step(plan.slow),
            step_candidate=Increment(),
            step_stable=Increment(),
            split_candidate=0,
            split_total=0,
            down_seconds=0.0,
        )

    def after(self, candidate: Increment, stable: Increment, *, steady: bool = True) -> Tally:
        """`steady`: the shares were the wanted ones all the time."""
        return replace(
            self,
            errors=self.errors.after((candidate.requests, candidate.failures), (stable.requests, stable.failures)),
            slow=self.slow.after((candidate.timed, candidate.slow), (stable.timed, stable.slow)),
            candidate=self.candidate + candidate,
            stable=self.stable + stable,
            step_candidate=self.step_candidate + candidate,
            step_stable=self.step_stable + stable,
            split_candidate=self.split_candidate + candidate.requests * steady,
            split_total=self.split_total + (candidate.requests + stable.requests) * steady,
        )

    def measured(self, rule: MetricRule, candidate: float, stable: float) -> Tally:
        """One more window of a metric. Numbers that are none say nothing."""
        if not (math.isfinite(candidate) and math.isfinite(stable)):
            return self
        loss = stable - candidate if rule.direction is Direction.HIGHER else candidate - stable
        before = self.metrics.get(rule.name, SignTest())
        now = SignTest(before.windows + 1, before.worse + (loss > rule.margin))
        return replace(self, metrics={**self.metrics, rule.name: now})


def increment(before: Counters | None, now: Counters | None, slow_than_ms: float | None) -> Increment:
    """What was counted since `before`. Where counting began anew, all that was counted since then; where nothing is
    known of the time before, nothing: numbers that were there when one came are nobody's evidence."""
    if now is None or before is None:
        return Increment()
    base = before if before.process == now.process and before.requests <= now.requests else Counters(now.process, 0)
    requests = now.requests - base.requests
    slow, timed = _slow(base, now, slow_than_ms)
    # A request may fail after it was counted in an earlier look: there are never more failures than requests.
    failures = max(0, now.failures - base.failures)
    return Increment(max(requests, failures), failures, min(slow, timed), timed)


def _slow(base: Counters, now: Counters, limit: float | None) -> tuple[int, int]:
    if limit is None or now.latency is None:
        return 0, 0
    # The bound at the limit or the next one below it: a request between both counts as slow.
    known = [index for index, bound in enumerate(now.latency.bounds) if bound <= limit]
    if not known:
        return 0, 0

    def within(counters: Counters) -> int:
        latency = counters.latency
        return latency.counts[known[-1]] if latency and latency.bounds == (now.latency and now.latency.bounds) else 0

    timed = now.latency.total - (base.latency.total if base.latency else 0)
    fast = within(now) - within(base)
    return max(0, timed - fast), max(0, timed)


def judge(plan: Plan, tally: Tally, *, points: int, seconds: float) -> Judgement:
    """`points` is the share that the candidate has had since the step began, `seconds` for how long."""
    steps, judged = max(len(plan.steps), 1), plan.judge
    threshold = math.log(plan.tests / judged.alpha)
    waits: list[str] = []
    harm = _down(judged, tally)
    rates = [("errors", judged.errors, tally.errors, tally.candidate.failures, tally.candidate.requests)]
    if judged.slow_than_ms is not None:
        rates.append(("slow answers", judged.slow, tally.slow, tally.candidate.slow, tally.candidate.timed))
    for name, rate, tests, bad, requests in rates:
        log_e = log_mean([test.log_e for test in tests.harm], steps)
        if log_e >= threshold:
            harm = harm or (
                f"{name.capitalize()}: the candidate has {bad:,} in {requests:,} requests, {_more(rate)} "
                f"(evidence {_e(log_e)} to 1, needed {math.exp(threshold):.0f})."
            )
        elif tests.harm[-1].log_e >= _MOUNTING:
            waits.append(f"doubt about {name}")
        if not _is_healthy(judged, rate, tests, bad, requests):
            waits.append(f"proof that {name} are no worse")
    for test in standings(plan, tally):
        if test.harm >= threshold:
            harm = harm or f"{test.harmful} (Evidence {_e(test.harm)} to 1, needed {math.exp(threshold):.0f}.)"
        if test.health is not None and test.health < math.log(1 / judged.beta):
            waits.append(test.unproved)
    if skewed(judged, tally, points):
        waits.append("a split of the requests that is the wanted one")
    requests = tally.step_candidate.requests
    return Judgement(requests, seconds, requests > 0 and not waits and harm is None, harm, tuple(waits))


def standings(plan: Plan, tally: Tally) -> Iterator[Standing]:
    """The tests of metrics and of answers. Agreement is demanded only where both versions answer the same requests."""
    for rule in plan.judge.metrics:
        sign = tally.metrics.get(rule.name, SignTest())
        counted = (
            f"worse than the stable version's by more than {rule.margin:g} in {sign.worse} of {sign.windows} windows"
        )
        harm, health = (log_e_rate(sign.worse, sign.windows, _SIGN, above=above) for above in (True, False))
        yield Standing(rule.name, counted, harm, f"{rule.name}: {counted}.", health, f"windows of {rule.name}")
    if plan.judge.answers is None:
        return
    comparable = tally.answers.pairs > 0 or any(step.shadow for step in plan.steps)
    for test in tally.answers.standings(plan.judge.answers):
        yield test if comparable or test.name != AGREEMENT else replace(test, health=None)


def judge_totals(plan: JudgePlan, candidate: Increment, stable: Increment, points: int) -> Judgement:
    """For others who move the traffic and only want the verdict: sums since the candidate got this share.

    Asked again and again with larger sums of the same share, it keeps alpha: the share is the one that was wanted and
    not the one that came about, so that each request adds a factor of its own. A new share begins with new sums.
    """
    total = candidate.requests + stable.requests
    expected = round(total * points / WHOLE)
    tests = RateTests.of(plan.errors).after((expected, candidate.failures), (total - expected, stable.failures))
    tally = replace(Tally.begin(plan).after(candidate, stable), errors=tests)
    return judge(Plan(Strategy.CANARY, (Step(points),), plan), tally, points=points, seconds=0.0)


def _is_healthy(plan: JudgePlan, rate: Rate, tests: RateTests, bad: int, requests: int) -> bool:
    """Both ways are tested, so each gets half of the chance to be wrong."""
    threshold = math.log(2 / plan.beta)
    if tests.health.log_e >= threshold:
        return True
    return rate.acceptable is not None and log_e_rate(bad, requests, rate.acceptable, above=False) >= threshold


def _down(plan: JudgePlan, tally: Tally) -> str | None:
    if tally.down_seconds <= plan.down_seconds:
        return None
    return f"The load balancer calls the candidate down for {tally.down_seconds:.1f} s, and the stable version up."


def skewed(plan: JudgePlan, tally: Tally, points: int) -> bool:
    """Whether the requests of this step are split otherwise than wanted: then the arms are not comparable."""
    requests, total = tally.split_candidate, tally.split_total
    if not 0 < points < WHOLE or total == 0:
        return False
    threshold, wanted = math.log(2 / _RATIO_ALPHA), points / WHOLE
    most, least = min(wanted * (1 + plan.ratio_tolerance), 0.999), wanted * (1 - plan.ratio_tolerance)
    return (
        log_e_rate(requests, total, most, above=True) >= threshold
        or log_e_rate(requests, total, least, above=False) >= threshold
    )


def _more(rate: Rate) -> str:
    if rate.harm == 1:
        return "more often than the stable version"
    return f"more than {rate.harm:g} times as often as the stable version"


def _e(log_e: float) -> str:
    return f"{math.exp(log_e):,.0f}" if log_e < 40 else f"10^{log_e / math.log(10):.0f}"
