"""How far a metric may be apart between slices: at the most, or against how far the champion's is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfx_pedigree.errors import InvalidInputError


@dataclass(frozen=True)
class Gap:
    """`at_most`: the widest gap that may be. `worse_by`: how much wider than the champion's widest gap it may be."""

    at_most: float | None = None
    worse_by: float | None = None

    def __post_init__(self) -> None:
        given = [one for one in (self.at_most, self.worse_by) if one is not None]
        if not given or min(given) < 0:
            raise InvalidInputError("A gap is limited by `at_most`, by `worse_by` or by both, each 0 or more.")

    def to_json(self) -> float | dict[str, Any]:
        """The bare number where that is all, as it was before there was another way: such a policy keeps its digest."""
        if self.worse_by is None and self.at_most is not None:
            return self.at_most
        given = {"at_most": self.at_most, "worse_by": self.worse_by}
        return {key: value for key, value in given.items() if value is not None}
