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
    assert max(map(len, said.splitlines())) <= columns
    narrow = [len(line.split()) == 1 and len(line.strip()) <= 3 for line in said.splitlines()]
    assert "111" not in re.sub("[^1]", " ", "".join(str(int(one)) for one in narrow)), said


def test_everything_that_a_wide_table_holds_is_there(reader: Pedigree) -> None:
    narrow, wide = (reader("versions", "flight-delay", COLUMNS=width).out for width in ("40", "80"))
    assert set(wide.split()) - {"–"} <= set(narrow.split())


@pytest.mark.parametrize("columns", ["0", "-5", "abc", ""])
def test_width_that_is_none_counts_as_none(reader: Pedigree, columns: str) -> None:
    assert reader("versions", "flight-delay", COLUMNS=columns).out == reader("versions", "flight-delay").out


def test_no_terminal_is_too_narrow_for_words(reader: Pedigree) -> None:
    assert "production" in reader("versions", "flight-delay", COLUMNS="1").out
