"""`pipeline schedule` with the unmodified clients: one schedule, as the config says, whatever happens in between."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import grpc
import kubeflow_testing
import pytest
import vertex_testing
from asking_testing import Asking
from compiled_testing import kubeflow_pipeline, write_config
from kubeflow_testing import Kubeflow
from vertex_testing import VertexServer


@dataclass(frozen=True)
class Place:
    """A service and who asks it; both services alike, as far as a test is about both."""

    ask: Asking
    service: Any

    @property
    def schedules(self) -> list[Any]:
        return list((self.service.recurring if self.ask.kind == "kubeflow" else self.service.schedules).values())


@pytest.fixture(params=["kubeflow", "vertex"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    service = request.getfixturevalue(f"{request.param}_server").service
    yield Place(request.getfixturevalue(f"ask_{request.param}"), service)
    assert service.most_enabled <= 1, "two schedules were enabled at the same time"


def test_kubeflow_runs_it_one_at_a_time_and_catches_nothing_up(ask_kubeflow: Asking, kubeflow: Kubeflow) -> None:
    ask_kubeflow.schedule()

    (one,) = kubeflow.recurring.values()
    assert one["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert (one["max_concurrency"], one["no_catchup"], one["status"]) == ("1", True, "ENABLED")
    assert kubeflow_pipeline().digest in one["description"]


def test_vertex_runs_it_one_at_a_time_and_queues_nothing(ask_vertex: Asking, vertex_server: VertexServer) -> None:
    ask_vertex.schedule()

    (one,) = vertex_server.service.schedules.values()
    assert one.cron == "CRON_TZ=UTC 0 3 * * *"
    assert (one.max_concurrent_run_count, one.allow_queueing) == (1, False)
    assert one.create_pipeline_job_request.pipeline_job.labels["pedigree-schedule"] == "flight-delay"


def test_same_config_twice_changes_nothing(place: Place) -> None:
    place.ask.schedule()
    changes = list(place.service.changes)

    said = place.ask.schedule("hello", "--json").json

    assert said["changed"] is False
    assert place.service.changes == changes


def test_dry_run_shows_the_difference_and_changes_nothing(place: Place) -> None:
    place.ask.schedule()
    changes = list(place.service.changes)

    said = place.ask.schedule("other", "--dry-run", "--json", cron="0 5 * * mon-fri").json

    assert place.service.changes == changes
    assert [row["field"] for row in said["differences"]] == ["cron", "pipeline"]
    assert said["differences"][0]["new"].endswith("0 5 * * 1-5")
    assert said["steps"]
    shown = place.ask.schedule("other", "--dry-run", cron="0 5 * * mon-fri").out
    assert " → " in shown
    assert "\n  1. " in shown


def test_changed_pipeline_replaces_the_schedule(place: Place) -> None:
    place.ask.schedule()
    (before,) = place.schedules

    place.ask.schedule("other")

    (now,) = place.schedules
    assert now is not before
    assert len(place.service.enabled()) == 1


def test_changed_time_on_vertex_keeps_the_schedule(ask_vertex: Asking, vertex_server: VertexServer) -> None:
    ask_vertex.schedule()
    (name,) = vertex_server.service.schedules

    ask_vertex.schedule(cron="30 4 * * *")

    assert list(vertex_server.service.schedules) == [name]
    assert vertex_server.service.schedules[name].cron == "CRON_TZ=UTC 30 4 * * *"
    assert vertex_server.service.changes == ["CreateSchedule", "UpdateSchedule"]


def test_what_somebody_changed_by_hand_is_set_right(ask_vertex: Asking, vertex_server: VertexServer) -> None:
    ask_vertex.schedule()
    (one,) = vertex_server.service.schedules.values()
    one.cron, one.max_concurrent_run_count = "* * * * *", 5

    ask_vertex.schedule()

    (one,) = vertex_server.service.schedules.values()
    assert (one.cron, one.max_concurrent_run_count) == ("CRON_TZ=UTC 0 3 * * *", 1)


def test_recurring_run_that_somebody_made_by_hand_is_left_alone(ask_kubeflow: Asking, kubeflow: Kubeflow) -> None:
    ask_kubeflow.schedule()
    (ours,) = kubeflow.recurring.values()
    kubeflow.recurring["theirs"] = {**ours, "recurring_run_id": "theirs", "description": "flight-delay, by hand"}
    kubeflow.most_enabled = 0

    ask_kubeflow.schedule("other")
    ask_kubeflow("schedule", "delete")

    assert list(kubeflow.recurring) == ["theirs"]
    kubeflow.most_enabled = 0


def test_paused_schedule_stays_paused_until_it_is_resumed(place: Place) -> None:
    place.ask.schedule()
    assert place.ask("schedule", "pause", "--json").json["changed"] is True
    assert place.ask("schedule", "pause", "--json").json["changed"] is False

    place.ask.schedule()
    place.ask.schedule("other")
    assert len(place.schedules) == 1
    assert place.service.enabled() == []

    place.ask("schedule", "resume")
    assert len(place.service.enabled()) == 1
    assert place.ask("schedule", "resume", "--json").json["changed"] is False


def test_listed_schedule_tells_whether_it_runs(place: Place) -> None:
    assert place.ask("schedule", "list", "--json").json["items"] == []
    place.ask.schedule()

    (item,) = place.ask("schedule", "list", "--json").json["items"]

    assert (item["name"], item["enabled"]) == ("flight-delay", True)
    assert "flight-delay  runs" in place.ask("schedule", "list").out


def test_deleted_schedule_is_gone_and_its_runs_stay(place: Place) -> None:
    place.ask.schedule()
    place.service.occur()
    place.service.finish()

    place.ask("schedule", "delete")

    assert place.schedules == []
    assert len(place.service.runs if place.ask.kind == "kubeflow" else place.service.jobs) == 1
    assert (
        "no schedule flight-delay"
        in place.ask("schedule", "delete", "--name", "flight-delay", "--json", code=3).error["message"]
    )


def test_run_in_progress_on_kubeflow_survives_replacing_and_deleting(ask_kubeflow: Asking, kubeflow: Kubeflow) -> None:
    ask_kubeflow.schedule()
    kubeflow.occur()

    assert "still going" in ask_kubeflow.schedule("other").err
    assert len(kubeflow.enabled()) == 1
    kubeflow.occur()
    said = ask_kubeflow("schedule", "delete", "--json", code=4).error

    assert "--stop-runs" in said["message"]
    assert kubeflow.enabled() == []
    assert kubeflow.stopped == []
    kubeflow.finish()
    ask_kubeflow("schedule", "delete")
    assert kubeflow.recurring == {}


def test_occurrence_in_the_middle_of_a_replacement_is_run_once(ask_kubeflow: Asking, kubeflow: Kubeflow) -> None:
    ask_kubeflow.schedule()
    kubeflow.faults.append(kubeflow_testing.Fault(":disable", 503, times=100))
    ask_kubeflow.schedule("other", code=8)
    kubeflow.occur()
    kubeflow.finish()
    kubeflow.faults.clear()

    ask_kubeflow.schedule("other")
    kubeflow.finish()
    assert len(kubeflow.runs) == 1

    kubeflow.occur()
    assert len(kubeflow.runs) == 2
    assert len(kubeflow.enabled()) == 1


def test_occurrence_while_kubeflow_had_none_enabled_is_run_when_the_next_one_is(
    ask_kubeflow: Asking, kubeflow: Kubeflow
) -> None:
    ask_kubeflow.schedule()
    kubeflow.faults.append(kubeflow_testing.Fault(":enable", 503, times=100))
    ask_kubeflow.schedule("other", code=8)
    assert kubeflow.enabled() == []
    kubeflow.occur()
    kubeflow.faults.clear()

    ask_kubeflow.schedule("other")

    assert len(kubeflow.runs) == 1


def test_vertex_is_left_alone_close_to_an_occurrence(
    ask_vertex: Asking, vertex_server: VertexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait itself is not waited for here: that it comes first is what counts."""
    ask_vertex.schedule()
    service = vertex_server.service
    (one,) = service.schedules.values()
    one.next_run_time = datetime.now(timezone.utc) + timedelta(seconds=5)

    steps = ask_vertex.schedule("other", "--dry-run", "--json").json["steps"]

    assert steps[0].startswith("wait until the next occurrence")
    assert service.changes == ["CreateSchedule"]


