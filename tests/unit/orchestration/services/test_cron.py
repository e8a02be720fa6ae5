"""Cron expressions: one form for what is meant, and a plain word for what cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.orchestration.services.cron import checked_cron, with_seconds, with_timezone

# Days that every month has: no expression of these is one that never comes.
_LIMITS = [(0, 59), (0, 23), (1, 28), (1, 12), (0, 6)]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0 3 * * *", "0 3 * * *"),
        ("  0   3 * *  mon ", "0 3 * * 1"),
        ("0 3 * jan-mar SUN", "0 3 * 1-3 0"),
        ("0 3 * * 7", "0 3 * * 0"),
        ("*/15 9-17 * * mon-fri", "*/15 9-17 * * 1-5"),
        ("5/15 * * * *", "5-59/15 * * * *"),
        ("0,30 4 1,15 * *", "0,30 4 1,15 * *"),
        ("05 03 * * *", "5 3 * * *"),
        ("0 3 29 2 *", "0 3 29 2 *"),
        ("0 3 31 2-3 *", "0 3 31 2-3 *"),
        ("0 3 31 2 mon", "0 3 31 2 1"),
        ("0 3 */31 feb *", "0 3 */31 2 *"),
        ("0 3 1,31 4 *", "0 3 1,31 4 *"),
    ],
)
def test_expression_has_one_form(written: str, meant: str) -> None:
    assert checked_cron(written) == meant


@pytest.mark.parametrize(
    "written",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "@daily",
     "*/0 * * * *", "10-5 * * * *", "1- * * * *", "a * * * *", "0 3 ? * *", "0 3 L * *", "-1 * * * *", "1,,2 * * * *"],
)  # fmt: skip
def test_expression_that_cannot_be_meant_is_refused_with_the_right_form(written: str) -> None:
    with pytest.raises(InvalidInputError, match="Write five fields"):
        checked_cron(written)


@pytest.mark.parametrize("written", ["0 3 31 2 *", "0 3 30 feb *", "0 3 31 4,6,9-9,11 *", "0 3 30-31 2 *"])
def test_day_that_never_comes_is_refused(written: str) -> None:
    with pytest.raises(InvalidInputError, match="no month that it names has such a day"):
        checked_cron(written)


@st.composite
def _expressions(draw: st.DrawFn) -> str:
    fields = []
    for low, high in _LIMITS:
        first, last = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        step = draw(st.integers(1, high))
        forms = ["*", f"*/{step}", f"{first}", f"{first}-{last}", f"{first}-{last}/{step}", f"{first},{last}"]
        fields.append(draw(st.sampled_from(forms)))
    return " ".join(fields)


@given(_expressions())
def test_form_of_a_form_is_the_same(written: str) -> None:
    once = checked_cron(written)

    assert checked_cron(once) == once
    assert len(with_seconds(once).split()) == 6
    assert with_timezone(once, "Europe/Zurich") == f"CRON_TZ=Europe/Zurich {once}"
