"""`promote --dry-run` says what `promote` would say, and leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_testing import Pedigree, check_seen, evidence, write_json


def checks(said: Any) -> dict[str, bool]:
    return {check["name"]: check["passed"] for check in said["checks"]}


def trace(pedigree: Pedigree) -> Any:
    """Everything that a command could have changed."""
    return [pedigree("history", *words, "--limit", 500, "--json").json for words in ((), ("flight-delay",))]


@pytest.mark.parametrize(
    ("words", "actor", "failed"),
    [
        (("flight-delay@1.1.0",), "mia", {"gate"}),
        (("flight-delay@1.1.0", "--to", "staging"), "mia", set()),
        (("flight-delay@1.1.0", "--override", "--reason", "urgent"), "mia", set()),
        (("flight-delay@1.1.0", "--expect", "1.0.0"), "mia", {"champion", "gate"}),
        (("flight-delay@1.1.0",), "eve", {"role", "gate"}),
        (("flight-delay@1.0.0",), "mia", {"state"}),
        (("flight-delay@champion",), "mia", set()),
        (("flight-delay@champion", "--to", "staging"), "mia", {"state"}),
    ],
)
def test_every_check_is_told_and_nothing_changes(
    pedigree: Pedigree, words: tuple[str, ...], actor: str, failed: set[str]
) -> None:
    before = trace(pedigree)
    said = pedigree("promote", *words, "--dry-run", "--json", actor=actor, code=1 if failed else 0).json
    assert {name for name, passed in checks(said).items() if not passed} == failed
    assert (said["dry_run"], said["allowed"]) == (True, not failed)
    told = pedigree("promote", *words, "--dry-run", actor=actor, code=1 if failed else 0)
    assert all(check["detail"].split("`")[0] in " ".join(told.out.split()) for check in said["checks"])
    assert trace(pedigree) == before


def test_promotion_does_what_its_dry_run_said(pedigree: Pedigree, tmp_path: Path) -> None:
    old, new = (pedigree("show", f"flight-delay@{v}", "--json").json["digest"] for v in ("1.0.1", "1.1.0"))
    pedigree("evidence", "attach", "flight-delay@1.1.0", write_json(tmp_path / "e.json", evidence(new, old)))
    preview = pedigree("promote", "flight-delay@1.1.0", "--dry-run", "--json").json
    assert (preview["allowed"], preview["changes"], preview["replaces"]) == (True, True, "1.0.1")
    done = pedigree("promote", "flight-delay@1.1.0", "--json").json
    assert (done["changed"], done["replaced"]) == (True, "1.0.1")
    again = pedigree("promote", "flight-delay@1.1.0", "--dry-run", "--json").json
    assert (again["allowed"], again["changes"], again["replaces"]) == (True, False, None)


@pytest.mark.parametrize(
    "words", [("flight-delay@1.1.0",), ("flight-delay@1.0.0",), ("flight-delay@1.1.0", "--expect", "none")]
)
def test_what_is_refused_is_refused_in_the_same_words(pedigree: Pedigree, words: tuple[str, ...]) -> None:
    told = pedigree("promote", *words, "--dry-run", "--json", code=1).json
    first = next(check["detail"] for check in told["checks"] if not check["passed"])
    refused = pedigree("promote", *words, "--json", code=5 if "--expect" in words else 4)
    assert refused.error["message"] == first


@pytest.mark.parametrize("columns", [40, 80])
def test_people_see_what_they_saw_before(told: Path, pedigree: Pedigree, columns: int) -> None:
    check_seen(pedigree, ("promote", "flight-delay@1.1.0", "--to", "staging", "--dry-run"), "dry_run", columns)
