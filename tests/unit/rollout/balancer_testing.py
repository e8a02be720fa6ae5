"""Real load balancers on loopback, in front of stand-ins for servers of models, as benches of the conformance suite."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from load_testing import Client

from tfx_pedigree.comparison.config_reader import ConfigNode, from_data
from tfx_pedigree.rollout.traffic.api import ManagerContext, ServedVersion, TrafficManager

HERE = Path(__file__).parent
MODEL = "penguin"


def version(number: int) -> ServedVersion:
    return ServedVersion(MODEL, f"sha256:{number:064x}", f"{number}.0.0", number)


VERSIONS = (version(1), version(2), version(3))
BROKEN = version(9)


def free_ports(count: int) -> list[int]:
    """Not given out twice within one call."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def until(true: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while True:
        found = true()
        if found:
            return found
        assert time.monotonic() < end, f"{what} within {seconds} s"
        time.sleep(0.02)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Processes:
    """What a test started, and stops by its process only."""

    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        log = (self.folder / f"{name}.log").open("wb")
        with log:
            self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()


@dataclass
class Serving:
    """Two places, each with a folder and, if asked for, a process of its own; materialising writes what it is told."""

    folder: Path
    processes: Processes
    ports: list[int] = field(default_factory=lambda: free_ports(2))
    behaviour: dict[int, dict[str, object]] = field(default_factory=lambda: {9: {"broken": True}})
    names: tuple[str, str] = ("blue", "green")

    def place(self, name: str) -> Path:
        return self.folder / name

    def start(self, *, together: bool = True) -> None:
        pairs = [f"{port}={self.place(name)}" for port, name in zip(self.ports, self.names, strict=True)]
        for name in self.names:
            self.place(name).mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-S", str(HERE / "serving_process.py"), MODEL]
        if together:
            self.processes.start("servers", [*command, *pairs])
        else:
            for name, pair in zip(self.names, pairs, strict=True):
                self.processes.start(name, [*command, pair])
        until(lambda: all(map(listens, self.ports)), "the servers listen")

    def materialise(self, wanted: ServedVersion, folder: Path) -> None:
        draft = folder.parent / f".draft-{folder.name}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        (draft / "behaviour.json").write_text(json.dumps(self.behaviour.get(wanted.sequence, {})), "utf-8")
        draft.rename(folder)

    def empty(self) -> None:
        for name in self.names:
            for child in self.place(name).iterdir():
                shutil.rmtree(child) if child.is_dir() else child.unlink()

    def settings(self, **more: object) -> ConfigNode:
        places = [
            {"name": name, "folder": str(self.place(name)), "address": f"http://127.0.0.1:{port}"}
            for name, port in zip(self.names, self.ports, strict=True)
        ]
        return from_data({"places": places, **more}, "serving.yaml")

    def context(self) -> ManagerContext:
        return ManagerContext(MODEL, self.materialise, {}, time.time)


@dataclass
class BalancerBench:
    """As `traffic_conformance.Bench` wants it."""

    serving: Serving
    open: Callable[[], TrafficManager]
    port: int
    versions: tuple[ServedVersion, ServedVersion, ServedVersion] = VERSIONS
    broken: ServedVersion = BROKEN

    def manager(self) -> TrafficManager:
        return self.open()

    def send(self, count: int) -> dict[str, int] | None:
        client = Client(self.port)
        client.send(count)
        client.close()
        assert not client.failures
        return {version(number).digest: answered for number, answered in client.answers.items()}

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)
