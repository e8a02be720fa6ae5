"""What a policy can ask of many retrainings rather than of one: a budget of errors, care with reused rows, an anchor.

All of it is optional, and stands in the policy's JSON only where it is asked for: a policy without it keeps its digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.text import plural

MOST_DECISIONS = 10_000
BEST_CHAMPION = "best_champion"


class Reused(str, Enum):
    """What happens once the same rows have decided too often."""

    WARN = "warn"
    INSUFFICIENT = "insufficient"


class Many(str, Enum):
    """How a guardrail over many slices is judged: each must be shown to be kept, or none may be shown to be broken."""

    EACH = "each"
    HOLM = "holm"


@dataclass(frozen=True)
class ErrorBudget(JsonForm):
    """In a period of so many decisions, the chance of any false promotion is at most `false_promotions`."""

    false_promotions: float
    decisions: int

    def __post_init__(self) -> None:
        if not 0 < self.false_promotions < 0.5 or not 1 <= self.decisions <= MOST_DECISIONS:
            raise InvalidInputError(
                f"An error budget of {self.false_promotions:g} for {plural(self.decisions, 'decision')} is none: give "
                "`false_promotions` as a chance between 0 and 0.5, such as 0.05, and `decisions` as the retrainings of "
                f"a year, such as 52 (at most {MOST_DECISIONS})."
            )


@dataclass(frozen=True)
class Holdout(JsonForm):
    """`uses`: how often the same rows may decide before `then`. `ladder`: each answer that they gave makes the next
    one harder, so that whoever reacts to the answers cannot climb on their noise."""

    uses: int | None = None
    then: Reused = Reused.WARN
    ladder: bool = False

    def __post_init__(self) -> None:
        if self.uses is None and not self.ladder:
            raise InvalidInputError("`holdout` asks for nothing: give `uses`, `ladder: true` or both.")
        if self.uses is not None and self.uses < 1:
            raise InvalidInputError(f"Rows that may be used {self.uses} times decide nothing: give 1 or more.")


@dataclass(frozen=True)
class NeverBelow:
    """The best champion so far may not be lost by more than this: as a share of its score, or as a difference; as much
    as the rule lets pass where neither is given."""

    relative: float | None = None
    absolute: float | None = None
    point_estimate: bool = False

    def __post_init__(self) -> None:
        limits = [one for one in (self.relative, self.absolute) if one is not None]
        if len(limits) > 1 or any(one < 0 for one in limits):
            raise InvalidInputError(
                "What may be lost of the best champion is either `relative` or `absolute`, and 0 or more."
            )

    def to_json(self) -> dict[str, Any]:
        given = {"relative": self.relative, "absolute": self.absolute}
        limit = {key: value for key, value in given.items() if value is not None}
        return {BEST_CHAMPION: limit, "point_estimate": self.point_estimate}
