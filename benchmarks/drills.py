"""What happens when servers, databases and clients die while they write: each step of each write, and under load.

    python benchmarks/drills.py [--only server client database races rolling] [--every 1] [--clients 8]
                                [--registrations 25] [--rounds 20] [--seconds 20]

Everything is real and lies in a folder of its own: servers in processes, SQLite and PostgreSQL (from a wheel), and for
the rolling restart two `pedigree server` behind HAProxy. With --every 1 somebody dies by kill -9 at each single step:
around each statement, commit and answer, each file that is flushed or put in its place, each piece that a client sends
or receives. The program ends with 1 where a write was lost, was done twice, or where there were two champions.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import drills_testing as drills
import server_processes as processes
from pedigree_testing import candidate
from programs_testing import program
from server_processes import MODEL
from server_testing import opened
from tfx_pedigree.registry import Registry, Role
from tfx_pedigree.service.tokens import make_token

BALANCER = """\
global
  stats socket {folder}/haproxy.sock
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  option redispatch
  retries 2
frontend pedigree
  bind 127.0.0.1:{port}
  default_backend replicas
backend replicas
  balance roundrobin
  option httpchk GET /readyz
  http-check send hdr host localhost
  server one 127.0.0.1:{one} check inter 200ms fall 1 rise 1
  server two 127.0.0.1:{two} check inter 200ms fall 1 rise 1
