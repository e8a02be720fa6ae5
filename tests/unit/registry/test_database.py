"""The schema and the ways to reach a database."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from pedigree_testing import candidate
from tfx_pedigree.db import Database, engine, metadata, schema
from tfx_pedigree.db.migrate import config
from tfx_pedigree.errors import (
    ConflictError,
    DamagedError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from tfx_pedigree.registry import Action, Identity, Registry, Role, State
from tfx_pedigree.registry.transactions import utc_now


@pytest.fixture(params=["sqlite", "postgresql"])
def nowhere(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address at which there is no registry yet."""
    if request.param == "sqlite":
        return str(tmp_path / "registry.db")
    make: Callable[[], str] = request.getfixturevalue("new_postgres")
    return make()


@pytest.fixture
def empty(nowhere: str) -> Iterator[Database]:
    database = Database(nowhere)
    yield database
    database.close()


def test_migrations_lead_exactly_to_the_tables_that_the_code_uses(empty: Database) -> None:
    with empty.creating():
        pass
    with empty.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_newest_migration_is_the_one_that_the_code_asks_for() -> None:
    assert ScriptDirectory.from_config(config()).get_current_head() == engine.HEAD


def test_states_and_roles_are_the_same_in_a_migrated_database_and_in_code(empty: Database) -> None:
    with empty.creating():
        pass
    with empty.reading() as connection:
        inspector = sa.inspect(connection)
        for table, name, words in (
            ("model_versions", "ck_model_versions_state", set(map(str, State))),
            ("role_bindings", "ck_role_bindings_role", set(map(str, Role))),
        ):
            (text,) = [one["sqltext"] for one in inspector.get_check_constraints(table) if one["name"] == name]
            assert set(re.findall(r"'(\w+)'", text)) == words


def test_registry_that_several_make_at_once_has_one_admin(nowhere: str, tmp_path: Path) -> None:
    def make(number: int) -> None:
        Registry.create(nowhere, actor=f"actor-{number}", store=str(tmp_path / "store")).close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))
    with Registry.open(nowhere, actor="anybody") as registry:
        admins = [g.binding.principal for g in registry.grants() if g.binding.role is Role.ADMIN]
        assert len(admins) == 1
        assert registry.verify_audit().ok


def test_registry_is_made_whole_or_not_at_all(nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    store = str(tmp_path / "store")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("tfx_pedigree.registry.grants.bind", fail)
        Registry.create(nowhere, actor="ada", store=store)
    with pytest.raises(NotFoundError, match="pedigree init"):
        Registry.open(nowhere, actor="ada", store=store)
    Registry.create(nowhere, actor="ada", store=store).close()


def test_address_with_an_option_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="invalid connection option|cannot be used"):
        Database("postgresql://ada@127.0.0.1:1/registry?foo=bar").check()


def test_creating_again_changes_nothing(registry: Registry, address: str, tmp_path: Path) -> None:
    before = (registry.grants(), registry.history(None).items)
    with Registry.create(address, actor="mallory", store=str(tmp_path / "store")) as again:
        assert (again.grants(), again.history(None).items) == before


def test_database_itself_refuses_a_second_champion(registry: Registry) -> None:
    values = {"model_id": 1, "digest": "sha256:0", "state": "production", "reasons": [], "timestamp_tag": "v"}
    values |= {"metrics": {}, "parameters": {}, "tags": {}, "created_at": utc_now(), "created_by": "x"}
    with pytest.raises(sa.exc.IntegrityError), registry._database.writing() as connection:
        insert = schema.models.insert().values(id=1, name="m", created_at=utc_now(), created_by="x")
        connection.execute(insert)
        connection.execute(schema.descriptions.insert().values(digest="d", content="{}"))
        for number in (1, 2):
            row = {**values, "sequence": number, "version": f"{number}.0.0", "description_digest": "d"}
            row["digest"] = f"sha256:{number}"
            connection.execute(schema.model_versions.insert().values(**row))


def test_questions_of_one_moment_see_nothing_that_comes_later(registry: Registry, address: str) -> None:
    registry.add("m", candidate("a"))
    with Registry.open(address, actor="ada") as other, registry.at_one_moment() as now:
        before = now.model("m")
        other.add("m", candidate("b"))
        assert now.model("m") == before
        assert len(now.versions("m").items) == 1
        with pytest.raises(RuntimeError):
            now.add("m", candidate("c"))
    assert len(registry.versions("m").items) == 2


