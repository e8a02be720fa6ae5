"""Transactions on a local registry: who acts is checked when one begins, and a refusal is logged.

Internal. Rooms above that keep rows of their own (lineage, archives) use `reading`, `recording` and `importing`; SQL
connections leave the registry in no other way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tfx_pedigree.db import Database, schema
from tfx_pedigree.errors import ForbiddenError
from tfx_pedigree.registry import reading
from tfx_pedigree.registry.events import REGISTRY_CHAIN
from tfx_pedigree.registry.names import check_model_name
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.write import Write, check_role, insert_if_absent


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Transactions:
    """The transactions of one actor."""

    def __init__(self, database: Database, actor: str, clock: Callable[[], datetime]) -> None:
        self.database = database
        self.actor = actor
        self.clock = clock

    @contextlib.contextmanager
    def reading(self, model: str | None) -> Iterator[Connection]:
        """A transaction that sees one moment throughout, for an actor who may read the model (or everything)."""
        with self._logging_refusals(model), self.database.reading() as connection:
            check_role(connection, self.actor, model, Action.READ)
            yield connection

    @contextlib.contextmanager
    def recording(self, model: str | None, action: Action = Action.RECORD_LINEAGE) -> Iterator[Write]:
        """For rooms above that add rows of their own: one transaction that holds the model's lock, or that of the
        registry's own chain where no model is named. What the actor's role does not allow is refused and logged."""
        if model is None:
            with self.administering(action) as write:
                yield write
        else:
            with self.changing(model, action) as (write, _):
                yield write

    @contextlib.contextmanager
    def importing(self, model: str) -> Iterator[Write]:
        """Holds the lock of the registry's own chain and of the model's: nobody else writes to either."""
        with self.administering(Action.IMPORT) as write:
            Write(write.connection, self.actor, model, write.now)
            yield write

    @contextlib.contextmanager
    def changing(self, model: str, action: Action) -> Iterator[tuple[Write, RowMapping]]:
        """Holds the model's lock. What the block raises undoes everything; a refused role is then logged by itself."""
        with self._logging_refusals(model), self.database.writing() as connection:
            found = reading.find_model(connection, model)
            write = Write(connection, self.actor, model, self.clock())
            write.require(action)
            yield write, found

    @contextlib.contextmanager
    def administering(self, action: Action) -> Iterator[Write]:
        """Holds the lock of the registry's own chain."""
        with self._logging_refusals(None), self.database.writing() as connection:
            write = Write(connection, self.actor, REGISTRY_CHAIN, self.clock())
            write.require(action)
            yield write

    def require(self, action: Action, model: str | None) -> None:
        with self._logging_refusals(model), self.database.reading() as connection:
            check_role(connection, self.actor, model, action)

    def ensure_model(self, name: str) -> None:
        """Makes the model if there is none."""
        check_model_name(name)
        m = schema.models
        with self.database.reading() as connection:
            if connection.execute(sa.select(m.c.id).where(m.c.name == name)).first() is not None:
                return
        with self._logging_refusals(None), self.database.writing() as connection:
            check_role(connection, self.actor, name, Action.RESERVE)
            write = Write(connection, self.actor, REGISTRY_CHAIN, self.clock())
            if connection.execute(sa.select(m.c.id).where(m.c.name == name)).first() is None:
                insert_if_absent(connection, m, name=name, created_at=write.now, created_by=self.actor)
                write.log("create-model", details={"model": name})
                Write(connection, self.actor, name, write.now).log("create-model")

    @contextlib.contextmanager
    def _logging_refusals(self, model: str | None) -> Iterator[None]:
        try:
            yield
        except ForbiddenError as refusal:
            with self.database.writing() as connection:
                m = schema.models.c
                known = model and connection.execute(sa.select(m.id).where(m.name == model)).first()
                write = Write(connection, self.actor, str(model) if known else REGISTRY_CHAIN, self.clock())
                write.log("refuse", reason=str(refusal), details={"operation": refusal.operation, "model": model})
            raise
