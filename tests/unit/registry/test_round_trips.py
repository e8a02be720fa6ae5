"""What an operation asks of the database: statements on SQLite, round trips to PostgreSQL."""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from flapping_testing import FlappingProxy
from pedigree_testing import candidate, digest
from tfx_pedigree.db import Statement
from tfx_pedigree.registry import (
    Evidence,
    Facts,
    PromotionRequest,
    Registry,
    Verdict,
    numbering,
    promotion,
    reading,
    registration,
    stored,
)

pytestmark = pytest.mark.conformance

MODEL = "flight-delay"
_numbers = itertools.count(100)


def register(registry: Registry) -> object:
    number = next(_numbers)
    facts = Facts({"auc": 0.9, "loss": 0.1}, {"team": "ops", "run": "7"})
    return registry.add(MODEL, candidate(number), None, facts, Evidence(digest(number), None, Verdict.PASS, "good"))


def promote(registry: Registry) -> object:
    expect = registry.model(MODEL).champion or "none"
    return registry.promote(f"{MODEL}@latest", PromotionRequest(expect=expect))


def several(registry: Registry) -> object:
    """What a page asks, of which some is needed in several places."""
    with registry.at_one_moment() as now:
        return [(now.get(f"{MODEL}@1.0.0"), now.reigns(MODEL), now.evidence(f"{MODEL}@1.0.0")) for _ in range(3)]


OPERATIONS: dict[str, Callable[[Registry], object]] = {
    "get by number": lambda r: r.get(f"{MODEL}@1.0.0"),
    "get by alias": lambda r: r.get(f"{MODEL}@canary"),
    "revision": lambda r: r.revision(MODEL),
    "page": lambda r: r.versions(MODEL, limit=20),
    "search": lambda r: r.search(MODEL, ["metric.auc>=0.5", "tag.team=ops"], limit=20),
    "models": lambda r: r.models(),
    "history": lambda r: r.history(MODEL, limit=20),
    "several at one moment": several,
    "register": register,
    "promote": promote,
    "move an alias": lambda r: r.set_alias("canary", f"{MODEL}@latest"),
}


class Counting(FlappingProxy):
    """Counts the messages for which a client waits: the end of a query, or of several that were sent together."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self.waits = 0
        self._rest: dict[socket.socket, tuple[bool, bytes]] = {}
        super().__init__(connect)

    def _cuts(self, data: bytes) -> bool:
        """Asked of whatever a client sends."""
        self._count(data)
        return False

    def _count(self, data: bytes) -> None:
        while data:
            if data[0] == 0:  # a connection begins: its first messages have no kind
                data = data[int.from_bytes(data[:4], "big") :]
            else:
                self.waits += data[:1] in b"QS"  # query, sync
                data = data[1 + int.from_bytes(data[1:5], "big") :]


@pytest.fixture
def proxy(postgres_server: str) -> Iterator[Counting]:
    folder = parse_qs(urlsplit(postgres_server).query)["host"][0]

    def connect() -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{folder}/.s.PGSQL.5432")
        return server

    with Counting(connect) as made:
        yield made


def prepared(registry: Registry) -> Registry:
    """With a champion, an alias, and every kind of statement asked once."""
    for _ in range(3):
        register(registry)
    registry.promote(f"{MODEL}@1.0.0")
    registry.set_alias("canary", f"{MODEL}@1.0.1")
    register(registry)
    return registry


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("get by number", 1),
        ("get by alias", 1),
        ("revision", 1),
        ("page", 1),
        ("search", 1),
        ("models", 1),
        ("history", 1),
        ("several at one moment", 8),  # of which three are the transaction's
        ("register", 5),
        ("promote", 6),  # one of them asks who is champion
        ("move an alias", 5),
    ],
)
def test_round_trips_to_postgresql(
    name: str, most: int, proxy: Counting, new_postgres: Callable[[], str], tmp_path: Path
) -> None:
    direct = new_postgres()
    Registry.create(direct, actor="ada", store=str(tmp_path / "store")).close()
    address = f"postgresql://postgres@127.0.0.1:{proxy.port}{urlsplit(direct).path}?sslmode=disable&gssencmode=disable"
    with Registry.open(address, actor="ada") as registry:
        prepared(registry).get(f"{MODEL}@1.0.0")
        before = proxy.waits
        OPERATIONS[name](registry)
        assert 1 <= proxy.waits - before <= most


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("get by number", 1),
        ("get by alias", 1),
        ("revision", 1),
        ("page", 1),
        ("search", 1),
        ("models", 1),
        ("history", 1),
        ("several at one moment", 7),
        ("register", 18),  # one asks for the numbers of the newest versions
        ("promote", 15),
        ("move an alias", 8),
    ],
)
def test_statements_on_sqlite(name: str, most: int, tmp_path: Path) -> None:
    with Registry.create(tmp_path / "registry", actor="ada") as registry:
        statements = traced(prepared(registry))
        OPERATIONS[name](registry)
    asked = [one for one in statements if not one.startswith("PRAGMA busy_timeout")]  # how long to wait asks nothing
    assert 1 <= len(asked) <= most, asked


def test_registration_costs_the_same_however_many_versions_follow_one_champion(tmp_path: Path) -> None:
    with Registry.create(tmp_path / "registry", actor="ada") as registry:
        statements = traced(prepared(registry))
        register(registry)
        first = len(statements)
        for _ in range(60):
            del statements[:]
            register(registry)
        assert len(statements) == first
        assert registry.model(MODEL).champion == "1.0.0"


def traced(registry: Registry) -> list[str]:
    """The statements from now on."""
    statements: list[str] = []
    engine = registry.transactions.database.engine
    engine.dispose()
    sa.event.listen(engine, "connect", lambda driver, _: driver.set_trace_callback(statements.append))
    registry.get(f"{MODEL}@1.0.0")
    del statements[:]
    return statements


def test_sqlite_plans_no_statement_anew_and_finds_roles_by_their_index(tmp_path: Path) -> None:
    """SQLite plans again at each call where a parameter is compared with the column of a partial index."""
    with Registry.create(tmp_path / "registry", actor="ada") as registry:
        statements = traced(prepared(registry))
        for operation in OPERATIONS.values():
            operation(registry)
        registry.get(f"{MODEL}@champion")
        registry.get(f"{MODEL}@latest")
        database = registry.transactions.database
        with database.reading() as connection:
            plans = [
                str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}").all())
                for one in statements
                if one.startswith(("SELECT", "UPDATE")) and "role_bindings" in one
            ]
    assert len(plans) > 8
    assert [plan for plan in plans if "SCAN role_bindings" in plan] == []
    texts = [one.prepared(database.engine.dialect).text for one in _statements()]
    assert len(texts) > 20
    assert [text for text in texts if re.search(r"WHERE.*\bstate (=|!=) \?", text, re.DOTALL)] == []


def _statements() -> Iterator[Statement]:
    for module in (reading, numbering, registration, promotion, stored):
        for value in vars(module).values():
            candidates = value if isinstance(value, tuple) else tuple(getattr(value, "__dict__", {}).values())
            yield from (one for one in (value, *candidates) if isinstance(one, Statement))
