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
from tfx_pedigree.service.reproducing import package_index
from tfx_pedigree.service.reproducing.looking import interpreter_of
from tfx_pedigree.service.reproducing.package_index import Availability, Sources
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


def test_uv_finds_what_pip_is_configured_with(packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--check` asks pip's sources, so that is where the packages are; uv alone would ask its own."""
    uv = str(Path(sys.executable).with_name("uv"))
    monkeypatch.setattr(building.shutil, "which", lambda _: uv)
    monkeypatch.setenv("UV_DEFAULT_INDEX", tmp_path.joinpath("empty").as_uri())
    (tmp_path / "empty").mkdir()
    for name in ("UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX_STRATEGY"):
        monkeypatch.delenv(name, raising=False)
    for version in ("1.0", "1.1"):  # the version lies in the second of two indexes
        page = tmp_path / f"index-{version}" / "tiny" / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(f'<a href="{packages.as_uri()}/tiny-{version}-py3-none-any.whl">x</a>')
    indexes = " ".join((tmp_path / f"index-{version}").as_uri() for version in ("1.1", "1.0"))
    for told in ({"PIP_FIND_LINKS": str(packages)}, {"PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": indexes}):
        for name, value in {**told, "PIP_NO_INDEX": ""}.items():
            monkeypatch.setenv(name, value)
        place = tmp_path / f"environment-{len(told)}"
        building.build(place, Environment("3.10", {"tiny": "1.0"}), sys.executable, tmp_path / "log")
        assert next((place / "venv").rglob("tiny.py")).read_text() == "version = '1.0'\n"
        assert package_index.ask({"tiny": "1.0"}, Sources((), package_index.sources().folders)) == {
            "tiny": Availability.FOUND
        }


def test_what_went_wrong_is_the_line_that_says_it(tmp_path: Path) -> None:
    said = "error: Failed to inspect it.\n  cause: it ended\n\n  Note: Python versions\nto be found at the same time.\n"
    words = ["sh", "-c", f"printf '{said}' >&2; exit 2"]
    with pytest.raises(UnavailableError, match=r"^No: error: Failed to inspect it\. The full log is in"):
        building._run(words, tmp_path / "log", "No")


def test_interpreter_is_one_that_runs(tmp_path: Path) -> None:
    """pyenv puts a script on the PATH for each Python that it has, and most of them refuse."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyenv/versions/3.7.16/bin").mkdir(parents=True)
    for file, line in (("bin/python3.7", "exit 127"), ("pyenv/versions/3.7.16/bin/python3.7", "echo 3.7")):
        (tmp_path / file).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / file).chmod(0o755)
    environ = {"PATH": f":{tmp_path / 'bin'}", "PYENV_ROOT": str(tmp_path / "pyenv"), "UV_PYTHON_INSTALL_DIR": "/none"}
    assert interpreter_of("3.7", environ) == str(tmp_path / "pyenv/versions/3.7.16/bin/python3.7")
    (tmp_path / "bin/python3.7").write_text("#!/bin/sh\necho 3.7\n")
    assert interpreter_of("3.7", environ) == str(tmp_path / "bin/python3.7")
    assert interpreter_of("3.6", environ) is None


def test_variables_are_those_that_were_recorded_of_the_list_and_no_others() -> None:
    told = Environment(variables={"TZ": "UTC", "LD_PRELOAD": "/x.so", "OMP_NUM_THREADS": "1\0"})
    now = {"HOME": "/root", "TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONPATH": "/x"}
    assert building.variables(told, built=False, now=now) == {"HOME": "/root", "PYTHONPATH": "/x", "TZ": "UTC"}
    assert building.variables(told, built=True, now=now) == {"HOME": "/root", "TZ": "UTC"}