def test_new_schedule_that_vertex_refuses_leaves_the_old_one_running(
    ask_vertex: Asking, vertex_server: VertexServer
) -> None:
    ask_vertex.schedule()
    (before,) = vertex_server.service.schedules
    fault = vertex_testing.Fault("CreateSchedule", grpc.StatusCode.RESOURCE_EXHAUSTED, times=100)
    vertex_server.service.faults.append(fault)

    ask_vertex.schedule("other", code=8)
    assert [one.name for one in vertex_server.service.enabled()] == [before]
    assert "replaced" not in vertex_server.service.schedules[before].display_name

    vertex_server.service.faults.clear()
    ask_vertex.schedule("other")
    assert len(vertex_server.service.schedules) == len(vertex_server.service.enabled()) == 1


@pytest.mark.parametrize("what", [503, "drop before", "drop after"])
@pytest.mark.parametrize("fits", ["POST /recurringruns$", ":disable", ":enable", "DELETE"])
def test_answer_that_is_lost_makes_no_second_schedule(
    fits: str, what: int | str, ask_kubeflow: Asking, kubeflow: Kubeflow
) -> None:
    ask_kubeflow.schedule()
    kubeflow.faults.append(kubeflow_testing.Fault(fits, what))

    ask_kubeflow.schedule("other")

    assert len(kubeflow.recurring) == len(kubeflow.enabled()) == 1
    assert kubeflow.most_enabled == 1


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("method", ["UpdateSchedule", "PauseSchedule", "CreateSchedule", "DeleteSchedule"])
def test_answer_of_vertex_that_is_lost_makes_no_second_schedule(
    method: str, after: bool, ask_vertex: Asking, vertex_server: VertexServer
) -> None:
    ask_vertex.schedule()
    service = vertex_server.service
    service.faults.append(vertex_testing.Fault(method, grpc.StatusCode.UNAVAILABLE, after=after))

    ask_vertex.schedule("other")

    assert len(service.schedules) == len(service.enabled()) == 1
    assert service.most_enabled == 1


