"""A model's rows and events as they leave a registry and enter another; `service.archive` carries them.

What comes in was checked before against its own events. Here it is compared with what is there already, written in one
transaction, and read again by the audit before the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tfx_pedigree.errors import ConflictError, DamagedError
from tfx_pedigree.registry import audit, model_tables, reading
from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.model_rows import Row
from tfx_pedigree.registry.write import Write


@dataclass(frozen=True)
class History:
    """A model on its way in. `hashes` are those of its events, in their order; `events` can be read more than once."""

    model: str
    hashes: Sequence[str]
    events: Iterable[Event]
    rows: Sequence[Row]


def read(connection: Connection, model: str) -> tuple[list[Event], list[dict[str, Any]]]:
    """NotFoundError where there is no such model."""
    reading.find_model(connection, model)
    return list(audit.read_chain(connection, model)), list(model_tables.read(connection, model))


def count_new(connection: Connection, history: History) -> int:
    """How many events are not here; refuses a history that is not a continuation of ours."""
    here = model_tables.hashes(connection, history.model)
    common = min(len(here), len(history.hashes))
    if here[:common] != list(history.hashes[:common]):
        raise ConflictError(
            f"{history.model} exists here with another history. Import it into another registry, "
            "or export from the one that is right."
        )
    return max(0, len(history.hashes) - len(here))


def write(write: Write, history: History, added: int) -> None:
    """`added` events at the end were new when the reading began; what was written here since is not lost."""
    connection, model = write.connection, history.model
    if model_tables.count_events(connection, model) != len(history.hashes) - added:
        raise ConflictError(
            f"{model} was changed here while its archive was read. Its history was not imported; nothing "
            "is lost. Run the import again."
        )
    model_tables.remove(connection, model)
    model_tables.insert(connection, history.rows, history.events)
    if problems := audit.verify_model(connection, model):
        raise DamagedError(f"The archive does not agree with its own log: {problems[0]} Nothing was imported.")
    told = {"head": history.hashes[-1], "events": len(history.hashes), "added": added}
    write.log("import-model", details={"model": model, **told})
