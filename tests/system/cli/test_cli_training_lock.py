"""Of all that would train one model on one machine, one does: killed, called by hand or twice."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from retraining_cli_testing import Project

from tfx_pedigree.registry import Registry
from tfx_pedigree.retraining.lock import BusyError, held


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_free(lock: Path) -> bool:
    with contextlib.suppress(BusyError), held(lock, "a test"):
        return True
    return False


def test_lock_outlives_a_killed_command_as_long_as_its_pipeline_runs(project: Project) -> None:
    """kill -9 of the command leaves the pipeline at work: nobody begins beside it, and the span is run again after."""
    project.data(1)
    project.behave("hang 1")
    command = project.start("retrain")
    until(lambda: project.runs == [1])
    with Registry.open(project.folder / "registry", actor="ada") as registry:
        until(lambda: registry.newest_by_tag("m", "span"))
    busy = project("retrain").out
    assert "`pedigree pipeline retrain` of m is running since " in busy
    assert f"process {command.pid} holds" in busy
    command.send_signal(signal.SIGKILL)
    command.wait()
    orphaned = project("retrain", "--json").json
    assert (orphaned["outcome"], "and that outlived it" in orphaned["message"]) == ("busy", True)
    assert "outlived it" in project("backfill", "--from", 1, "--to", 1, code=4).err
    (project.folder / "run/go").touch()
    until(lambda: project("retrain", "--json").json["outcome"] == "ran")
    assert project.runs == [1, 1]
    assert project.notes() == [("started", 1), ("started", 1), ("finished", 1)]
    # The same bytes again: no second version.
    assert len(project.pedigree("versions", "m", "--json").json["items"]) == 1
    assert project.pedigree("audit", "verify", "--json").json["ok"]


def test_polite_kill_ends_the_pipeline_too_and_frees_the_lock(project: Project) -> None:
    project.data(1)
    project.behave("hang 1")
    command = project.start("retrain")
    until(lambda: project.runs == [1])
    command.send_signal(signal.SIGTERM)
    assert command.wait(20) == 130
    project.behave("")
    assert project("retrain", "--json").json["outcome"] == "ran"


def test_run_by_hand_and_retrain_never_train_at_once(project: Project) -> None:
    """Whichever comes first. `run` was asked for by a person: it ends with 4, and nothing has been changed."""
    project.data(1, 2)
    project.behave("hang 1")
    command = project.start("run", "--span", "1")
    until(lambda: project.runs == [1])
    busy = project("retrain", "--json").json
    assert (busy["outcome"], "`pedigree pipeline run` of m is running since " in busy["message"]) == ("busy", True)
    assert "pipeline run` of m is running" in project("backfill", "--from", 1, "--to", 2, code=4).err
    refused = project("run", "--span", 2, code=4).err
    assert f"process {command.pid} holds" in refused
    assert f"Nothing was run. Call again when it has ended, or stop it with `kill {command.pid}`." in refused
    assert json.loads(project("run", "--span", 2, "--json", code=4).err)["error"]["kind"] == "conflict"
    (project.folder / "run/go").touch()
    assert command.wait(20) == 0
    assert project.runs == [1]
    assert project("retrain", "--json").json["runs"][0]["span"] == 2
    (project.folder / "run/go").unlink()
    project.behave("hang 2")
    command = project.start("retrain", "--force", "now")
    until(lambda: project.runs == [1, 2, 2])
    before = project.notes()
    assert "`pedigree pipeline retrain` of m is running since " in project("run", "--span", 1, code=4).err
    assert project.notes() == before
    command.send_signal(signal.SIGTERM)
    assert command.wait(20) == 130


def test_run_that_is_killed_politely_ends_its_pipeline_and_after_kill_9_that_holds_the_lock(project: Project) -> None:
    project.behave("hang 1")
    for how, code in ((signal.SIGTERM, 130), (signal.SIGKILL, -9)):
        started = len(project.runs)
        command = project.start("run", "--span", "1")
        until(lambda: len(project.runs) > started)  # noqa: B023  it is called before the next turn
        command.send_signal(how)
        assert command.wait(20) == code
    assert "that outlived it" in project("run", "--span", 2, code=4).err
    (project.folder / "run/go").touch()
    until(lambda: is_free(project.folder / "registry/runs/m.lock"))


def test_of_two_at_once_one_trains_and_the_other_says_who_is_at_it(project: Project) -> None:
    project.data(1)
    project.behave("hang 1")
    commands = [project.start("retrain", "--json") for _ in range(2)]
    until(lambda: any(one.poll() is not None for one in commands))
    (project.folder / "run/go").touch()
    said = [one.communicate(timeout=20)[0] for one in commands]
    assert [one.returncode for one in commands] == [0, 0]
    assert sorted('"busy"' in one for one in said) == [False, True]
    assert project.runs == [1]


# On a service
