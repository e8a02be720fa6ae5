"""A year of retrainings by simulation, with the gate itself and what it keeps of earlier decisions.

Each week a challenger is scored beside the champion on the same rows, with the noise that so many examples have. A
challenger that passes is the champion of the next week. Pure: the seed is fixed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tfx_pedigree.comparison.explaining import WEEKS, Situation
from tfx_pedigree.comparison.gate import decide
from tfx_pedigree.comparison.intervals import TFMA_DEGREES_OF_FREEDOM, t_quantile
from tfx_pedigree.comparison.luck import stake_of
from tfx_pedigree.comparison.metrics import Direction
from tfx_pedigree.comparison.numbers import Key, MetricValue, Scores
from tfx_pedigree.comparison.past import Crowning, Decided, Past, PastDecision, standing_of
from tfx_pedigree.comparison.policy import Policy
from tfx_pedigree.verdict import Verdict

_SEED = 20131231


@dataclass(frozen=True)
class _Trained:
    """A model: its name, its true score, and what the rows of the year add to it by luck."""

    name: str
    truth: float
    luck: float


@dataclass(frozen=True)
class Year:
    """What happened: the true and the measured score of each champion, and how many promotions were errors, with
    challengers that were truly no better than the rule asks."""

    truths: tuple[float, ...]
    measured: tuple[float, ...]
    errors: int

    @property
    def promotions(self) -> int:
        return len(self.truths) - 1


@dataclass
class _State:
    champion: _Trained
    measured: float
    decisions: list[PastDecision] = field(default_factory=list)
    champions: list[Crowning] = field(default_factory=list)
    truths: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    errors: int = 0


def live_through(
    policy: Policy,
    where: Situation,
    at: int,
    *,
    weeks: int = WEEKS,
    gain: Callable[[int], float] = lambda _: 0.0,
    same_rows: bool = False,
) -> Year:
    """`gain` says by how much the challenger of each week is truly better than the champion. `at` says which year."""
    chance = random.Random(_SEED + at)
    first = _Trained("1.0.0", where.champion, chance.gauss(0, 1))
    state = _State(first, where.champion, champions=[Crowning("1.0.0", None, None, rollback=False)])
    shared = chance.gauss(0, 1)
    for week in range(weeks):
        if not same_rows:
            shared = chance.gauss(0, 1)
            state.champion = replace(state.champion, luck=chance.gauss(0, 1))
        _live_a_week(
            policy, where, state, week, gain(week), shared, chance, "all year" if same_rows else f"week {week}"
        )
    return Year((first.truth, *state.truths), (first.truth, *state.scores), state.errors)


def _live_a_week(  # noqa: PLR0917  the pieces of one week
    policy: Policy,
    where: Situation,
    state: _State,
    week: int,
    gain: float,
    shared: float,
    chance: random.Random,
    rows: str,
) -> None:
    sign = 1.0 if policy.better is Direction.HIGHER else -1.0
    champion = state.champion
    challenger = _Trained(f"1.0.{week + 1}", champion.truth + sign * gain, chance.gauss(0, 1))
    new, old = (_score(where, one, shared) for one in (challenger, champion))
    half = where.noise * t_quantile(policy.confidence or 0.95, TFMA_DEGREES_OF_FREEDOM)
    half *= math.sqrt(chance.gammavariate(TFMA_DEGREES_OF_FREEDOM / 2, 2) / TFMA_DEGREES_OF_FREEDOM)
    apart, key = half * math.sqrt(2 * (1 - where.correlation)), Key(policy.metric)
    values = {
        name: MetricValue(one, (one - half, one + half), where.examples) for name, one in (("n", new), ("o", old))
    }
    difference = MetricValue(new - old, (new - old - apart, new - old + apart), where.examples)
    digests = (challenger.name, champion.name)
    standing = standing_of(Past(tuple(state.decisions), tuple(state.champions)), policy, digests, champion.name, rows)
    scores = Scores({key: values["n"]}), Scores({key: values["o"]})
    decision = decide(policy, *scores, differences={key: difference}, standing=standing)
    passed, stake, evidence = decision.verdict is Verdict.PASS, stake_of(policy, standing), f"evidence {week}"
    confidence = policy.confidence or 0.95
    known = (policy.metric, new, old, apart, confidence, rows, policy.digest, bool(decision.won), stake)
    state.decisions.append(PastDecision(evidence, passed, Decided(challenger.name, champion.name, digests, *known)))
    if passed:
        state.errors += gain <= 0
        state.champions.append(Crowning(challenger.name, champion.name, evidence, rollback=False))
        state.champion = challenger
        state.truths.append(challenger.truth)
        state.scores.append(new)


def _score(where: Situation, model: _Trained, shared: float) -> float:
    r = where.correlation
    return model.truth + where.noise * (math.sqrt(r) * shared + math.sqrt(1 - r) * model.luck)
