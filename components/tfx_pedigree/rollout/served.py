"""Which share each version had, where and when: what the audit log says of a model's rollouts, added up. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tfx_pedigree.json_form import JsonForm, read
from tfx_pedigree.registry import Event
from tfx_pedigree.rollout.state import RolloutOrder, RolloutState
from tfx_pedigree.rollout.traffic.api import WHOLE, ServedVersion


@dataclass(frozen=True)
class ShareChange(JsonForm):
    """From `at` on, this version was to answer so many of the requests at a target, in basis points, by this rollout.
    Copies, which nobody gets an answer to, are no share."""

    target: str
    version: ServedVersion
    at: datetime
    points: int
    rollout: int


def share_changes(events: Iterable[Event]) -> tuple[ShareChange, ...]:
    """Of all `roll-out` events of one model, the oldest first."""
    orders: dict[int, RolloutOrder] = {}
    versions: dict[str, ServedVersion] = {}
    now: dict[str, dict[str, int]] = {}  # target → digest → points
    found = []
    for event in events:
        number = int(event.details["rollout"])
        if "order" in event.details:
            order = orders[number] = read(RolloutOrder, event.details["order"], "the order in the log")
            versions |= {one.digest: one for one in (order.stable, order.candidate) if one is not None}
        target = orders[number].target
        wanted = read(RolloutState, event.details["state"], "the state in the log").wanted
        if wanted is None:
            continue
        before = now.get(target, {})
        after = {share.digest: share.points for share in wanted.shares}
        for digest in sorted(before.keys() | after.keys()):
            points = after.get(digest, 0)
            if points != before.get(digest, 0) and digest in versions:
                found.append(ShareChange(target, versions[digest], event.at, points, number))
        now[target] = after
    return tuple(found)


def percent(points: int) -> str:
    return f"{100 * points / WHOLE:g} %"
