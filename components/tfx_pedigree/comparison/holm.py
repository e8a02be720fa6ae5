"""Many slices, one guardrail: which of them are shown to be worse, luck among many accounted for.

By Holm: the p-values of "this slice lost more than it may", the smallest first, each against the chance of an error
divided by how many are left. With equal models, some slice is called worse in no more cases than one test would call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tfx_pedigree.comparison.intervals import TFMA_DEGREES_OF_FREEDOM, t_quantile, t_within
from tfx_pedigree.comparison.numbers import Interval


def p_value(margin: Interval, confidence: float) -> float:
    """Of the margin being 0 or more, from the interval in which it lies with this confidence."""
    middle, half = (margin[0] + margin[1]) / 2, (margin[1] - margin[0]) / 2
    if not half or not math.isfinite(half):
        return 1.0 if middle >= 0 or not math.isfinite(half) else 0.0
    t = -middle / half * t_quantile(confidence, TFMA_DEGREES_OF_FREEDOM)
    inside = t_within(abs(t), TFMA_DEGREES_OF_FREEDOM)
    return (1 - inside) / 2 if t > 0 else (1 + inside) / 2


def rejected(p_values: Sequence[float], level: float) -> tuple[bool, ...]:
    """Which of the hypotheses fall, at this chance of any error among them."""
    fallen = [False] * len(p_values)
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        if p_values[index] > level / (len(p_values) - place):
            break
        fallen[index] = True
    return tuple(fallen)
