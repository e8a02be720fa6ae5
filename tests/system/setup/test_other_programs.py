"""Programs of others in build/programs/: fetched once, and what cannot be had is said."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import installers
import other_programs
import pytest


@dataclasses.dataclass(frozen=True)
class Given:
    """A recipe that writes its text into a program, and fails where there is none."""

    text: str
    programs: tuple[str, ...] = ("tool",)

    def made_from(self, name: str) -> str:
        return self.text

    def provide(self, name: str, python: str, work: Path) -> None:
        if not self.text:
            raise other_programs.NotHereError("the archive does not answer.")
        (work / "tool").write_text(self.text, "utf-8")
        (work / "tool").chmod(0o755)
        (work / f"{name}.d").mkdir()


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(other_programs, "PROGRAMS", tmp_path)
    return []


def provide(monkeypatch: pytest.MonkeyPatch, text: str, said: list[str]) -> bool:
    monkeypatch.setattr(other_programs, "RECIPES", {"tool": Given(text)})
    said.clear()
    return other_programs.provide_all(["tool"], "python", said.append)


def test_a_program_is_fetched_once_and_again_when_its_recipe_changes(
    said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert provide(monkeypatch, "one", said)
    assert len(said) == 1
    assert provide(monkeypatch, "one", said)
    assert said == []
    assert provide(monkeypatch, "two", said)
    assert (tmp_path / "tool").read_text("utf-8") == "two"
    (tmp_path / "tool").unlink()
    assert provide(monkeypatch, "two", said)
    assert len(said) == 1


def test_a_program_that_cannot_be_had_is_said_and_not_taken_for_complete(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not provide(monkeypatch, "", said)
    assert said[-1] == (
        "No tool: the archive does not answer. The tests and demos that start it will fail; all else works."
    )
    assert not other_programs.is_complete("tool")


@dataclasses.dataclass(frozen=True)
class Waiting(Given):
    """A recipe that goes on only once the other one has begun too."""

    begun: threading.Barrier = dataclasses.field(default_factory=lambda: threading.Barrier(2))

    def provide(self, name: str, python: str, work: Path) -> None:
        self.begun.wait(timeout=60)
        (work / self.programs[0]).write_text(self.text, "utf-8")
        (work / self.programs[0]).chmod(0o755)


def test_programs_are_fetched_side_by_side(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    one = Waiting("one", ("one",))
    monkeypatch.setattr(other_programs, "RECIPES", {"one": one, "two": Waiting("two", ("two",), one.begun)})
    assert other_programs.provide_all(["one", "two"], "python", said.append)
    assert said == ["Fetching one, two into build/programs, for tests and demos."]


def test_where_uv_cannot_install_pip_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, variables = other_programs.Venv((("tool", "tool"),)), dict(os.environ)
    monkeypatch.setattr(installers, "ways", lambda *_: [(["false"], variables), (["true"], variables)])
    recipe.provide("mlflow", sys.executable, tmp_path)
    assert os.access(tmp_path / "tool", os.X_OK)
    monkeypatch.setattr(installers, "ways", lambda *_: [(["false"], variables), (["false"], variables)])
    with pytest.raises(other_programs.NotHereError, match="mlflow could not be installed"):
        recipe.provide("mlflow", sys.executable, tmp_path)


def test_libraries_of_unpacked_packages_are_found_in_folders_of_their_own_too(tmp_path: Path) -> None:
    """As pulseaudio's, which Debian 13's Chromium needs."""
    shared = f"usr/lib/{os.uname().machine}-linux-gnu"
    for file in ("libpulse.so.0", "pulseaudio/libpulsecommon-17.0.so", "gconv/gconv-modules", "dri/driver.so"):
        (tmp_path / shared / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / shared / file).touch()
    assert other_programs.library_folders(tmp_path) == [shared, f"{shared}/pulseaudio", "usr/lib"]


def test_every_wheel_is_pinned_by_its_hash() -> None:
    for name, recipe in other_programs.RECIPES.items():
        if isinstance(recipe, other_programs.Wheel):
            lock = (other_programs.ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
            assert lock.count("==") == lock.count("--hash=sha256:") == 1


def test_a_program_that_is_too_old_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "haproxy"
    old.write_text("#!/bin/sh\necho HAProxy version 2.2.9\n", "utf-8")
    old.chmod(0o755)
    recipe = other_programs.RECIPES["haproxy"]
    assert isinstance(recipe, other_programs.Debian)
    with pytest.raises(other_programs.NotHereError, match=r"not 2\.6 or newer"):
        recipe.check(old)


PYTHON = """\
#!/bin/sh
chrome="$PLAYWRIGHT_BROWSERS_PATH/chromium-1/chrome"
if [ "$3" = install ]; then
    {fetch}
else
    echo "$chrome"
fi
"""
FETCH = """\
mkdir -p "${chrome%/*}"
    printf '#!/bin/sh\\necho Google Chrome for Testing 159.0.1' >"$chrome"
    chmod +x "$chrome" """


@pytest.mark.parametrize("system", ["none", "a stub"])
@pytest.mark.parametrize("reached", [True, False], ids=["reached", "not reached"])
def test_playwrights_chromium_is_fetched_where_the_system_has_none_that_works(  # noqa: PLR0917
    system: str,
    reached: bool,
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ubuntu's chromium-browser only says that there is a snap."""
    path = tmp_path / "bin"
    path.mkdir()
    if system == "a stub":
        (path / "chromium-browser").write_text("#!/bin/sh\necho get the snap >&2; exit 1\n", "utf-8")
        (path / "chromium-browser").chmod(0o755)
    monkeypatch.setattr(other_programs, "PATH", str(path))
    monkeypatch.setattr(other_programs.shutil, "which", _only_in(path))
    python = tmp_path / "python"
    fetch = (
        FETCH if reached else "printf 'Error: no address for cdn.example.com\\n    at onexit (node:1)\\n' >&2; exit 1"
    )
    python.write_text(PYTHON.replace("{fetch}", fetch), "utf-8")
    python.chmod(0o755)
    assert other_programs.provide_all(["chromium"], str(python), said.append) is reached
    assert "fetching Playwright's own" in capsys.readouterr().err
    if reached:
        assert (tmp_path / "chromium").resolve() == tmp_path / "chromium.d/chromium-1/chrome"
        assert other_programs.is_complete("chromium")
        return
    assert not (tmp_path / "chromium").exists()
    assert "There is no apt-get here." in said[-1] and "its Chromium: Error: no address for cdn.example.com" in said[-1]
    assert "Install chromium, or set this up where there is a network." in said[-1]


def _only_in(path: Path) -> Callable[..., str | None]:
    return lambda name, **_: str(path / name) if (path / name).exists() else None
