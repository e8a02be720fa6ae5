"""The checks: what failed first, then what could not be told; what holds is folded away where there is much of it."""

from __future__ import annotations

from collections.abc import Sequence

from tfx_pedigree.comparison.check import Check, CheckOutcome
from tfx_pedigree.comparison.document import Comparison
from tfx_pedigree.comparison.harm import harms
from tfx_pedigree.html import Markup, breakable, el, ticked

_ORDER = (CheckOutcome.BROKEN, CheckOutcome.UNKNOWN, CheckOutcome.HOLDS, CheckOutcome.SKIPPED)
_SHOWN = {
    CheckOutcome.HOLDS: ("✓ holds", "good"),
    CheckOutcome.BROKEN: ("✕ broken", "bad"),
    CheckOutcome.UNKNOWN: ("? unknown", "unsure"),
    CheckOutcome.SKIPPED: ("– skipped", "muted"),
}
_MANY = 10


def checks_section(comparison: Comparison) -> Markup | None:
    checks = comparison.decision.checks
    if not checks:
        return None
    ordered = sorted(checks, key=lambda check: _ORDER.index(check.outcome))
    if len(ordered) <= _MANY:
        return el("section", el("h2", "Checks"), _notes(comparison), _table(ordered))
    open_ones = [check for check in ordered if check.outcome in _ORDER[:2] or check is checks[0]]
    others = [check for check in ordered if check not in open_ones]
    return el(
        "section",
        el("h2", "Checks"),
        _notes(comparison),
        _table(open_ones),
        el("details", el("summary", f"The other {len(others)} checks"), _table(others)),
    )


def _notes(comparison: Comparison) -> list[Markup]:
    said = [_count(comparison.decision.checks), *map(str, harms(comparison))]
    return [el("p", one, class_="note") for one in said]


def _count(checks: Sequence[Check]) -> str:
    counts = ((sum(check.outcome is one for check in checks), one) for one in _ORDER)
    said = ", ".join(f"{count} {'hold' if one is CheckOutcome.HOLDS else one.value}" for count, one in counts if count)
    return f"All must hold. Of {len(checks)}: {said}."


def _table(checks: Sequence[Check]) -> Markup:
    head = el("tr", el("th", "Check", scope="col"), el("th", "Outcome", scope="col"), el("th", "Why", scope="col"))
    return el("table", el("thead", head), el("tbody", [_row(check) for check in checks]), class_="stack")


def _row(check: Check) -> Markup:
    word, kind = _SHOWN[check.outcome]
    return el(
        "tr",
        el("th", breakable(check.name), scope="row"),
        el("td", word, class_=f"outcome lead {kind}"),
        el("td", ticked(check.sentence), class_="wide"),
    )
