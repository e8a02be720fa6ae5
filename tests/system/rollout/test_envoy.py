"""A real Envoy: shares over gRPC with a time to live, ended by Envoy itself when no controller renews them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from balancer_testing import BalancerBench, Processes, Serving
from dying_testing import FILES
from envoy_testing import Envoy
from traffic_conformance import TrafficConformance

from programs_testing import program
from tfx_pedigree.rollout.traffic.rtds import RuntimeServer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    folder = tmp_path_factory.mktemp("envoy")
    processes = Processes(folder)
    made = Envoy(Serving(folder / "models", processes), folder)
    try:
        made.serving.start()
        made.start()
        yield made
    finally:
        processes.stop()


@pytest.fixture
def bench(running: Envoy) -> BalancerBench:
    running.empty()
    return running.bench()


class TestEnvoy(TrafficConformance):
    requests = 1000
    lease_seconds = 0.5
    effects = (*FILES, (Path, "symlink_to"), (RuntimeServer, "publish"))
    dying = ("share",)


def test_the_template_is_valid(running: Envoy) -> None:
    command = [program("envoy"), "--mode", "validate", "-c", str(running.config), "-l", "warn"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
