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
from tfx_pedigree.rollout.eprocess import Count, log_e_rate, log_mean
from tfx_pedigree.rollout.plan import AnswerRule

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

    def harm(self, rule: AnswerRule) -> Iterator[tuple[float, str]]:
        """Each test's evidence of harm as the logarithm of an e-value, and what to say where that is enough."""
        if rule.agreement is not None:
            log_e = log_e_rate(self.disagreed, self.pairs, _at_most(1 - rule.agreement), above=True)
            wanted = f"and the plan wants {rule.agreement:.6g} of them to agree."
            yield log_e, f"Answers: both versions disagree on {self.disagreed:,} of {self.pairs:,} requests, {wanted}"
        higher, wider = f"{self.higher:,} of {self.duels:,}", f"{self.wider:,} of {self.spread:,}"
        shifted = (
            f"Scores: the candidate's are distributed otherwise. In pairs of requests its score is the higher one in "
            f"{higher}, and farther from the middle in {wider}; the plan allows 0.5 ± {rule.shift:.6g}."
        )
        yield log_mean(list(self._shifts(rule)), 4), shifted
        broken = f"{self.broken:,} of the candidate's hold no usable score, {self.broken_stable:,} of the stable one's."
        yield log_e_rate(self.broken, self.broken + self.broken_stable, _HALF, above=True), f"Answers: {broken}"

    def _shifts(self, rule: AnswerRule) -> Iterator[float]:
        most = _HALF + rule.shift
        for count, of in ((self.higher, self.duels), (self.wider, self.spread)):
            yield log_e_rate(count, of, most, above=True)
            yield log_e_rate(of - count, of, most, above=True)

    def waits(self, rule: AnswerRule, beta: float, *, mirrored: bool) -> Iterator[str]:
        """What is not shown yet. `mirrored`: the plan lets both versions answer the same requests."""
        enough, most = math.log(1 / beta), _HALF + rule.shift
        if rule.agreement is not None and (mirrored or self.pairs):
            agree = log_e_rate(self.disagreed, self.pairs, _at_most(1 - rule.agreement), above=False)
            if agree < enough:
                yield "proof that the answers agree"
        sides = [
            log_e_rate(side, of, most, above=False)
            for count, of in ((self.higher, self.duels), (self.wider, self.spread))
            for side in (count, of - count)
        ]
        if min(sides) < enough:
            yield "proof that the scores are distributed alike"


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
