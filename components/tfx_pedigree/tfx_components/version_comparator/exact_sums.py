"""Sums of floats that come out the same in whatever order and in whatever parts they are taken.

A float is a whole number times a power of two, and whole numbers add up without rounding. Laws: the sum of a part plus
the sum of the rest is the sum of all, exactly; and `as_float` is what `math.fsum` gives for the same numbers. So a
computation that a runner splits differently each time still writes the same bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# The smallest float is 2**-1074. Written with 53 binary digits, as all others are, its last one stands here.
_FINEST = 1126
_DIGITS = 53
_HALF = 26


def exact_sums(rows: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """Of each row of a matrix of finite numbers, in units of 2**-1126."""
    count, width = rows.shape
    if width == 0:
        return (0,) * count
    mantissa, exponent = np.frexp(rows.astype(np.float64, copy=False))
    digits = np.ldexp(mantissa, _DIGITS).astype(np.int64)
    first = int(exponent.min())
    span = int(exponent.max()) - first + 1
    bins = ((exponent - first) + np.arange(count)[:, None] * span).ravel()
    # In halves, or 2**11 numbers would be the most that could be added before a digit is lost.
    high, low = (digits >> _HALF).ravel(), (digits & ((1 << _HALF) - 1)).ravel()
    highs = np.bincount(bins, high, count * span).reshape(count, span)
    lows = np.bincount(bins, low, count * span).reshape(count, span)
    shift = first - _DIGITS + _FINEST
    return tuple(_total(highs[row], lows[row], shift) for row in range(count))


def _total(highs: np.ndarray[Any, Any], lows: np.ndarray[Any, Any], shift: int) -> int:
    used = np.nonzero((highs != 0) | (lows != 0))[0]
    return sum(((int(highs[at]) << _HALF) + int(lows[at])) << (int(at) + shift) for at in used)


def as_float(total: int) -> float:
    """The float nearest to it."""
    return total / (1 << _FINEST)
