"""ML Metadata on MariaDB: `make mlmd-check` starts a server and runs this; `make test` installs no such server."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from ml_metadata.metadata_store import MetadataStore
from mlmd_conformance import StoreConformance, local_registry
from mlmd_testing import Ran, history_of_three

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.mlmd import InterruptedWalkError, connect, source_of, walk_upstream

__all__ = ["local_registry"]

SOCKET, PORT = os.environ["MARIADB_SOCKET"], os.environ["MARIADB_PORT"]
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def admin() -> Iterator[pymysql.Connection]:
    """One who makes databases; `writer` may do all in them, `reader` only read."""
    with pymysql.connect(unix_socket=SOCKET, user="root", autocommit=True) as connection:
        with connection.cursor() as cursor:
            for name, rights in (("writer", "ALL"), ("reader", "SELECT")):
                cursor.execute(f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY 'pw'")
                cursor.execute(f"GRANT {rights} ON *.* TO '{name}'@'127.0.0.1'")
        yield connection


@pytest.fixture
def database(admin: pymysql.Connection) -> str:
    name = f"mlmd_{next(_numbers)}"
    with admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    return name


def address_of(database: str, user: str = "reader", host: str = "127.0.0.1") -> str:
    return f"mysql://{user}:pw@{host}:{PORT}/{database}"


class TestMariaDb(StoreConformance):
    @pytest.fixture
    def address(self, database: str) -> str:
        return address_of(database)

    @pytest.fixture
    def filled(self, database: str) -> tuple[Ran, ...]:
        return tuple(history_of_three(MetadataStore(source_of(address_of(database, "writer")).config)))

    @pytest.fixture
    def empty(self, database: str) -> str:
        return address_of(database, "writer")

    def test_refusal_left_no_table_behind(self, empty: str, database: str, admin: pymysql.Connection) -> None:
        with pytest.raises(Exception, match="no table MLMDEnv"):
            connect(empty)
        with admin.cursor() as cursor:
            assert cursor.execute(f"SHOW TABLES FROM {database}") == 0

    def test_localhost_is_this_machine(self, database: str, filled: tuple[Ran, ...]) -> None:
        with connect(address_of(database, host="localhost")) as reader:
            assert reader.last_execution() == 21

    def test_server_that_stops_answering_is_given_up_in_time(self, address: str, filled: tuple[Ran, ...]) -> None:
        server = int(Path(os.environ["MARIADB_PID"]).read_text())
        with connect(address, seconds=2) as reader:
            assert reader.artifacts([1])
            os.kill(server, signal.SIGSTOP)
            goes_on = threading.Timer(30, os.kill, (server, signal.SIGCONT))
            goes_on.start()
            start = time.monotonic()
            try:
                with pytest.raises(InterruptedWalkError, match="no answer in 2 seconds"):
                    walk_upstream(reader, [filled[0].outputs["model"]])
                with pytest.raises(UnavailableError, match="cannot be reached"):
                    connect(address)
            finally:
                goes_on.cancel()
                os.kill(server, signal.SIGCONT)
            assert time.monotonic() - start < 28
