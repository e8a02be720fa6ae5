"""`pipeline retrain` and `pipeline backfill`: what runs, in which order, what is written down, and what is said."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pipeline_child
import pytest
from retraining_cli_testing import Project

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.orchestration.ir import load_ir
from tfx_pedigree.orchestration.services.service import ServiceRun, UnansweredError
from tfx_pedigree.registry import Registry
from tfx_pedigree.retraining.drift import Feature, MeasuredDrift
from tfx_pedigree.retraining.lock import BusyError, held
from tfx_pedigree.service import tfx_process
from tfx_pedigree.service.local_pipeline import LocalPipeline
from tfx_pedigree.service.pipeline_target import PipelineTarget

COMPILED = load_ir(Path(__file__).parents[1] / "orchestration" / "goldens" / "small.kubeflow.yaml")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """What this process starts is done in it, which is quicker; what `Project.start` starts are processes."""

    def start(module: str, order: dict[str, Any], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(module, pipeline_child.act(order))

    monkeypatch.setattr(tfx_process, "start", start)
    monkeypatch.setattr(tfx_process, "check_tfx", lambda: None)
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_free(lock: Path) -> bool:
    with contextlib.suppress(BusyError), held(lock, "a test"):
        return True
    return False


def test_new_spans_are_caught_up_one_by_one_and_then_there_is_no_reason(project: Project) -> None:
    project.data(1)
    said = project("retrain")
    assert "m is trained on span 1: no version was trained yet." in said.out
    project.data(2, 3)
    said = project("retrain", "--json").json
    assert [(one["span"], one["reasons"][0]["kind"], one["version"]["version"]) for one in said["runs"]] == [
        (2, "new-span", "1.0.1"),
        (3, "new-span", "1.0.2"),
    ]
    assert said["outcome"] == "ran"
    again = project("retrain")
    assert (
        again.out
        == "There is no reason to train m again.\n  no span is newer than 3, the newest that was trained on.\n"
    )
    assert project("retrain", "--json").json["outcome"] == "nothing"
    assert project.runs == [1, 2, 3]
    ran = [(outcome, span) for span in (1, 2, 3) for outcome in ("started", "finished")]
    assert project.notes() == [*ran, ("no-reason", 3)]
    assert project.pedigree("audit", "verify", "--json").json["ok"]


def test_reason_stands_in_the_history_of_the_version_that_came_of_it(project: Project) -> None:
    project.data(1)
    project("retrain", "--force", "the labels were wrong")
    said = project.pedigree("history", "m@1.0.0").out
    assert "retrain 1.0.0 on span 1: finished" in said
    assert "the labels were wrong; no version was trained yet" in said


def test_dry_run_tells_the_reasons_and_does_nothing(project: Project) -> None:
    project.data(1)
    project("retrain")
    project.data(2, 3)
    said = project("retrain", "--dry-run").out
    assert said == (
        "m would be trained on span 2: span 2 is new, 1 was the newest so far.\n"
        "m would be trained on span 3: span 3 is new, 1 was the newest so far.\n"
    )
    assert [one["span"] for one in project("retrain", "--dry-run", "--json").json["planned"]] == [2, 3]
    assert project.runs == [1]
    assert project.notes() == [("started", 1), ("finished", 1)]


def test_viewer_may_ask_but_not_run(project: Project) -> None:
    project.data(1)
    project("retrain", "--dry-run", "--actor", "bob")
    assert "needs contributor" in project("retrain", "--actor", "bob", code=6).err
    assert project.runs == []


def test_span_that_fails_stops_the_catching_up_and_says_which(project: Project) -> None:
    project.data(1)
    project("retrain")
    project.data(2, 3, 4)
    project.behave("fail 3")
    failed = project("retrain", code=1)
    assert "The run on span 3 failed. The full log is in" in failed.err
    assert project.runs == [1, 2, 3]
    project.behave("")
    assert "its run of" in project("retrain").out
    assert project.runs == [1, 2, 3, 3, 4]


def test_span_that_fails_for_ever_is_given_up_and_force_tries_again(project: Project) -> None:
    project.data(1)
    project.behave("fail 1")
    for _ in range(3):
        project("retrain", code=1)
    given_up = project("retrain", code=4)
    assert "span 1 was started 3 times and never succeeded" in given_up.err
    assert "--force REASON" in given_up.err
    assert project("retrain", "--json", code=4).json["outcome"] == "stuck"
    assert project.runs == [1, 1, 1]
    project.behave("")
    project("retrain", "--force", "the disk is larger now")
    assert project("retrain", "--json").json["outcome"] == "nothing"


def test_force_without_words_is_refused(project: Project) -> None:
    project.data(1)
    assert "needs a reason in words" in project("retrain", "--force", " ", code=2).err


@pytest.mark.parametrize(
    ("before", "after", "code", "says"),
    [
        ("  spans: {", "  spams: {", 2, "no setting `spams`. Did you mean `spans`"),
        ("settle: 0", "settle: often", 2, "Write 90s, 5m, 2h or 0"),
        ('  spans: {pattern: "${here}/data/span-{SPAN}/*", settle: 0}\n', "", 2, "where the spans of the data are"),
        ("    name: m\n", "", 2, "does not say which model the pipeline trains"),
        ("data/span", "nothing/span", 3, "There is no span at"),
        ("policy.yaml", "none.yaml", 3, "There is no policy at"),
        ("name: m\n", "name: m\n    since: 2026-11-01\n", 2, "is a date, but it must be a text"),
        (
            'pedigree: {policy: "${here}/policy.yaml"}',
            "pedigree: policy.yaml",
            2,
            "`pipeline.settings.pedigree` must be",
        ),
    ],
)
def test_config_that_cannot_be_retrained_by_says_what_is_missing(
    project: Project, before: str, after: str, code: int, says: str
) -> None:
    project.data(1)
    file = project.folder / "local.yaml"
    file.write_text(file.read_text().replace(before, after))
    assert says in project("retrain", code=code).err


def test_pipeline_in_toml_is_refused_with_what_to_give_instead(project: Project) -> None:
    """Such as the pedigree.toml that is found in the working folder."""
    (project.folder / "pedigree.toml").write_text('actor = "ada"\n')
    for words in (("retrain",), ("backfill", "--from", 1, "--to", 2), ("run",)):
        said = project.pedigree("pipeline", *words, code=2).err
        assert "pedigree.toml is TOML, but pipelines are configured in YAML files. Give one: pedigree" in said
        assert said.rstrip().endswith(f"pipeline {words[0]}")


def test_address_of_a_registry_with_a_slip_in_it_leaves_no_folder_behind(project: Project) -> None:
    project.data(1)
    for words in (("retrain",), ("backfill", "--from", 1, "--to", 1), ("run", "--span", 1)):
        project(*words, "--registry", project.folder / "typo", code=3)
    assert not (project.folder / "typo").exists()


def test_log_that_cannot_be_written_is_said_before_anything_is_noted(project: Project) -> None:
    """The pipeline could not even say why it failed, and three such runs would give the span up."""
    project.data(1)
    file = project.folder / "local.yaml"
    file.write_text(file.read_text().replace("log: run/run.log", "log: policy.yaml/run.log"))
    for words in (("retrain",), ("backfill", "--from", 1, "--to", 1), ("run", "--span", 1)):
        said = project(*words, code=8).err
        assert "policy.yaml/run.log cannot be written" in said
        assert "Nothing was run." in said
    assert project.runs == []
    assert "There is no model 'm'" in project.pedigree("history", "m", code=3).err


def test_force_that_has_nothing_whole_to_run_on_is_refused(project: Project) -> None:
    project.data(1)
    file = project.folder / "local.yaml"
    file.write_text(file.read_text().replace("settle: 0", "settle: 5m"))
    for words in (("retrain", "--force", "now"), ("retrain", "--force", "now", "--dry-run")):
        assert "m cannot be trained: span 1 may not be complete yet" in project(*words, code=4).err
    assert "There is no reason" in project("retrain").out
    assert project.runs == []


def test_forced_run_that_makes_the_same_again_says_so(project: Project) -> None:
    project.data(1)
    project("retrain")
    assert "No new version came of it: what it made is there already." in project("retrain", "--force", "now").out


def test_pipeline_that_the_system_kills_has_failed_and_why_is_said(project: Project) -> None:
    project.data(1)
    project.behave("die 1")
    for words in (("run", "--span", 1), ("retrain",), ("backfill", "--from", 1, "--to", 1)):
        assert "pipeline was ended by SIGKILL, as when memory runs out" in project(*words, code=1).err
    assert "was ended by SIGKILL" in project.pedigree("history", "m").out


# Drift


def drifting(project: Project, monkeypatch: pytest.MonkeyPatch, **answers: Any) -> list[int]:
    """The policy bounds drift; what is measured is given. Gives the spans of which it was asked."""
    rules = "retraining: {new_span: false, drift: {default: {jensen_shannon: 0.1}}}\n"
    (project.folder / "policy.yaml").write_text(f"metric: auc\n{rules}")
    asked: list[int] = []

    def measured(pipeline: Any, span: int, champion: Any, locks: Any) -> MeasuredDrift:
        asked.append(span)
        if "error" in answers:
            raise UnavailableError(answers["error"])
        return MeasuredDrift("1", span, {"x": Feature({"jensen_shannon": answers["distance"]})})

    monkeypatch.setattr(LocalPipeline, "measure", measured)
    return asked


def test_drift_decides_where_a_new_span_alone_is_no_reason(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.data(1)
    project("retrain")
    project.data(2, 3)
    asked = drifting(project, monkeypatch, distance=0.05)
    said = project("retrain", "--json").json
    assert "span 3 has not drifted from the data of the champion 1.0.0" in said["quiet"]
    assert [one["features"]["x"]["distances"] for one in said["drift"]] == [{"jensen_shannon": 0.05}]
    assert "span 3 had not drifted from the data of the champion 1.0.0 at" in project("retrain").out
    assert [outcome for outcome, _ in project.notes()] == ["started", "finished", "no-reason"]
    project.data(4)
    drifting(project, monkeypatch, distance=0.2)
    assert "span 4 drifted from the data of the champion 1.0.0: x: Jensen-Shannon" in project("retrain").out
    assert project.runs == [1, 4]
    assert asked == [3]


def test_drift_that_cannot_be_measured_fails_only_where_nothing_else_is_a_reason(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.data(1)
    project("retrain")
    project.data(2)
    drifting(project, monkeypatch, error="no statistics today")
    assert "no statistics today" in project("retrain", code=8).err
    (project.folder / "policy.yaml").write_text("metric: auc\nretraining: {drift: {default: {jensen_shannon: 0.1}}}\n")
    said = project("retrain")
    assert "no statistics today" in said.err
    assert project.runs == [1, 2]


# Backfill


def test_backfill_goes_in_order_passes_over_what_is_there_and_goes_on_after_a_failure(project: Project) -> None:
    project.data(1, 2, 3, 4, 9)
    project.behave("fail 3")
    failed = project("backfill", "--from", 1, "--to", 4, "--reason", "a new model", code=1)
    assert "pipeline backfill --from 1 --to 4" in failed.err
    assert "--reason 'a new model'" in failed.err
    assert project.runs == [1, 2, 3]
    project.behave("")
    said = project("backfill", "--from", 1, "--to", 4)
    assert "m was trained on 2 spans." in said.out
    assert "Skipped, since they were trained on before: 1 and 2." in said.err
    assert project.runs == [1, 2, 3, 3, 4]
    assert project("backfill", "--from", 1, "--to", 4, "--json").json == {
        "outcome": "nothing",
        "runs": [],
        "skipped": [1, 2, 3, 4],
        "missing": [],
    }
    assert "a new model" in project.pedigree("history", "m@1.0.0").out


def test_backfill_again_repeats_and_a_failure_tells_where_to_go_on(project: Project) -> None:
    project.data(1, 2, 3)
    project("backfill", "--from", 1, "--to", 3)
    project.behave("fail 2")
    failed = project("backfill", "--from", 1, "--to", 3, "--again", code=1)
    assert "pipeline backfill --from 2 --to 3 --again" in failed.err
    assert project.runs == [1, 2, 3, 1, 2]


def test_backfill_of_older_data_than_the_champions_promotes_nothing_by_itself(project: Project) -> None:
    project.data(1, 5)
    project("retrain")
    project("backfill", "--from", 1, "--to", 5)
    assert project.orders == [{"span": 5, "promote_to": None}, {"span": 1, "promote_to": "none"}]
    assert project.pedigree("show", "m@champion", "--json").json["tags"]["span"] == "5"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--from", 3, "--to", 1), 2, "ends before it begins"),
        (("--from", 7, "--to", 8), 3, "There is no span from 7 to 8"),
    ],
)
def test_range_without_spans_is_refused(project: Project, words: tuple[Any, ...], code: int, says: str) -> None:
    project.data(1)
    assert says in project("backfill", *words, code=code).err


def test_backfill_tells_what_of_its_range_is_not_there(project: Project) -> None:
    project.data(1, 3, 7, 8)
    file = project.folder / "local.yaml"
    file.write_text(file.read_text().replace("settle: 0", 'settle: 0, marker: "${here}/data/span-{SPAN}/done"'))
    for span in (1, 3):
        (project.folder / f"data/span-{span}/done").touch()
    said = project("backfill", "--from", 1, "--to", 8)
    assert "m was trained on 2 spans." in said.out
    assert (
        "There are no data of span 2.\nThere are no data of the spans 4 to 6.\nSpan 7 is not complete yet:" in said.err
    )
    assert len(project("backfill", "--from", 0, "--to", 8, "--dry-run", "--json").json["missing"]) == 4
    # What comes after the range has no part in it.
    assert project("backfill", "--from", 3, "--to", 3, "--json").json["missing"] == []
    assert "Write the data first" in project("backfill", "--from", 4, "--to", 6, code=3).err
    assert "span 7 is not complete yet" in project("backfill", "--from", 4, "--to", 7, code=3).err


def test_backfill_dry_run_tells_the_spans_and_does_nothing(project: Project) -> None:
    project.data(1, 2, 3)
    project("backfill", "--from", 2, "--to", 2)
    said = project("backfill", "--from", 1, "--to", 3, "--dry-run", "--json").json
    assert said == {"outcome": "dry-run", "planned": [1, 3], "skipped": [2], "missing": []}
    assert project.runs == [2]


# Killed, and two at once: real processes


@pytest.mark.slow
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


@pytest.mark.slow
def test_polite_kill_ends_the_pipeline_too_and_frees_the_lock(project: Project) -> None:
    project.data(1)
    project.behave("hang 1")
    command = project.start("retrain")
    until(lambda: project.runs == [1])
    command.send_signal(signal.SIGTERM)
    assert command.wait(20) == 130
    project.behave("")
    assert project("retrain", "--json").json["outcome"] == "ran"


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


class Service:
    """Stands in for Kubeflow or Vertex: keeps runs by their names, and answers as somebody says."""

    where = "the service"

    def __init__(self) -> None:
        self.started: list[str] = []
        self.runs: dict[str, ServiceRun] = {}
        self.before_answering: Callable[[], None] = lambda: None

    def submit(self, template: Any, name: str) -> tuple[ServiceRun, bool]:
        assert template.parameters == {"how": "plain"}
        fresh = name not in self.runs
        if fresh:
            self.started.append(name)
            self.runs[name] = ServiceRun("id", name, "RUNNING", ended=False, well=False)
        self.before_answering()
        return self.runs[name], fresh

    def find_run(self, name: str, pipeline: str) -> ServiceRun | None:
        assert pipeline == COMPILED.name
        return self.runs.get(name)

    def ends(self, name: str, well: bool, *failed: str) -> None:
        self.runs[name] = ServiceRun("id", name, "SUCCEEDED" if well else "FAILED", True, well, failed=failed)


@pytest.fixture
def service(project: Project, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The project's config names a service from here on."""
    made = Service()
    monkeypatch.setattr(PipelineTarget, "open", lambda target: made)
    monkeypatch.setattr(PipelineTarget, "compiled", lambda target, span: COMPILED)
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0")
    with (project.folder / "local.yaml").open("a") as file:
        file.write("target: {kind: kubeflow, image: i, schedule: {parameters: {how: plain}}}\n")
    project.data(1)
    return made


