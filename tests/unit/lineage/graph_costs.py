"""What a question costs a database, counted rather than timed."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from tfx_pedigree.lineage import storage
from tfx_pedigree.registry import Registry


def cost(registry: Registry, question: Callable[[], object]) -> int:
    """Steps of SQLite's virtual machine, in hundreds of instructions; on PostgreSQL the pages of tables and indexes
    that were read."""
    question()
    return _sqlite(registry, question) if registry.url.startswith("sqlite") else _postgresql(registry, question)


def same(before: int, now: int) -> bool:
    """Whether it costs what it did, but for the one level that the indexes of a large table have more."""
    return now <= 2 * before + 10


def _sqlite(registry: Registry, question: Callable[[], object]) -> int:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def watch(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_progress_handler(count, 10)

    engine = registry._database.engine
    sa.event.listen(engine, "checkout", watch)
    try:
        question()
    finally:
        sa.event.remove(engine, "checkout", watch)
    return steps


def _postgresql(registry: Registry, question: Callable[[], object]) -> int:
    read = sa.text(
        "SELECT sum(pg_stat_get_xact_blocks_fetched(oid)) FROM pg_class"
        " WHERE relname ~ '(^|_)lineage_(nodes|facts|edges)'"
    )
    total = 0

    def begin(connection: sa.Connection) -> None:
        """What earlier transactions read and nobody has collected yet does not count."""
        nonlocal total
        total -= int(connection.execute(read).scalar() or 0)

    def end(connection: sa.Connection) -> None:
        nonlocal total
        total += int(connection.execute(read).scalar() or 0)

    engine = registry._database.engine
    sa.event.listen(engine, "begin", begin)
    # A question that finds nothing raises, and its transaction is rolled back.
    sa.event.listen(engine, "commit", end)
    sa.event.listen(engine, "rollback", end)
    try:
        question()
    finally:
        sa.event.remove(engine, "begin", begin)
        sa.event.remove(engine, "commit", end)
        sa.event.remove(engine, "rollback", end)
    return total


@contextlib.contextmanager
def analyzed_while_edges_are_written(registry: Registry) -> Iterator[None]:
    """PostgreSQL's own housekeeping comes whenever it likes: here, between a recording's last row and its commit, so
    that it believes the tables to be as large as before."""
    real = storage.add_edges

    def add(*args: Any) -> Any:
        added = real(*args)
        analyze(registry)
        return added

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "add_edges", add)
        yield


def analyze(registry: Registry) -> None:
    """From a connection of its own, as the server's housekeeping does: what those of the registry keep, they keep."""
    if registry.url.startswith("sqlite"):
        return
    engine = sa.create_engine(registry._database.engine.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for name in ("lineage_nodes", "lineage_facts", "lineage_edges"):
            connection.execute(sa.text(f"ANALYZE {name}"))
