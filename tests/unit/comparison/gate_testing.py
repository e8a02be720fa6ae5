"""What the tests of the gate share: names of numbers, and numbers with a width."""

from __future__ import annotations

from tfx_pedigree.comparison import Key, MetricValue, Slice, Verdict

PASS, FAIL, INSUFFICIENT = Verdict.PASS, Verdict.FAIL, Verdict.INSUFFICIENT
AUC = Key("auc")
JFK = Slice((("origin", "JFK"),))
LGA = Slice((("origin", "LGA"),))


def sure_to(value: float, half: float, count: int = 5000) -> MetricValue:
    return MetricValue(value, (value - half, value + half), count)
