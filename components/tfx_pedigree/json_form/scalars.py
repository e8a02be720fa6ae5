"""Reading what has no parts: each value is checked, and refused with its place."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form.layout import MEASURED_WORDS, Bounds
from tfx_pedigree.text import is_unicode, plain

# RFC 8785 knows no larger integer, because a JavaScript number cannot hold it.
LARGEST_INTEGER = 2**53 - 1
LONGEST_TEXT = 1 << 20
DEEPEST = 64
_TIME_LENGTH = 27


class Place:
    """Where a value stands in what is read. The path is put together only for a refusal."""

    __slots__ = ("_above", "_step", "_what")

    def __init__(self, what: str, above: Place | None = None, step: str | int = "") -> None:
        self._what, self._above, self._step = what, above, step

    def at(self, step: str | int) -> Place:
        return Place(self._what, self, step)

    @property
    def path(self) -> str:
        """`metrics[3].value`; empty for the whole."""
        if self._above is None:
            return ""
        above = self._above.path
        if isinstance(self._step, int):
            return f"{above}[{self._step}]"
        return f"{above}.{_shown(self._step)}" if above else _shown(self._step)

    def refusal(self, value: object, wanted: str) -> InvalidInputError:
        return self.problem(f"must be {wanted}, but is {_told(value)}.")

    def problem(self, problem: str) -> InvalidInputError:
        path = self.path
        subject = f"In {self._what}, `{path}`" if path else _capital(self._what)
        return InvalidInputError(f"{subject} {problem}")


Reader = Callable[[Any, Place], Any]


def within(inner: Reader, bounds: Bounds) -> Reader:
    def read_within(value: Any, place: Place) -> Any:
        found = inner(value, place)
        if bounds.longest is not None and len(found) > bounds.longest:
            raise place.problem(f"is {len(found)} long; {bounds.longest} is the most.")
        if bounds.least is not None and found < bounds.least:
            raise place.refusal(found, f"at least {bounds.least}")
        if bounds.most is not None and found > bounds.most:
            raise place.refusal(found, f"at most {bounds.most}")
        return found

    return read_within


def _read_text(value: Any, place: Place) -> str:
    if not isinstance(value, str):
        raise place.refusal(value, "a text")
    if len(value) > LONGEST_TEXT:
        raise place.problem(f"has {len(value)} characters; {LONGEST_TEXT} are read at the most.")
    if not is_unicode(value):
        raise place.problem("holds half of a character (a lone surrogate), which no file can hold.")
    if "\0" in value:
        raise place.problem("holds the character zero, which not every database can hold.")
    return value


def _read_whole(value: Any, place: Place) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > LARGEST_INTEGER:
        raise place.refusal(value, f"a whole number no larger than {LARGEST_INTEGER}")
    return value


def _read_number(value: Any, place: Place) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise place.refusal(value, "a number")
    return value


def _is_finite(value: float) -> bool:
    return math.isfinite(value) if isinstance(value, float) else abs(value) <= sys.float_info.max


def read_measured(value: Any, place: Place) -> float:
    return (
        MEASURED_WORDS[value]
        if isinstance(value, str) and value in MEASURED_WORDS
        else float(_read_number(value, place))
    )


def _read_truth(value: Any, place: Place) -> bool:
    if not isinstance(value, bool):
        raise place.refusal(value, "true or false")
    return value


def _read_nothing(value: Any, place: Place) -> None:
    if value is not None:
        raise place.refusal(value, "null")


def _read_time(value: Any, place: Place) -> datetime:
    wanted = "a time such as 2026-01-31T12:00:00.000000Z"
    text = _read_text(value, place)
    try:
        if len(text) == _TIME_LENGTH and text[10] == "T" and text.endswith("Z"):  # as `format_timestamp` writes it
            return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)
        found = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")
    except ValueError:
        raise place.refusal(value, wanted) from None
    if found.utcoffset() != timedelta(0):
        raise place.refusal(value, f"{wanted}, in UTC")
    return found


def _read_anything(value: Any, place: Place, depth: int = 0) -> Any:
    """JSON of any form, with its bounds held: what nobody described may be stored and shown later all the same."""
    if depth > DEEPEST:
        raise place.problem(f"is nested more than {DEEPEST} deep.")
    if isinstance(value, Mapping):
        return {_read_text(key, place): _read_anything(one, place.at(key), depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_read_anything(one, place.at(index), depth + 1) for index, one in enumerate(value)]
    if isinstance(value, str):
        return _read_text(value, place)
    if value is None or isinstance(value, bool):
        return value
    return _read_number(value, place)


SIMPLE: dict[Any, Reader] = {
    str: _read_text,
    int: _read_whole,
    float: _read_number,
    bool: _read_truth,
    type(None): _read_nothing,
    datetime: _read_time,
    Any: _read_anything,
    object: _read_anything,
}
NAMES: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


# Telling


def _told(value: object) -> str:
    """A wrong value in a message: short, and without what a terminal obeys."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "null"
    return _shown(
        repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else _digits(value)
    )


def _digits(value: object) -> str:
    # Python refuses to write whole numbers of more than 4,300 digits.
    return "a huge number" if isinstance(value, int) and abs(value) > 10**60 else str(value)


def _shown(text: str) -> str:
    return plain(text, 60)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
