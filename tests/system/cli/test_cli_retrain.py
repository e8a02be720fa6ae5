"""`pedigree pipeline retrain`: what runs, in which order, what is written down, and what is said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from retraining_cli_testing import Project

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.retraining.drift import Feature, MeasuredDrift
from tfx_pedigree.service.pipelines.local_pipeline import LocalPipeline


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


# Performance


def test_champion_that_got_worse_while_it_served_is_trained_again_on_data_that_are_new(project: Project) -> None:
    rules = "retraining: {new_span: false, performance: {auc: {drop: 0.03, over: 52w, min_examples: 100}}}\n"
    (project.folder / "policy.yaml").write_text(f"metric: auc\n{rules}")
    project.data(1)
    project("retrain")
    project.data(2)
    assert "auc of the champion was not observed within 364 days." in project("retrain").out
    champion = project.pedigree("show", "m", "--json").json
    evidence = {"format": "pedigree.evidence/1", "challenger": champion["digest"], "champion": None}
    evidence |= {"verdict": "PASS", "reason": "good", "metrics": {"challenger": {"auc": 0.85}}}
    project.pedigree("evidence", "attach", "m@champion", "-", stdin=json.dumps(evidence))

    def observed(value: str, examples: int) -> None:
        times = ("--from", champion["created_at"], "--to", champion["created_at"], "--source", f"{value} on {examples}")
        project.pedigree("observe", "m@champion", "--metric", f"auc={value}", "--examples", examples, *times)

    observed("0.5", 99)
    assert "was observed on 99 examples within 364 days, 100 are needed." in project("retrain").out
    assert project.runs == [1]
    observed("0.81", 1000)
    said = project("retrain", "--json").json
    assert [(one["span"], [reason["kind"] for reason in one["reasons"]]) for one in said["runs"]] == [
        (2, ["performance"])
    ]
    assert "0.7821 on 1,099 examples within 364 days, and 0.85 in its evidence" in said["runs"][0]["reasons"][0]["text"]
    assert project("retrain", "--json").json["outcome"] == "nothing"
    assert project.pedigree("audit", "verify", "--json").json["ok"]


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
