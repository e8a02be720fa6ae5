"""Servers in processes of their own, to be stopped and killed. Each has done nothing before but import this."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import uvicorn
from starlette.responses import Response

from forking_testing import Ended, forking
from pedigree_testing import candidate
from server_testing import NamedByToken, opened
from tfx_pedigree.db import statement
from tfx_pedigree.registry import Action, Facts, Registry
from tfx_pedigree.server import Server, ServerSettings, answers, application
from tfx_pedigree.server.app import GROUPS
from tfx_pedigree.server.protocol import PatientProtocol

MODEL = "flight-delay"
_NOBODY = (0, "server")
Fork = Callable[..., Ended]
Open = Callable[[str], Registry]


def serve(where: tuple[str, int, str | None], strike: tuple[int, str], pid_file: str) -> None:
    """Answers at the port, which others may share, until SIGTERM. With a strike, the victim dies at the so-manyth
    statement, commit, answer, or file that is made: this server, the database's process for the connection at hand
    (`backend`), or a process by its number. A file beside the other says that it came to that."""
    (address, port, store), (kill_at, victim) = where, strike
    registry = Registry.open(address, actor="server", store=store)
    # What runs beside the requests would be counted among their steps.
    groups = [group for group in GROUPS if group.name != "webhooks"]
    app = application(Server(ServerSettings(address), registry, NamedByToken()), groups)
    if kill_at:
        _strike_at(registry, kill_at, victim, Path(f"{pid_file}-struck"))
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(("127.0.0.1", port))
    held.listen(128)
    Path(pid_file).write_text(str(os.getpid()))
    options: dict[str, Any] = {"log_config": None, "ws": "none", "timeout_graceful_shutdown": 10}
    uvicorn.Server(uvicorn.Config(app, lifespan="on", http=PatientProtocol, **options)).run(sockets=[held])


def _strike_at(registry: Registry, number: int, victim: str, struck: Path) -> None:
    count, lock = 0, threading.Lock()

    def maybe_strike(driver: Any = None) -> None:
        nonlocal count
        with lock:
            if victim == "backend" and driver is None:
                return
            count += 1
            if count != number:
                return
            struck.touch()
            if victim == "server":
                os.kill(os.getpid(), signal.SIGKILL)
            elif victim == "backend":
                os.kill(driver.info.backend_pid, signal.SIGKILL)
            else:
                os.kill(int(victim), signal.SIGKILL)

    engine = registry._database.engine
    for moment in ("before_cursor_execute", "after_cursor_execute"):
        sa.event.listen(engine, moment, lambda _, cursor, *__: maybe_strike(cursor.connection))
    sa.event.listen(engine, "commit", lambda connection: maybe_strike(connection.connection.dbapi_connection))

    def sending(driver: Any, *arguments: Any) -> Any:
        maybe_strike(driver)
        return send(driver, *arguments)

    send, statement._send = statement._send, sending
    _count_calls(os, ("replace", "fsync"), maybe_strike)

    def answering(kind: type, name: str) -> None:
        answer = getattr(kind, name)

        async def answered(self: Any, *arguments: Any, **named: Any) -> None:
            maybe_strike()
            await answer(self, *arguments, **named)
            maybe_strike()

        setattr(kind, name, answered)

    answering(answers.Answer, "send")
    answering(Response, "__call__")


def _count_calls(owner: Any, names: tuple[str, ...], step: Callable[[], None]) -> None:
    """Each of these functions is a step before and after it does its work."""

    def counted(name: str) -> Callable[..., Any]:
        work = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            step()
            done = work(*arguments, **named)
            step()
            return done

        return call

    for name in names:
        setattr(owner, name, counted(name))


def write_and_die(at: str, kind: str, number: int, folder: str, kill_at: int) -> None:
    """A client that dies at the so-manyth time that it sends or receives something; with 0 it lives."""
    count = 0

    def maybe_die() -> None:
        nonlocal count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    _count_calls(socket.socket, ("sendall", "connect"), maybe_die)
    _count_calls(socket.SocketIO, ("readinto",), maybe_die)
    with opened(at, "ada") as far:
        write(far, kind, number, Path(folder))


def write(far: Registry, kind: str, number: int, folder: Path) -> None:
    """One write of each kind, the same for the same number."""
    if kind == "register":
        far.add(MODEL, candidate(number), facts=Facts({"auc": 0.9}, {"number": str(number)}))
    elif kind == "promote":
        far.promote(f"{MODEL}@{number}")
    elif kind == "note":
        far.note(MODEL, Action.RETRAIN, reason="new data", details={"span": number})
    else:
        far.store.put(model_folder(folder, number))


def model_folder(folder: Path, number: int) -> Path:
    made = folder / f"model-{number}"
    made.mkdir(exist_ok=True)
    (made / "weights").write_bytes(b"weights %d" % number)
    (made / "same").write_bytes(b"in every model")
    return made


class Replica:
    """Keeps one server running at the port: where a process ends, another one takes its place, as a supervisor does."""

    def __init__(self, fork: Fork, address: str, port: int, folder: Path, store: str | None = None) -> None:
        self._fork, self._where, self._pid = fork, (address, port, store), folder / f"pid-{id(self)}"
        self._strike, self._stopped = _NOBODY, False
        self.ended: list[Ended] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stopped:
            strike, self._strike = self._strike, _NOBODY
            self.ended.append(self._fork("serve", self._where, strike, str(self._pid)))

    @contextlib.contextmanager
    def running(self) -> Iterator[Replica]:
        self._thread.start()
        self._wait()
        try:
            yield self
        finally:
            self._stopped = True
            self._signal()
            self._thread.join(20)

    def restart(self, *, kill_at: int = 0, victim: str = "server") -> None:
        """Ends the process gracefully; the next one is there when this returns."""
        self._strike = (kill_at, victim)
        self._struck.unlink(missing_ok=True)
        self._signal()
        self._wait()

    @property
    def _struck(self) -> Path:
        return self._pid.with_name(f"{self._pid.name}-struck")

    @property
    def struck(self) -> bool:
        """Whether anybody was killed since the last restart."""
        return self._struck.exists()

    def _signal(self) -> None:
        """To the process that lives: one that was killed has left its number, and another one is on its way."""
        while True:
            self._wait()
            pid = int(self._pid.read_text())
            self._pid.unlink()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
                return

    def _wait(self) -> None:
        give_up = time.monotonic() + 30
        while not (self._pid.exists() and self._pid.read_text()):
            assert time.monotonic() < give_up, self.ended
            time.sleep(0.01)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
    return port


@contextlib.contextmanager
def replicas(
    forks: list[Fork], address: str, folder: Path, store: str | None = None
) -> Iterator[tuple[Callable[[str], Registry], list[Replica]]]:
    """Opens the registry as somebody through servers that share one port, and the servers."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(Replica(fork, address, port, folder, store).running()) for fork in forks]
        yield lambda actor: stack.enter_context(opened(f"http://127.0.0.1:{port}", actor)), running


@contextlib.contextmanager
def forks(many: int) -> Iterator[list[Fork]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(forking("server_processes")) for _ in range(many)]
