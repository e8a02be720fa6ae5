"""A narrow terminal, as beside an editor or on a telephone: nothing runs over, and words stay words."""

from __future__ import annotations

import re

import pytest
from cli_testing import Pedigree, check_seen
from test_cli_goldens import COMMANDS

MORE = {
    "models": ("models",),
    "config": ("config",),
    "roles": ("roles", "list"),
    "aliases": ("alias", "list", "flight-delay"),
    "diff": ("diff", "flight-delay@canary"),
    "explain": ("explain", "flight-delay@canary"),
    "impact": ("impact", "flight-delay@1.0.0"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_people_see_what_they_saw_before(reader: Pedigree, name: str) -> None:
    check_seen(reader, COMMANDS[name], name, 40)


@pytest.mark.parametrize("name", [*COMMANDS, *MORE])
@pytest.mark.parametrize("columns", [30, 40, 50, 60])
def test_words_are_not_broken_into_letters(reader: Pedigree, name: str, columns: int) -> None:
    said = reader(*{**COMMANDS, **MORE}[name], COLUMNS=str(columns)).out
    # A command is never broken: one that is wider than the terminal has a line of its own.
    broken = [line for line in said.splitlines() if not re.fullmatch(r"`[^`]+`[.,;:]?", line.strip())]
    assert max(map(len, broken)) <= columns
    narrow = [len(line.split()) == 1 and len(line.strip()) <= 3 for line in said.splitlines()]
    assert "111" not in re.sub("[^1]", " ", "".join(str(int(one)) for one in narrow)), said


@pytest.mark.parametrize("columns", [*range(20, 100, 7)])
def test_what_is_suggested_stays_on_one_line(reader: Pedigree, columns: int) -> None:
    refused = ("promote", "flight-delay@1.1.0", "--dry-run", "--expect", "none")
    said = reader(*refused, code=1, COLUMNS=str(columns)).out
    lines = [line.strip() for line in said.splitlines()]
    for suggested in ("`pedigree history flight-delay`", "`--expect 1.0.1`"):
        assert any(suggested in line for line in lines), said
    assert all(len(line) <= columns or line.startswith("`pedigree") for line in lines)


def test_everything_that_a_wide_table_holds_is_there(reader: Pedigree) -> None:
    narrow, wide = (reader("versions", "flight-delay", COLUMNS=width).out for width in ("40", "80"))
    assert set(wide.split()) - {"–"} <= set(narrow.split())


@pytest.mark.parametrize("columns", ["0", "-5", "abc", ""])
def test_width_that_is_none_counts_as_none(reader: Pedigree, columns: str) -> None:
    assert reader("versions", "flight-delay", COLUMNS=columns).out == reader("versions", "flight-delay").out


def test_no_terminal_is_too_narrow_for_words(reader: Pedigree) -> None:
    assert "production" in reader("versions", "flight-delay", COLUMNS="1").out
