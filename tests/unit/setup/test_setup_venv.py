"""When a venv counts as complete, and what a lock may contain."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import installers
import lock
import pytest
import setup_venv

ROOT = Path(__file__).resolve().parents[3]
LOCKS = sorted((ROOT / "requirements").glob("tfx-*.txt"))


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A complete one, made from lock b"lock" and project b"project"."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    stamp = {**setup_venv.wanted_stamp(tmp_path, b"lock", b"project"), "python": "/opt/python3.10"}
    (tmp_path / "stamp.json").write_text(json.dumps(stamp), "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("locked", "project", "python", "left"),
    [
        (b"lock", b"project", "", "nothing"),
        (b"lock", b"project", "/opt/python3.10", "nothing"),
        (b"lock", b"changed", "", "project"),
        (b"changed", b"project", "", "all"),
        (b"lock", b"project", "/opt/python3.11", "all"),
    ],
)
@pytest.mark.system
def test_only_what_changed_is_done_again(venv: Path, locked: bytes, project: bytes, python: str, left: str) -> None:
    wanted = setup_venv.wanted_stamp(venv, locked, project)
    assert setup_venv.what_is_left(venv, wanted, python) == left


def test_a_venv_without_a_stamp_is_not_complete(venv: Path) -> None:
    (venv / "stamp.json").unlink()
    assert setup_venv.what_is_left(venv, setup_venv.wanted_stamp(venv, b"lock", b"project"), "") == "all"


def test_a_moved_venv_is_not_complete(venv: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    moved = venv.rename(tmp_path_factory.mktemp("elsewhere") / "venv")
    assert setup_venv.what_is_left(moved, setup_venv.wanted_stamp(moved, b"lock", b"project"), "") == "all"


@pytest.mark.system
def test_a_venv_whose_python_is_gone_is_not_complete(venv: Path) -> None:
    (venv / "bin/python").unlink()
    (venv / "bin/python").symlink_to("/no/such/python")
    assert setup_venv.what_is_left(venv, setup_venv.wanted_stamp(venv, b"lock", b"project"), "") == "all"


def test_uv_goes_to_the_index_that_pip_is_told_of() -> None:
    listed = (
        ":env:.index-url='https://two.example/simple'\nglobal.cert='/ca.pem'\nglobal.index-url='https://one.example'\n"
    )
    settings = installers.pip_settings(listed)
    assert settings == {"index-url": "https://two.example/simple", "cert": "/ca.pem"}


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_has_hashes_and_names_no_place(path: Path) -> None:
    text = path.read_text("utf-8")
    entries = [entry for entry in text.split("\n") if entry and not entry.startswith(("#", " "))]
    assert entries
    assert [entry for entry in entries if not entry.endswith("\\")] == []
    assert lock.foreign(text) == []
    assert installers.subset(text, installers.NAMES).count("==") == len(installers.NAMES)


def test_both_lines_lint_with_the_same_tools() -> None:
    assert len(LOCKS) == 2
    first, second = (installers.subset(path.read_text("utf-8"), ("mypy", "ruff", "pytest")) for path in LOCKS)
    assert first == second


@pytest.mark.parametrize(
    ("row", "plain"),
    [
        (f"a==1 ; python_full_version < '3.14' and {lock.PLATFORM} \\", "a==1 \\"),
        (f"a==1 ; python_full_version < '3.11' and {lock.PLATFORM} \\", "a==1 ; python_full_version < '3.11' \\"),
        (
            "a==1 ; python_full_version < '3.11' or extra == 'b' \\",
            "a==1 ; python_full_version < '3.11' or extra == 'b' \\",
        ),
    ],
)
def test_markers_that_always_hold_are_left_away(row: str, plain: str) -> None:
    assert lock.plain("1.21", row) == plain


@pytest.mark.parametrize(
    "row",
    ["--index-url https://x.example/simple", "--find-links /opt/w", "a @ file:///opt/a.whl", "# -o /srv/lock.txt"],
)
def test_places_are_seen(row: str) -> None:
    assert lock.foreign(f"a==1 \\\n    --hash=sha256:00\n{row}\n") == [row]
