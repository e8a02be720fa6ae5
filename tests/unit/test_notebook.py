"""Records in notebooks: every text in them is shown as text, and lists become DataFrames."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_pedigree import to_dataframe
from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.notebook import MOST_ROWS

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)


class Colour(str, Enum):
    RED = "red"


@dataclass(frozen=True)
class Made(JsonForm):
    name: str
    digest: str = "sha256:" + "0123456789abcdef" * 4
    colour: Colour = Colour.RED
    metrics: Mapping[str, float] | None = None
    reasons: tuple[str, ...] = ()
    at: datetime = NOON
    old: Made | None = None


@dataclass(frozen=True)
class Part(JsonForm):
    items: tuple[Made, ...]
    next: str | None = None


class Reading(HTMLParser):
    """The tags and the visible words of some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def shown(record: Any) -> Reading:
    return Reading(record._repr_html_())


HOSTILE = st.one_of(
    st.text(), st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=y>', "&lt;b&gt;", "\u202e"])
)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_whatever_stands_in_a_record_is_text_in_the_notebook(name: str, key: str, digest: str) -> None:
    record = Made(name, digest=digest, metrics={key: 0.5}, reasons=(name, key))
    for seen in (shown(record), shown(Part((record, record)))):
        assert seen.tags <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "code", "p"}
        assert seen.attributes <= {"style", "scope", "title"}


def test_a_record_shows_its_name_and_what_it_has() -> None:
    words = shown(Made("flights", metrics={"auc": 0.9123456789}, old=Made("before"))).words
    assert words == [
        *("Made flights", "name", "flights", "digest", "sha256:0123456789", "colour", "red"),
        *("metrics", "auc 0.912346", "at", "2026-11-20 12:00 UTC", "old", "before"),
    ]


def test_a_page_is_a_table_without_the_columns_that_are_empty_and_says_that_there_is_more() -> None:
    words = shown(Part((Made("a"), Made("b", reasons=("wider", "deeper"))), next="2")).words
    assert words[:5] == ["name", "digest", "colour", "at", "reasons"]
    assert "wider, deeper" in words
    assert words[-1] == "There are more: ask for the page after this one."
    assert shown(Part(())).words == ["Nothing."]


def test_no_more_rows_are_shown_than_a_person_reads() -> None:
    words = shown(Part(tuple(Made(f"made-{number}") for number in range(MOST_ROWS + 7)))).words
    assert f"made-{MOST_ROWS - 1}" in words
    assert f"made-{MOST_ROWS}" not in words
    assert "and 7 more" in words


def test_a_list_becomes_a_dataframe_with_a_column_for_each_metric() -> None:
    frame = to_dataframe([Made("a", metrics={"auc": 0.9}), Made("b", metrics={"loss": 1.5}, reasons=("wider",))])
    assert list(frame["name"]) == ["a", "b"]
    assert list(frame["colour"]) == ["red", "red"]
    assert frame["metrics.auc"].dropna().tolist() == [0.9]
    assert frame["metrics.loss"].dropna().tolist() == [1.5]
    assert frame["reasons"].tolist() == [[], ["wider"]]
    assert frame["at"][0] == NOON
    assert len(to_dataframe([])) == 0


def test_without_pandas_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UnavailableError, match="pip install pandas"):
        to_dataframe([])


@pytest.mark.system
def test_a_record_in_a_notebook_loads_no_pandas() -> None:
    code = (
        "import sys; from tfx_pedigree.json_form import Layout; from tfx_pedigree.notebook import html_of; "
        "html_of(Layout()); assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
