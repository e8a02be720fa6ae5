"""Notes: events that tell what somebody did about a model and that change nothing of it in the registry.

A training run that was begun, or that was not worth its cost, leaves no version. That it was considered is history all
the same, and stands in the one log that nobody can rewrite unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.registry import reading, stored
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.write import Write
from tfx_pedigree.secrets import clean_values
from tfx_pedigree.text import listed

# Of all other actions the events tell of changes, which no note may pretend.
NOTES = (Action.RETRAIN, Action.REPRODUCE, Action.DESCRIBE)


def write_note(
    write: Write,
    action: Action,
    *,
    subject: str | None,
    reason: str | None,
    details: Mapping[str, Any],
    expect: int | None,
) -> Event:
    """With `expect`, the position of the newest note of this action that the caller has seen (0: none), it is a
    compare-and-swap: of two who decided upon the same history, one is refused."""
    if action not in NOTES:
        raise InvalidInputError(f"`{action}` is no note, but a change of its own. Notes are {listed(map(str, NOTES))}.")
    asked = {"chain": write.chain, "model": write.chain, "actor": "", "action": action.value, "limit": 1}
    rows = reading.events(action=True).rows(write.connection, **asked)
    seen = stored.read_event(rows[0]).position if rows else 0
    if expect is not None and seen != expect:
        raise ConflictError(
            f"{write.chain}: somebody else noted `{action}` since this was decided (event {seen} of its history). "
            f"Nothing was done. Look at `pedigree history {write.chain}`, and call again."
        )
    return write.log(action.value, subject, reason=reason, details=clean_values(details))
