"""How numbers are said in sentences: short, and signed where the sign matters."""

from __future__ import annotations

import math

from tfx_pedigree.comparison.numbers import Interval
from tfx_pedigree.comparison.policy import Rule, RuleKind


def number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == int(value) and abs(value) < 1e6:
        return _minus(f"{int(value)}")
    return _minus(f"{value:.4g}")


def grouped(count: int) -> str:
    """`24,951`, as everywhere else."""
    return f"{count:,}"


def percent(value: float) -> str:
    return f"{number(float(f'{value * 100:.3g}'))} %" if math.isfinite(value) else number(value)


def signed(text: str) -> str:
    return text if text.startswith(("−", "NaN")) else f"+{text}"


def amount(kind: RuleKind, value: float) -> str:
    """A threshold or a gain in the unit of the rule."""
    return number(value) if kind is RuleKind.ABSOLUTE else percent(value)


def asked_of(rule: Rule) -> str:
    """What must be exceeded: `5 %`, or `5 % and 0.01`."""
    said = amount(rule.kind, rule.threshold)
    return said if rule.and_absolute is None else f"{said} and {number(rule.and_absolute)}"


def graded(kind: RuleKind, gain: float) -> str:
    """`6.25 % better`. A gain that is infinitely many times nothing has no number."""
    if not gain:
        return "no change"
    how = "better" if gain > 0 else "worse"
    if math.isinf(gain):
        return f"{how} than nothing"
    if kind is RuleKind.ERROR_REDUCTION:
        return f"{how} by {amount(kind, abs(gain))} of the remaining error"
    return f"{amount(kind, abs(gain))} {how}"


def interval(kind: RuleKind, ends: Interval, confidence: float | None) -> str:
    said = f"{signed(amount(kind, ends[0]))} to {signed(amount(kind, ends[1]))}"
    return f"{percent(confidence)} interval {said}" if confidence is not None else f"interval {said}"


def moved(name: str, old: float, new: float) -> str:
    """`auc rose from 0.7 to 0.8`."""
    if old == new:
        return f"{name} stayed at {number(new)}"
    before, after = number(old), number(new)
    if before == after:
        before, after = f"{old:.8g}", f"{new:.8g}"
    return f"{name} {'rose' if new > old else 'fell'} from {before} to {after}"


def bytes_text(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(size) < 1000 or unit == "GB":
            return f"{number(float(f'{size:.3g}'))} {unit}"
        size /= 1000
    raise AssertionError


def _minus(text: str) -> str:
    return "−" + text[1:] if text.startswith("-") else text
