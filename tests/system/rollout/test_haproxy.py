"""A real HAProxy: shares as they were wanted, ended by HAProxy itself when no controller renews them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from balancer_testing import BalancerBench, Processes, Serving
from dying_testing import FILES
from haproxy_testing import Haproxy
from traffic_conformance import TrafficConformance

from tfx_pedigree.rollout.traffic.haproxy_socket import HaproxySocket


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haproxy]:
    folder = tmp_path_factory.mktemp("haproxy")
    processes = Processes(folder)
    made = Haproxy(Serving(folder / "models", processes), folder)
    try:
        made.serving.start()
        made.start()
        yield made
    finally:
        processes.stop()
        made.stop()


@pytest.fixture
def bench(running: Haproxy) -> BalancerBench:
    running.empty()
    return running.bench()


class TestHaproxy(TrafficConformance):
    requests = 1000
    lease_seconds = 0.5
    effects = (*FILES, (HaproxySocket, "ask"))
    dying = ("share",)
