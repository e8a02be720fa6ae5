"""The command that a message names for what is missing installs it from where this install came from."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tfx_pedigree import extras
from tfx_pedigree.errors import UnavailableError

CHECKOUT = Path(extras.__file__).parents[2]


class Installed:
    """An install of which pip noted this."""

    def __init__(self, noted: str | None) -> None:
        self.noted = noted

    def from_name(self, name: str) -> Installed:
        if self.noted == "gone":
            raise PackageNotFoundError(name)
        return self

    def read_text(self, name: str) -> str | None:
        return self.noted


def command(monkeypatch: pytest.MonkeyPatch, noted: object, *wanted: str) -> list[str]:
    text = noted if noted is None or isinstance(noted, str) else json.dumps(noted)
    monkeypatch.setattr(extras, "Distribution", Installed(text))
    return shlex.split(extras.install_command(*wanted))


def test_from_a_checkout_it_names_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    noted = {"url": folder.as_uri(), "dir_info": {"editable": True}}
    assert command(monkeypatch, noted, "server", "sign") == ["pip", "install", f"{folder}[server,sign]"]


def test_from_a_wheel_it_names_the_wheel_while_that_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wheel = tmp_path / "tfx_pedigree-0.1.0-py3-none-any.whl"
    noted = {"url": wheel.as_uri(), "archive_info": {}}
    assert command(monkeypatch, noted, "s3") == ["pip", "install", "tfx-pedigree[s3]"]
    wheel.touch()
    assert command(monkeypatch, noted, "s3") == ["pip", "install", f"tfx-pedigree[s3] @ {wheel.as_uri()}"]


@pytest.mark.parametrize("noted", [None, "{}"])
def test_from_an_index_it_names_the_package(monkeypatch: pytest.MonkeyPatch, noted: object) -> None:
    assert command(monkeypatch, noted, "server") == ["pip", "install", "tfx-pedigree[server]"]


def test_from_a_repository_it_names_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    where = {"url": "https://example.com/pedigree.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}
    assert command(monkeypatch, where, "sign")[2] == (
        "tfx-pedigree[sign] @ git+https://example.com/pedigree.git@c0ffee"
    )


@pytest.mark.parametrize("noted", ["gone", "no JSON"])
def test_what_nobody_noted_is_a_checkout(monkeypatch: pytest.MonkeyPatch, noted: str) -> None:
    assert command(monkeypatch, noted, "server") == ["pip", "install", f"{CHECKOUT}[server]"]


def test_the_refusal_names_what_is_missing_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "Distribution", Installed(None))
    refused = extras.not_installed("The Vertex AI client is", "vertex")
    assert isinstance(refused, UnavailableError)
    assert str(refused) == ("The Vertex AI client is not installed here. Run: pip install 'tfx-pedigree[vertex]'")


@pytest.mark.system
def test_pip_takes_the_command_as_printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A small wheel of the same name, so that nothing has to be fetched."""
    source, about = tmp_path / "tfx_pedigree-0.1.0-py3-none-any.whl", "tfx_pedigree-0.1.0.dist-info"
    with zipfile.ZipFile(source, "w") as wheel:
        wheel.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: tfx-pedigree\nVersion: 0.1.0\nProvides-Extra: s3\n"
        )
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    words = command(monkeypatch, {"url": source.as_uri()}, "s3")
    there = ["--no-index", "--no-deps", "--target", str(tmp_path / "there")]
    subprocess.run([sys.executable, "-m", *words, *there], check=True, capture_output=True)
    assert (tmp_path / "there" / about).is_dir()
