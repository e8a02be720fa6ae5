"""One story, told once for all tests: flight-delay has three versions; the second one replaced the first."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pipeline_child
import pytest
from cli_testing import MODELS, Pedigree, evidence, write_json
from retraining_cli_testing import Project

from tfx_pedigree.service.pipelines import tfx_process


@pytest.fixture(autouse=True, scope="session")
def own_terminal() -> Iterator[None]:
    """What a build server or a person sets for a terminal of theirs does not reach the commands that are tested."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    pedigree = Pedigree(folder / "registry")
    pedigree("init")
    first = pedigree(
        *("register", "flight-delay", MODELS / "keras", "--metric", "auc=0.9", "--metric", "loss=0.31"),
        *("--param", "learning_rate=0.01", "--param", "optimizer=adam", "--tag", "team=ops", "--json"),
    ).json["version"]
    pedigree("promote", "flight-delay@1.0.0")
    second = pedigree(
        *("register", "flight-delay", MODELS / "keras_retrained", "--metric", "auc=0.918", "--metric", "loss=0.29"),
        *("--param", "learning_rate=0.01", "--param", "optimizer=adam", "--json"),
    ).json["version"]
    file = write_json(folder / "evidence.json", evidence(second["digest"], first["digest"]))
    pedigree("evidence", "attach", "flight-delay@1.0.1", file)
    pedigree("promote", "flight-delay@1.0.1")
    third = pedigree(
        *("register", "flight-delay", MODELS / "keras_wider", "--metric", "auc=0.9", "--metric", "rmse=12"),
        *("--param", "learning_rate=0.003", "--tag", "team=research", "--json"),
    ).json["version"]
    refused = evidence(third["digest"], second["digest"], "FAIL", "auc fell by 2 %, more than the 1 % allowed")
    pedigree("evidence", "attach", "flight-delay@latest", write_json(folder / "refused.json", refused))
    pedigree("alias", "set", "canary", "flight-delay@latest")
    return folder


@pytest.fixture
def registry(told: Path, tmp_path: Path) -> Path:
    """A copy of the story's registry, to be changed."""
    return Path(shutil.copytree(told / "registry", tmp_path / "registry"))


@pytest.fixture
def pedigree(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pedigree:
    monkeypatch.chdir(tmp_path)
    return Pedigree(registry)


@pytest.fixture
def reader(told: Path) -> Pedigree:
    """For commands that only look: no copy is needed."""
    return Pedigree(told / "registry")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """What this process starts is done in it, which is quicker; what `Project.start` starts are processes."""

    def start(module: str, order: dict[str, Any], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(module, pipeline_child.act(order))

    monkeypatch.setattr(tfx_process, "start", start)
    monkeypatch.setattr(tfx_process, "check_tfx", lambda: None)
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)
