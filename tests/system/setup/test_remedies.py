"""What the set-up gets itself where something is missing, and that it leaves the rest to a person."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import choose_stack
import pytest
import remedies
import setup_venv
from choose_stack import LIGHT, LINES, Choice, Host, Interpreter, NoLineFitsError

ONE_16 = LINES[1]


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


class FakeUv:
    """Stands where the real one would be installed; writes down how it is called."""

    def __init__(self, root: Path, then: str) -> None:
        self.log = root / "uv.log"
        script(root / "build/uv/bin/uv", f'echo "$@" >> {self.log}\n{then}')

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that may be changed, on a machine of Debian 12 that has no Python but its own 3.11."""
    monkeypatch.setattr(remedies, "UV", tmp_path / "build/uv")
    monkeypatch.setattr(choose_stack, "FETCHED", tmp_path / "build/python")
    debian = Interpreter("/usr/bin/python3.11", (3, 11, 2))

    def probe(python: str = "") -> Host:
        fetched = (tmp_path / "build/python").glob("*/bin/python3.*")
        found = [Interpreter(str(one), (3, int(one.name.split(".")[1]), 0)) for one in fetched]
        return Host((debian, *found), (2, 36))

    monkeypatch.setattr(choose_stack, "probe", probe)
    return tmp_path


def test_a_python_that_no_line_finds_is_fetched_in_its_pinned_version_and_taken(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = root / f"build/python/cpython-{ONE_16.fetched_python}-linux-x86_64-gnu/bin/python3.10"
    uv = FakeUv(root, f"mkdir -p {python.parent} && touch {python}")
    choice = setup_venv.chosen("", "")
    assert (choice.line, choice.interpreter.path) == (ONE_16, str(python))
    folder = root / "build/python"
    assert uv.calls() == [f"python install --no-bin --install-dir {folder} {ONE_16.fetched_python}"]
    said = capsys.readouterr().err
    assert f"No Python 3.10 here: uv fetches Python {ONE_16.fetched_python} into build/python" in said


def test_where_it_cannot_be_fetched_the_advice_follows(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    FakeUv(root, "echo 'dns error' >&2; exit 2")
    with pytest.raises(NoLineFitsError, match="needs Python 3.10;.*pyenv install 3.10"):
        setup_venv.chosen("", "")
    assert "uv could not fetch it here" in capsys.readouterr().err


@pytest.mark.parametrize(("stack", "python"), [("", "/usr/bin/python3.11"), ("1.21", ""), ("1.17", "")])
def test_nothing_is_fetched_where_that_would_not_help(root: Path, stack: str, python: str) -> None:
    """A Python was named, the C library is too old, there is no such line."""
    uv = FakeUv(root, "exit 0")
    with pytest.raises(NoLineFitsError):
        setup_venv.chosen(stack, python)
    assert uv.calls() == []


def test_the_light_part_takes_any_python_and_fetches_none(root: Path) -> None:
    uv = FakeUv(root, "exit 0")
    choice = setup_venv.chosen("light", "")
    assert (choice.line, choice.interpreter.version[:2]) == (LIGHT, (3, 11))
    assert choice.reason == "Light part: no TFX needed; Python 3.11.2 at /usr/bin/python3.11"
    assert uv.calls() == []


def fake_apt(folder: Path, monkeypatch: pytest.MonkeyPatch, then: str, user: int = 0) -> Path:
    log = folder / "apt.log"
    script(folder / "bin/apt-get", f'echo "$@" >> {log}\n{then}')
    monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    return log


@pytest.mark.parametrize(("user", "works"), [(0, True), (1000, False)])
def test_packages_are_installed_by_root_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, works: bool
) -> None:
    log = fake_apt(tmp_path, monkeypatch, "exit 0", user)
    said: list[str] = []
    assert remedies.install_packages(["g++"], said.append) is works
    assert log.exists() is works
    assert bool(said) is works


def test_old_package_lists_are_renewed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = fake_apt(
        tmp_path, monkeypatch, f"test -e {tmp_path}/updated && exit 0; [ $1 = update ] && touch {tmp_path}/updated"
    )
    assert remedies.install_packages(["g++"], [].append)
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["install", "update", "install"]


def test_a_missing_compiler_is_installed_or_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler is looked for again afterwards: apt's word alone is not taken."""
    python = Interpreter(sys.executable, tuple(sys.version_info[:3]), has_headers=True)
    monkeypatch.setattr(choose_stack, "ask", lambda _: python)
    real = setup_venv.shutil.which
    monkeypatch.setattr(
        setup_venv.shutil, "which", lambda name: real(name) if name == "apt-get" else _present(tmp_path / name)
    )
    fake_apt(tmp_path, monkeypatch, f"[ $1 = install ] && touch {tmp_path}/g++")
    setup_venv.provide_build_tools(python)
    (tmp_path / "g++").unlink()
    fake_apt(tmp_path, monkeypatch, "exit 0")
    with pytest.raises(SystemExit, match=r"install a C\+\+ compiler \(Debian and Ubuntu: g\+\+\)"):
        setup_venv.provide_build_tools(python)


def _present(path: Path) -> str | None:
    return str(path) if path.exists() else None


def test_the_pinned_uv_knows_the_pythons_and_their_hashes() -> None:
    """Asked of the uv of this environment, which is that of the locks: nothing is fetched."""
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "python", "list", "--only-downloads", "--all-versions", "--output-format", "json"]
    known = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in (*LINES, LIGHT):
        assert f"cpython-{line.fetched_python}-linux-x86_64-gnu" in known


def test_choices_name_the_lock_they_are_made_from() -> None:
    requirements = Path(setup_venv.ROOT) / "requirements"
    assert all((requirements / line.lock).exists() for line in (*LINES, LIGHT))
    assert Choice(LIGHT, Interpreter("/usr/bin/python3.11", (3, 11, 2)), "").line.title == "light part"