_FORKING = """
import os, sys
import kfp.client
from google.cloud import aiplatform_v1
from tfx_pedigree.cli.main import cli

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        cli.main(line.split())
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Mortal:
    """Runs `pedigree` in processes that can be killed. They are forked from one that has loaded the clients, which is
    what takes time."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", _FORKING]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, env=dict(os.environ), text=True, **pipes)

    def killed_after(self, place: Place, changes: int, message: str) -> int:
        """Applies the schedule, and is killed (SIGKILL) when the service has carried out so many changes."""
        config = write_config(place.ask.folder, place.ask.kind, "0 3 * * *", **place.ask.service)
        words = ["--config", config, "pipeline", "schedule", "--compiled", place.ask.compiled(message)]
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        pids: queue.Queue[int] = queue.Queue()
        place.service.kill_after = (len(place.service.changes) + changes, pids.get)
        stdin.write(" ".join(map(str, words)) + "\n")
        stdin.flush()
        pids.put(int(stdout.readline()))
        ended = int(stdout.readline())
        place.service.kill_after = None
        return ended

    def close(self) -> None:
        self._process.communicate(timeout=30)


@pytest.fixture
def mortal(place: Place) -> Iterator[Mortal]:
    """Made after `place`, whose environment it needs."""
    made = Mortal()
    yield made
    made.close()


