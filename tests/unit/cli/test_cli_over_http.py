"""The same commands say and do the same, whether the registry is here or on a server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_testing import MODELS, Pedigree, Said, Ticking

from server_testing import Switch
from tfx_pedigree.registry import Registry

_TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+Z?)?)?|in 0\.\d s")
TOKEN, EVE = {"PEDIGREE_TOKEN": "mia"}, {"PEDIGREE_TOKEN": "eve"}
# Each with its exit code. What moves something is told apart by what comes after it.
COMMANDS: list[tuple[int, str]] = [
    (0, "models"),
    (0, "models --json"),
    (0, "versions flight-delay --limit 2"),
    (0, "show flight-delay@champion"),
    (0, "show flight-delay@canary --json"),
    (0, "search flight-delay metric.auc>=0.9 state!=archived"),
    (0, "compare flight-delay@canary"),
    (0, "history flight-delay"),
    (0, "at flight-delay 2027-01-01"),
    (0, "evidence show flight-delay@canary"),
    (0, "explain flight-delay@champion"),
    (0, "diff flight-delay@1.0.0 flight-delay@1.0.1"),
    (0, "lineage flight-delay@champion"),
    (0, "lineage flight-delay@champion --format jsonl"),
    (0, "impact flight-delay@1.0.0"),
    (0, "verify flight-delay"),
    (0, "verify"),
    (0, "audit verify"),
    (0, "roles list"),
    (0, f"register flight-delay {MODELS / 'keras_deeper'} --metric auc=0.95 --tag team=ops"),
    (0, f"register flight-delay {MODELS / 'keras_deeper'} --metric auc=0.95 --tag team=ops"),
    (0, "tag flight-delay@latest reviewed=yes"),
    (0, "describe flight-delay"),
    (0, "describe flight-delay --text words --reason asked"),
    (0, "describe flight-delay --text words"),
    (0, "describe flight-delay"),
    (2, "describe flight-delay --reason asked"),
    (3, "describe flight-dellay --text words"),
    (0, "alias set shadow flight-delay@latest"),
    (0, "alias list flight-delay"),
    (0, "alias remove flight-delay shadow"),
    (0, "promote flight-delay@latest --to staging"),
    (1, "promote flight-delay@canary --dry-run"),
    (4, "promote flight-delay@canary"),
    (5, "promote flight-delay@latest --expect 1.0.0"),
    (0, "promote flight-delay@latest --override --reason measured"),
    (0, "rollback flight-delay --reason slow"),
    (0, "archive flight-delay@1.0.0 --reason old"),
    (0, "restore flight-delay@1.0.0"),
    (0, "pull flight-delay@champion TARGET"),
    (0, "roles grant bob reviewer --model flight-delay"),
    (0, "history flight-delay --json"),
    (0, "show flight-delay@champion --json"),
    (2, "show flight-delay@"),
    (3, "show other@1.0.0"),
    (3, "promote flight-delay@9.9.9"),
    (3, "show flight-delay@no --json"),
]


class Side:
    """One registry with its own place for files."""

    def __init__(self, pedigree: Pedigree, place: Path, **environ: str | None) -> None:
        self._pedigree, self._place, self._environ = pedigree, place, environ
        place.mkdir()

    def __call__(self, command: str, code: int) -> Said:
        words = command.replace("TARGET", str(self._place / "target")).split()
        return self._pedigree(*words, code=code, **self._environ)

    def told(self, command: str, code: int) -> tuple[str, str]:
        said = self(command, code)
        out, err = (_TIMES.sub("TIME", text.replace(str(self._place), "PLACE")) for text in (said.out, said.err))
        return re.sub(r'"(hash|previous)": "sha256:\w+"', r'"\1": "…"', out), err


@pytest.fixture
def near(told: Path, tmp_path: Path) -> Side:
    folder = shutil.copytree(told / "registry", tmp_path / "near_registry")
    return Side(Pedigree(folder), tmp_path / "near")


@pytest.fixture
def far(told: Path, tmp_path: Path, switch: Switch) -> Iterator[Side]:
    folder = shutil.copytree(told / "registry", tmp_path / "far_registry")
    registry = Registry.open(folder, actor="server", clock=Ticking())
    with switch.registry(registry, str(folder)) as at:
        yield Side(Pedigree(at), tmp_path / "far", **TOKEN, PEDIGREE_ACTOR=None)


def test_every_command_says_and_does_the_same(near: Side, far: Side) -> None:
    for code, command in COMMANDS:
        assert far.told(command, code) == near.told(command, code), command
    pulled = [
        {str(path.relative_to(side._place)): path.read_bytes() for path in side._place.rglob("*") if path.is_file()}
        for side in (near, far)
    ]
    assert pulled[0] == pulled[1] != {}


@pytest.mark.parametrize("command", ["gc", "export flight-delay TARGET", "import TARGET", "init"])
def test_what_needs_the_database_says_where_to_do_it(far: Side, command: str) -> None:
    said = far(command, 2)
    assert "is a server" in said.err
    assert "where the server runs" in said.err


def test_who_acts_is_not_for_the_caller_to_say(far: Side) -> None:
    assert "is whom the token in PEDIGREE_TOKEN says" in far("--actor eve models", 2).err
    assert "PEDIGREE_ACTOR names 'eve'" in far._pedigree("models", code=2, **TOKEN, actor="eve").err


def test_a_refused_role_has_its_exit_code_and_stands_in_the_log(far: Side, tmp_path: Path) -> None:
    said = far._pedigree("rollback", "flight-delay", "--reason", "x", code=6, **EVE, PEDIGREE_ACTOR=None)
    assert "eve may not roll back on flight-delay" in said.err
    assert "refuse" in far("history flight-delay", 0).out


def test_a_token_that_is_missing_is_asked_for(far: Side) -> None:
    said = far._pedigree("models", code=6, PEDIGREE_TOKEN=None, PEDIGREE_ACTOR=None)
    assert "environment variable PEDIGREE_TOKEN" in said.err
