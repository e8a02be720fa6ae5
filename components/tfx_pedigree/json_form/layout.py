"""How a record's JSON form departs from the plain one: what a class says of itself, and what an annotation may add."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated


@dataclass(frozen=True)
class Bounds:
    """For an annotation: `Annotated[int, Bounds(0, 100)]`, `Annotated[str, Bounds(longest=200)]`."""

    least: float | None = None
    most: float | None = None
    longest: int | None = None


# How many of something.
Count = Annotated[int, Bounds(0)]


class MeasuredMark:
    """See `Measured`."""


# A number that was measured. JSON has no NaN and no infinity: they are written as the words that TFMA uses.
Measured = Annotated[float, MeasuredMark()]
MEASURED_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class Layout:
    """The plain form is: one key a field, None as null, fields with a default may be left out.

    `format` is written first, as `format`, and demanded. `also` names properties that are written after the fields;
    where they stand in what is read, they must be what the record computes. `names` gives a field another key. The keys
    of a `flat` field stand in the record's own object. With `brief`, what is None or empty is left out. With `whole`,
    fields that have a default must be there too, but for those that are named as `lacking`.
    """

    format: str | None = None
    also: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    flat: tuple[str, ...] = ()
    brief: bool = False
    whole: bool = False
    lacking: tuple[str, ...] = ()


PLAIN = Layout()


def layout_of(kind: type) -> Layout:
    found: Layout = getattr(kind, "JSON", PLAIN)
    return found
