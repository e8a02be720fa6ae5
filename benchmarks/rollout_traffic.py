"""Requests that are lost while traffic moves: shares change, versions are promoted and rolled back, and load balancers
reload, under eight clients that try nothing twice. Then: how long a share outlives its controller, which is killed.

HAProxy and Envoy are real; the servers behind them are stand-ins that answer at once, so the load balancer is what is
measured. `make setup` fetches both.
"""

# ruff: noqa: E402  (the tests' helpers are found after the path is set)
from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests" / part) for part in ("", "unit/rollout")]

from balancer_testing import VERSIONS, Processes, Serving, until
from envoy_testing import Envoy
from haproxy_testing import Haproxy
from load_testing import Client
from traffic_conformance import prepared

from programs_testing import program
from tfx_pedigree.json_form import to_json
from tfx_pedigree.rollout.traffic.api import Convergence, TrafficManager, WantedRoutes
from tfx_pedigree.rollout.traffic.asking import ask
from tfx_pedigree.rollout.traffic.rtds import release_server

FIRST, SECOND = VERSIONS[0].digest, VERSIONS[1].digest
LEASE = 30.0


@dataclass
class HotRestartedEnvoy(Envoy):
    """Reloads by Envoy's hot restart: a new process takes the listeners over, the old one answers what it has."""

    epoch: int = 0
    base: int = field(default_factory=lambda: random.randrange(1000, 100_000))

    def launch(self) -> None:
        command = [program("envoy"), "-c", str(self.config), "--concurrency", "2", "-l", "error"]
        command += ["--base-id", str(self.base), "--restart-epoch", str(self.epoch)]
        command += ["--drain-time-s", "1", "--drain-strategy", "immediate", "--parent-shutdown-time-s", "2"]
        self.serving.processes.start(f"envoy-{self.epoch}", command)

    def reload(self) -> None:
        old = f"envoy-{self.epoch}"
        self.epoch += 1
        self.launch()
        self.serving.processes.running.pop(old).wait(30)
        until(lambda: ask(f"{self.read.admin}/ready").status == 200, "the new Envoy is ready")


@dataclass
class Result:
    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    changes: int = 0
    promotions: int = 0
    reloads: int = 0
    taking: list[float] = field(default_factory=list)  # seconds from apply to verified
    over: list[float] = field(default_factory=list)  # seconds from a controller's death to share 0


if TYPE_CHECKING:
    Answers = multiprocessing.SimpleQueue[tuple[Counter[int], Counter[str]]]


def client(port: int, over: Event, sent: Synchronized[int], results: Answers) -> None:
    one = Client(port)
    while not over.is_set():
        one.send(50)
        with sent.get_lock():
            sent.value += 50
    one.close()
    results.put((one.answers, one.failures))


def change(manager: TrafficManager, wanted: WantedRoutes, result: Result) -> None:
    started = time.monotonic()
    manager.apply(wanted, epoch=1)
    until(lambda: manager.verify(wanted).convergence is Convergence.CONVERGED, "the shares hold")
    result.taking.append(time.monotonic() - started)
    result.changes += 1


def move(balancer: Haproxy | HotRestartedEnvoy, manager: TrafficManager, changes: int, result: Result) -> None:
    """A canary's way up, a promotion, a way up of the other version, a rollback, and so on, with reloads between."""
    champion, other = FIRST, SECOND
    draw = random.Random(7)
    steps = (100, 1000, 2500, 5000, 7500)
    while result.changes < changes:
        for points in steps:
            change(manager, WantedRoutes.two(champion, other, points, LEASE), result)
            time.sleep(draw.uniform(0.05, 0.3))
        if draw.random() < 0.3:
            change(manager, WantedRoutes.all_to(champion, other), result)
        else:
            change(manager, WantedRoutes.all_to(other, champion), result)
            champion, other = other, champion
            result.promotions += 1
        balancer.reload()
        result.reloads += 1


