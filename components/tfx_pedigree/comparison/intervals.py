"""TFMA writes intervals of 95 %. A policy may ask for another confidence: the same measurement, another quantile.

Student's t has no closed form; the quantile is found by halving on its distribution function, which is exact enough
(1e-9) and needs no further package.
"""

from __future__ import annotations

import functools
import math

from tfx_pedigree.comparison.numbers import Interval
from tfx_pedigree.errors import InvalidInputError

TFMA_CONFIDENCE = 0.95
# TFMA's jackknife has 20 parts, so 19 degrees of freedom.
TFMA_DEGREES_OF_FREEDOM = 19


def at_confidence(
    ends: Interval,
    wanted: float,
    degrees_of_freedom: int = TFMA_DEGREES_OF_FREEDOM,
) -> Interval:
    """The interval around the same middle that holds with another confidence."""
    if wanted == TFMA_CONFIDENCE:
        return ends
    middle, half = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2
    half *= t_quantile(wanted, degrees_of_freedom) / t_quantile(TFMA_CONFIDENCE, degrees_of_freedom)
    return middle - half, middle + half


@functools.lru_cache(1024)  # the same few of a policy's, many times over
def t_quantile(confidence: float, degrees_of_freedom: int) -> float:
    """The t beyond which, on both sides together, lies 1 − confidence."""
    if not 0 < confidence < 1 or degrees_of_freedom < 1:
        raise InvalidInputError(
            f"There is no t for a confidence of {confidence} and {degrees_of_freedom} degrees of freedom."
        )
    low, high = 0.0, 1.0
    while t_within(high, degrees_of_freedom) < confidence:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_within(middle, degrees_of_freedom) < confidence else (low, middle)
    return (low + high) / 2


def t_within(t: float, freedom: int) -> float:
    """The probability of −t to t, by the finite sums that hold for whole degrees of freedom."""
    angle = math.atan(t / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    term = total = 1.0
    if freedom % 2:
        for step in range(2, freedom - 1, 2):
            term *= square * step / (step + 1)
            total += term
        tail = math.sin(angle) * math.cos(angle) * total if freedom > 1 else 0.0
        return (angle + tail) * 2 / math.pi
    for step in range(1, freedom - 2, 2):
        term *= square * step / (step + 1)
        total += term
    return math.sin(angle) * total
