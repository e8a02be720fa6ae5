"""A KServe InferenceService, on a loopback server that speaks Kubernetes' protocol and does to the object what we read
of KServe; no cluster and no KServe.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from balancer_testing import BROKEN, VERSIONS
from cluster_testing import Cluster
from traffic_conformance import TrafficConformance, prepared, settled

from tfx_pedigree.comparison.config_reader import from_data
from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.rollout.traffic.api import Convergence, ManagerContext, ServedVersion, WantedRoutes
from tfx_pedigree.rollout.traffic.cluster import ClusterObject
from tfx_pedigree.rollout.traffic.kserve import KserveTraffic, open_kserve

PATH = "/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices/penguin"
SERVICE: dict[str, Any] = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "penguin", "namespace": "models"},
    "spec": {
        "predictor": {"minReplicas": 1, "model": {"modelFormat": {"name": "tensorflow"}, "storageUri": "pvc://old"}}
    },
}
FIRST, SECOND = VERSIONS[0].digest, VERSIONS[1].digest


def kserve(service: dict[str, Any]) -> None:
    """One look of KServe's controller: a changed spec is a new revision, which takes its percent once it is ready."""
    status = service.setdefault("status", {})
    own = status.setdefault("components", {}).setdefault("predictor", {"made": 0})
    model = json.dumps(service["spec"]["predictor"]["model"], sort_keys=True)
    if own.get("model") != model:
        own["made"] += 1
        own.update(model=model, latestCreatedRevision=f"penguin-predictor-{own['made']:05}")
    status["observedGeneration"] = service["metadata"]["generation"]
    if service["spec"]["predictor"]["model"]["storageUri"].endswith("/9"):
        status["modelStatus"] = {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": {"message": "no model"}}
        return
    status.pop("modelStatus", None)
    own["latestReadyRevision"] = latest = own["latestCreatedRevision"]
    percent = service["spec"]["predictor"].get("canaryTrafficPercent")
    rolled_out = own.get("latestRolledoutRevision")
    if percent is None or percent >= 100 or rolled_out is None:
        if rolled_out != latest:
            own.update(previousRolledoutRevision=rolled_out, latestRolledoutRevision=latest)
        own["traffic"] = [{"revisionName": latest, "percent": 100, "latestRevision": True}]
    else:
        own["traffic"] = [
            {"revisionName": latest, "percent": percent, "latestRevision": True, "tag": "latest"},
            {"revisionName": rolled_out, "percent": 100 - percent, "tag": "prev"},
        ]


@dataclass
class KserveBench:
    cluster: Cluster
    folder: Path
    versions: tuple[ServedVersion, ServedVersion, ServedVersion] = VERSIONS
    broken: ServedVersion = BROKEN

    def manager(self, **more: str) -> KserveTraffic:
        found = {
            "namespace": "models",
            "name": "penguin",
            "kubeconfig": str(self.cluster.kubeconfig(self.folder)),
            "storage": "pvc://models/penguin/{sequence}",
            "folder": str(self.folder / "models"),
            **more,
        }
        context = ManagerContext("penguin", lambda version, folder: folder.mkdir(parents=True), {}, time.time)
        return open_kserve(from_data(found, "serving.yaml"), context)

    def send(self, count: int) -> dict[str, int] | None:
        return None

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[KserveBench]:
    cluster = Cluster(kserve)
    cluster.put(PATH, SERVICE)
    yield KserveBench(cluster, tmp_path)
    cluster.stop()


class TestKserve(TrafficConformance):
    effects = ((ClusterObject, "replace"),)


@pytest.fixture
def first(bench: KserveBench) -> KserveTraffic:
    manager = bench.manager()
    prepared(manager, VERSIONS[0], bench)
    manager.apply(WantedRoutes.all_to(FIRST), epoch=1)
    settled(manager, WantedRoutes.all_to(FIRST), bench)
    return manager


def test_what_served_before_has_everything_until_the_first_version_is_ready(bench: KserveBench) -> None:
    manager = bench.manager()
    bench.wait(0.05)
    assert [arm.digest for arm in manager.observe().arms] == [None]
    prepared(manager, VERSIONS[0], bench)
    found = manager.observe()
    assert (found.points(FIRST), found.serving) == (0, None)


def test_the_baseline_is_the_pinned_version_and_not_what_kserve_last_saw_at_100(
    bench: KserveBench, first: KserveTraffic
) -> None:
    prepared(first, VERSIONS[1], bench)
    everything = WantedRoutes.two(FIRST, SECOND, 10_000, 60)
    first.apply(everything, epoch=1)
    settled(first, everything, bench)
    own = bench.cluster.objects[PATH]["status"]["components"]["predictor"]
    assert own["latestRolledoutRevision"] == own["latestCreatedRevision"]
    assert first.observe().fallback == FIRST
    back = WantedRoutes.all_to(FIRST, SECOND)
    first.apply(back, epoch=1)
    assert first.verify(back).convergence is Convergence.PENDING
    settled(first, back, bench)
    assert bench.cluster.objects[PATH]["spec"]["predictor"]["model"]["storageUri"] == "pvc://models/penguin/1"
    prepared(first, VERSIONS[2], bench)
    assert (first.observe().serving, first.observe().fallback) == (FIRST, FIRST)


def test_only_the_percent_and_the_storage_change(bench: KserveBench, first: KserveTraffic) -> None:
    prepared(first, VERSIONS[1], bench)
    first.apply(WantedRoutes.two(FIRST, SECOND, 2550), epoch=2)
    predictor = bench.cluster.objects[PATH]["spec"]["predictor"]
    model = {"modelFormat": {"name": "tensorflow"}, "storageUri": "pvc://models/penguin/2"}
    assert predictor == {"minReplicas": 1, "model": model, "canaryTrafficPercent": 25}


def test_a_canary_that_has_a_share_keeps_its_place(bench: KserveBench, first: KserveTraffic) -> None:
    prepared(first, VERSIONS[1], bench)
    wanted = WantedRoutes.two(FIRST, SECOND, 2500)
    first.apply(wanted, epoch=1)
    assert first.verify(wanted).convergence is Convergence.PENDING
    settled(first, wanted, bench)
    with pytest.raises(ConflictError, match=r"2\.0\.0 has a share"):
        first.prepare(VERSIONS[2])


def test_a_storage_without_the_versions_number_is_refused(bench: KserveBench) -> None:
    with pytest.raises(InvalidInputError, match="{sequence}"):
        bench.manager(storage="pvc://models/penguin")
