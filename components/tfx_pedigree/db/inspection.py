"""What audits ask of a database: has it still the tables, columns, constraints and indexes of this release, and no
triggers?

A constraint that is gone no longer holds what the registry relies on (one champion, one number once), and a trigger can
change rows that nobody asked to change.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Inspector

from tfx_pedigree.db import schema
from tfx_pedigree.errors import InvalidInputError

# What reading a cell raises in which something stands that the registry never writes.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, InvalidInputError)
_TRIGGERS = {
    "sqlite": "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": (
        "SELECT tgname, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
        "WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace"
    ),
}
_LITERAL = re.compile(r"'([^']*)'")


@dataclass(frozen=True)
class SchemaProblem:
    """A problem, as a sentence. `unreadable`: without the missing part, rows cannot be read at all."""

    text: str
    unreadable: bool = False


def schema_problems(connection: Connection) -> Iterator[SchemaProblem]:
    """What is missing or different in the schema, and triggers."""
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names())
    for table in schema.metadata.sorted_tables:
        if table.name not in there:
            yield SchemaProblem(f"The table {table.name} is gone.", unreadable=True)
            continue
        gone = {column.name for column in table.columns} - {one["name"] for one in inspector.get_columns(table.name)}
        for name in sorted(gone):
            yield SchemaProblem(f"The table {table.name} has lost the column {name}.", unreadable=True)
        expected, actual = _expected(table, connection.dialect.name), _actual(inspector, table.name)
        for one in sorted(expected - actual):
            yield SchemaProblem(f"The table {table.name} has lost {one}.")
    for name, table_name in connection.execute(sa.text(_TRIGGERS[connection.dialect.name])):
        yield SchemaProblem(f"The table {table_name} has the trigger {name}, which is not of this release.")


@contextlib.contextmanager
def any_text(connection: Connection) -> Iterator[None]:
    """SQLite keeps whatever bytes it is given for a text: they are read as a text that is not the right one."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        yield
        return
    raw.text_factory = lambda data: data.decode(errors="replace")
    try:
        yield
    finally:
        raw.text_factory = str


def _expected(table: sa.Table, dialect: str) -> set[str]:
    found = {_filled(column.name) for column in table.columns if not column.nullable}
    found.add(_key(column.name for column in table.primary_key))
    for constraint in table.constraints:
        if isinstance(constraint, sa.UniqueConstraint):
            found.add(_unique(column.name for column in constraint.columns))
        elif isinstance(constraint, sa.ForeignKeyConstraint):
            found.add(_foreign(constraint.column_keys, constraint.referred_table.name))
        elif isinstance(constraint, sa.CheckConstraint):
            found.add(_check(str(constraint.name), str(constraint.sqltext)))
    for index in table.indexes:
        where = index.dialect_options[dialect]["where"]
        found.add(_index(str(index.name), (column.name for column in index.columns), bool(index.unique), where))
    return found


def _actual(inspector: Inspector, name: str) -> set[str]:
    found = {_filled(column["name"]) for column in inspector.get_columns(name) if not column["nullable"]}
    found.add(_key(inspector.get_pk_constraint(name)["constrained_columns"]))
    found |= {_unique(one["column_names"]) for one in inspector.get_unique_constraints(name)}
    found |= {_foreign(one["constrained_columns"], one["referred_table"]) for one in inspector.get_foreign_keys(name)}
    found |= {_check(str(one["name"]), one["sqltext"]) for one in inspector.get_check_constraints(name)}
    for index in inspector.get_indexes(name):
        where = {key.partition("_")[2]: text for key, text in index.get("dialect_options", {}).items()}.get("where")
        found.add(_index(str(index["name"]), index["column_names"], bool(index["unique"]), where))
    return found


def _filled(name: str) -> str:
    return f"the NOT NULL of {name}"


def _key(columns: Iterable[str]) -> str:
    return f"its primary key ({', '.join(columns)})"


def _unique(columns: Iterable[str | None]) -> str:
    return f"the unique constraint on ({', '.join(map(str, columns))})"


def _foreign(columns: Iterable[str], target: str) -> str:
    return f"the foreign key ({', '.join(columns)}) to {target}"


def _check(name: str, text: str) -> str:
    """The databases write the same condition in words of their own; its values are the same."""
    return f"the check {name} ({', '.join(sorted(_LITERAL.findall(text)))})"


def _index(name: str, columns: Iterable[Any], unique: bool, where: object) -> str:
    kind = "unique index" if unique else "index"
    condition = "" if where is None else f" where {', '.join(_LITERAL.findall(str(where))) or 'NULL'}"
    return f"the {kind} {name} ({', '.join(map(str, columns))}){condition}"
