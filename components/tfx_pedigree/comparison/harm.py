"""Which slices are really harmed: of those that a guardrail calls worse one by one, the ones that are shown to be worse
also as some of many. It informs a reviewer; the decision is the guardrail's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tfx_pedigree.comparison.check import Check, CheckOutcome
from tfx_pedigree.comparison.document import Comparison
from tfx_pedigree.comparison.guardrail_checks import P_VALUE, guardrail_checks
from tfx_pedigree.comparison.measured import Measured
from tfx_pedigree.comparison.numbers import Scores
from tfx_pedigree.comparison.policy import NEWEST, Guardrail
from tfx_pedigree.comparison.policy_year import Many
from tfx_pedigree.text import listed, plain


@dataclass(frozen=True)
class Harm:
    """Of so many slices: those that are shown to lose more than they may, and those of which it may be luck."""

    guardrail: Guardrail
    slices: int
    shown: tuple[str, ...]
    perhaps: tuple[str, ...]

    def __str__(self) -> str:
        rail = self.guardrail
        where = f"Of {self.slices} slices of the guardrail on {plain(rail.metric)} ({plain(rail.where)})"
        count = len(self.shown) + len(self.perhaps)
        said = f"{where}, {count} lose more than they may by their own intervals."
        if self.shown:
            said += f" Shown also as some of many (Holm): {listed(self.shown, 3)}."
        if self.perhaps:
            said += f" Of so many, these may be luck: {listed(self.perhaps, 3)}."
        return said


def harms(comparison: Comparison) -> Iterator[Harm]:
    """Of guardrails that judge each slice by its interval and found some broken."""
    policy = comparison.policy
    if policy.confidence is None or comparison.champion is None:
        return
    found = _measured(comparison)
    for rail in policy.guardrails:
        if not rail.each_slice_of or rail.max_regression is None or rail.point_estimate or rail.many is Many.HOLM:
            continue
        alone = replace(rail, bounds=None, min_gain=None, max_gap=None)
        together = replace(alone, many=Many.HOLM)
        each, all_of_them = (
            list(guardrail_checks(replace(policy, guardrails=(one,), form=NEWEST), found)) for one in (alone, together)
        )
        broken, shown = _broken(each), _broken(all_of_them)
        tested = {check.name for check in all_of_them if P_VALUE in check.numbers}
        if broken and len(tested) > 1:
            yield Harm(rail, len(tested), shown, tuple(name for name in broken if name not in shown))


def _broken(checks: list[Check]) -> tuple[str, ...]:
    named = (plain(check.name) for check in checks if check.outcome is CheckOutcome.BROKEN and "loss" in check.numbers)
    return tuple(dict.fromkeys(named))


def _measured(comparison: Comparison) -> Measured:
    rows = comparison.metrics
    return Measured(
        Scores({row.key: row.challenger for row in rows if row.challenger}),
        Scores({row.key: row.champion for row in rows if row.champion}),
        {row.key: row.difference for row in rows if row.difference},
    )
