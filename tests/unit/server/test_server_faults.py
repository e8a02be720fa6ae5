"""Servers that die, restart and race: nothing is lost, nothing is done twice, and never are there two champions."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import server_processes as processes
from pedigree_testing import candidate
from tfx_pedigree.errors import StaleEvidenceError
from tfx_pedigree.registry import Action, PromotionRequest, Registry, State

pytestmark = pytest.mark.slow
MODEL = "flight-delay"


@pytest.fixture(scope="module")
def forks() -> Iterator[list[processes.Fork]]:
    with processes.forks(2) as found:
        yield found


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEDIGREE_PATIENCE", "20")


def notes(registry: Registry) -> list[Any]:
    return [event.details["span"] for event in registry.notes(MODEL, Action.RETRAIN).items]


def test_killed_at_any_step_of_a_change_it_is_carried_out_once(
    registry: Registry, address: str, tmp_path: Path, forks: list[processes.Fork]
) -> None:
    """A note is no change that could be found to be done already: only its key says so."""
    registry.add(MODEL, candidate("a"))
    with processes.replicas(forks[:1], address, tmp_path) as (open_as, (server,)):
        far, died = open_as("ada"), 0
        for step in count(1, 4):
            server.restart(kill_at=step)
            far.note(MODEL, Action.RETRAIN, reason="new data", details={"span": step})
            assert notes(registry)[0] == step
            if server.ended[-1].code != -signal.SIGKILL:
                break
            died += 1
        assert died >= 3
        spans = notes(registry)
        assert len(spans) == len(set(spans)) == died + 1
        assert registry.verify_audit().ok


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_clients_of_two_servers_lose_nothing_and_race_for_one_champion(
    registry: Registry, address: str, tmp_path: Path, forks: list[processes.Fork]
) -> None:
    with processes.replicas(forks, address, tmp_path) as (open_as, _), ThreadPoolExecutor(8) as pool:
        clients = [open_as("ada") for _ in range(8)]

        def register(worker: int) -> list[int]:
            return [clients[worker].add(MODEL, candidate((worker, n))).version.sequence for n in range(5)]

        numbers = [number for found in pool.map(register, range(8)) for number in found]
        assert sorted(numbers) == list(range(1, 41))

        def promote(worker: int, version: str, champion: str) -> bool:
            try:
                clients[worker].promote(f"{MODEL}@{version}", PromotionRequest(expect=champion))
            except StaleEvidenceError:
                return False
            return True

        champion = "none"
        for played in range(3):
            versions = [f"1.0.{played * 8 + worker}" for worker in range(8)]
            won = [
                v for v, did in zip(versions, pool.map(promote, range(8), versions, [champion] * 8), strict=True) if did
            ]
            assert len(won) == 1, f"{won} all became champion"
            champion = won[0]
            assert [v.state for v in registry.versions(MODEL).items].count(State.PRODUCTION) == 1
        assert registry.verify_audit().ok


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_rolling_restart_fails_no_request(
    registry: Registry, address: str, tmp_path: Path, forks: list[processes.Fork]
) -> None:
    with processes.replicas(forks, address, tmp_path) as (open_as, servers), ThreadPoolExecutor(5) as pool:
        clients, stop = [open_as("ada") for _ in range(4)], list[bool]()

        def work(worker: int) -> int:
            for number in count():
                clients[worker].note(f"m{worker}", Action.RETRAIN, reason="x", details={"span": number})
                assert clients[worker].notes(f"m{worker}", Action.RETRAIN, limit=1).items[0].details["span"] == number
                if stop:
                    return number + 1
            return 0

        jobs = [pool.submit(work, worker) for worker in range(4)]
        for _ in range(2):
            for server in servers:
                server.restart()
        stop.append(True)
        done = [job.result() for job in jobs]
        assert min(done) > 2
        for worker, many in enumerate(done):
            found = registry.history(f"m{worker}", limit=1000).items
            assert len([event for event in found if event.action == "retrain"]) == many
        assert {ended.code for server in servers for ended in server.ended} <= {0, -signal.SIGTERM}
