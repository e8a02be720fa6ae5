"""How a database is reached and how a transaction begins there.

A writing transaction on SQLite takes the write lock at once (BEGIN IMMEDIATE), so that two writers queue instead of
failing half way; on PostgreSQL the callers lock the model's row. A reading transaction sees one moment throughout.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import shlex
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.pool import PoolProxiedConnection

from tfx_pedigree.db.statement import Question, Row, Statement, ask, remembering, translated
from tfx_pedigree.digest import parse_json
from tfx_pedigree.errors import ConflictError, DamagedError, InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.extras import not_installed
from tfx_pedigree.retry_policy import RetryPolicy
from tfx_pedigree.text import plain

# The revision of the newest migration. A test holds it to what Alembic finds in `migrations/`.
HEAD = "0012"
BUSY_SECONDS = 60
_ASK_AGAIN, _PATIENT = "PRAGMA busy_timeout = 3", f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}"
# PostgreSQL's words for what is over in a moment. Any other FATAL (a wrong password, no such database) stays.
_PASSING = (
    *("starting up", "accepting connections", "shutting down", "recovery mode"),
    *("too many", "connection slots", "terminating connection"),
)
# SQLite's words for a full disk, and the operating system's, which PostgreSQL passes on.
_FULL = ("disk is full", "No space left on device")
_LEAST_SPACE = 64 << 10
T = TypeVar("T")


class Database:
    """A reachable database. `url` is safe to print: it carries no password."""

    def __init__(self, address: str, patience: RetryPolicy | None = None) -> None:
        self._patience = patience or RetryPolicy.from_environment()
        self._target = parse_address(address)
        self.url = self._target.render_as_string(hide_password=True)
        self.is_sqlite = self._target.get_backend_name() == "sqlite"
        self.engine = _engine(self._target)
        self._outer: Connection | None = None
        self._only_reads = False
        self._reading = (
            self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="REPEATABLE READ")
        )

    def ask(self, statement: Statement, **values: Any) -> list[Row]:
        """One statement that reads. It sees one moment by itself, so it needs no transaction around it."""
        if self._outer is not None:
            return statement.rows(self._outer, **values)
        engine = self._asking
        try:
            return self._ask(engine, (statement, values))
        except (OperationalError, InterfaceError) as error:
            if self.is_sqlite or not error.connection_invalidated:
                raise self._unavailable(error, committing=False) from error
        # A connection that was kept since the last question may have broken meanwhile: nothing was changed by asking.
        engine.dispose()
        try:
            return self._ask(engine, (statement, values))
        except (OperationalError, InterfaceError) as error:
            raise self._unavailable(error, committing=False) from error

    def _ask(self, engine: Engine, question: Question) -> list[Row]:
        connection = self._checked_out(functools.partial(_raw_connection, engine))
        try:
            with translated(engine.dialect, connection):
                return ask(engine.dialect, connection.dbapi_connection, question)
        except (DataError, OverflowError) as error:
            raise _beyond_bounds(error) from error
        except DatabaseError as error:
            if type(error) is not DatabaseError:
                raise
            raise self._damaged(error) from error
        finally:
            connection.close()

    @functools.cached_property
    def _asking(self) -> Engine:
        """Its connections are in no transaction, and are not tried out before each use: that costs round trips."""
        if self.is_sqlite:
            return self.engine
        return _engine(self._target, isolation_level="AUTOCOMMIT", pool_pre_ping=False)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        if self._outer is not None:
            yield self._outer
            return
        with self._begin(self._reading, write=False) as connection:
            yield connection

    @contextlib.contextmanager
    def at_one_moment(self) -> Iterator[Database]:
        """The same database for questions only, all of which see one moment; none goes to the database twice."""
        with self.reading() as connection:
            other = self.within(remembering(connection))
            other._only_reads = True
            yield other

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Commits when the block ends, rolls everything back when it raises."""
        if self._only_reads:
            raise RuntimeError("What was opened for questions of one moment changes nothing.")
        if self._outer is not None:
            yield self._outer
            return
        with self._begin(self.engine, write=True) as connection:
            yield connection

    def within(self, connection: Connection) -> Database:
        """The same database, whose transactions are all parts of one that has begun and that its owner ends: what was
        written in it is seen by what is asked in it."""
        _ = self._asking  # made once, for both
        other = copy.copy(self)
        other._outer = connection
        return other

    @contextlib.contextmanager
    def creating(self) -> Iterator[Connection]:
        """A writing transaction that begins by bringing the schema to the newest revision: what the block adds is there
        with the schema or not at all. Safe in several processes at once, and again."""
        if self.is_sqlite and self._target.database:
            Path(self._target.database).parent.mkdir(parents=True, exist_ok=True)
        from tfx_pedigree.db.migrate import upgrade  # noqa: PLC0415  Alembic takes 0.1 s to import: only here

        with self.writing() as connection:
            self._refuse_newer(_revision(connection))
            upgrade(connection)
            yield connection

    def exists(self) -> bool:
        """Whether there is a registry, of whatever schema. Looking makes nothing."""
        if self.is_sqlite and not Path(self._target.database or "").is_file():
            return False
        with self.reading() as connection:
            return _revision(connection) is not None

    def check(self) -> None:
        """Refuses a database that holds no registry, or one that this release cannot read."""
        if not self.exists():
            raise NotFoundError(f"There is no registry at {self.url}. Create it with {self._init_command()}.")
        with self.reading() as connection:
            found = _revision(connection) or ""
        self._refuse_newer(found)
        if found < HEAD:
            raise ConflictError(
                f"The registry {self.url} has schema {found}, this release needs {HEAD}. "
                f"Bring it up to date with {self._init_command()}; its content stays."
            )

    def _init_command(self) -> str:
        """With the address, unless that has a password, which is not shown."""
        address = self._target.render_as_string(hide_password=False)
        return f"`pedigree init --registry {shlex.quote(address)}`" if address == self.url else "`pedigree init`"

    def _refuse_newer(self, found: str | None) -> None:
        if (found or "") > HEAD:
            raise ConflictError(
                f"The registry {self.url} has schema {found}; this release of tfx-pedigree knows it up to {HEAD}. "
                "Install a newer tfx-pedigree."
            )

    def close(self) -> None:
        self.engine.dispose()
        self._asking.dispose()

    @contextlib.contextmanager
    def _begin(self, engine: Engine, write: bool) -> Iterator[Connection]:
        committing = False
        try:
            with self._checked_out(engine.connect) as connection, connection.begin():
                if self.is_sqlite:
                    _begin_sqlite(connection, write)
                yield connection
                committing = write
        except UnicodeEncodeError as error:
            raise InvalidInputError(
                f"{plain(error.object, 40)!r} holds half of a character (a lone surrogate), and no database can hold "
                "that. Give it as UTF-8 text."
            ) from error
        except (DataError, OverflowError) as error:
            raise _beyond_bounds(error) from error
        except (OperationalError, InterfaceError) as error:
            raise self._unavailable(error, committing) from error
        except DatabaseError as error:
            if type(error) is not DatabaseError:  # a constraint that failed is a mistake of ours, not of the file
                raise
            raise self._damaged(error) from error

    def _damaged(self, error: DBAPIError) -> DamagedError:
        return DamagedError(f"{self.url} is not a registry, or is damaged: {error.orig}. Nothing was changed.")

    def _checked_out(self, connect: Callable[[], T]) -> T:
        """A connection. Until there is one nothing has been asked for, so a server that is away gets a few tries."""
        try:
            if self.is_sqlite:
                return connect()
            return self._patience.calls(connect, (OperationalError, InterfaceError), _lasts)
        except ProgrammingError as error:  # libpq says so of an option that it does not know
            raise InvalidInputError(
                f"The registry's address {self.url} cannot be used: {str(error.orig).strip()}."
            ) from error

    def _unavailable(self, error: DBAPIError, committing: bool) -> UnavailableError:
        cause = str(error.orig).strip().splitlines()
        first = cause[0] if cause else type(error.orig).__name__
        if self.is_sqlite and "locked" in first:
            return UnavailableError(
                f"The registry {self.url} was locked by another process for {BUSY_SECONDS} s; nothing was changed. "
                "Try again, or use PostgreSQL where many processes write."
            )
        if any(words in first for words in _FULL) or (self.is_sqlite and self._has_no_space()):
            return UnavailableError(
                f"There is no space left where the registry {self.url} lies: {first}. Nothing was changed. "
                "Free some space there, then run the command again."
            )
        if committing and not self.is_sqlite:
            return UnavailableError(
                f"The registry {self.url} went away while a change was being committed: {first}. The change is either "
                "whole or not there. Run the command again: what is done already is found, and done no second time."
            )
        return UnavailableError(
            f"The registry {self.url} cannot be reached: {first}. Nothing was changed. "
            "Check the address and the server, then run the command again."
        )

    def _has_no_space(self) -> bool:
        """Where there is none for the files that SQLite keeps beside an open one, it only says that it failed."""
        try:
            return shutil.disk_usage(Path(self._target.database or "").parent).free < _LEAST_SPACE
        except OSError:
            return False


