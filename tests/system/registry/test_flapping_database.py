"""A PostgreSQL server that comes and goes: waited for a little, told plainly, healed by the same command again."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from flapping_testing import FlappingProxy
from tfx_pedigree.db import Database
from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.registry import Registry
from tfx_pedigree.service.intake import candidate_of

MODELS = Path(__file__).parents[2] / "goldens" / "saved_models"


@pytest.fixture
def proxy(postgres_server: str) -> Iterator[FlappingProxy]:
    folder = parse_qs(urlsplit(postgres_server).query)["host"][0]

    def connect() -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{folder}/.s.PGSQL.5432")
        return server

    with FlappingProxy(connect) as made:
        yield made


@pytest.fixture
def address(proxy: FlappingProxy, new_postgres: Callable[[], str], tmp_path: Path) -> str:
    direct = new_postgres()
    Registry.create(direct, actor="ada", store=str(tmp_path / "store")).close()
    return f"postgresql://postgres:hunter2@127.0.0.1:{proxy.port}{urlsplit(direct).path}"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0.6")


def register(address: str) -> str:
    with Registry.open(address, actor="ada") as registry:
        return add(registry)


def add(registry: Registry) -> str:
    return registry.add("flight-delay", candidate_of(registry.store, MODELS / "keras")).version.version


def versions(address: str) -> list[str]:
    with Registry.open(address, actor="ada") as registry:
        return [one.version for one in registry.versions("flight-delay").items]


def test_server_that_refuses_a_few_connections_is_waited_for(address: str, proxy: FlappingProxy) -> None:
    proxy.refusing = 3

    assert register(address) == "1.0.0"


def test_server_that_stays_away_is_told_and_the_same_again_heals(address: str, proxy: FlappingProxy) -> None:
    proxy.away = True
    with pytest.raises(UnavailableError, match="Nothing was changed") as told:
        register(address)
    assert f"127.0.0.1:{proxy.port}" in str(told.value)
    assert "hunter2" not in str(told.value)
    assert proxy.accepted > 1

    proxy.away = False
    assert register(address) == "1.0.0"


def test_database_that_does_not_exist_is_not_waited_for(
    address: str, proxy: FlappingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEDIGREE_PATIENCE", "60")
    begun = time.monotonic()

    with pytest.raises(UnavailableError, match="does not exist"):
        Database(address.rpartition("/")[0] + "/elsewhere").check()

    assert time.monotonic() - begun < 10


def test_connection_that_broke_between_two_questions_is_made_anew(address: str, proxy: FlappingProxy) -> None:
    with Registry.open(address, actor="ada") as registry:
        add(registry)
        proxy.cut()
        proxy.refusing = 2

        assert registry.get("flight-delay").version == "1.0.0"


def test_connection_that_breaks_in_the_middle_of_a_change_leaves_none_of_it(address: str, proxy: FlappingProxy) -> None:
    proxy.cut_at = b"INSERT INTO model_versions"
    with pytest.raises(UnavailableError, match="Nothing was changed"):
        register(address)

    assert register(address) == "1.0.0"
    assert versions(address) == ["1.0.0"]


@pytest.mark.parametrize("after", [False, True])
def test_connection_that_breaks_at_the_commit_makes_no_second_version(
    address: str, proxy: FlappingProxy, after: bool
) -> None:
    proxy.armed_by, proxy.cut_at, proxy.cut_after = b"INSERT INTO model_versions", b"COMMIT", after
    with pytest.raises(UnavailableError, match="either whole or not there"):
        register(address)

    assert register(address) == "1.0.0"
    assert versions(address) == ["1.0.0"]


def test_address_may_stand_in_a_mounted_service_file(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that is given no secret but a file: neither the address nor an error shows the password."""
    url = urlsplit(address)
    file = tmp_path / "pg_service.conf"
    lines = ["[pedigree]", f"host={url.hostname}", f"port={url.port}", f"dbname={url.path[1:]}", "user=postgres"]
    file.write_text("\n".join([*lines, "password=hunter2", ""]))
    monkeypatch.setenv("PGSERVICEFILE", str(file))

    assert register("postgresql:///?service=pedigree") == "1.0.0"
    assert "hunter2" not in Database("postgresql:///?service=pedigree").url
