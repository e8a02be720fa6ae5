"""Every record is written and read by one mechanism; what is not whole is refused with its name and place."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum, IntEnum
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_pedigree.errors import InvalidInputError, PedigreeError
from tfx_pedigree.json_form import Bounds, JsonForm, Layout, Measured, read, to_json

T = TypeVar("T")


class Colour(str, Enum):
    RED = "red"
    BLUE = "blue"


class Rank(IntEnum):
    LOW = 1
    HIGH = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Pair:
    """A value whose form is no object."""

    left: str
    right: str

    def to_json(self) -> str:
        return f"{self.left}={self.right}"

    @classmethod
    def from_json(cls, data: Any) -> Pair:
        if not isinstance(data, str) or "=" not in data:
            raise InvalidInputError("a pair is written left=right.")
        return cls(*data.split("=", 1))


@dataclass(frozen=True)
class Point(JsonForm):
    x: float
    y: float = 0.0

    def __post_init__(self) -> None:
        if self.x < 0:
            raise InvalidInputError("x is negative.")


@dataclass(frozen=True)
class Inner:
    a: int
    b: str | None = None


@dataclass(frozen=True)
class Record(JsonForm):
    JSON: ClassVar[Layout] = Layout(format="test/1", also=("size",), names={"kind": "from"}, flat=("inner",))

    kind: Colour
    rank: Rank
    when: datetime
    inner: Inner
    pairs: tuple[Pair, ...] = ()
    points: Mapping[str, Point] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    score: Measured = 0.0
    share: Annotated[int, Bounds(0, 100)] = 0
    scalar: str | int | float | bool | None = None
    anything: Mapping[str, Any] = field(default_factory=dict)
    mode: Literal["on", "off"] = "on"
    span: tuple[int, str] = (0, "")

    @property
    def size(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True)
class Sheets(Generic[T]):
    items: tuple[T, ...]
    next: str | None


@dataclass(frozen=True)
class Brief:
    JSON: ClassVar[Layout] = Layout(brief=True)

    one: int | None = None
    many: tuple[int, ...] = ()


WHOLE = Record(
    Colour.BLUE,
    Rank.HIGH,
    datetime(2026, 3, 1, 12, 30, 0, 5, timezone.utc),
    Inner(1, "two"),
    (Pair("a", "b"),),
    {"p": Point(1.5, 2)},
    frozenset({"y", "x"}),
    math.inf,
    7,
    "text",
    {"deep": [1, None, {"x": True}]},
    "off",
    (3, "train"),
)


def test_a_record_is_written_by_its_annotations_and_its_layout() -> None:
    assert json.loads(json.dumps(to_json(WHOLE), allow_nan=False)) == {
        "format": "test/1",
        "from": "blue",
        "rank": "high",
        "when": "2026-03-01T12:30:00.000005Z",
        "a": 1,
        "b": "two",
        "pairs": ["a=b"],
        "points": {"p": {"x": 1.5, "y": 2}},
        "names": ["x", "y"],
        "score": "Infinity",
        "share": 7,
        "scalar": "text",
        "anything": {"deep": [1, None, {"x": True}]},
        "mode": "off",
        "span": [3, "train"],
        "size": 1,
    }


def test_what_was_written_is_read_back_equal() -> None:
    assert read(Record, json.loads(json.dumps(to_json(WHOLE))), "the record") == WHOLE
    assert Record.from_json(WHOLE.to_json()) == WHOLE


def test_fields_with_a_default_may_be_left_out() -> None:
    data = {"format": "test/1", "from": "red", "rank": "low", "when": "2026-01-01T00:00:00.000000Z", "a": 1}
    found = read(Record, data, "the record")
    assert (found.inner, found.pairs, found.mode) == (Inner(1), (), "on")


def test_a_generic_record_reads_what_it_is_of() -> None:
    page = Sheets((Point(1, 2),), "5")
    assert read(Sheets[Point], to_json(page), "the page") == page


def test_a_brief_record_leaves_out_what_it_does_not_have() -> None:
    assert to_json(Brief()) == {}
    assert to_json(Brief(0, (1,))) == {"one": 0, "many": [1]}
    assert read(Brief, {}, "it") == Brief()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"format": "test/2"},
            "In the record, `format` is 'test/2', but this release reads 'test/1'. Upgrade tfx-pedigree.",
        ),
        ({"from": "green"}, "In the record, `from` must be one of red, blue, but is 'green'."),
        ({"rank": 2}, "In the record, `rank` must be one of low, high, but is 2."),
        ({"when": "yesterday"}, "`when` must be a time such as"),
        ({"when": "2026-01-01T00:00:00.000000+23:59"}, "in UTC"),
        ({"a": True}, "In the record, `a` must be a whole number no larger than 9007199254740991, but is true."),
        ({"a": 10**5000}, "`a` must be a whole number no larger than 9007199254740991, but is a huge number."),
        ({"pairs": ["a=b", "c"]}, "In the record, `pairs[1]` cannot be read: a pair is written left=right."),
        ({"pairs": "a=b"}, "In the record, `pairs` must be a list, but is 'a=b'."),
        ({"points": {"p": {"y": 1}}}, "In the record, `points.p` lacks the field `x`."),
        ({"points": {"p": {"x": -1}}}, "In the record, `points.p` cannot be read: x is negative."),
        ({"points": []}, "In the record, `points` must be an object, but is a list."),
        ({"score": "much"}, "In the record, `score` must be a number, but is 'much'."),
        ({"share": 101}, "In the record, `share` must be at most 100, but is 101."),
        ({"scalar": []}, "must be a text, a whole number, a number, true or false or null, but is a list."),
        ({"mode": None}, "In the record, `mode` must be one of on, off, but is null."),
        ({"span": [1]}, "In the record, `span` must be a list of 2, but is a list."),
        ({"size": 7}, "In the record, `size` does not agree with the rest of it."),
        ({"colour": 1, "\x1b[31m": 2}, "The record has the unknown fields `\\x1b[31m` and `colour`."),
        ({"anything": {"x": "\ud800"}}, "`anything.x` holds half of a character"),
        ({"anything": {"x": "a\0"}}, "`anything.x` holds the character zero"),
        ({"when": "2026-01-01x00:00:00.000000Z"}, "`when` must be a time such as"),
        ({"anything": {"x": float("inf")}}, "`anything.x` must be a number"),
    ],
)
def test_a_refusal_names_the_field_and_what_it_must_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        read(Record, {**to_json(WHOLE), **change}, "the record")
    assert message in str(refused.value)


def test_json_nested_deep_is_refused_and_overflows_no_stack() -> None:
    deep: Any = 1
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(InvalidInputError, match="nested more than 64 deep"):
        read(Record, {**to_json(WHOLE), "anything": {"x": deep}}, "the record")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(_json)
def test_nothing_but_a_refusal_comes_of_any_json(data: Any) -> None:
    with pytest.raises(PedigreeError):
        read(Record, data, "the record")


@given(st.sampled_from(sorted(to_json(WHOLE))), _json)
def test_any_value_in_any_field_is_read_or_refused(name: str, value: Any) -> None:
    data = {**to_json(WHOLE), name: value}
    try:
        found = read(Record, data, "the record")
    except PedigreeError as refused:
        assert "record" in str(refused)
    else:
        assert read(Record, to_json(found), "the record") == found or found.score != found.score


def test_an_annotation_without_a_form_is_a_mistake_that_shows_at_once() -> None:
    made = dataclasses.make_dataclass("Made", [("x", complex)], frozen=True)
    with pytest.raises(TypeError, match="has no JSON form"):
        read(made, {"x": 1}, "it")