def test_config_with_a_target_submits_one_span_after_the_other(project: Project, service: Service) -> None:
    assert "It was submitted to kubeflow as m-span-1-2." in project("retrain").out
    project.data(2)
    assert "span 1 was submitted as m-span-1-2 at" in project("retrain").out
    service.ends("m-span-1-2", False, "Trainer: the pod was evicted")
    project("retrain")
    again = service.started[1]
    service.ends(again, True)
    project("retrain")
    assert [name.rpartition("-")[0] for name in service.started] == ["m-span-1", "m-span-1", "m-span-2"]
    told = "started submitted no-reason failed started submitted finished started submitted"
    assert " ".join(outcome for outcome, _ in project.notes()) == told
    assert "Trainer: the pod was evicted" in project.pedigree("history", "m").out
    assert project.runs == []


def test_run_that_somebody_deleted_on_the_service_is_asked_for_again(project: Project, service: Service) -> None:
    project("retrain")
    del service.runs[service.started[0]]
    assert "is no longer at the service" in project("retrain").out + project.pedigree("history", "m").out
    assert len(set(service.started)) == 2


def test_service_that_does_not_answer_is_noted_as_a_failure_and_asked_again(project: Project, service: Service) -> None:
    def away() -> None:
        raise UnansweredError("The service does not answer.")

    service.before_answering = away
    assert "does not answer" in project("retrain", code=8).err
    assert project.notes() == [("started", 1), ("failed", 1)]
    service.before_answering = lambda: None
    project("retrain")
    assert project.notes()[2:] == [("started", 1), ("submitted", 1)]


