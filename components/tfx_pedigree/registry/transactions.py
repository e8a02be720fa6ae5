"""Transactions on a local registry: who acts is checked when one begins, and a refusal is logged.

Internal. Rooms above that keep rows of their own (lineage, archives) use `reading`, `recording` and `importing`; SQL
connections leave the registry in no other way.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

from sqlalchemy.engine import Connection

from tfx_pedigree.db import Database, Question, Row, schema
from tfx_pedigree.errors import ForbiddenError
from tfx_pedigree.registry import access, reading, stored
from tfx_pedigree.registry.events import REGISTRY_CHAIN
from tfx_pedigree.registry.identity import Identity
from tfx_pedigree.registry.names import check_model_name
from tfx_pedigree.registry.roles import EVERYWHERE, Action, allows
from tfx_pedigree.registry.write import Write, insert_if_absent
from tfx_pedigree.role import Role


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Transactions:
    """The transactions of one actor."""

    def __init__(self, database: Database, identity: Identity, clock: Callable[[], datetime]) -> None:
        self.database = database
        self.identity = identity
        self.clock = clock
        self._known: set[str] = set()

    def acting_as(self, identity: Identity) -> Transactions:
        """The same for somebody else. What is known of the database is known to all."""
        other = copy.copy(self)
        other.identity = identity
        return other

    @contextlib.contextmanager
    def as_one(self) -> Iterator[tuple[Connection, Transactions]]:
        """Everything that is written through the second is one transaction. A refused role undoes it, and is then
        logged by itself."""
        with self._logging_later() as refused, self.database.writing() as connection:
            inner = _Inner(self, self.database.within(connection), refused)
            yield connection, inner
        self._known |= inner._known

    @contextlib.contextmanager
    def at_one_moment(self) -> Iterator[Transactions]:
        """Everything that is asked through it sees one moment, and is asked for once. Nothing can be changed by it."""
        with self._logging_later() as refused, self.database.at_one_moment() as database:
            yield _Inner(self, database, refused)

    @contextlib.contextmanager
    def _logging_later(self) -> Iterator[list[str | None]]:
        """Of a transaction that others are parts of: a refusal is logged when it is over."""
        refused: list[str | None] = []
        try:
            yield refused
        except ForbiddenError as refusal:
            if refused:
                self._log_refusal(refused[0], refusal)
            raise

    def ask(self, question: Question) -> list[Row]:
        """The rows of a single statement that carries the roles of whoever asks in its first column. None where
        it has none, or where the actor may not read: then `reading` finds out which it is, and says so."""
        statement, values = question
        values = {"model": EVERYWHERE, **values, "names": self.identity.names}
        rows = self.database.ask(statement, **values)
        if rows and allows(access.role_of(self.identity, rows[0][0], values["model"]), Action.READ):
            return rows
        return []

    @contextlib.contextmanager
    def reading(self, model: str | None) -> Iterator[Connection]:
        """A transaction that sees one moment throughout, for an actor who may read the model (or everything)."""
        with self._logging_refusals(model), self.database.reading() as connection:
            access.check_role(connection, self.identity, model, Action.READ)
            yield connection

    @contextlib.contextmanager
    def recording(self, model: str | None, action: Action = Action.RECORD_LINEAGE) -> Iterator[Write]:
        """For rooms above that add rows of their own: one transaction that holds the model's lock, or that of the
        registry's own chain where no model is named. What the actor's role does not allow is refused and logged."""
        with self.administering(action) if model is None else self.changing(model, action) as write:
            yield write

    @contextlib.contextmanager
    def importing(self, model: str) -> Iterator[Write]:
        """Holds the lock of the registry's own chain and of the model's: nobody else writes to either."""
        with self.administering(Action.IMPORT) as write:
            Write(write.connection, self.identity, model, write.now)
            yield write

    @contextlib.contextmanager
    def changing(self, model: str, action: Action, *questions: Question) -> Iterator[Write]:
        """Holds the model's lock, under which the questions are asked. What the block raises undoes everything; a
        refused role is then logged by itself."""
        with self._logging_refusals(model), self.database.writing() as connection:
            if model not in self._known:
                reading.find_model(connection, model)
            with self._writing(connection, model, *questions) as write:
                write.require(action)
                self._known.add(model)
                yield write

    @contextlib.contextmanager
    def administering(self, action: Action) -> Iterator[Write]:
        """Holds the lock of the registry's own chain."""
        with self.administering_for(lambda write: write.require(action)) as write:
            yield write

    @contextlib.contextmanager
    def administering_for(self, check: Callable[[Write], None]) -> Iterator[Write]:
        """The same where more than one role decides: `check` refuses whom it must."""
        with (
            self._logging_refusals(None),
            self.database.writing() as connection,
            self._writing(connection, REGISTRY_CHAIN) as write,
        ):
            check(write)
            yield write

    @contextlib.contextmanager
    def reading_for(self, check: Callable[[Connection], None]) -> Iterator[Connection]:
        """As `reading`, for an actor whom `check` does not refuse."""
        with self._logging_refusals(None), self.database.reading() as connection:
            check(connection)
            yield connection

    @contextlib.contextmanager
    def _writing(
        self, connection: Connection, chain: str, *questions: Question, when: datetime | None = None
    ) -> Iterator[Write]:
        write = Write(connection, self.identity, chain, when or self.clock(), questions)
        yield write
        write.finish()

    def require(self, action: Action, model: str | None) -> None:
        with self._logging_refusals(model), self.database.reading() as connection:
            access.check_role(connection, self.identity, model, action)

    def check(self, check: Callable[[Connection], None]) -> None:
        """Whether `check` refuses the actor; a refusal is logged."""
        with self.reading_for(check):
            pass

    def role(self, model: str | None) -> Role | None:
        """What the actor may do at the most."""
        with self.database.reading() as connection:
            return access.role_in(connection, self.identity, model)

    def ensure_model(self, name: str) -> None:
        """Makes the model if there is none. A model that was there stays, so it is looked for once."""
        if name in self._known:
            return
        check_model_name(name)
        if not self.database.ask(stored.STORED_MODEL, model=name):
            self._make_model(name)
        self._known.add(name)

    def _make_model(self, name: str) -> None:
        m = schema.models
        with self._logging_refusals(None), self.database.writing() as connection:
            access.check_role(connection, self.identity, name, Action.RESERVE)
            with self._writing(connection, REGISTRY_CHAIN) as write:
                if stored.STORED_MODEL.rows(connection, model=name):
                    return
                insert_if_absent(connection, m, name=name, created_at=write.now, created_by=write.actor)
                write.log("create-model", details={"model": name})
                with self._writing(connection, name, when=write.now) as first:
                    first.log("create-model")

    @contextlib.contextmanager
    def _logging_refusals(self, model: str | None) -> Iterator[None]:
        try:
            yield
        except ForbiddenError as refusal:
            self._log_refusal(model, refusal)
            raise

    def _log_refusal(self, model: str | None, refusal: ForbiddenError) -> None:
        with self.database.writing() as connection:
            known = model and stored.STORED_MODEL.rows(connection, model=model)
            with self._writing(connection, str(model) if known else REGISTRY_CHAIN) as write:
                write.log("refuse", reason=str(refusal), details={"operation": refusal.operation, "model": model})


class _Inner(Transactions):
    """See `as_one` and `at_one_moment`."""

    def __init__(self, outer: Transactions, database: Database, refused: list[str | None]) -> None:
        super().__init__(database, outer.identity, outer.clock)
        self._known = set(outer._known)
        self._refused = refused

    def _log_refusal(self, model: str | None, refusal: ForbiddenError) -> None:
        self._refused.append(model)
