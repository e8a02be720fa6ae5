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

from forking_testing import Ended, forking
from server_testing import NamedByToken, opened
from tfx_pedigree.db import statement
from tfx_pedigree.registry import Registry
from tfx_pedigree.server import Server, ServerSettings, answers, application
from tfx_pedigree.server.app import GROUPS

Fork = Callable[..., Ended]
Open = Callable[[str], Registry]


def serve(address: str, port: int, kill_at: int, pid_file: str) -> None:
    """Answers at the port, which others may share, until SIGTERM. With `kill_at`, it dies at the so-manyth statement,
    commit or answer of its requests."""
    registry = Registry.open(address, actor="server")
    # What runs beside the requests would be counted among their steps.
    groups = [group for group in GROUPS if group.name != "webhooks"]
    app = application(Server(ServerSettings(address), registry, NamedByToken()), groups)
    if kill_at:
        _die_at(registry, kill_at)
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(("127.0.0.1", port))
    held.listen(128)
    Path(pid_file).write_text(str(os.getpid()))
    options: dict[str, Any] = {"log_config": None, "ws": "none", "timeout_graceful_shutdown": 10}
    uvicorn.Server(uvicorn.Config(app, lifespan="on", **options)).run(sockets=[held])


def _die_at(registry: Registry, number: int) -> None:
    count, lock = 0, threading.Lock()

    def maybe_die(*_: object) -> None:
        nonlocal count
        with lock:
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    for moment in ("before_cursor_execute", "after_cursor_execute", "commit"):
        sa.event.listen(registry._database.engine, moment, maybe_die)
    send, answer = statement._send, answers.Answer.send

    def counted(*arguments: Any) -> Any:
        maybe_die()
        return send(*arguments)

    async def answered(self: Any, *arguments: Any, **named: Any) -> None:
        maybe_die()
        await answer(self, *arguments, **named)
        maybe_die()

    statement._send = counted
    answers.Answer.send = answered  # type: ignore[method-assign]


class Replica:
    """Keeps one server running at the port: where a process ends, another one takes its place, as a supervisor does."""

    def __init__(self, fork: Fork, address: str, port: int, folder: Path) -> None:
        self._fork, self._address, self._port, self._pid = fork, address, port, folder / f"pid-{id(self)}"
        self._kill_at, self._stopped = 0, False
        self.ended: list[Ended] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stopped:
            kill_at, self._kill_at = self._kill_at, 0
            self.ended.append(self._fork("serve", self._address, self._port, kill_at, str(self._pid)))

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

    def restart(self, *, kill_at: int = 0) -> None:
        """Ends the process gracefully; the next one is there when this returns."""
        self._kill_at = kill_at
        self._signal()
        self._wait()

    def _signal(self) -> None:
        pid = int(self._pid.read_text())
        self._pid.unlink()
        os.kill(pid, signal.SIGTERM)

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
    forks: list[Fork], address: str, folder: Path
) -> Iterator[tuple[Callable[[str], Registry], list[Replica]]]:
    """Opens the registry as somebody through servers that share one port, and the servers."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(Replica(fork, address, port, folder).running()) for fork in forks]
        yield lambda actor: stack.enter_context(opened(f"http://127.0.0.1:{port}", actor)), running


@contextlib.contextmanager
def forks(many: int) -> Iterator[list[Fork]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(forking("server_processes")) for _ in range(many)]
