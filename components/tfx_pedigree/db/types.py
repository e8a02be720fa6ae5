"""Column types that hold the same value on both databases, to the bit."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from tfx_pedigree.text import format_timestamp

_WIDTH = len("2026-01-31T12:00:00.000000Z")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC with microseconds. SQLite keeps text of a fixed width: order and equality hold there too."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.String(27))
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return format_timestamp(value) if dialect.name == "sqlite" else value.astimezone(timezone.utc)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            if len(value) != _WIDTH or value[-1] != "Z":
                raise ValueError(f"{value!r} is not a time in UTC with microseconds")
            return datetime.fromisoformat(value[:-1]).replace(tzinfo=timezone.utc)
        moment: datetime = value
        return moment.astimezone(timezone.utc)


class Json(TypeDecorator[Any]):
    """JSON; JSONB on PostgreSQL, whose dialect takes long to import and is therefore asked for only there."""

    impl = sa.JSON(none_as_null=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(sa.JSON(none_as_null=True))
        from sqlalchemy.dialects.postgresql import JSONB  # noqa: PLC0415

        return dialect.type_descriptor(JSONB(none_as_null=True))


Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