def measure(kind: str, folder: Path, requests: int, changes: int, clients: int) -> Result:
    processes = Processes(folder)
    serving = Serving(folder / "models", processes)
    balancer = Haproxy(serving, folder) if kind == "haproxy" else HotRestartedEnvoy(serving, folder)
    result, over = Result(), multiprocessing.Event()
    answers: Answers = multiprocessing.SimpleQueue()
    sent: Synchronized[int] = multiprocessing.Value("q", 0)
    try:
        serving.start(together=False)
        balancer.start()
        bench = balancer.bench()
        manager = bench.manager()
        prepared(manager, VERSIONS[0], bench)
        manager.apply(WantedRoutes.all_to(FIRST), epoch=1)
        until(lambda: manager.verify(WantedRoutes.all_to(FIRST)).convergence is Convergence.CONVERGED, "all to one")
        prepared(manager, VERSIONS[1], bench)
        arguments = (balancer.port, over, sent, answers)
        load = [multiprocessing.Process(target=client, args=arguments) for _ in range(clients)]
        started = time.monotonic()
        for one in load:
            one.start()
        while sent.value < requests or result.changes < changes:
            move(balancer, manager, result.changes + 6, result)
        over.set()
        for _ in load:
            counted, failures = answers.get()
            result.requests += sum(counted.values()) + sum(failures.values())
            result.failures += failures
        result.seconds = time.monotonic() - started
        for one in load:
            one.join()
        manager.apply(WantedRoutes.all_to(FIRST, SECOND), epoch=1)
        if isinstance(balancer, HotRestartedEnvoy):
            release_server(balancer.read.listen)
        result.over = [killed(balancer, epoch) for epoch in (2, 3, 4)]
    finally:
        over.set()
        processes.stop()
        balancer.stop()
    return result


def killed(balancer: Haproxy | HotRestartedEnvoy, epoch: int, lease: float = 2.0) -> float:
    """Seconds from the death of a controller, which renewed 25 %, until the candidate has nothing."""
    settings = balancer.settings.table()
    places = [{key: one.value for key, one in place.table().items()} for place in settings.pop("places").items()]
    plain = {"places": places, **{key: node.value for key, node in settings.items()}}
    wanted = WantedRoutes.two(FIRST, SECOND, 2500, lease)
    script = Path(__file__).resolve().parents[1] / "tests/system/rollout/renewing_process.py"
    command = [sys.executable, str(script), balancer.KIND, json.dumps(plain), json.dumps(to_json(wanted)), str(epoch)]
    observer = balancer.bench().manager()
    controller = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert controller.stdout is not None
        controller.stdout.readline()
        until(lambda: observer.observe().points(SECOND) == 2500, "the candidate has its share")
        time.sleep(random.uniform(1, 2) * lease)
    finally:
        controller.kill()
        controller.wait()
    started = time.monotonic()
    until(lambda: observer.observe().points(SECOND) == 0, "the share is over")
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--changes", type=int, default=50)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--kind", choices=("haproxy", "envoy"), action="append")
    options = parser.parse_args()
    table = Table("", "requests", "failed", "1/s", "changes", "promotions", "reloads", "to verified, median/max ms")
    table.add_column("lease of 2 s over after")
    lost = 0
    for kind in options.kind or ("haproxy", "envoy"):
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/tmp"), prefix="rt-") as folder:  # noqa: S108
            found = measure(kind, Path(folder), options.requests, options.changes, options.clients)
        taking = [1000 * one for one in found.taking]
        lost += sum(found.failures.values())
        table.add_row(
            kind,
            f"{found.requests:,}",
            ", ".join(f"{count} {what}" for what, count in found.failures.items()) or "0",
            f"{found.requests / found.seconds:,.0f}",
            str(found.changes),
            str(found.promotions),
            str(found.reloads),
            f"{statistics.median(taking):.0f} / {max(taking):.0f}",
            ", ".join(f"{one:.1f} s" for one in found.over),
        )
    Console(width=150).print(table)
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
