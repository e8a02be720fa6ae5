"""Servers, databases and clients that die, restart and race: nothing is lost, nothing is done twice, and there are
never two champions. `benchmarks/drills.py` plays the same with every step and with larger counts."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import drills_testing as drills
import server_processes as processes
from pedigree_testing import candidate
from server_processes import MODEL
from tfx_pedigree.registry import Registry


@pytest.fixture(scope="module")
def forks() -> Iterator[list[processes.Fork]]:
    with processes.forks(2) as found:
        yield found


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEDIGREE_PATIENCE", "30")


@pytest.mark.parametrize("write", ["note 6", "register 9", "promote 9", "put 7"])
@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_a_server_killed_at_any_step_of_a_write_carries_it_out_once(
    registry: Registry, address: str, tmp_path: Path, forks: list[processes.Fork], write: str
) -> None:
    """A note is no change that could be found to be done already: only its key says so."""
    registry.add(MODEL, candidate("a"))
    kind, every = write.split()
    with processes.replicas(forks[:1], address, tmp_path, str(tmp_path / "store")) as (open_as, (server,)):
        played = drills.Steps(registry, tmp_path, int(every)).of_server(server, open_as("ada"), kind)
    assert played.wrong == ()
    assert played.deaths >= 2
    assert registry.verify_audit().ok


@pytest.mark.parametrize("kind", ["register", "promote", "put"])
@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_a_client_killed_at_any_step_and_started_again_has_written_once(
    registry: Registry, address: str, tmp_path: Path, forks: list[processes.Fork], kind: str
) -> None:
    registry.add(MODEL, candidate("a"))
    with processes.replicas(forks[:1], address, tmp_path, str(tmp_path / "store")) as (open_as, _):
        played = drills.Steps(registry, tmp_path, 3).of_client(open_as("ada").url, forks[1], kind)
    assert played.wrong == ()
    assert played.deaths >= 2
    assert registry.verify_audit().ok


@pytest.fixture(scope="module")
def postgres() -> Iterator[drills.Postgres]:
    """Short, as a socket's path may have 107 characters at the most."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder, drills.Postgres(Path(folder)).running() as found:
        yield found


def test_a_database_that_dies_and_restarts_under_load_loses_and_repeats_nothing(
    postgres: drills.Postgres, tmp_path: Path, forks: list[processes.Fork]
) -> None:
    """One backend, the whole server at once, and a restart while four clients write."""
    store = str(tmp_path / "store")
    with Registry.create(postgres.address, actor="ada", store=store) as registry:
        registry.add(MODEL, candidate("a"))
        with processes.replicas(forks[:1], postgres.address, tmp_path) as (open_as, (server,)):
            far = open_as("ada")
            for victim, every in (("backend", 3), (lambda: str(postgres.pid()), 7)):
                played = drills.Steps(registry, tmp_path, every).of_server(server, far, "note", victim)
                assert played.wrong == ()
                assert played.deaths >= 2
            clients = [open_as("ada") for _ in range(4)]
            load = drills.under_load(registry, clients, lambda: postgres.strike(signal.SIGQUIT))
        assert load.failed == ()
        assert load.requests >= 8
        assert registry.verify_audit().ok


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_clients_of_two_servers_lose_nothing_and_race_for_one_champion(
    registry: Registry, address: str, tmp_path: Path, forks: list[processes.Fork]
) -> None:
    with processes.replicas(forks, address, tmp_path) as (open_as, _):
        watcher = drills.race(registry, [open_as("ada") for _ in range(8)], 5, 3)
        assert watcher.looks > 3
        assert registry.verify_audit().ok


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_rolling_restart_fails_no_request(
    registry: Registry, address: str, tmp_path: Path, forks: list[processes.Fork]
) -> None:
    def roll() -> None:
        for server in servers * 2:
            server.restart()

    with processes.replicas(forks, address, tmp_path) as (open_as, servers):
        load = drills.under_load(registry, [open_as("ada") for _ in range(4)], roll)
        assert load.failed == ()
        assert load.requests >= 16
        assert {ended.code for server in servers for ended in server.ended} <= {0, -signal.SIGTERM}
