"""The stores that run here: SQLite, PostgreSQL (a real server) and MLMD's gRPC service. MariaDB: `make mlmd-check`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_service_pb2 as service
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_grpc
from mlmd_conformance import StoreConformance, local_registry
from mlmd_testing import Ran, history_of_three, open_store

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.mlmd import connect, source_of

__all__ = ["local_registry"]


class TestSqlite(StoreConformance):
    @pytest.fixture
    def address(self, tmp_path: Path) -> str:
        return str(tmp_path / "metadata.sqlite")

    @pytest.fixture
    def filled(self, address: str) -> tuple[Ran, ...]:
        return tuple(history_of_three(open_store(Path(address))))

    @pytest.fixture
    def empty(self, tmp_path: Path) -> str:
        path = tmp_path / "other.db"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE flights (id INTEGER)")
        connection.close()
        return f"sqlite:///{path}"

    def test_file_is_the_same_byte_for_byte_after_it_was_read(self, address: str, filled: tuple[Ran, ...]) -> None:
        before = Path(address).read_bytes()
        with connect(address) as reader:
            reader.artifacts(range(1, 30))
        assert Path(address).read_bytes() == before
        assert [one.name for one in Path(address).parent.iterdir()] == [Path(address).name]


class TestPostgres(StoreConformance):
    @pytest.fixture
    def address(self, new_postgres: Callable[[], str]) -> str:
        return new_postgres()

    @pytest.fixture
    def filled(self, address: str) -> tuple[Ran, ...]:
        config = source_of(address).config
        runs = tuple(history_of_three(MetadataStore(config)))
        engine = sa.create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # From here on, whoever writes is refused.
            connection.execute(sa.text(f"ALTER DATABASE {engine.url.database} SET default_transaction_read_only = on"))
        engine.dispose()
        return runs

    @pytest.fixture
    def empty(self, new_postgres: Callable[[], str]) -> str:
        return new_postgres()


class _Servicer(service_grpc.MetadataStoreServiceServicer):
    """MLMD's service: every call goes to a store in a file."""

    def __init__(self, store: MetadataStore) -> None:
        for name in service.DESCRIPTOR.services_by_name["MetadataStoreService"].methods_by_name:
            setattr(self, name, self._handler(store, name))

    @staticmethod
    def _handler(store: MetadataStore, name: str) -> Any:
        def handle(request: Any, context: Any) -> Any:
            response = getattr(service, f"{name}Response")()
            store._call_method(name, request, response)
            return response

        return handle


class TestGrpc(StoreConformance):
    @pytest.fixture
    def served(self, tmp_path: Path) -> Iterator[tuple[MetadataStore, str]]:
        store = open_store(tmp_path / "metadata.sqlite")
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
        service_grpc.add_MetadataStoreServiceServicer_to_server(_Servicer(store), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield store, f"grpc://127.0.0.1:{port}"
        server.stop(None)

    @pytest.fixture
    def address(self, served: tuple[MetadataStore, str]) -> str:
        return served[1]

    @pytest.fixture
    def filled(self, served: tuple[MetadataStore, str]) -> tuple[Ran, ...]:
        return tuple(history_of_three(served[0]))

    def test_database_without_a_store_is_refused_and_stays_without(self) -> None:
        """There a server stands before the database; nobody may listen, though."""
        with pytest.raises(UnavailableError, match=r"grpc://127\.0\.0\.1:1 does not answer"):
            connect("grpc://127.0.0.1:1")
