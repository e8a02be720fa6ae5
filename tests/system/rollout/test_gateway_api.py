"""An HTTPRoute's weights, on a loopback server that speaks Kubernetes' protocol; no gateway moves any request here."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from balancer_testing import BROKEN, VERSIONS, Processes, Serving
from cluster_testing import Cluster
from dying_testing import FILES
from traffic_conformance import TrafficConformance, prepared, settled

from tfx_pedigree.errors import ConflictError, NotFoundError
from tfx_pedigree.rollout.traffic.api import Convergence, FencedError, ServedVersion, WantedRoutes
from tfx_pedigree.rollout.traffic.cluster import ClusterObject
from tfx_pedigree.rollout.traffic.gateway_api import open_route
from tfx_pedigree.rollout.traffic.routed import RoutedTraffic

PATH = "/apis/gateway.networking.k8s.io/v1/namespaces/models/httproutes/penguin"
ROUTE: dict[str, Any] = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "penguin", "namespace": "models", "annotations": {"team": "birds"}},
    "spec": {
        "parentRefs": [{"name": "edge"}],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/v1/models/penguin"}}],
                "backendRefs": [
                    {"name": "penguin-blue", "port": 8501, "weight": 10_000},
                    {"name": "green", "port": 8501, "weight": 0},
                ],
            },
            {"backendRefs": [{"name": "website", "port": 80}]},
        ],
    },
}


def gateway(route: dict[str, Any]) -> None:
    """What a gateway's controller writes once it has taken a route."""
    generation = route["metadata"]["generation"]
    conditions = [
        {"type": kind, "status": "True", "reason": kind, "observedGeneration": generation}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    route["status"] = {"parents": [{"parentRef": {"name": "edge"}, "conditions": conditions}]}


@dataclass
class RouteBench:
    serving: Serving
    cluster: Cluster
    folder: Path
    versions: tuple[ServedVersion, ServedVersion, ServedVersion] = VERSIONS
    broken: ServedVersion = BROKEN

    def manager(self, name: str = "penguin") -> RoutedTraffic:
        kubeconfig = str(self.cluster.kubeconfig(self.folder))
        services = {"blue": "penguin-blue"}
        settings = self.serving.settings(namespace="models", name=name, kubeconfig=kubeconfig, services=services)
        return open_route(settings, self.serving.context())

    def send(self, count: int) -> dict[str, int] | None:
        return None

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("gateway")
    processes = Processes(folder)
    made = Serving(folder / "models", processes)
    try:
        made.start()
        yield made
    finally:
        processes.stop()


@pytest.fixture
def bench(servers: Serving, tmp_path: Path) -> Iterator[RouteBench]:
    servers.empty()
    cluster = Cluster(gateway)
    cluster.put(PATH, ROUTE)
    yield RouteBench(servers, cluster, tmp_path)
    cluster.stop()


class TestGatewayApi(TrafficConformance):
    effects = (*FILES, (ClusterObject, "replace"))


@pytest.fixture
def serving_first(bench: RouteBench) -> RoutedTraffic:
    manager = bench.manager()
    prepared(manager, VERSIONS[0], bench)
    manager.apply(WantedRoutes.all_to(VERSIONS[0].digest), epoch=1)
    settled(manager, WantedRoutes.all_to(VERSIONS[0].digest), bench)
    return manager


def test_only_the_weights_of_our_services_change(bench: RouteBench, serving_first: RoutedTraffic) -> None:
    prepared(serving_first, VERSIONS[1], bench)
    serving_first.apply(WantedRoutes.two(VERSIONS[0].digest, VERSIONS[1].digest, 2500), epoch=3)
    found = bench.cluster.objects[PATH]
    wanted = copy.deepcopy(ROUTE["spec"])
    wanted["rules"][0]["backendRefs"][0]["weight"] = 2500
    wanted["rules"][0]["backendRefs"][1]["weight"] = 7500
    assert found["spec"] == wanted
    assert found["metadata"]["annotations"]["team"] == "birds"
    assert found["metadata"]["annotations"]["tfx-pedigree/epoch"] == "3"


def test_shares_hold_only_when_the_gateway_has_taken_them(bench: RouteBench, serving_first: RoutedTraffic) -> None:
    prepared(serving_first, VERSIONS[1], bench)
    wanted = WantedRoutes.two(VERSIONS[0].digest, VERSIONS[1].digest, 2500)
    serving_first.apply(wanted, epoch=1)
    found = serving_first.verify(wanted)
    assert (found.convergence, found.detail) == (
        Convergence.PENDING,
        "the gateway has not taken the route's latest state yet",
    )


def test_a_route_that_the_gateway_refuses_has_diverged(bench: RouteBench, serving_first: RoutedTraffic) -> None:
    route = bench.cluster.objects[PATH]
    refusal = {
        "type": "ResolvedRefs",
        "status": "False",
        "message": "no Service green",
        "observedGeneration": 99,
    }
    route["status"]["parents"][0]["conditions"].append(refusal)
    bench.cluster._controller = lambda route: None
    found = serving_first.verify(WantedRoutes.all_to(VERSIONS[0].digest))
    assert found.convergence is Convergence.DIVERGED
    assert found.detail == "The gateway refuses the route: no Service green"


def test_what_somebody_else_changed_is_not_overwritten(bench: RouteBench, serving_first: RoutedTraffic) -> None:
    seen = serving_first.observe().etag
    changed = copy.deepcopy(bench.cluster.objects[PATH])
    changed["metadata"]["labels"] = {"hand": "made"}
    bench.cluster.put(PATH, changed)
    with pytest.raises(FencedError):
        serving_first.apply(WantedRoutes.all_to(VERSIONS[0].digest), epoch=1, expect=seen)


def test_a_route_without_our_services_is_refused(bench: RouteBench, serving_first: RoutedTraffic) -> None:
    changed = copy.deepcopy(ROUTE)
    del changed["spec"]["rules"][0]
    bench.cluster.put(PATH, changed)
    with pytest.raises(ConflictError, match="no rule with the services penguin-blue and green"):
        serving_first.observe()


def test_a_route_that_is_not_there_is_named(bench: RouteBench) -> None:
    with pytest.raises(NotFoundError, match="HTTPRoute penguins in the namespace models does not exist"):
        bench.manager("penguins").observe()
