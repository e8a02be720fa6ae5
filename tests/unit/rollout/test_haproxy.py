"""A real HAProxy: shares as they were wanted, ended by HAProxy itself when no controller renews them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from balancer_testing import BalancerBench, Processes, Serving, free_ports, listens, until
from traffic_conformance import TrafficConformance

from programs_testing import program
from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.rollout.traffic.haproxy import MapEntries, open_haproxy, read_settings
from tfx_pedigree.rollout.traffic.haproxy_template import haproxy_template


@dataclass
class Haproxy:
    """Running, with the configuration that `pedigree rollout template` writes."""

    serving: Serving
    folder: Path
    port: int

    @property
    def settings(self) -> ConfigNode:
        return self.serving.settings(socket=f"{self.folder}/ha.sock", map=f"{self.folder}/routes.map")

    def start(self) -> None:
        read = read_settings(self.settings, self.serving.context())
        config = self.folder / "haproxy.cfg"
        text = haproxy_template(read, f"127.0.0.1:{self.port}")
        config.write_text(text.replace("inter 500ms fastinter 200ms", "inter 100ms"), "utf-8")  # tests wait for checks
        self.reset()
        checked = subprocess.run([program("haproxy"), "-c", "-f", config], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        self.serving.processes.start("haproxy", [program("haproxy"), "-W", "-f", str(config)])
        until(lambda: listens(self.port), "HAProxy listens")

    def reset(self) -> None:
        (self.folder / "routes.map").write_bytes(MapEntries.first("blue").file())

    def bench(self) -> BalancerBench:
        return BalancerBench(self.serving, lambda: open_haproxy(self.settings, self.serving.context()), self.port)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haproxy]:
    folder = tmp_path_factory.mktemp("haproxy")
    processes = Processes(folder)
    serving = Serving(folder / "models", processes)
    made = Haproxy(serving, folder, free_ports(1)[0])
    try:
        serving.start()
        made.start()
        yield made
    finally:
        processes.stop()


@pytest.fixture
def bench(running: Haproxy) -> BalancerBench:
    from tfx_pedigree.rollout.traffic.haproxy_socket import HaproxySocket

    running.serving.empty()
    HaproxySocket(running.folder / "ha.sock").replace_map(
        running.folder / "routes.map", MapEntries.first("blue").entries()
    )
    return running.bench()


class TestHaproxy(TrafficConformance):
    requests = 1000
    lease_seconds = 0.5
