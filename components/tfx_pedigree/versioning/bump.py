"""The three parts of a version number, and a difference that raises one of them."""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass


@functools.total_ordering
class Bump(enum.Enum):
    """The part of a version number that rises. PATCH < MINOR < MAJOR."""

    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"

    def __lt__(self, other: Bump) -> bool:
        order = list(Bump)
        return order.index(self) < order.index(other)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class DescriptionDifference:
    """One thing that is not as it was, said in a sentence without a full stop."""

    bump: Bump
    sentence: str
