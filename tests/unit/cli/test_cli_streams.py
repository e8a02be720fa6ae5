"""What goes in through standard input and comes out on standard output, and what --quiet leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_testing import MODELS, Pedigree, evidence


def test_files_may_come_from_standard_input(pedigree: Pedigree, new_model: Path) -> None:
    metrics, params = {"auc": 0.5, "loss": 1}, {"layers": 3, "adam": True, "word": "x", "rate": None}
    said = pedigree("register", "other", new_model, "--metrics", "-", "--json", stdin=json.dumps(metrics))
    assert said.json["version"]["metrics"] == {"auc": 0.5, "loss": 1.0}
    (new_model / "more").write_text("more")
    said = pedigree(
        *("register", "other", new_model, "--params", "-", "--param", "layers=4", "--bump", "minor", "--json"),
        stdin=json.dumps(params),
    )
    assert said.json["version"]["parameters"] == params | {"layers": 4}
    found = evidence(said.json["version"]["digest"], None, reason="meets the floors")
    assert "meets the floors" in pedigree("evidence", "attach", "other", "-", stdin=json.dumps(found)).out
    assert "nothing changed" in pedigree("evidence", "attach", "other", "-", stdin=json.dumps(found)).out


def test_one_command_can_be_the_next_ones_input(pedigree: Pedigree) -> None:
    shown = pedigree("evidence", "show", "flight-delay@1.0.1").out
    assert "nothing changed" in pedigree("evidence", "attach", "flight-delay@1.0.1", "-", stdin=shown).out
    anchor = pedigree("audit", "anchor", "--output", "-").out
    assert "all is as it was" in pedigree("audit", "verify", "--anchor", "-", stdin=anchor).out


def test_standard_input_is_read_for_one_thing(pedigree: Pedigree, new_model: Path) -> None:
    said = pedigree("register", "other", new_model, "--metrics", "-", "--params", "-", code=2, stdin='{"auc": 1}')
    assert "Standard input gives the metrics already. Give the parameters in a file." in said.err


@pytest.mark.parametrize("content", ["", "[1]", '{"auc": "high"}', "nope"])
def test_standard_input_that_cannot_be_meant(pedigree: Pedigree, new_model: Path, content: str) -> None:
    said = pedigree("register", "other", new_model, "--metrics", "-", code=2, stdin=content)
    assert "Standard input" in said.err


@pytest.mark.parametrize(("content", "word"), [("[1]", "an object"), ('{"layers": [1, 2]}', "one value")])
def test_parameters_file_that_holds_none(pedigree: Pedigree, tmp_path: Path, content: str, word: str) -> None:
    file = tmp_path / "params.json"
    file.write_text(content)
    said = pedigree("register", "m", MODELS / "keras", "--params", file, code=2)
    assert "params.json" in said.err
    assert word in said.err


def test_quiet_says_nothing_of_what_went_well(pedigree: Pedigree, new_model: Path, tmp_path: Path) -> None:
    for words in (
        ("register", "other", new_model),
        ("tag", "other@1.0.0", "team=ops"),
        ("alias", "set", "blue", "other@1.0.0"),
        ("promote", "other@1.0.0"),
        ("archive", "other@1.0.0", "--reason", "x"),
        ("roles", "grant", "ann", "viewer"),
        ("roles", "revoke", "ann"),
        ("alias", "remove", "other", "blue"),
        ("pull", "other@1.0.0", tmp_path / "out"),
        ("init",),
    ):
        said = pedigree(*words, "--quiet")
        assert (said.out, said.err) == ("", ""), words


def test_quiet_leaves_answers_and_refusals(pedigree: Pedigree) -> None:
    words = ("versions", "flight-delay", "--limit", "1")
    loud, quiet = pedigree(*words), pedigree("--quiet", *words)
    assert (quiet.out, quiet.err) == (loud.out, "")
    assert loud.err.startswith("There are more")
    assert pedigree("promote", "flight-delay@1.0.1", "--quiet", "--json").json["changed"] is False
    assert "no model" in pedigree("show", "nope", "--quiet", code=3).err
    assert "--reason" in pedigree("archive", "flight-delay", "--quiet", code=2).err


def test_list_of_choices_has_no_tabs(pedigree: Pedigree) -> None:
    said = pedigree("completion", code=2)
    assert "\\t" not in said.err
    assert "fish" in said.err
