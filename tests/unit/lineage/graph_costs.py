"""What a question costs a database, counted rather than timed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import sqlalchemy as sa

from tfx_pedigree.registry import Registry


def cost(registry: Registry, question: Callable[[], object]) -> int:
    """Steps of SQLite's virtual machine, in hundreds of instructions; on PostgreSQL the rows and index entries that
    were read."""
    question()
    return _sqlite(registry, question) if registry.url.startswith("sqlite") else _postgresql(registry, question)


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
        "SELECT sum(seq_tup_read) + sum(coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
        " WHERE relname LIKE 'lineage%'"
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
