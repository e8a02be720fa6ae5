"""A Vertex AI endpoint: Google's own client over REST, against a loopback server that does what Google's documents say;
never Google's own service.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from balancer_testing import BROKEN, VERSIONS
from traffic_conformance import TrafficConformance, prepared, settled
from vertex_loopback import RefusedError, VertexEndpoint, VertexLoopback, write_account

from tfx_pedigree.comparison.config_reader import from_data
from tfx_pedigree.errors import ConflictError, InvalidInputError, UnavailableError
from tfx_pedigree.extras import install_command
from tfx_pedigree.rollout.targets import ServingTarget
from tfx_pedigree.rollout.traffic import vertex_client
from tfx_pedigree.rollout.traffic.api import (
    FencedError,
    ManagerContext,
    Readiness,
    ServedVersion,
    WantedRoutes,
)
from tfx_pedigree.rollout.traffic.templates import template_of
from tfx_pedigree.rollout.traffic.vertex import VertexTraffic, put_folder, read_settings
from tfx_pedigree.rollout.traffic.vertex_endpoint import title_of

FIRST, SECOND = VERSIONS[0].digest, VERSIONS[1].digest
SETTINGS = {
    "project": "flights",
    "location": "europe-west4",
    "endpoint": "42",
    "image": "europe-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest",
    "storage": "gs://flights/models",
}


@dataclass
class VertexBench:
    loopback: VertexLoopback
    bucket: dict[str, str] = field(default_factory=dict)
    versions: tuple[ServedVersion, ServedVersion, ServedVersion] = VERSIONS
    broken: ServedVersion = BROKEN
    client: vertex_client.VertexService | None = None

    @property
    def service(self) -> VertexEndpoint:
        return self.loopback.service

    def manager(self, **more: Any) -> VertexTraffic:
        found = read_settings(from_data({**SETTINGS, "address": self.loopback.address, **more}, "serving.yaml"))
        if not more:  # Google's clients take a tenth of a second to make; nothing of a manager's memory is in them
            self.client = self.client or found.service
            found = replace(found, service=self.client)

        def materialise(version: ServedVersion, folder: Path) -> None:
            folder.mkdir()
            (folder / "saved_model.pb").write_text(version.digest, "utf-8")

        def put(folder: Path, url: str) -> None:
            self.bucket[url] = (folder / "saved_model.pb").read_text("utf-8")

        return VertexTraffic(found, ManagerContext("penguin", materialise, {}, time.time), put)

    def send(self, count: int) -> dict[str, int] | None:
        return None

    def wait(self, seconds: float) -> None:
        time.sleep(seconds / 4)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_account(tmp_path_factory.mktemp("vertex"))


@pytest.fixture
def bench(account: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VertexBench]:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    loopback = VertexLoopback(VertexEndpoint())
    yield VertexBench(loopback)
    loopback.stop()


class TestVertex(TrafficConformance):
    effects = tuple(
        (vertex_client.VertexService, name)
        for name in ("update_endpoint", "deploy", "undeploy", "upload_model", "label_model")
    )

    def forget_second(self, bench: VertexBench) -> None:  # type: ignore[override]
        bench.service.delay = 0.0
        title = title_of(SECOND)
        bench.service.models = {k: one for k, one in bench.service.models.items() if one["displayName"] != title}


@pytest.fixture
def first(bench: VertexBench) -> VertexTraffic:
    manager = bench.manager()
    prepared(manager, VERSIONS[0], bench)
    manager.apply(WantedRoutes.all_to(FIRST), epoch=1)
    settled(manager, WantedRoutes.all_to(FIRST), bench)
    return manager


@pytest.fixture
def served(bench: VertexBench) -> VertexTraffic:
    """The same as it is found, without having been brought there."""
    manager = bench.manager()
    model = (
        f"projects/1234567/locations/europe-west4/models/{read_settings(from_data({**SETTINGS}, '')).model_id(FIRST)}"
    )
    bench.service.deployed.append({"id": "1", "displayName": f"pedigree {FIRST}", "model": model})
    bench.service.endpoint.update(trafficSplit={"1": 100}, labels={"pedigree-epoch": "1", "pedigree-fallback": "1"})
    assert manager.observe().serving == FIRST
    return manager


def test_a_version_is_files_in_the_bucket_a_model_and_a_deployed_model(
    bench: VertexBench, first: VertexTraffic
) -> None:
    url = f"gs://flights/models/1-{FIRST[-16:]}"
    assert bench.bucket == {url: FIRST}
    [model], [deployed] = bench.service.models.values(), bench.service.deployed
    assert (model["artifactUri"], model["containerSpec"]["imageUri"]) == (url, SETTINGS["image"])
    assert (deployed["id"], deployed["displayName"]) == ("1", f"pedigree {FIRST}")
    assert deployed["dedicatedResources"]["machineSpec"] == {"machineType": "n1-standard-2"}
    assert bench.service.endpoint["labels"] == {"team": "a", "pedigree-epoch": "1", "pedigree-fallback": "1"}


def test_what_was_deployed_by_others_loses_its_share_and_stays(bench: VertexBench) -> None:
    bench.service.deployed.append({"id": "777", "displayName": "by hand", "model": "projects/1/locations/l/models/x"})
    bench.service.endpoint["trafficSplit"] = {"777": 100}
    manager = bench.manager()
    prepared(manager, VERSIONS[0], bench)
    assert [(arm.digest, arm.points) for arm in manager.observe().arms] == [(None, 10_000), (FIRST, 0)]
    manager.apply(WantedRoutes.all_to(FIRST), epoch=1)
    assert manager.observe().serving == FIRST
    assert {one["id"] for one in bench.service.deployed} == {"777", "1"}


def test_a_share_between_two_percents_is_told(bench: VertexBench, first: VertexTraffic) -> None:
    prepared(first, VERSIONS[1], bench)
    receipt = first.apply(WantedRoutes.two(FIRST, SECOND, 2550), epoch=1)
    assert [share.points for share in receipt.realised] == [7500, 2500]
    assert bench.service.endpoint["trafficSplit"] == {"1": 75, "2": 25}


def test_a_repetition_asks_for_no_change(bench: VertexBench, first: VertexTraffic) -> None:
    before = list(bench.service.calls)
    first.apply(WantedRoutes.all_to(FIRST), epoch=1)
    assert bench.service.calls == before


@pytest.mark.parametrize("code", [409, 400])
def test_what_changed_between_look_and_change_is_not_overwritten(
    bench: VertexBench, first: VertexTraffic, code: int
) -> None:
    prepared(first, VERSIONS[1], bench)
    before = dict(bench.service.endpoint["trafficSplit"])

    def meanwhile(call: str, body: dict[str, Any]) -> Any:
        if call == "GET /endpoints/42":
            bench.service.answer = lambda call, body: body
            bench.service.changed += 1
        return body

    bench.service.answer = meanwhile
    if code == 400:
        original = bench.service._update

        def update(mask: set[str], body: dict[str, Any]) -> dict[str, Any]:
            if body["etag"] != f"AMEw9yN{bench.service.changed}":
                raise RefusedError(400, "FAILED_PRECONDITION", "Etag mismatch")
            return original(mask, body)

        bench.service._update = update  # type: ignore[method-assign]
    with pytest.raises(FencedError):
        first.apply(WantedRoutes.two(FIRST, SECOND, 5000), epoch=1)
    assert bench.service.endpoint["trafficSplit"] == before


def test_a_controller_that_starts_again_deploys_nothing_twice(bench: VertexBench, first: VertexTraffic) -> None:
    bench.service.delay = 0.2
    for _ in range(200):
        assert bench.manager().prepare(VERSIONS[1]).readiness in (Readiness.LOADING, Readiness.READY)
        if first.observe().arm(SECOND):
            break
        time.sleep(0.02)
    assert [one["id"] for one in bench.service.deployed] == ["1", "2"]
    assert sum("deployModel" in call for call in bench.service.calls) == 2


def test_a_crash_before_the_operation_was_noted_deploys_nothing_twice(bench: VertexBench, first: VertexTraffic) -> None:
    prepared(first, VERSIONS[1], bench)
    first.retire(SECOND)
    while first.observe().arm(SECOND):
        time.sleep(0.01)
    for model in bench.service.models.values():
        model.pop("labels", None)
    bench.service.deploying = 600
    assert first.prepare(VERSIONS[1]).readiness is Readiness.LOADING
    for model in bench.service.models.values():
        model.pop("labels", None)
    again = bench.manager().prepare(VERSIONS[1])
    assert (again.readiness, "exists" in str(again.reason)) == (Readiness.LOADING, True)
    bench.service.finish()
    prepared(first, VERSIONS[1], bench)


def test_what_failed_is_tried_again_once_it_was_given_up(bench: VertexBench, first: VertexTraffic) -> None:
    bench.service.broken = lambda model: True
    while (found := first.prepare(VERSIONS[1])).readiness is Readiness.LOADING:
        time.sleep(0.01)
    assert (found.readiness, found.reason) == (Readiness.FAILED, "Model server exited unexpectedly")
    bench.service.broken = lambda model: False
    assert bench.manager().prepare(VERSIONS[1]).readiness is Readiness.FAILED
    first.retire(SECOND)
    prepared(first, VERSIONS[1], bench)


def test_what_is_being_deployed_is_retired_after_that(bench: VertexBench, first: VertexTraffic) -> None:
    bench.service.deploying = 600
    while not any(one.get("labels") and SECOND in one["displayName"] for one in bench.service.models.values()):
        first.prepare(VERSIONS[1])
        time.sleep(0.01)
    with pytest.raises(UnavailableError, match="is still being deployed"):
        first.retire(SECOND)
    bench.service.finish()
    prepared(first, VERSIONS[1], bench)
    first.retire(SECOND)


def test_a_model_of_that_name_that_is_another_one_is_refused(bench: VertexBench, first: VertexTraffic) -> None:
    prepared(first, VERSIONS[1], bench)
    first.retire(SECOND)
    while first.observe().arm(SECOND):
        time.sleep(0.01)
    for model in bench.service.models.values():
        model["artifactUri"] = "gs://elsewhere/x"
    with pytest.raises(ConflictError, match="gcloud ai models delete"):
        first.prepare(VERSIONS[1])


def _with(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda body: {**body, **changes}


def _deployed(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda body: {**body, "deployedModels": [{**body["deployedModels"][0], **changes}]}


@pytest.mark.parametrize(
    "change",
    [
        lambda body: b"<html>no</html>",
        lambda body: [],
        lambda body: b'{"name": 3}',
        _with(name="projects/1/locations/europe-west4/endpoints/43"),
        _with(etag=""),
        _with(etag="e" * 300),
        _with(trafficSplit={"1": 50}),
        _with(trafficSplit={"1": 150, "2": -50}),
        _with(trafficSplit={"8": 100}),
        _with(trafficSplit={"1": "many"}),
        _with(trafficSplit=[1]),
        _with(deployedModels=[{"id": "1"}, {"id": "1"}]),
        _with(deployedModels=[{"id": "../1"}]),
        _with(labels={"pedigree-epoch": 7}),
    ],
)
def test_an_answer_that_is_none_is_refused(
    bench: VertexBench, served: VertexTraffic, change: Callable[[dict[str, Any]], Any]
) -> None:
    bench.service.answer = lambda call, body: change(body)
    with pytest.raises(UnavailableError, match="answered with"):
        served.observe()


@pytest.mark.parametrize(
    "change",
    [
        _deployed(displayName=f"pedigree {FIRST} "),
        _deployed(displayName=f"pedigree {SECOND}"),
        _deployed(model="projects/1/locations/l/models/other"),
        _deployed(modelVersionId="2"),
    ],
)
def test_what_only_calls_itself_a_version_is_none(
    bench: VertexBench, served: VertexTraffic, change: Callable[[dict[str, Any]], Any]
) -> None:
    bench.service.answer = lambda call, body: change(body)
    assert [arm.digest for arm in served.observe().arms] == [None]


@pytest.mark.parametrize("epoch", ["-1", "seven", "٧", "9" * 40, ""])
def test_an_epoch_that_is_no_number_is_none(bench: VertexBench, served: VertexTraffic, epoch: str) -> None:
    bench.service.answer = lambda call, body: {**body, "labels": {"pedigree-epoch": epoch}}
    assert served.observe().epoch is None


def test_a_split_that_was_not_set_is_seen_at_once(bench: VertexBench, first: VertexTraffic) -> None:
    prepared(first, VERSIONS[1], bench)
    bench.service.answer = lambda call, body: (
        {**body, "trafficSplit": {"1": 100}} if call == "PATCH /endpoints/42" else body
    )
    with pytest.raises(UnavailableError, match="another split"):
        first.apply(WantedRoutes.two(FIRST, SECOND, 5000), epoch=1)


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (403, {"error": {"message": "Permission denied"}}, ConflictError),
        (503, {"error": {"message": "later"}}, UnavailableError),
        (500, {"error": "no table"}, UnavailableError),
        (429, b"slow down", UnavailableError),
    ],
)
def test_a_refusal_is_told(
    bench: VertexBench, monkeypatch: pytest.MonkeyPatch, code: int, body: Any, kind: type[Exception]
) -> None:
    monkeypatch.setattr(bench.loopback, "ask", lambda *_: (code, body))
    with pytest.raises(kind):
        bench.manager().observe()


def test_an_operation_without_a_usable_name_is_refused(bench: VertexBench, first: VertexTraffic) -> None:
    bench.service.answer = lambda call, body: {"name": "operations/../1"} if call == "POST /models:upload" else body
    with pytest.raises(UnavailableError, match="no usable name"):
        prepared(first, VERSIONS[1], bench)


def test_nobody_there_and_no_credentials_are_told(
    bench: VertexBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnavailableError, match="does not answer"):
        bench.manager(address="http://127.0.0.1:9").observe()
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(UnavailableError, match="no usable credentials"):
        bench.manager().observe()


def test_without_the_client_it_says_what_to_install(bench: VertexBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "google.cloud.aiplatform_v1", None)
    monkeypatch.delattr("google.cloud.aiplatform_v1")
    vertex_client._modules.cache_clear()
    with pytest.raises(UnavailableError, match=re.escape(install_command("vertex"))):
        bench.manager().observe()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("storage", "/srv/models"),
        ("storage", "gs://flights/{sequence}"),
        ("address", "http://vertex.example"),
        ("location", "europe"),
        ("endpoint", "projects/x/endpoints/1"),
        ("image", "image; rm"),
        ("min_replicas", 0),
        ("max_replicas", 0),
        ("port", 70000),
        ("listen", "0.0.0.0:1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(key: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match="serving.yaml"):
        read_settings(from_data({**SETTINGS, key: value}, "serving.yaml"))


def test_an_endpoints_id_may_be_a_number() -> None:
    found = read_settings(from_data({**SETTINGS, "endpoint": 4211}, "serving.yaml"))
    assert found.service.name == "projects/flights/locations/europe-west4/endpoints/4211"


def test_another_image_is_another_model() -> None:
    one = read_settings(from_data(SETTINGS, "serving.yaml"))
    assert one.model_id(FIRST) != replace(one, image="other").model_id(FIRST)
    assert len(one.model_id(FIRST)) <= 63


def test_a_folder_is_put_into_the_bucket_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"1")
    (tmp_path / "variables/data").write_bytes(b"2")
    put_folder(tmp_path, "memory://vertex-bucket/models/1-a")
    put_folder(tmp_path, "memory://vertex-bucket/models/1-a")
    found = fsspec.filesystem("memory").find("/vertex-bucket")
    assert found == ["/vertex-bucket/models/1-a/saved_model.pb", "/vertex-bucket/models/1-a/variables/data"]


def test_the_template_is_the_commands_that_make_the_endpoint(tmp_path: Path) -> None:
    target = ServingTarget("cloud", "penguin", "vertex", tmp_path, from_data(SETTINGS, "serving.yaml"))
    found = template_of(target, {})
    assert "--project=flights --region=europe-west4 --endpoint-id=42 --display-name=penguin" in found.text
    assert "storage.objectUser on gs://flights;" in found.text
    assert found.begin() is None