@pytest.mark.system
def test_process_that_is_killed_after_any_change_is_healed_by_the_next(place: Place, mortal: Mortal) -> None:
    """Four changes replace a schedule on either service. On Kubeflow the upload of the version comes before them."""
    place.ask.schedule("first")
    changes = 5 if place.ask.kind == "kubeflow" else 4
    for killed in range(1, changes + 1):
        message = f"pipeline-{killed}"
        assert mortal.killed_after(place, killed, message) == -9
        assert place.schedules, "the last schedule was deleted"

        place.ask.schedule(message)

        assert len(place.schedules) == len(place.service.enabled()) == 1
        assert place.ask.schedule(message, "--json").json["changed"] is False


@pytest.mark.parametrize(
    ("cron", "told"),
    [
        ("0 0 3 * * *", "Leave out the seconds"),
        ("0 3 * *", "4 fields"),
        ("61 3 * * *", "not a minute"),
        ("0 3 * * funday", "not a day of the week"),
        (None, "target.schedule.cron"),
    ],
)
def test_cron_expression_that_cannot_be_meant_is_refused_before_anything_is_asked(
    cron: str | None, told: str, ask_kubeflow: Asking, kubeflow: Kubeflow
) -> None:
    assert told in ask_kubeflow.schedule("hello", "--json", cron=cron, code=2).error["message"]
    assert kubeflow.log == []


def test_timezone_that_kubeflow_would_ignore_is_refused(ask_kubeflow: Asking) -> None:
    config = write_config(ask_kubeflow.folder, "kubeflow", **ask_kubeflow.service)
    config.write_text(config.read_text().replace('"schedule": {', '"schedule": {"timezone": "Europe/Zurich", '))

    said = ask_kubeflow.pedigree(
        "--config", config, "pipeline", "schedule", "--compiled", ask_kubeflow.compiled(), "--json", code=2
    )

    assert "CRON_SCHEDULE_TIMEZONE" in said.error["message"]


@pytest.mark.parametrize("kind", ["kubeflow", "vertex"])
@pytest.mark.system
def test_these_commands_never_load_tensorflow(kind: str, request: pytest.FixtureRequest) -> None:
    ask: Asking = request.getfixturevalue(f"ask_{kind}")
    config = write_config(ask.folder, kind, "0 3 * * *", **ask.service)
    code = (
        "import contextlib, sys\n"
        "from tfx_pedigree.cli.main import cli\n"
        "for command in ('schedule', 'submit'):\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        cli.main(['--config', sys.argv[1], 'pipeline', command, '--compiled', sys.argv[2]])\n"
        "heavy = [name for name in ('tensorflow', 'tfx', 'apache_beam') if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    command = [sys.executable, "-c", code, str(config), str(ask.compiled())]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert "is in place" in done.stdout
    assert "is started" in done.stdout


def test_schedule_of_a_pipeline_whose_name_the_environment_fills_in(
    ask_kubeflow: Asking, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in the settings may be a name for something else: what was compiled says what the pipeline is."""
    monkeypatch.setenv("MODEL", "flight-delay")
    config = write_config(ask_kubeflow.folder, "kubeflow", **ask_kubeflow.service)
    whole = json.loads(config.read_text())
    whole["pipeline"]["settings"] = {"name": "${MODEL}"}
    config.write_text(json.dumps(whole))
    words = ("--config", config, "pipeline", "schedule")

    ask_kubeflow.pedigree(*words, "--compiled", ask_kubeflow.compiled())
    ask_kubeflow.pedigree(*words, "pause")

    assert [one["status"] for one in kubeflow.recurring.values()] == ["DISABLED"]


def test_what_can_be_no_job_of_vertex_is_refused_before_the_old_schedule_is_touched(
    ask_vertex: Asking, vertex_server: VertexServer
) -> None:
    ask_vertex.schedule()
    before = list(vertex_server.service.changes)
    rootless = json.loads(ask_vertex.compiled("other").read_text())
    rootless["runtimeConfig"] = {}
    file = ask_vertex.folder / "rootless.json"
    file.write_text(json.dumps(rootless))

    for words in (("schedule",), ("schedule", "--dry-run"), ("submit", "--dry-run")):
        said = ask_vertex(*words, "--compiled", file, "--json", code=2)
        assert "does not say where its artifacts lie" in said.error["message"]
    assert vertex_server.service.changes == before
