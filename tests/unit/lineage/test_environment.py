"""What is recorded of the place where a model was made: packages, processor, image, and only listed variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tfx_pedigree.lineage.node_factory import environment_node
from tfx_pedigree.service.versions import environment as capture

CPU = "processor\t: 0\nmodel name\t: Example CPU @ 2.00GHz\n\nprocessor\t: 1\nmodel name\t: Example CPU @ 2.00GHz\n"


def test_every_installed_package_is_there_under_one_spelling() -> None:
    found = capture.installed_packages()
    assert found["sqlalchemy"] == metadata.version("SQLAlchemy")
    assert "tfx-pedigree" in found
    assert list(found) == sorted(found)
    assert all(name == name.lower() and "_" not in name for name in found)


def test_what_a_package_brings_along_inside_itself_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """setuptools puts its own copies on the path of whoever imports it: then, and not before, they would be seen."""
    before = capture.installed_packages()
    info = tmp_path / "_vendor" / "inner-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: inner\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path / "_vendor"))
    assert capture.installed_packages() == before


def test_the_same_place_is_the_same_environment() -> None:
    assert environment_node(capture.environment()).key == environment_node(capture.environment()).key


def test_only_listed_variables_are_read_and_the_list_can_be_longer() -> None:
    environ = {"PYTHONHASHSEED": "0", "HOME": "/root", "SERVICE_TOKEN": "t0ken", "MY_FLAG": "1"}
    assert capture.environment(started=environ)["variables"] == {"PYTHONHASHSEED": "0"}
    assert capture.environment(variables=["MY_FLAG", "NOT_SET"], started=environ)["variables"] == {
        "MY_FLAG": "1",
        "PYTHONHASHSEED": "0",
    }


@pytest.mark.system
def test_what_a_library_sets_on_import_is_not_told_as_what_the_user_gave() -> None:
    code = (
        "import json, os; os.environ['TF_USE_LEGACY_KERAS'] = '1'; del os.environ['TZ']; "
        "from tfx_pedigree.service.versions.environment import environment; "
        "print(json.dumps({k: v for k, v in environment().items() if k.startswith('variables')}))"
    )
    given = {name: value for name, value in os.environ.items() if name not in capture.VARIABLES}
    given |= {"TZ": "UTC", "PYTHONHASHSEED": "7"}
    printed = subprocess.run([sys.executable, "-c", code], env=given, check=True, capture_output=True, text=True).stdout
    found = json.loads(printed)
    assert found["variables"] == {"TZ": "UTC", "PYTHONHASHSEED": "7"}
    assert found["variables_set_later"] == {"TF_USE_LEGACY_KERAS": "1", "TZ": None}


def test_where_the_system_keeps_no_environment_the_present_one_counts(tmp_path: Path) -> None:
    assert capture.environ_at_start(tmp_path / "none") is os.environ


@pytest.mark.parametrize(
    ("told", "environ", "image"),
    [
        ("trainer:1", {"PEDIGREE_CONTAINER_IMAGE": "trainer:2"}, "trainer:1"),
        (None, {"PEDIGREE_CONTAINER_IMAGE": "trainer:2"}, "trainer:2"),
        (None, {"PEDIGREE_CONTAINER_IMAGE": ""}, None),
        (None, {}, None),
    ],
)
def test_the_image_is_what_the_pipeline_or_the_image_itself_says(
    told: str | None, environ: dict[str, str], image: str | None
) -> None:
    assert capture.environment(told, started=environ)["image"] == image


def test_the_processor_is_named_and_counted(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPU)
    found = capture.cpu(tmp_path / "cpuinfo")
    assert found["model"] == "Example CPU @ 2.00GHz"
    assert found["count"] >= 1
    assert capture.cpu(tmp_path / "none")["count"] >= 1


def test_each_gpu_that_the_driver_shows_is_named(tmp_path: Path) -> None:
    for number, name in enumerate(("NVIDIA B", "NVIDIA A", "NVIDIA A")):
        folder = tmp_path / f"0000:0{number}:00.0"
        folder.mkdir()
        (folder / "information").write_text(f"Model: \t\t {name}\nIRQ:   \t\t 24\n")
    assert capture.accelerators(tmp_path) == ("NVIDIA A", "NVIDIA A", "NVIDIA B")
    assert capture.accelerators(tmp_path / "none") == ()


@pytest.mark.system
def test_looking_around_loads_no_tensorflow() -> None:
    code = (
        "import sys; from tfx_pedigree.service.versions.environment import environment; environment(); "
        "from tfx_pedigree.lineage import run_graph; sys.exit('tensorflow' in sys.modules or 'tfx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