def test_submission_whose_end_nobody_noted_does_not_start_a_second_run(project: Project, service: Service) -> None:
    """The command was killed while it submitted: the service has the run."""

    def killed() -> None:
        raise KeyboardInterrupt

    service.before_answering = killed
    project("retrain", code=130)
    project("retrain", code=130)
    service.before_answering = lambda: None
    project("retrain")
    assert len(service.started) == 1
    assert project.notes() == [("started", 1)] * 3 + [("submitted", 1)]


def test_wrong_target_is_refused_before_anything_is_noted_and_a_dry_run_needs_none(
    project: Project, service: Service
) -> None:
    """Three runs that fail would give the span up, and whoever only asks may lack what the image is called."""
    file = project.folder / "local.yaml"
    file.write_text(file.read_text().replace("image: i", "image: '${NOWHERE_SET}'"))
    assert "NOWHERE_SET} is not set" in project("retrain", code=2).err
    assert "There is no model 'm'" in project.pedigree("history", "m", code=3).err
    assert "m would be trained on span 1" in project("retrain", "--dry-run").out


def test_backfill_is_for_this_machine_only(project: Project, service: Service) -> None:
    refused = project("backfill", "--from", 1, "--to", 2, code=2).err
    assert "backfill takes one span after the other" in refused
    assert service.started == []
