"""What an installation says of itself, and that it says so when something is wrong."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from tfx_pedigree import self_check
from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.self_check import UnsoundError, differing, pins

LOCK = """\
# A comment with a==1 in it
click==8.1.8 \\
    --hash=sha256:00
numpy==1.26.4 ; python_full_version < '3.11' \\
    --hash=sha256:11
numpy==2.3.5 ; python_full_version >= '3.11' \\
    --hash=sha256:22
Typing_Extensions==4.15.0 \\
    --hash=sha256:33
"""


def test_a_lock_says_which_versions_may_be_there_and_which_packages_may_be_missing() -> None:
    assert pins(LOCK) == {
        "click": ({"8.1.8"}, False),
        "numpy": ({"1.26.4", "2.3.5"}, True),
        "typing-extensions": ({"4.15.0"}, False),
    }


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ({"click": "8.1.8", "numpy": "2.3.5", "typing-extensions": "4.15.0"}, []),
        ({"click": "8.1.8", "typing-extensions": "4.15.0", "more": "1"}, []),
        ({"click": "8.2.0", "typing-extensions": "4.15.0"}, ["click is 8.2.0, the lock has 8.1.8"]),
        ({"click": "8.1.8"}, ["typing-extensions 4.15.0 is missing"]),
    ],
)
def test_a_package_of_another_version_and_a_missing_one_are_named(installed: dict[str, str], said: list[str]) -> None:
    assert differing(pins(LOCK), installed) == said


def test_packages_are_compared_with_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    version = importlib.metadata.version("click")
    lock.write_text(f"click=={version} \\\n")
    assert self_check.check_packages(lock) == f"1 as in {lock}"
    lock.write_text("click==0.0.1 \\\n")
    with pytest.raises(UnsoundError, match=f"click is {version}, the lock has 0.0.1"):
        self_check.check_packages(lock)
    lock.write_text("")
    with pytest.raises(UnsoundError, match="pins nothing"):
        self_check.check_packages(lock)


def test_a_registry_can_be_made_here() -> None:
    assert "made and opened on SQLite 3" in self_check.check_registry()


def test_a_server_can_be_started_here_and_a_package_that_it_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "can be started, with uvicorn" in self_check.check_server()
    monkeypatch.setitem(sys.modules, "uvloop", None)
    said: list[str] = []
    assert not self_check.run({"server": self_check.check_server}, said.append)
    assert "FAILED" in said[0]
    assert "uvloop" in said[0]


def test_whoever_could_change_the_packages_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(self_check.sysconfig, "get_path", lambda _name: str(tmp_path))
    monkeypatch.setattr(self_check.os, "geteuid", lambda: 10001)
    with pytest.raises(UnsoundError, match=f"user 10001 can change the installed packages in {tmp_path}"):
        self_check.check_user()
    monkeypatch.setattr(self_check.os, "geteuid", lambda: 0)
    with pytest.raises(UnsoundError, match="runs as root"):
        self_check.check_user()


def test_everything_is_checked_whatever_fails_first() -> None:
    def bad() -> str:
        raise UnavailableError("nothing is there")

    said: list[str] = []
    assert not self_check.run({"one": bad, "two": lambda: "fine"}, said.append)
    assert said == ["FAILED  one           nothing is there", "ok      two           fine"]
    assert self_check.run({"two": lambda: "fine"}, said.append)


@pytest.mark.system
def test_the_exit_code_says_whether_all_is_well(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("click==0.0.1 \\\n")
    code = (
        "import sys; from tfx_pedigree import self_check as s; s.importlib.util.find_spec = lambda _: None; "
        "sys.exit(s.main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(lock)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Pedigree ")
    assert [line.split()[1] for line in lines[1:]] == ["python", "user", "packages", "registry"]
    assert "click is" in done.stdout
