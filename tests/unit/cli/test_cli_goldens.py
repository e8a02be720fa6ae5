"""What people see, on a narrow terminal and on a wide one. PEDIGREE_UPDATE_GOLDENS=1 writes the goldens anew."""

from __future__ import annotations

import pytest
from cli_testing import Pedigree, check_seen

COMMANDS = {
    "versions": ("versions", "flight-delay"),
    "show": ("show", "flight-delay@champion"),
    "show_refused": ("show", "flight-delay@canary"),
    "compare": ("compare", "flight-delay@canary"),
    "history": ("history", "flight-delay"),
    "search": ("search", "flight-delay", "metric.auc>=0.9", "state!=archived"),
}


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_people_see_what_they_saw_before(reader: Pedigree, name: str, columns: int) -> None:
    check_seen(reader, COMMANDS[name], name, columns)


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_is_cut_and_nothing_coloured_where_there_is_no_terminal(reader: Pedigree, name: str) -> None:
    narrow, free = reader(*COMMANDS[name], COLUMNS="80"), reader(*COMMANDS[name])
    assert "\x1b" not in free.out
    assert set(narrow.out.split()) <= set(free.out.split())
    assert all(line == line.rstrip() for line in free.out.splitlines())


def test_colour_only_for_those_who_want_it(reader: Pedigree) -> None:
    assert "\x1b[" in reader("versions", "flight-delay", FORCE_COLOR="1").out
    assert "\x1b" not in reader("versions", "flight-delay", FORCE_COLOR="1", NO_COLOR="1").out
