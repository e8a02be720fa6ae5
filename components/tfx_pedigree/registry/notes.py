"""Notes: events that tell what somebody did about a model and that change nothing of it in the registry.

A training run that was begun, or that was not worth its cost, leaves no version. That it was considered is history all
the same, and stands in the one log that nobody can rewrite unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.errors import ConflictError
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.reading import read_position
from tfx_pedigree.registry.records import Page
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.write import Write
from tfx_pedigree.secrets import clean_values

_E = schema.events


def newest(connection: Connection, model: str, action: Action, limit: int, before: str | None = None) -> Page[Event]:
    """Newest first."""
    query = sa.select(_E).where(_E.c.chain == model, _E.c.action == action.value).order_by(_E.c.position.desc())
    if before is not None:
        query = query.where(_E.c.position < read_position(before))
    rows = connection.execute(query.limit(limit + 1)).mappings().all()
    items = tuple(Event.from_row(dict(row)) for row in rows[:limit])
    return Page(items, str(items[-1].position) if len(rows) > limit else None)


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
    seen = next((event.position for event in newest(write.connection, write.chain, action, 1).items), 0)
    if expect is not None and seen != expect:
        raise ConflictError(
            f"{write.chain}: somebody else noted `{action}` since this was decided (event {seen} of its history). "
            f"Nothing was done. Look at `pedigree history {write.chain}`, and call again."
        )
    return write.log(action.value, subject, reason=reason, details=clean_values(details))
