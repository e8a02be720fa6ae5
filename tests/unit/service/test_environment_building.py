"""An environment at exact versions, built for real from a folder of packages; and the refusal where that cannot be."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tfx_pedigree
from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.service.reproducing import environment_building as building
from tfx_pedigree.service.reproducing.recorded import Environment


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two versions of one package, and nothing else that pip could reach."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for version in ("1.0", "1.1"):
        info = f"tiny-{version}.dist-info"
        with zipfile.ZipFile(folder / f"tiny-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr("tiny.py", f"version = {version!r}\n")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "EXTRA_INDEX_URL": "", "CONSTRAINT": ""}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setattr(building.shutil, "which", lambda _: None)
    # What it imports needs packages of TFX, which nobody builds in a test.
    monkeypatch.setattr(building, "_RUNNER", "tfx_pedigree.errors")
    monkeypatch.setattr(building, "_NEEDED", {"tiny": "tiny"})
    return folder


def test_environment_has_the_recorded_versions_and_this_pedigree(packages: Path, tmp_path: Path) -> None:
    place, log = tmp_path / "environment", tmp_path / "log"
    building.build(place, Environment("3.10", {"tiny": "1.0", "tfx-pedigree": "0.0.1"}), sys.executable, log)
    code = "import tiny, tfx_pedigree, sys; print(tiny.version, tfx_pedigree.__file__, sys.prefix)"
    environ = building.variables(Environment(), built=True)
    said = subprocess.run(
        [building.python_of(place), "-c", code], capture_output=True, text=True, check=True, env=environ
    ).stdout.split()
    assert said[0] == "1.0"
    assert Path(said[1]).resolve() == Path(tfx_pedigree.__file__).resolve()
    assert Path(said[2]) == place / "venv"
    assert "tiny" in log.read_text()
    install = [sys.executable, "-m", "pip", "download", "--no-deps", "tiny==1.2"]
    with pytest.raises(UnavailableError, match=r"No packages: .*tiny==1\.2.*full log is in"):
        building._run(install, log, "No packages")


def test_variables_are_those_that_were_recorded_of_the_list_and_no_others() -> None:
    told = Environment(variables={"TZ": "UTC", "LD_PRELOAD": "/x.so", "OMP_NUM_THREADS": "1\0"})
    now = {"HOME": "/root", "TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONPATH": "/x"}
    assert building.variables(told, built=False, now=now) == {"HOME": "/root", "PYTHONPATH": "/x", "TZ": "UTC"}
    assert building.variables(told, built=True, now=now) == {"HOME": "/root", "TZ": "UTC"}
