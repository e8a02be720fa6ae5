"""Audit: who did what, when and why. Each page of the log checks the hashes that it shows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass

from tfx_pedigree.errors import NotFoundError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import Event
from tfx_pedigree.server.pages.view import PAGE, Asked, View

CHAIN = "*"
# Those that people look for; the field takes any other as well.
ACTIONS = (
    "promote",
    "rollback",
    "refuse",
    "archive",
    "restore",
    "register",
    "attach-evidence",
    "annotate",
    "set-alias",
    "grant",
    "revoke",
)


@dataclass(frozen=True)
class AuditPage(JsonForm):
    """`model` is None for the registry's own chain. `problems` are what the hashes of these events say is wrong."""

    model: str | None
    version: str | None
    action: str | None
    events: tuple[Event, ...]
    problems: tuple[str, ...]
    next: str | None


@dataclass(frozen=True)
class EventPage(JsonForm):
    event: Event
    intact: bool


def page(asked: Asked) -> View:
    model, version, action = (asked.given(name) for name in ("model", "version", "action"))
    version = version if model else None
    found = asked.registry.history(model, version, action=action, limit=PAGE, after=asked.given("after"))
    whole = version is None and action is None
    made = AuditPage(model, version, action, found.items, tuple(problems(found.items, whole)), found.next)
    command = ("history", f"{model}@{version}" if version else model) if model else ("history",)
    title = f"Audit of {model}" if model else "Audit"
    return View(
        "audit.html",
        title,
        made,
        command,
        {"actions": ACTIONS, "whole": whole, "after": asked.given("after")},
        section="audit",
    )


def problems(events: Sequence[Event], whole: bool) -> list[str]:
    """Of events, newest first: each must hash to what it says, and, where none is left out, follow the one before."""
    found = [
        f"Event {one.position} ({one.action} by {one.actor}) was altered after it was written."
        for one in events
        if one.computed_hash() != one.hash
    ]
    if whole:
        pairs = itertools.pairwise(events)
        found += [
            f"Event {new.position} does not follow event {old.position}."
            for new, old in pairs
            if not _follows(new, old)
        ]
    return found


def _follows(new: Event, old: Event) -> bool:
    return new.previous == old.hash and new.position == old.position + 1


def event(asked: Asked) -> View:
    chain = asked.request.path_params.get("model")
    position = int(asked.path("position"))
    items = asked.registry.history(chain, limit=1, after=str(position + 1)).items
    if not items or items[0].position != position:
        raise NotFoundError(f"{chain or 'The registry'} has no event {position}. See the log with `pedigree history`.")
    found = items[0]
    made = EventPage(found, found.computed_hash() == found.hash)
    command = ("history", chain) if chain else ("history",)
    extra = {"details": json.dumps(dict(found.details), indent=2, ensure_ascii=False)}
    return View("event.html", f"Event {position} of {chain or 'the registry'}", made, command, extra, section="audit")
