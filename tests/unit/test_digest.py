"""Canonical JSON: one form for a value, whichever of the two ways it is written."""

from __future__ import annotations

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tfx_pedigree.digest import canonical_json, parse_json
from tfx_pedigree.errors import InvalidInputError

_EXACT = 2**53 - 1
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-_EXACT, _EXACT),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.text('\x00\x1f\x7f"\\/\b\t\n é\u2028\uffff😀'),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(st.text(), inner)),
    max_leaves=20,
)


@given(_VALUES)
def test_canonical_form_is_that_of_rfc_8785_for_any_value(value: object) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(_VALUES)
def test_what_was_read_again_is_written_the_same(value: object) -> None:
    text = canonical_json(value)
    assert canonical_json(parse_json(text)) == canonical_json(parse_json(text.decode())) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, -(2**53), "\ud800", {"\ud800": 1}, {1: 2}, {3}])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(InvalidInputError, match="cannot be written as canonical JSON"):
        canonical_json(value)
