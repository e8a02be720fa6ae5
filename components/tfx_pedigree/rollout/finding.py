"""What a rollout found out about a version, as evidence: it stands above the gate's, on which the rollout rested. Pure.

Only what was judged is evidence: harm that was shown, or health through all steps. A rollout that a person ended, or
that saw too little, says nothing about the version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from tfx_pedigree.registry import DECIDED, ROLLOUT, WITHHELD_BY, WITHOUT_THEM, Event, Evidence, Verdict
from tfx_pedigree.rollout.plan import Plan
from tfx_pedigree.rollout.state import Rollout
from tfx_pedigree.text import format_timestamp


def finding(
    rollout: Rollout,
    verdict: Verdict,
    reason: str,
    *,
    base: Evidence | None,
    events: Iterable[Event],
    numbers: Mapping[str, Any],
    at: datetime,
) -> Evidence:
    """`base` is the newest evidence about the version, `events` are those of this rollout, the oldest first, and
    `numbers` what was counted until now."""
    plan, stable = rollout.order.plan, rollout.stable
    told = {
        "number": rollout.number,
        "target": rollout.order.target,
        "strategy": str(plan.strategy),
        "plan": plan.digest,
        "began_at": format_timestamp(rollout.opened_at),
        "ended_at": format_timestamp(at),
        "steps": _steps(plan, list(events), numbers, at),
        **numbers,
    }
    said = f"Rollout {rollout.number} to {rollout.order.target}: {reason}"
    champion = stable.digest if stable else None
    if base is None or base.verdict is not Verdict.PASS or base.champion != champion or ROLLOUT in base.details:
        return Evidence(rollout.candidate.digest, champion, verdict, said, details={ROLLOUT: told})
    # It is no decision of the gate, which an error budget would count.
    details = {key: value for key, value in base.details.items() if key != DECIDED}
    details |= {ROLLOUT: told, WITHOUT_THEM: base.details.get(WITHOUT_THEM, base.reason)}
    if verdict is not Verdict.PASS:
        details[WITHHELD_BY] = [f"rollout {rollout.number}"]
    return replace(base, verdict=verdict, reason=said, details=details)


def _steps(plan: Plan, events: list[Event], numbers: Mapping[str, Any], at: datetime) -> list[dict[str, Any]]:
    """Each time with a share of its own: from when to when, and what was counted in it."""
    found = []
    ends = [(event.at, event.details.get("numbers") or {}) for event in events[1:]] + [(at, numbers)]
    for event, (until, counted) in zip(events, ends, strict=True):
        state = event.details["state"]
        if state["phase"] not in ("stepping", "promoting", "keeping"):
            continue
        one: dict[str, Any] = {
            "phase": state["phase"],
            "from": format_timestamp(event.at),
            "to": format_timestamp(until),
        }
        if state["phase"] == "stepping":
            step = plan.steps[state["step"]]
            one |= {"points": step.points, "shadow": step.shadow}
        found.append({**one, **(counted.get("step") or {})})
    return found
