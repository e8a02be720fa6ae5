"""How things are written for people: the same in every room."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_pedigree.text import (
    did_you_mean,
    format_minute,
    format_size,
    format_timestamp,
    listed,
    plain,
    plural,
    short_digest,
    visible,
)


@given(st.text())
def test_a_terminal_has_nothing_to_obey(text: str) -> None:
    assert plain(text).isprintable()
    assert len(plain(text)) <= 80
    assert visible(text).replace("\n", "").isprintable()


def test_lists_and_counts_read_as_sentences_do() -> None:
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed("abcdef", 3) == "a, b, c and 3 more"
    assert listed("abcd", 3) == "a, b, c and d"
    assert (plural(1, "version"), plural(2048, "version"), plural(2, "entry", "entries")) == (
        "1 version",
        "2,048 versions",
        "2 entries",
    )


def test_a_typo_is_answered_with_the_nearest_name() -> None:
    assert did_you_mean("champoin", ["champion", "latest"]) == "Did you mean `champion`?"
    assert did_you_mean("x", ["champion"], "List them with `pedigree models`.") == "List them with `pedigree models`."


def test_times_are_in_utc() -> None:
    there = datetime(2026, 3, 1, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))
    assert format_timestamp(there) == "2026-02-28T23:02:03.000000Z"
    assert format_minute(there) == "2026-02-28 23:02 UTC"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_949, "1 MB"), (3_210_000, "3.21 MB"), (10**18, "1e+03 PB")],
)
def test_sizes_have_three_digits(count: int, text: str) -> None:
    assert format_size(count) == text


def test_a_short_digest_can_be_pasted() -> None:
    assert short_digest("sha256:" + "a1" * 32) == "sha256:a1a1a1a1a1"
