"""What the tables are declared with: the rules of their names, and the columns that many of them have."""

from __future__ import annotations

from enum import Enum
from typing import Any

import sqlalchemy as sa

from tfx_pedigree.db.types import Id, UtcDateTime

# For tables whose rows no event tells of: the audit does not look at them, and archives do not carry them.
NOT_HISTORY = {"history": False}

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def one_of(column: str, words: type[Enum]) -> str:
    return f"{column} IN ({', '.join(repr(str(word)) for word in words)})"


def one_for_each_model(name: str, where: str) -> sa.Index:
    """The database itself holds that a model has one such row at the most."""
    rows = sa.text(where)
    return sa.Index(name, "model_id", unique=True, sqlite_where=rows, postgresql_where=rows)


# Columns that many tables have. A column is needed unless it is declared with its own `sa.Column`.


def row_id() -> sa.Column[int]:
    return sa.Column("id", Id, primary_key=True)


def of_model(*, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column("model_id", Id, sa.ForeignKey("models.id"), nullable=False, primary_key=primary_key)


def of_version(*, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column("version_id", Id, sa.ForeignKey("model_versions.id"), nullable=False, primary_key=primary_key)


def text(name: str, *, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, primary_key=primary_key)


def number(name: str, *, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, primary_key=primary_key)


def digest(name: str = "digest", *, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(71), nullable=False, primary_key=primary_key)


def time(name: str) -> sa.Column[Any]:
    return sa.Column(name, UtcDateTime, nullable=False)


def at_and_by(verb: str) -> tuple[sa.Column[Any], sa.Column[str]]:
    """When, and by whom."""
    return time(f"{verb}_at"), text(f"{verb}_by")
