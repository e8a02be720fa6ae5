"""Statements that are compiled once for a database and then go to its driver as they stand.

SQLAlchemy writes the text and knows how each type is kept; what it does anew for every call (keys of its cache,
contexts, result objects) costs several times what SQLite takes to answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeDecorator, TypeEngine

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Prepared:
    """A statement as one driver takes it. `names` are the parameters in their order, None where they go by name."""

    text: str
    names: tuple[str, ...] | None
    constants: dict[str, Any]
    writers: tuple[tuple[str, Callable[[Any], Any]], ...]
    readers: tuple[tuple[int, Callable[[Any], Any]], ...]

    def parameters(self, values: dict[str, Any]) -> Any:
        given = {**self.constants, **values}
        for name, write in self.writers:
            given[name] = write(given[name])
        return given if self.names is None else [given[name] for name in self.names]

    def read(self, rows: Iterable[Row]) -> list[Row]:
        if not self.readers:
            return list(rows)
        return [self._read(list(row)) for row in rows]

    def _read(self, row: list[Any]) -> Row:
        for at, read in self.readers:
            row[at] = read(row[at])
        return tuple(row)


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """Texts and numbers come from the drivers as they are."""
    if not isinstance(kind, TypeDecorator | sa.Boolean):
        return None
    return kind.dialect_impl(dialect).result_processor(dialect, None)


class Statement:
    """Parameters are the statement's `bindparam`s, and the columns of an insert that `columns` names."""

    def __init__(self, executable: Any, columns: Sequence[str] | None = None) -> None:
        self._executable = executable
        self._columns = columns
        self._prepared: dict[str, Prepared] = {}

    def prepared(self, dialect: Dialect) -> Prepared:
        found = self._prepared.get(dialect.name)
        if found is None:
            found = self._prepared[dialect.name] = self._prepare(dialect)
        return found

    def _prepare(self, dialect: Dialect) -> Prepared:
        compiled = self._executable.compile(dialect=dialect, column_keys=self._columns)
        writing = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect) for bind, name in compiled.bind_names.items()
        }
        writers = tuple((name, write) for name, write in writing.items() if write is not None)
        constants = {name: bind.value for bind, name in compiled.bind_names.items()}
        columns = getattr(self._executable, "selected_columns", ())
        reading = [_reader(column.type, dialect) for column in columns]
        readers = tuple((at, read) for at, read in enumerate(reading) if read is not None)
        names = tuple(compiled.positiontup) if compiled.positional else None
        return Prepared(str(compiled), names, constants, writers, readers)

    def rows(self, connection: Connection, **values: Any) -> list[Row]:
        """All rows of the answer."""
        return together(connection, [(self, values)])[0]

    def run(self, connection: Connection, **values: Any) -> None:
        """For a statement that answers nothing."""
        prepared = self.prepared(connection.dialect)
        with translated(connection.dialect, connection):
            _send(_driver(connection), prepared, values)


Question = tuple[Statement, dict[str, Any]]
_REMEMBERED = "pedigree_remembered"


def remembering(connection: Connection) -> Connection:
    """What is asked through it again is not sent again: for a transaction that sees one moment and only reads."""
    return connection.execution_options(**{_REMEMBERED: {}})


def together(connection: Connection, questions: Sequence[Question]) -> list[list[Row]]:
    """The rows of each: on PostgreSQL all of them go out before the first answer comes, in one round trip."""
    known: dict[Any, list[Row]] | None = connection.get_execution_options().get(_REMEMBERED)
    if known is None:
        return _asked(connection, questions)
    keys = [(statement, repr(sorted(values.items()))) for statement, values in questions]
    new = {key: question for key, question in zip(keys, questions, strict=True) if key not in known}
    if new:
        known.update(zip(new, _asked(connection, list(new.values())), strict=True))
    return [known[key] for key in keys]


def _asked(connection: Connection, questions: Sequence[Question]) -> list[list[Row]]:
    dialect, driver = connection.dialect, _driver(connection)
    prepared = [(statement.prepared(dialect), values) for statement, values in questions]
    with translated(dialect, connection):
        with _pipeline(dialect, driver) if len(prepared) > 1 else contextlib.nullcontext():
            cursors = [_send(driver, one, values) for one, values in prepared]
        return [
            one.read(cursor.fetchall()) if cursor.description else []
            for (one, _), cursor in zip(prepared, cursors, strict=True)
        ]


def ask(dialect: Dialect, driver: DBAPIConnection | None, question: Question) -> list[Row]:
    """One statement on a driver's own connection. The driver's errors come as they are."""
    prepared = question[0].prepared(dialect)
    return prepared.read(_send(driver, prepared, question[1]).fetchall())


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _send(driver: Any, prepared: Prepared, values: dict[str, Any]) -> DBAPICursor:
    """The only place from which these statements reach a driver."""
    cursor: DBAPICursor = driver.cursor()
    cursor.execute(prepared.text, prepared.parameters(values))
    return cursor


def _pipeline(dialect: Dialect, driver: Any) -> AbstractContextManager[Any]:
    if dialect.driver == "psycopg":
        import psycopg  # noqa: PLC0415  only where it is in use

        if psycopg.Pipeline.is_supported():
            return driver.pipeline()  # type: ignore[no-any-return]
    return contextlib.nullcontext()


class translated:  # noqa: N801  used as a statement; a class, because every statement passes here
    """The driver's errors as SQLAlchemy's. A connection that broke is not used again."""

    __slots__ = ("_connection", "_dialect")

    def __init__(self, dialect: Dialect, connection: Any = None) -> None:
        self._dialect = dialect
        self._connection = connection

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        base: Any = self._dialect.loaded_dbapi.Error
        if not isinstance(error, base):
            return
        connection, dialect = self._connection, self._dialect
        driver = (
            _driver(connection) if isinstance(connection, Connection) else connection and connection.dbapi_connection
        )
        lost = dialect.is_disconnect(error, driver, None)
        if lost and connection is not None:
            connection.invalidate()
        raise DBAPIError.instance(None, None, error, base, connection_invalidated=lost, dialect=dialect) from error


class _OneOf(sa.ColumnElement[bool]):
    inherit_cache = False
    type = sa.Boolean()

    def __init__(self, column: sa.ColumnElement[Any], values: sa.BindParameter[str]) -> None:
        self.column = column
        self.values = values

    def self_group(self, against: Any = None) -> _OneOf:
        """As it is: SQLAlchemy would compare it with 1 where a database has no booleans, and no index fits that."""
        return self


def one_of(column: sa.ColumnElement[Any], values: sa.BindParameter[str]) -> sa.ColumnElement[bool]:
    """`values` is a JSON list of texts. Both databases find the rows by the column's index."""
    return _OneOf(column, values)


@compiles(_OneOf)
def _on_sqlite(element: _OneOf, compiler: Any, **_: Any) -> str:
    listed = f"SELECT value FROM json_each({compiler.process(element.values)})"  # noqa: S608  compiled from SQLAlchemy
    return f"{compiler.process(element.column)} IN ({listed})"


@compiles(_OneOf, "postgresql")
def _on_postgresql(element: _OneOf, compiler: Any, **_: Any) -> str:
    listed = f"SELECT json_array_elements_text(CAST({compiler.process(element.values)} AS json))"
    return f"{compiler.process(element.column)} = ANY (ARRAY({listed}))"
