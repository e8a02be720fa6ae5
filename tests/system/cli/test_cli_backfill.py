"""`pedigree pipeline backfill`: a range of spans, one after the other."""

from __future__ import annotations

from typing import Any

import pytest
from retraining_cli_testing import Project


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