"""
SIGNALS = {"kill -9 of the postmaster": signal.SIGKILL, "immediate shutdown": signal.SIGQUIT, "restart": signal.SIGINT}


class Report:
    def __init__(self) -> None:
        self.bad = 0

    def say(self, what: str, found: str, wrong: tuple[str, ...] = (), *, began: float) -> None:
        self.bad += bool(wrong)
        sys.stdout.write(f"{what:<58} {found}; {len(wrong)} wrong ({time.monotonic() - began:.0f} s)\n")
        sys.stdout.writelines(f"  {one}\n" for one in wrong)
        sys.stdout.flush()


@contextlib.contextmanager
def made(folder: Path, address: str) -> Iterator[Registry]:
    folder.mkdir(exist_ok=True)
    with Registry.create(address, actor="ada", store=str(folder / "store")) as registry:
        registry.add(MODEL, candidate("a"))
        yield registry
        assert registry.verify_audit().ok, "the audit log is wrong"


def of_servers(options: argparse.Namespace, folder: Path, report: Report) -> None:
    with made(folder, str(folder / "registry")) as registry, processes.forks(1) as forks:
        store = str(folder / "store")
        with processes.replicas(forks, str(folder / "registry"), folder, store) as (open_as, (server,)):
            far = open_as("ada")
            for kind in drills.KINDS:
                began = time.monotonic()
                played = drills.Steps(registry, folder, options.every).of_server(server, far, kind)
                report.say(f"SQLite: server killed during {kind}", f"{played.deaths} deaths", played.wrong, began=began)


def of_clients(options: argparse.Namespace, folder: Path, report: Report) -> None:
    with made(folder, str(folder / "registry")) as registry, processes.forks(2) as forks:
        store = str(folder / "store")
        with processes.replicas(forks[:1], str(folder / "registry"), folder, store) as (open_as, _):
            at = open_as("ada").url
            for kind in ("register", "promote", "put"):
                began = time.monotonic()
                played = drills.Steps(registry, folder, options.every).of_client(at, forks[1], kind)
                report.say(f"client killed during {kind}", f"{played.deaths} deaths", played.wrong, began=began)


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[drills.Postgres]:
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    with tempfile.TemporaryDirectory(prefix="pg-") as own, drills.Postgres(Path(own)).running() as found:
        yield found


def of_databases(options: argparse.Namespace, folder: Path, report: Report) -> None:
    with postgres(folder) as database, made(folder, database.address) as registry, processes.forks(1) as forks:
        victims: tuple[tuple[str, str | Callable[[], str]], ...] = (
            *(("server", "server"), ("backend", "backend"), ("postmaster", lambda: str(database.pid()))),
        )
        store = str(folder / "store")
        with processes.replicas(forks, database.address, folder, store) as (open_as, (server,)):
            far = open_as("ada")
            for name, victim in victims:
                for kind in ("note", "register", "promote"):
                    began = time.monotonic()
                    played = drills.Steps(registry, folder, options.every).of_server(server, far, kind, victim)
                    what = f"PostgreSQL: {name} killed during {kind}"
                    report.say(what, f"{played.deaths} deaths", played.wrong, began=began)
            clients = [open_as("ada") for _ in range(options.clients)]

            def disturb() -> None:
                for number in SIGNALS.values():
                    time.sleep(options.seconds / 6)
                    database.strike(number)
                time.sleep(options.seconds / 6)

            began = time.monotonic()
            load = drills.under_load(registry, clients, disturb)
            what = f"PostgreSQL under load: {', '.join(SIGNALS)}"
            report.say(what, f"{load.requests} requests of {options.clients} clients", load.failed, began=began)


def of_races(options: argparse.Namespace, folder: Path, report: Report) -> None:
    folder.mkdir()
    with (
        postgres(folder) as database,
        Registry.create(database.address, actor="ada", store=str(folder / "store")) as registry,
        processes.forks(2) as forks,
        processes.replicas(forks, database.address, folder) as (open_as, _),
    ):
        began, clients = time.monotonic(), [open_as("ada") for _ in range(options.clients)]
        rounds = min(options.rounds, options.registrations)
        watcher = drills.race(registry, clients, options.registrations, rounds)
        assert registry.verify_audit().ok
        found = f"{options.clients} x {options.registrations} registrations, {rounds} races, {watcher.looks} looks"
        report.say("two servers, racing promotions", f"{found}, champions seen {sorted(watcher.seen)}", began=began)


class RealServer:
    """`pedigree server` at a port of its own."""

    def __init__(self, address: str, store: str, port: int) -> None:
        main = "from tfx_pedigree.cli.main import main; main()"
        self._command = [sys.executable, "-c", main, "--registry", address, "--store", store]
        self._command += ["server", "--port", str(port)]
        self._running = self._started()
        self.codes: list[int] = []

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdout=subprocess.PIPE)

    def wait(self) -> None:
        assert self._running.stdout is not None
        assert self._running.stdout.readline(), "the server did not start"

    def stop(self) -> None:
        self._running.send_signal(signal.SIGTERM)
        self.codes.append(self._running.wait(60))

    def restart(self) -> None:
        self.stop()
        self._running = self._started()
        self.wait()


def of_rolling(options: argparse.Namespace, folder: Path, report: Report) -> None:
    ports = [processes.free_port() for _ in range(3)]
    with postgres(folder) as database, made(folder, database.address) as registry, contextlib.ExitStack() as stack:
        registry.grant("load", Role.CONTRIBUTOR)
        token = make_token(registry, "load", principal="load").text
        servers = [RealServer(database.address, str(folder / "store"), port) for port in ports[1:]]
        for server in servers:
            server.wait()
            stack.callback(server.stop)
        config = folder / "haproxy.cfg"
        config.write_text(BALANCER.format(folder=folder, port=ports[0], one=ports[1], two=ports[2]))
        balancer = subprocess.Popen([program("haproxy"), "-f", str(config)], stderr=subprocess.DEVNULL)
        stack.callback(balancer.wait)
        stack.callback(balancer.terminate)
        time.sleep(1.0)
        clients: list[Any] = [
            stack.enter_context(opened(f"http://127.0.0.1:{ports[0]}", token)) for _ in range(options.clients)
        ]
        restarts = 0

        def disturb() -> None:
            nonlocal restarts
            end = time.monotonic() + options.seconds
            while time.monotonic() < end:
                for server in servers:
                    server.restart()
                    restarts += 1
                    time.sleep(1.0)

        began = time.monotonic()
        load = drills.under_load(registry, clients, disturb)
        found = f"{restarts} restarts, {load.requests} requests of {options.clients} clients"
        report.say("two replicas behind HAProxy, restarted in turn", found, load.failed, began=began)


DRILLS = {
    "server": of_servers,
    "client": of_clients,
    "database": of_databases,
    "races": of_races,
    "rolling": of_rolling,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=DRILLS, default=list(DRILLS))
    numbers = {"every": 1, "clients": 8, "registrations": 25, "rounds": 20, "seconds": 20}
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options, report = parser.parse_args(), Report()
    os.environ["PEDIGREE_PATIENCE"] = "60"
    for name in options.only:
        with tempfile.TemporaryDirectory(prefix="drill-") as folder:
            DRILLS[name](options, Path(folder) / "d", report)
    return 1 if report.bad else 0


if __name__ == "__main__":
    sys.exit(main())
