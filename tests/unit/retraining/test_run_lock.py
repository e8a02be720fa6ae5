"""The lock itself; what it does for killed commands and orphaned pipelines is tested with the command line."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.retraining.lock import BusyError, held, lock_file


def test_lock_lies_beside_a_registry_in_files_and_else_beside_the_log(tmp_path: Path) -> None:
    log = str(tmp_path / "logs" / "run.log")
    assert lock_file("m", str(tmp_path / "registry"), log) == tmp_path / "registry/runs/m.lock"
    assert lock_file("m", f"sqlite:///{tmp_path}/a/r.db", log) == tmp_path / "a/runs/m.lock"
    for server in ("postgresql://host/db", "https://pedigree.example.com"):
        assert lock_file("m", server, log) == tmp_path / "logs/runs/m.lock"


def test_second_holder_is_told_what_runs_since_when_and_by_whom(tmp_path: Path) -> None:
    path = tmp_path / "runs/m.lock"
    with held(path, "the training"), pytest.raises(BusyError) as busy, held(path, "another"):
        pass
    assert str(busy.value).startswith("the training is running since 20")
    assert f"process {os.getpid()} holds {path}" in str(busy.value)
    assert f"Call again when it has ended, or stop it with `kill {os.getpid()}`." in str(busy.value)
    with held(path, "another"):
        pass


def test_holder_on_another_machine_is_named_with_it_and_not_looked_for_here(tmp_path: Path) -> None:
    """A disk that two hosts share, or two containers: the number of a process there may be anybody's here."""
    path = tmp_path / "m.lock"
    with held(path, "the training"):
        signed = {**json.loads(path.read_text()), "host": "elsewhere", "pid": 2**22 + 1}
        path.write_text(json.dumps(signed))
        with pytest.raises(BusyError, match=r"process 4194305 on elsewhere holds .* or stop it there\."):
            held(path, "another").__enter__()


def test_name_that_is_no_model_locks_a_file_in_the_same_folder(tmp_path: Path) -> None:
    log = str(tmp_path / "run.log")
    assert lock_file("../My pipeline", str(tmp_path), log) == tmp_path / "runs/..%2FMy%20pipeline.lock"


def test_lock_that_nobody_signed_yet_is_a_lock_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "m.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="has just taken the lock"), held(path, "the training"):
            pass


@pytest.mark.system
def test_whoever_inherits_the_descriptor_holds_the_lock_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "m.lock"
    with held(path, "the training") as descriptor:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(descriptor,))
        # This process opens a file as well; only the one that inherits the descriptor keeps the lock.
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with pytest.raises(BusyError), held(path, "another"):
        pass
    child.communicate(b"\n")
    with held(path, "another"):
        pass
    other.communicate(b"\n")


def test_place_where_no_lock_can_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    with (
        pytest.raises(UnavailableError, match=r"cannot be made: .*\. Nothing was run\. Give the user"),
        held(tmp_path / "runs/m.lock", "the training"),
    ):
        pass
