"""Retraining on a service: `pedigree pipeline retrain` with a target in its config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retraining_cli_testing import Project

from tfx_pedigree.orchestration.ir import load_ir
from tfx_pedigree.orchestration.services.service import ServiceRun, UnansweredError
from tfx_pedigree.service.pipelines.pipeline_target import PipelineTarget

COMPILED = load_ir(Path(__file__).parents[1] / "orchestration" / "goldens" / "small.kubeflow.yaml")


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