def test_refusal_among_questions_of_one_moment_is_logged(registry: Registry) -> None:
    registry.add("m", candidate("a"))
    registry.revoke("*")
    with pytest.raises(ForbiddenError), registry.acting_as(Identity("eve")).at_one_moment() as now:
        now.model("m")
    (refused,) = registry.history("m", action="refuse").items
    assert refused.actor == "eve"


def test_place_without_a_registry_says_how_to_make_one(empty: Database, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="pedigree init"):
        empty.check()
    assert not (tmp_path / "registry.db").exists(), "looking makes nothing"


def test_newer_schema_asks_for_a_newer_release(registry: Registry, address: str) -> None:
    with registry._database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for reach in (Registry.open, Registry.create):
        with pytest.raises(ConflictError, match="Install a newer tfx-pedigree"):
            reach(address, actor="ada", store=None)


def test_older_schema_asks_for_init(registry: Registry, address: str) -> None:
    with registry._database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(ConflictError, match="pedigree init"):
        Registry.open(address, actor="ada")


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "registry.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(DamagedError, match="registry.db is not a registry"):
        Registry.open(tmp_path / "registry.db", actor="ada")


@pytest.mark.parametrize("address", ["mysql://host/db", "postgresql//x://", "http://host/x", "://"])
def test_addresses_of_something_else_are_refused(address: str) -> None:
    with pytest.raises(InvalidInputError, match="registry's address"):
        Database(address)


def test_unreachable_server_is_said_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    database = Database("postgresql://ada:hunter2@127.0.0.1:1/registry")
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1/registry cannot be reached") as refused:
        database.check()
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in database.url


@pytest.mark.parametrize("why", ["starting up", "not yet accepting connections", "in recovery mode"])
def test_server_that_is_restarting_gets_a_few_tries(
    new_postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    database = Database(new_postgres())
    with database.creating():
        pass
    real, failures = database.engine.connect, iter([True, True, False])

    def flapping(self: sa.Engine) -> sa.Connection:
        if next(failures, False):
            raise sa.exc.OperationalError("connect", {}, Exception(f"FATAL:  the database system is {why}"))
        return real()

    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(sa.Engine, "connect", flapping)
    database.check()


def test_writer_waits_for_another_writer(registry: Registry) -> None:
    order: list[str] = []
    holding = threading.Event()

    def hold() -> None:
        with registry.transactions.administering(Action.GRANT):
            holding.set()
            time.sleep(0.3)
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait()
    registry.grant("bob", Role.VIEWER)
    order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_lock_that_never_ends_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.2)
    registry = Registry.create(tmp_path / "r", actor="ada")
    with sqlite3.connect(tmp_path / "r" / "registry.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="locked by another process.*use PostgreSQL"):
            registry.grant("bob", Role.VIEWER)
        other.execute("ROLLBACK")
    registry.grant("bob", Role.VIEWER)


def test_a_disk_without_space_to_open_anything_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite itself says no more than that it cannot."""

    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with Registry.create(tmp_path / "registry", actor="ada") as registry:
        connections = registry.transactions.database.engine
        connections.dispose()
        sa.event.listen(connections, "do_connect", fails)
        with pytest.raises(UnavailableError, match="cannot be reached"):
            registry.models()
        none_free = shutil.disk_usage(tmp_path)._replace(free=4096)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: none_free)
        with pytest.raises(UnavailableError, match="no space left .*Nothing was changed. Free some space there"):
            registry.models()


def test_a_full_disk_is_named_and_changes_nothing(tmp_path: Path) -> None:
    with Registry.create(tmp_path / "registry", actor="ada") as registry:
        registry.add("flight-delay", candidate("a"))
        connections = registry.transactions.database.engine
        with contextlib.closing(connections.raw_connection()) as connection:
            pages = connection.cursor().execute("PRAGMA page_count").fetchone()[0]
        connections.dispose()
        sa.event.listen(connections, "connect", lambda driver, _: driver.execute(f"PRAGMA max_page_count = {pages}"))
        with pytest.raises(UnavailableError, match="no space left .*Nothing was changed. Free some space there"):
            for number in range(1000):
                registry.add("flight-delay", candidate(number))
        versions, ok = registry.model("flight-delay").versions, registry.verify_audit().ok
    assert ok
    assert versions == number + 1
