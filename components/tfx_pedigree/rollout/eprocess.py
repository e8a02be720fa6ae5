"""Tests that may be looked at as often as one likes: e-processes over counts. Pure, in log space, without NumPy.

An e-process starts at 1 and, while its hypothesis is true, has an expected value of at most 1 at every moment, also at
one that was chosen by looking. By Ville's inequality the chance that it ever reaches 1/alpha is then at most alpha.
Each is a mixture over alternatives on a fixed grid, so that no alternative must be guessed. docs/rollout-design.md
says why each of them is valid, and what it assumes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from tfx_pedigree.json_form import Bounds, JsonForm

Count = Annotated[int, Bounds(0, 2**53 - 1)]
_GRID = 40
_FARTHEST = 50.0


def _spread(nearest: float, farthest: float, count: int = _GRID) -> tuple[float, ...]:
    """Numbers at equal ratios."""
    step = math.log(farthest / nearest) / (count - 1)
    return tuple(nearest * math.exp(step * index) for index in range(count))


# How many times the stable rate the candidate's is: above the null for harm, below it for health.
_ABOVE = _spread(1.05, _FARTHEST)
_BELOW = tuple(1 / ratio for ratio in _spread(1.05, _FARTHEST))


@dataclass(frozen=True)
class Standing:
    """Where one test stands: the evidence of harm and, where it tests that, of health, as logarithms of e-values.
    `harmful` is what to say where the harm is enough, `unproved` what is waited for while the health is not."""

    name: str
    counted: str
    harm: float
    harmful: str
    health: float | None = None
    unproved: str = ""


def log_mean_exp(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values) / len(values))


@dataclass(frozen=True)
class RatioTest(JsonForm):
    """Whether the candidate's rate of bad requests is more (`above`), or less, than `null` times the stable one's.

    Given that requests are assigned at random, each bad one is the candidate's with a chance that follows from the
    number of requests of both in the same interval, and from the ratio of the rates alone: how high both rates are, and
    how they drift, cancels out. `paid[j]` is what the j-th alternative has paid for all bad requests, and `bad` how
    many of them were the candidate's.
    """

    null: float
    above: bool
    bad: Count = 0
    paid: tuple[float, ...] = (0.0,) * _GRID

    def after(self, candidate: tuple[int, int], stable: tuple[int, int]) -> RatioTest:
        """With one more interval: requests and bad requests of both."""
        (requests, bad), (others, others_bad) = candidate, stable
        total = requests + others
        if requests <= 0 or others <= 0 or bad + others_bad == 0:
            return self  # nothing can be compared, so nothing is learnt
        share = requests / total
        usual = math.log(1 - share + share * self.null)
        paid = tuple(
            before + (bad + others_bad) * (math.log(1 - share + share * self.null * ratio) - usual)
            for before, ratio in zip(self.paid, self._grid, strict=True)
        )
        return RatioTest(self.null, self.above, self.bad + bad, paid)

    @property
    def log_e(self) -> float:
        return log_mean_exp([self.bad * math.log(r) - paid for r, paid in zip(self._grid, self.paid, strict=True)])

    @property
    def _grid(self) -> tuple[float, ...]:
        return _ABOVE if self.above else _BELOW


def log_e_rate(bad: int, requests: int, null: float, *, above: bool) -> float:
    """Whether a rate lies above, or below, `null`: requests one by one, each bad or not."""
    if requests <= 0 or not 0 < null < 1:
        return 0.0
    if above:
        odds = [null / (1 - null) * ratio for ratio in _ABOVE]
        grid = [odd / (1 + odd) for odd in odds]
    else:
        grid = [null * ratio for ratio in _BELOW]
    good = requests - bad
    return log_mean_exp([bad * math.log(rate / null) + good * (math.log1p(-rate) - math.log1p(-null)) for rate in grid])


def log_mean(logs: Sequence[float], of: int) -> float:
    """The mean of `of` e-processes, of which those that have not begun are 1. It is an e-process again."""
    return log_mean_exp([*logs, *[0.0] * (of - len(logs))])
