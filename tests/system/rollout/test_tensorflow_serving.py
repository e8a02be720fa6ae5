"""TensorFlow Serving by its config file and labels, on a stand-in; on a real server where TFSERVING_ADDR is set.

For a real one say as well what it was started with: TFSERVING_CONFIG (its --model_config_file, which it polls each
second or quicker) and TFSERVING_FOLDER (where versions are put).
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from balancer_testing import BROKEN, VERSIONS
from dying_testing import FILES
from load_testing import Client
from serving_stand_in import ServingStandIn
from traffic_conformance import TrafficConformance, prepared, settled

from tfx_pedigree.comparison.config_reader import from_data
from tfx_pedigree.errors import ConflictError
from tfx_pedigree.rollout.traffic.api import ManagerContext, Readiness, ServedVersion, WantedRoutes
from tfx_pedigree.rollout.traffic.serving_config import ModelEntry, with_entry
from tfx_pedigree.rollout.traffic.templates import serving_template
from tfx_pedigree.rollout.traffic.tensorflow_serving import TensorFlowServing, open_serving, read_settings

SAVED_MODELS = Path(__file__).resolve().parents[2] / "goldens/saved_models"


@dataclass
class ServingBench:
    address: str
    config: Path
    folder: Path
    stand_in: ServingStandIn | None
    versions: tuple[ServedVersion, ServedVersion, ServedVersion] = VERSIONS
    broken: ServedVersion = BROKEN

    def manager(self) -> TensorFlowServing:
        found = {"address": self.address, "config": str(self.config), "folder": str(self.folder)}
        return open_serving(from_data(found, "serving.yaml"), self.context())

    def context(self) -> ManagerContext:
        return ManagerContext("penguin", self.materialise, {}, time.time)

    def materialise(self, version: ServedVersion, folder: Path) -> None:
        draft = folder.parent / f".draft-{folder.name}"
        shutil.rmtree(draft, ignore_errors=True)
        if self.stand_in is None and version != self.broken:
            shutil.copytree(sorted(path for path in SAVED_MODELS.iterdir() if path.is_dir())[0], draft)
        else:
            draft.mkdir()
            (draft / "behaviour.json").write_text(json.dumps({"broken": version == self.broken}), "utf-8")
        draft.rename(folder)

    def send(self, count: int) -> dict[str, int] | None:
        if self.stand_in is None:
            return None
        client = Client(int(self.address.rpartition(":")[2]), "/v1/models/penguin/labels/stable:predict")
        client.send(count)
        client.close()
        assert not client.failures
        return {VERSIONS[number - 1].digest: answered for number, answered in client.answers.items()}

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServingBench]:
    real = os.environ.get("TFSERVING_ADDR")
    config = Path(os.environ["TFSERVING_CONFIG"]) if real else tmp_path / "models.config"
    folder = Path(os.environ["TFSERVING_FOLDER"]) if real else tmp_path / "models"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = ServingBench(real or "", config, folder, None)
    for stale in config.parent.glob(f"{config.name}.*.pedigree.json"):
        stale.unlink()
    text = serving_template(
        read_settings(
            from_data({"address": "http://x:1", "config": str(config), "folder": str(folder)}, "c"), made.context()
        )
    )
    config.write_text(text, "utf-8")
    if real is None:
        made.stand_in = ServingStandIn(config, folder)
        made.address = made.stand_in.address
    yield made
    if made.stand_in is not None:
        made.stand_in.stop()
        assert made.stand_in.refused == 0  # no label was ever asked for before its version was there


class TestTensorFlowServing(TrafficConformance):
    requests = 100
    effects = FILES


OTHER = """
# our other models
model_config_list: {
  config { name: "other" base_path: "/srv/{odd}" # a comment with a }
    model_version_policy { all {} } }
  config: {
    name: 'penguin', base_path: "/old"
  }
}
"""


def test_entries_of_other_models_stay_as_they_are() -> None:
    entry = ModelEntry("penguin", "/srv/penguin", (3, 4), {"stable": 3})
    after = with_entry(OTHER, entry, "penguin")
    assert 'name: "other" base_path: "/srv/{odd}" # a comment with a }\n    model_version_policy { all {} }' in after
    assert "/old" not in after
    assert 'version_labels { key: "stable" value: 3 }' in after
    assert with_entry(after, entry, "penguin") == after
    assert "penguin" not in with_entry(after, None, "penguin")


@pytest.mark.parametrize(
    "text", ["platform_config_map {}", "model_config_list { config {", "model_config_list { x: 1 }", "}"]
)
def test_a_config_file_that_would_lose_something_is_refused(text: str) -> None:
    with pytest.raises(ConflictError, match="cannot|can be"):
        with_entry(text, ModelEntry("penguin", "/srv", (1,), {}), "penguin")


def test_another_model_of_the_server_is_not_unloaded(bench: ServingBench) -> None:
    bench.config.write_text(
        'model_config_list {\n  config {\n    name: "other"\n    base_path: "/x"\n  }\n}\n', "utf-8"
    )
    manager = bench.manager()
    prepared(manager, VERSIONS[0], bench)
    manager.apply(WantedRoutes.all_to(VERSIONS[0].digest), epoch=1)
    assert 'name: "other"' in bench.config.read_text("utf-8")


def test_a_version_is_not_labelled_before_it_is_available(bench: ServingBench) -> None:
    manager = bench.manager()
    prepared(manager, VERSIONS[0], bench)
    first = WantedRoutes.all_to(VERSIONS[0].digest)
    manager.apply(first, epoch=1)
    settled(manager, first, bench)
    if manager.prepare(VERSIONS[1]).readiness is not Readiness.READY:
        with pytest.raises(ConflictError, match="takes no traffic"):
            manager.apply(WantedRoutes.all_to(VERSIONS[1].digest, VERSIONS[0].digest), epoch=1)
    assert manager.observe().serving == VERSIONS[0].digest


def test_a_version_to_which_the_label_still_points_is_not_unloaded(bench: ServingBench) -> None:
    """The file asks for another one already, and the server has not read it yet."""
    manager = bench.manager()
    for version in VERSIONS[:2]:
        prepared(manager, version, bench)
        manager.apply(WantedRoutes.all_to(version.digest), epoch=1)
        settled(manager, WantedRoutes.all_to(version.digest), bench)
    prepared(manager, VERSIONS[0], bench)
    if bench.stand_in is not None:
        bench.stand_in.asleep = True
    manager.apply(WantedRoutes.all_to(VERSIONS[0].digest, VERSIONS[1].digest), epoch=1)
    for version in VERSIONS[:2]:
        with pytest.raises(ConflictError):
            manager.retire(version.digest)
