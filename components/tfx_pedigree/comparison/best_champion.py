"""The best champion so far, which a challenger may not fall below: measured anew on the same rows, where the pipeline
could, else by its leads over later champions, each of which was measured on rows of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tfx_pedigree.comparison.check import Check, CheckOutcome
from tfx_pedigree.comparison.intervals import TFMA_DEGREES_OF_FREEDOM, t_quantile
from tfx_pedigree.comparison.margin import Measure, Pair, Spread
from tfx_pedigree.comparison.measured import Measured, paired
from tfx_pedigree.comparison.metrics import Direction
from tfx_pedigree.comparison.numbers import Key, Scores
from tfx_pedigree.comparison.past import Anchor, Best, Standing
from tfx_pedigree.comparison.policy import Policy, RuleKind
from tfx_pedigree.comparison.policy_year import NeverBelow
from tfx_pedigree.comparison.rule import TOLERANCE, Contest, share
from tfx_pedigree.comparison.wording import amount, number
from tfx_pedigree.text import listed, plain

NOT_TOLD = "the comparison was not told of earlier decisions (the pipeline's Versioner asks the registry for them)"
# Where another run changed who was best after this one had begun.
ANOTHER = "another version was the best when this run began"


def never_below(
    policy: Policy, demand: NeverBelow, found: Measured, standing: Standing | None, anchor: Anchor | None
) -> Check:
    name = "best champion"
    if standing is None:
        said = f"whether a former champion was better is not known: {NOT_TOLD}"
        return Check(name, CheckOutcome.UNKNOWN, said)
    if standing.best is None:
        said = "the champion is the best so far"
        if standing.unlinked:
            said += f", of those that it was ever compared with (not {plain(listed(standing.unlinked, 3))})"
        return Check(name, CheckOutcome.HOLDS, said)
    measure, limit = _allowed(policy, demand)
    confidence = None if demand.point_estimate else policy.confidence
    anew = anchor is not None and anchor.missing is None and anchor.version == standing.best.version
    if anew and anchor is not None:
        against = _pair(policy, _measured(policy, anchor), measure, confidence)
    else:
        against = _by_leads(policy, found, standing.best, measure, confidence)
    if isinstance(against, str):
        return Check(name, CheckOutcome.UNKNOWN, against)
    low, high = measure.margin(against, -limit * (1 + TOLERANCE))
    outcome = CheckOutcome.HOLDS if low >= 0 else (CheckOutcome.BROKEN if high < 0 else CheckOutcome.UNKNOWN)
    loss = share(-measure.gain(against), measure.unit(against.champion))
    said = _anchored(standing.best, against.champion, measure.kind, loss, anew=anew)
    may = f"the {amount(measure.kind, limit)} that may be lost"
    said += {
        CheckOutcome.HOLDS: "",
        CheckOutcome.BROKEN: f", more than {may}",
        CheckOutcome.UNKNOWN: f", and whether that is within {may} cannot be told",
    }[outcome]
    numbers = {"challenger": against.challenger, "best": against.champion, "loss": loss, "allowed": limit}
    return Check(name, outcome, said, numbers)


def _measured(policy: Policy, anchor: Anchor) -> Measured:
    """The challenger against the best champion, as if that were the champion."""
    key = Key(policy.metric)
    mine, theirs = (Scores({key: one} if one else {}) for one in (anchor.challenger, anchor.best))
    return Measured(mine, theirs, {key: anchor.difference} if anchor.difference else {})


def _pair(policy: Policy, found: Measured, measure: Measure, confidence: float | None) -> Pair | str:
    return paired(Key(policy.metric), found, measure, confident=confidence is not None, least=policy.min_examples)


def _by_leads(policy: Policy, found: Measured, best: Best, measure: Measure, confidence: float | None) -> Pair | str:
    pair = _pair(policy, found, measure, confidence)
    if isinstance(pair, str):
        return pair
    against = _against(pair, best, policy.better, confidence)
    if against is None:
        return f"how sure the lead of {best.version} is is not known: it was compared without an interval"
    return against


def anchor_warnings(policy: Policy, standing: Standing | None, anchor: Anchor | None) -> Iterator[str]:
    """Old numbers are worth a word where new ones were expected. Documents of older releases expected none."""
    best = standing.best if standing is not None else None
    if policy.never_below is None or best is None or anchor is None or best.value is not None:
        return
    why = anchor.missing if anchor.version == best.version else ANOTHER
    if why is not None:
        yield (
            f"the best champion so far, {best.version}, was not measured on these rows ({why}): what earlier "
            "comparisons say of it counts"
        )


def _allowed(policy: Policy, demand: NeverBelow) -> tuple[Measure, float]:
    if demand.absolute is not None:
        return Measure(policy.better, RuleKind.ABSOLUTE), demand.absolute
    if demand.relative is not None:
        return Measure(policy.better, RuleKind.RELATIVE), demand.relative
    return Contest(policy.rule, policy.better).measure, policy.rule.threshold


def _against(pair: Pair, best: Best, better: Direction, confidence: float | None) -> Pair | None:
    """The challenger and what the best champion would score on these rows. Its lead was measured on other rows, so its
    variance is added. None where that is asked for and not known."""
    sign = 1.0 if better is Direction.HIGHER else -1.0
    value = best.value if best.value is not None else pair.champion + sign * best.ahead
    if pair.spread is None or confidence is None:
        return Pair(pair.challenger, value)
    if best.deviation is None:
        return None
    extra = best.deviation * t_quantile(confidence, TFMA_DEGREES_OF_FREEDOM)
    low, high = pair.spread.difference
    middle, apart = pair.challenger - pair.champion, pair.challenger - value
    ends = apart - math.hypot(middle - low, extra), apart + math.hypot(high - middle, extra)
    return Pair(pair.challenger, value, Spread(ends, pair.spread.challenger, math.hypot(pair.spread.champion, extra)))


def _anchored(best: Best, value: float, kind: RuleKind, loss: float, *, anew: bool) -> str:
    many = f"{best.comparisons} comparison{'s' if best.comparisons > 1 else ''}"
    where = "measured on the same rows" if best.value is not None else f"by its lead in {many} on other rows"
    where = "measured anew on these rows" if anew else where
    said = f"the best champion so far, {plain(best.version)}, has {number(value)} here ({where})"
    how = f"{amount(kind, abs(loss))} {'worse' if loss > 0 else 'better'}" if loss else "as good"
    return f"{said}, and the challenger is {how}"
