"""Whether a column's value is one of several that come as one parameter, so that the statement is prepared once."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles


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
