"""No operation costs more because a registry has a long history: counted in the pages that PostgreSQL reads."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

from filling_testing import Size, fill
from growth_testing import BY_NATURE, operations
from tfx_pedigree.registry import Registry

SMALL, LARGE = Size(60, 600), Size(1000, 10_000)
# Beside some hundred values PostgreSQL reads a table of some thousand versions whole, and no larger one.
AT_MOST = {"newest by tag": 1000}
READ = "SELECT coalesce(sum(blks_hit + blks_read), 0) FROM pg_stat_database WHERE datname = :name"
ALIVE = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name"


class Counted:
    """A registry, and the pages that its connections have read. They tell it when they end."""

    def __init__(self, admin: sa.Connection, address: str, size: Size) -> None:
        fill(address, size, lambda _: None)
        self._admin, self._name = admin, str(sa.make_url(address).database)
        self._registry = Registry.open(address, actor="ada")
        self.calls = operations(self._registry, size)

    def pages(self, name: str) -> int:
        """Of a second call: the first one also reads what PostgreSQL knows of its tables, as does each connection."""
        return self._read(name, 3) - self._read(name, 2)

    def _read(self, name: str, times: int) -> int:
        self._ended()
        before = self._number(READ)
        for _ in range(times):
            self.calls[name]()
        self._ended()
        return self._number(READ) - before

    def _ended(self) -> None:
        database = self._registry.transactions.database
        database.engine.dispose()
        database._asking.dispose()
        give_up = time.monotonic() + 20
        while self._number(ALIVE):
            assert time.monotonic() < give_up
            time.sleep(0.005)

    def _number(self, question: str) -> int:
        return int(self._admin.execute(sa.text(question), {"name": self._name}).scalar_one())


def test_every_operation_reads_as_much_of_a_long_history_as_of_a_short_one(
    new_postgres: Callable[[], str], postgres_admin: sa.Connection
) -> None:
    small = Counted(postgres_admin, new_postgres(), SMALL)
    large = Counted(postgres_admin, new_postgres(), LARGE)
    costs = {name: (small.pages(name), large.pages(name)) for name in small.calls if name not in BY_NATURE}
    # An index has a level more, and tables of a page or two are read whole.
    assert {name: cost for name, cost in costs.items() if cost[1] > AT_MOST.get(name, 2 * abs(cost[0]) + 40)} == {}
