"""Stores that are gone, hang, or go away in the middle; and what of them is in the graph then."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb
from mlmd_testing import Books, Ran, history_of_three, open_store
from sqlalchemy.engine import make_url

from tfx_pedigree.errors import ForbiddenError, InvalidInputError, NotFoundError, PedigreeError, UnavailableError
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.mlmd import InterruptedWalkError, Mapper, Reader, connect, import_store, source_of, walk_upstream
from tfx_pedigree.mlmd.reading import Direct
from tfx_pedigree.registry import Registry

HIDDEN = "hunter2"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metadata.sqlite"


@pytest.fixture
def runs(path: Path) -> Sequence[Ran]:
    return history_of_three(open_store(path))


@pytest.fixture
def local_registry(tmp_path: Path) -> Iterator[Registry]:
    Registry.create(str(tmp_path / "registry"), actor="ada", store=str(tmp_path / "store")).close()
    with Registry.open(str(tmp_path / "registry"), actor="ada", store=str(tmp_path / "store")) as registry:
        yield registry


class _Failing:
    """A connection that breaks at its n-th question."""

    def __init__(self, connection: Any, questions: int) -> None:
        self._connection, self._left = connection, questions

    def call(self, question: str, *arguments: Any) -> Sequence[Any]:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("mysql_query failed: Lost connection to server")
        found: Sequence[Any] = self._connection.call(question, *arguments)
        return found

    def close(self) -> None:
        self._connection.close()


def breaking(path: Path, questions: int) -> Reader:
    return Reader(_Failing(Direct(source_of(path).config), questions), "the store")


def test_walk_that_breaks_off_anywhere_gives_what_was_read_and_it_makes_sense(path: Path, runs: Sequence[Ran]) -> None:
    with connect(path) as reader:
        identity = reader.identity
        whole = walk_upstream(reader, [runs[1].outputs["pushed_model"]])
        every = {node.key for node in Mapper(identity).fragment(whole).nodes}
    broken = 0
    for questions in range(200):
        try:
            walk_upstream(breaking(path, questions), [runs[1].outputs["pushed_model"]])
        except InterruptedWalkError as error:
            broken += 1
            partial = error.partial
            assert "does not answer: mysql_query failed: Lost connection" in str(error)
            assert partial.artifacts.items() <= whole.artifacts.items()
            assert set(partial.events) <= set(whole.events)
            fragment = Mapper(identity).fragment(partial)
            assert {edge.source for edge in fragment.edges} <= {node.key for node in fragment.nodes}
        else:
            break
    assert broken > 10
    assert every


def test_import_that_breaks_off_anywhere_is_finished_by_importing_again(
    path: Path, runs: Sequence[Ran], local_registry: Registry
) -> None:
    lineage = Lineage(local_registry)
    for questions in (0, 1, 3, 6, 9, 12):
        with pytest.raises(UnavailableError, match="does not answer"):
            import_store(breaking(path, questions), lineage)
    with connect(path) as reader:
        import_store(reader, lineage)
        again = import_store(reader, lineage)
    assert again.recorded is not None
    assert not again.recorded.anything
    assert len(lineage.find_all("span:2")) == 2


def test_import_needs_an_admin_and_a_dry_run_writes_nothing(
    path: Path, runs: Sequence[Ran], local_registry: Registry, tmp_path: Path
) -> None:
    local_registry.grant("mia", "contributor")
    with (
        Registry.open(str(tmp_path / "registry"), actor="mia", store=str(tmp_path / "store")) as hers,
        connect(path) as reader,
    ):
        with pytest.raises(ForbiddenError):
            import_store(reader, Lineage(hers))
        found = import_store(reader, Lineage(hers), dry_run=True)
        assert found.recorded is None
        assert found.nodes > 20
        with pytest.raises(NotFoundError):
            Lineage(local_registry).find_all("span:2")


# Addresses


@pytest.mark.parametrize(
    ("address", "kind", "words"),
    [
        ("missing.sqlite", NotFoundError, "There is no ML Metadata store missing.sqlite"),
        ("missing.pbtxt", NotFoundError, "There is no file missing.pbtxt"),
        (
            "mysql://ada:hunter2@127.0.0.1:1/mlmd",
            UnavailableError,
            "mysql://ada:***@127.0.0.1:1/mlmd cannot be reached",
        ),
        ("postgresql://ada:hunter2@127.0.0.1:1/mlmd", UnavailableError, "cannot be reached"),
        ("mysql://ada:hunter2@host", InvalidInputError, "mysql://ada:***@host names no ML Metadata store"),
        ("oracle://ada:hunter2@host/mlmd", InvalidInputError, "names no ML Metadata store"),
        ("mysql://ada:hunter2@host:port/mlmd", InvalidInputError, "cannot be read"),
        ("sqlite { filename_uri: 'missing.sqlite' }", NotFoundError, "There is no ML Metadata store missing.sqlite"),
        ("mysql { password: 'hunter2' hots: 'x' }", InvalidInputError, "is not a metadata_connection_config"),
        ("fake_database { }", InvalidInputError, "names no database"),
    ],
)
def test_address_that_leads_nowhere_is_explained_without_its_password(
    address: str, kind: type[PedigreeError], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as refusal:
        connect(address)
    assert words in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("version", "words"), [(9, "Upgrade it with the ml-metadata"), (99, "Install the ml-metadata")]
)
def test_store_of_another_schema_is_left_as_it_is(path: Path, runs: Sequence[Ran], version: int, words: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE MLMDEnv SET schema_version = ?", (version,))
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match=f"has schema version {version}.*{words}"):
        connect(path)
    assert path.read_bytes() == before


def test_text_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("not a database")
    with pytest.raises(InvalidInputError, match="is not an SQLite database"):
        connect(path)


def test_connection_config_of_tfx_is_taken_as_text_file_or_message(
    path: Path, runs: Sequence[Ran], tmp_path: Path
) -> None:
    text = f"sqlite {{ filename_uri: '{path}' connection_mode: READWRITE_OPENCREATE }}"
    (tmp_path / "mlmd.pbtxt").write_text(text)
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    identities = set()
    for given in (text, tmp_path / "mlmd.pbtxt", config, f"sqlite:///{path}", path):
        with connect(given) as reader:
            identities.add(reader.identity)
    assert len(identities) == 1


def test_password_may_come_from_the_environment() -> None:
    source = source_of("mysql://ada@127.0.0.1/mlmd", {"PEDIGREE_MLMD_PASSWORD": HIDDEN})
    assert source.config.mysql.password == HIDDEN
    assert HIDDEN not in f"{source!r} {source.shown}"


def test_store_is_known_wherever_its_file_lies_and_another_one_is_another(
    path: Path, runs: Sequence[Ran], tmp_path: Path
) -> None:
    copy = Path(shutil.copy(path, tmp_path / "copy.sqlite"))
    other = tmp_path / "other.sqlite"
    time.sleep(0.002)  # a store is told from others by the millisecond of its first execution, too
    Books(open_store(other)).run(1, name="another")
    with connect(path) as first, connect(copy) as second, connect(other) as third:
        assert first.identity == second.identity != third.identity


# Servers


class _Gate:
    """Stands between a client and PostgreSQL's socket; closed, it takes what comes and passes nothing on."""

    def __init__(self, target: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="gate-")  # short, as sockets' paths must be
        self.closed = False
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self.folder}/.s.PGSQL.5432")
        self._listener.listen()
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def remove(self) -> None:
        self.cut()
        shutil.rmtree(self.folder)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._open += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.closed:
                    target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def gate(new_postgres: Callable[[], str]) -> Iterator[tuple[_Gate, str, Sequence[Ran]]]:
    address = new_postgres()
    runs = history_of_three(MetadataStore(source_of(address).config))
    url = make_url(address)
    gate = _Gate(f"{url.query['host']}/.s.PGSQL.5432")
    yield gate, url.set(query={"host": gate.folder}).render_as_string(hide_password=False), runs
    gate.remove()


@pytest.mark.system
def test_server_that_stops_answering_is_given_up_in_time(gate: tuple[_Gate, str, Sequence[Ran]]) -> None:
    between, address, runs = gate
    with connect(address, seconds=2) as reader:
        assert reader.artifacts([1])
        between.closed = True
        start = time.monotonic()
        with pytest.raises(InterruptedWalkError, match="no answer in 2 seconds"):
            walk_upstream(reader, [runs[0].outputs["model"]])
        assert time.monotonic() - start < 20
        with pytest.raises(UnavailableError, match="does not answer"):
            reader.artifacts([1])


@pytest.mark.system
def test_server_that_goes_away_in_the_middle_says_so(gate: tuple[_Gate, str, Sequence[Ran]]) -> None:
    between, address, runs = gate
    with connect(address, seconds=30) as reader:
        assert reader.artifacts([1])
        between.cut()
        with pytest.raises(InterruptedWalkError, match="does not answer"):
            walk_upstream(reader, [runs[0].outputs["model"]])


@pytest.mark.system
def test_nothing_of_tensorflow_is_loaded() -> None:
    script = "import sys, tfx_pedigree.mlmd; sys.exit('tensorflow' in sys.modules or 'tfx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
