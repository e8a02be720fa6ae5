"""Columns can be chosen in every list, and a name that no column has is refused with those that there are."""

from __future__ import annotations

import pytest
from cli_testing import Pedigree

LISTS = {
    ("models",): "model,versions",
    ("versions", "flight-delay"): "version,metric.auc,tag.team,param.optimizer,size",
    ("search", "flight-delay", "metric.auc>=0.9"): "digest,version",
    ("history", "flight-delay"): "position,action,version",
    ("alias", "list", "flight-delay"): "version,alias",
    ("roles", "list"): "role,who",
}


def test_chosen_columns_in_the_order_in_which_they_were_named(reader: Pedigree) -> None:
    said = reader("versions", "flight-delay", "--columns", "version,metric.auc,tag.team,param.optimizer,metric.none")
    assert said.out.splitlines() == [
        "version  metric.auc  tag.team  param.optimizer  metric.none",
        "1.1.0    0.9         research  –                –",
        "1.0.1    0.918       –         adam             –",
        "1.0.0    0.9         ops       adam             –",
    ]


@pytest.mark.parametrize(("words", "columns"), LISTS.items())
def test_every_list_lets_its_columns_be_chosen(reader: Pedigree, words: tuple[str, ...], columns: str) -> None:
    usual, chosen = reader(*words).out.splitlines(), reader(*words, "--columns", columns).out.splitlines()
    assert len(chosen) == len(usual)
    assert len(chosen[0].split()) == len(columns.split(","))
    assert reader(*words, "--json", "--columns", columns).json == reader(*words, "--json").json


@pytest.mark.parametrize("words", LISTS)
def test_column_that_does_not_exist_is_refused_with_those_that_do(reader: Pedigree, words: tuple[str, ...]) -> None:
    said = reader(*words, "--columns", "nonsense", code=2)
    assert "there is no column 'nonsense'. The columns are " in said.err


@pytest.mark.parametrize("name", ["versoin", "version,", ",", "metric.", "Version", "colour.x"])
def test_nearest_column_is_named(reader: Pedigree, name: str) -> None:
    said = reader("versions", "flight-delay", "--columns", name, code=2)
    assert "The columns are version, state, created, " in said.err
    assert "metric.NAME" in said.err
    assert name != "versoin" or "Did you mean `version`?" in said.err


def test_next_page_has_the_same_columns(reader: Pedigree) -> None:
    said = reader("versions", "flight-delay", "--columns", "version,by", "--limit", "1")
    assert "pedigree versions flight-delay --limit 1 --columns version,by --after" in said.err
