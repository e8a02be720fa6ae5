"""Reading JSON that somebody else wrote: each check names the field that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tfx_pedigree.errors import InvalidInputError

T = TypeVar("T")
# RFC 8785 knows no larger integer, because a JavaScript number cannot hold it.
LARGEST_INTEGER = 2**53 - 1


def refusal(where: str, value: object, wanted: str) -> InvalidInputError:
    shown = repr(value)
    if len(shown) > 60:
        shown = shown[:57] + "..."
    return InvalidInputError(f"{where} is {shown}, but must be {wanted}.")


def text(value: object, where: str) -> str:
    if not isinstance(value, str) or not _is_unicode(value):
        raise refusal(where, value, "a text")
    return value


def whole_number(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_INTEGER:
        raise refusal(where, value, "a whole number from 0 to 9007199254740991")
    return value


def listing(value: object, where: str, item: Callable[[object, str], T]) -> tuple[T, ...]:
    if not isinstance(value, list | tuple):
        raise refusal(where, value, "a list")
    return tuple(item(one, f"{where}[{index}]") for index, one in enumerate(value))


def table(value: object, where: str, item: Callable[[object, str], T]) -> dict[str, T]:
    """A JSON object as a dictionary in the order of its keys."""
    if not isinstance(value, Mapping):
        raise refusal(where, value, "an object")
    for key in value:
        text(key, f"a key of {where}")
    return {key: item(value[key], f"{where}.{key}") for key in sorted(value)}


def fields(value: object, where: str, required: set[str]) -> Mapping[str, Any]:
    """A JSON object with exactly these fields: one too many is refused too, or it would be lost silently."""
    if not isinstance(value, Mapping):
        raise refusal(where, value, "an object")
    missing, unknown = sorted(required - set(value)), sorted(map(str, set(value) - required))
    if missing:
        raise InvalidInputError(f"{where} has no field {', '.join(map(repr, missing))}.")
    if unknown:
        raise InvalidInputError(f"{where} has the unknown field {', '.join(map(repr, unknown))}.")
    return value


def _is_unicode(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
