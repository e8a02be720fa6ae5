"""A check: what must hold besides the score, and in a sentence how it came out.

Every check that looks at one number is monotone: a model that is better in it never fares worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.comparison.verdict import CheckOutcome
from tfx_pedigree.digest import plain_json

NO_CHAMPION = "there is no champion to compare it with"


@dataclass(frozen=True)
class Check:
    """`sentence` has no full stop. `warning`: it was skipped, and somebody should know."""

    name: str
    outcome: CheckOutcome
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    warning: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "outcome": self.outcome.value,
            "sentence": self.sentence,
            "numbers": plain_json(self.numbers),
            "warning": self.warning,
        }

    @classmethod
    def read(cls, place: ConfigNode) -> Check:
        names = tuple(cls.__dataclass_fields__)
        found = place.fields(names, names)
        return cls(
            found["name"].text(),
            found["outcome"].choice(CheckOutcome),
            found["sentence"].text(),
            {key: one.measured() for key, one in found["numbers"].table().items()},
            found["warning"].truth(),
        )