def _beyond_bounds(error: DataError | OverflowError) -> InvalidInputError:
    """PostgreSQL holds no NUL, and neither database a number beyond its column."""
    told = plain(str(error.orig if isinstance(error, DataError) else error).splitlines()[0], 200)
    return InvalidInputError(f"The database cannot hold a value that was given: {told.rstrip('.')}.")


def _raw_connection(engine: Engine) -> PoolProxiedConnection:
    with translated(engine.dialect):
        return engine.raw_connection()


def _lasts(error: DBAPIError) -> bool:
    said = str(error.orig)
    return "FATAL" in said and not any(word in said for word in _PASSING)


def _revision(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def parse_address(address: str) -> URL:
    """An SQLAlchemy URL; `postgres://` and `postgresql://` mean the psycopg driver, a plain path an SQLite file."""
    if "://" not in address:
        return URL.create("sqlite", database=str(Path(address)))
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        raise InvalidInputError(
            "The registry's address is not a database URL. Use sqlite:///file, postgresql://user@host/name or a folder."
        ) from error
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise InvalidInputError(
            f"The registry's address names the database {url.get_backend_name()!r}; "
            "Pedigree keeps its registry in SQLite or PostgreSQL."
        )
    return url


def _engine(url: URL, **options: Any) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, json_deserializer=parse_json, connect_args={"timeout": BUSY_SECONDS})
        sa.event.listen(engine, "connect", _prepare_sqlite)
        return engine
    arguments: dict[str, Any] = {"connect_timeout": 10}
    if url.get_driver_name() == "psycopg":
        # A plan that is kept with a prepared statement was made for the tables as they were then: after an import it
        # would read them whole. Nor does a pooler, which changes sessions between transactions, know such statements.
        arguments["prepare_threshold"] = None
    try:
        options = {"pool_pre_ping": True, **options}
        engine = sa.create_engine(url, json_deserializer=parse_json, connect_args=arguments, **options)
        sa.event.listen(engine, "connect", _prepare_postgresql)
        return engine
    except ModuleNotFoundError as error:
        raise not_installed("The PostgreSQL driver is", "postgres") from error
    except NoSuchModuleError as error:
        raise InvalidInputError(f"There is no database driver {url.drivername!r}. Use postgresql://…") from error


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    """A page is read along an index that has it in order. PostgreSQL takes each model for one of the average length,
    and would rather collect a short history (a bitmap of its rows) and sort it: of a long one that is all of it."""
    cursor = connection.cursor()
    cursor.execute("SET enable_bitmapscan = off")
    cursor.close()
    connection.commit()


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # pysqlite must not begin transactions by itself: `_begin_sqlite` says how.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    _write_ahead(cursor)
    # A committed promotion survives a power cut.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    """Make the file one with a write-ahead log, also while others do the same with a new file.

    SQLite answers two that change the journal of one file at once with "locked" straight away: its own patience,
    which holds for all else, is not for this. The mode stays with the file, so that only its first user changes it.
    """
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",):
                return
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection, write: bool) -> None:
    """SQLAlchemy leaves this to the driver, and the driver to us."""
    driver: Any = connection.connection.dbapi_connection
    with translated(connection.dialect, connection):
        if write:
            _take_write_lock(driver)
        else:
            driver.execute("BEGIN")


def _take_write_lock(driver: Any) -> None:
    """SQLite's own patience sleeps longer and longer, up to a tenth of a second, while the lock may be free: of many
    writers most would sleep. Here one asks again every few milliseconds, and writes as soon as it can."""
    driver.execute(_ASK_AGAIN)
    try:
        give_up = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > give_up:
                    raise
    finally:
        driver.execute(_PATIENT)
