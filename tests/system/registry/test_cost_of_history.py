"""No operation costs more because a registry has a long history: counted in the pages that PostgreSQL reads."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from filling_testing import Size, fill
from growth_testing import BY_NATURE, PagesRead

SMALL, LARGE = Size(60, 600), Size(1000, 10_000)
# Beside some hundred values PostgreSQL reads a table of some thousand versions whole, and no larger one.
AT_MOST = {"newest by tag": 1000}


def filled(address: str, size: Size) -> str:
    fill(address, size, lambda _: None)
    return address


def test_every_operation_reads_as_much_of_a_long_history_as_of_a_short_one(
    new_postgres: Callable[[], str], postgres_admin: sa.Connection
) -> None:
    small, large = (PagesRead(postgres_admin, filled(new_postgres(), size), size) for size in (SMALL, LARGE))
    costs = {name: (small.of(name), large.of(name)) for name in small.calls if name not in BY_NATURE}
    # PostgreSQL counts what its own vacuum reads as well: what seems dear is asked again.
    costs |= {
        name: (cost[0], min(large.of(name) for _ in range(3))) for name, cost in costs.items() if dear(name, cost)
    }
    assert {name: cost for name, cost in costs.items() if dear(name, cost)} == {}


def dear(name: str, cost: tuple[int, int]) -> bool:
    """An index has a level more, and tables of a page or two are read whole."""
    return cost[1] > AT_MOST.get(name, 2 * abs(cost[0]) + 40)
