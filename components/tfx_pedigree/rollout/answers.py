"""Whether a candidate answers as the stable version does: a model can be harmful with every answer a 200. Pure.

Three questions, each an e-process that may be looked at as often as one likes. Do both agree on the same request? Are
their scores distributed alike, over requests that chance gave to one or the other? Does the candidate more often give
an answer that is none? docs/rollout-design.md says why each holds.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.rollout.eprocess import Count, Standing, log_e_rate, log_mean
from tfx_pedigree.rollout.plan import AnswerRule

AGREEMENT = "agreement"
_HALF = 0.5
# From so many of the stable version's scores it is learnt where the middle lies, before any spread is compared.
_FIRST = 101


@dataclass(frozen=True)
class Duel:
    """The scores of two requests that came one after the other, one answered by each version. None: no usable score."""

    candidate: float | None
    stable: float | None


@dataclass(frozen=True)
class Answered:
    """What a look at the response log found."""

    agreed: int = 0  # requests that both answered alike
    disagreed: int = 0
    duels: tuple[Duel, ...] = ()


@dataclass(frozen=True)
class AnswerTests(JsonForm):
    """`higher`: duels that the candidate's score won, of `duels`. `wider`: those in which it lay farther from the
    middle, of `spread`. `broken`: duels in which only one answer was usable, and whose fault that was."""

    pairs: Count = 0
    disagreed: Count = 0
    duels: Count = 0
    higher: Count = 0
    spread: Count = 0
    wider: Count = 0
    broken: Count = 0
    broken_stable: Count = 0
    first: tuple[float, ...] = ()
    middle: float | None = None

    def after(self, found: Answered) -> AnswerTests:
        tests = replace(
            self,
            pairs=self.pairs + found.agreed + found.disagreed,
            disagreed=self.disagreed + found.disagreed,
        )
        for duel in found.duels:
            tests = tests._dueled(duel)
        return tests

    def _dueled(self, duel: Duel) -> AnswerTests:
        mine, other = duel.candidate, duel.stable
        if mine is None or other is None:
            if mine is None and other is None:
                return self
            return replace(
                self, broken=self.broken + (mine is None), broken_stable=self.broken_stable + (other is None)
            )
        won = _beats(mine, other, self.duels)
        tests = replace(self, duels=self.duels + 1, higher=self.higher + won)
        if self.middle is None:
            first = (*self.first, other)
            if len(first) < _FIRST:
                return replace(tests, first=first)
            return replace(tests, first=(), middle=sorted(first)[_FIRST // 2])
        far, near = abs(mine - self.middle), abs(other - self.middle)
        return replace(tests, spread=self.spread + 1, wider=self.wider + _beats(far, near, -1 - self.spread))

    def standings(self, rule: AnswerRule) -> Iterator[Standing]:
        """Each test as it stands now."""
        if rule.agreement is not None:
            null, disagreed = _at_most(1 - rule.agreement), f"disagree on {self.disagreed:,} of {self.pairs:,} requests"
            yield Standing(
                AGREEMENT,
                f"both versions {disagreed}",
                log_e_rate(self.disagreed, self.pairs, null, above=True),
                f"Answers: both versions {disagreed}, and the plan wants {rule.agreement:.6g} of them to agree.",
                log_e_rate(self.disagreed, self.pairs, null, above=False),
                "proof that the answers agree",
            )
        sides = [(side, of) for count, of in self._compared for side in (count, of - count)]
        most = _HALF + rule.shift
        pairs = (
            f"in pairs of requests its score is the higher one in {self.higher:,} of {self.duels:,}, and farther from "
            f"the middle in {self.wider:,} of {self.spread:,}"
        )
        yield Standing(
            "scores",
            f"{pairs} (0.5 ± {rule.shift:.6g} is allowed)",
            log_mean([log_e_rate(side, of, most, above=True) for side, of in sides], len(sides)),
            f"Scores: the candidate's are distributed otherwise: {pairs}; the plan allows 0.5 ± {rule.shift:.6g}.",
            min(log_e_rate(side, of, most, above=False) for side, of in sides),
            "proof that the scores are distributed alike",
        )
        broken = f"{self.broken:,} of the candidate's hold no usable score, {self.broken_stable:,} of the stable one's"
        harm = log_e_rate(self.broken, self.broken + self.broken_stable, _HALF, above=True)
        yield Standing("usable scores", broken, harm, f"Answers: {broken}.")

    @property
    def _compared(self) -> tuple[tuple[int, int], ...]:
        return (self.higher, self.duels), (self.wider, self.spread)


def agree(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(agree(a, b, tolerance) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(agree(one[key], other[key], tolerance) for key in one)
    return type(one) is type(other) and one == other


def _at_most(rate: float) -> float:
    """A test of "never" would be lost by the first case: one in a thousand is allowed."""
    return max(rate, 0.001)


def _beats(one: float, other: float, number: int) -> bool:
    """Equal scores are decided by a coin, which is the same each time that this is counted again."""
    if one != other:
        return one > other
    return bool(hashlib.sha256(str(number).encode()).digest()[0] & 1)
