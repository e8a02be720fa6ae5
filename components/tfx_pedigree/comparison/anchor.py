"""The best champion so far, measured anew on the rows of this decision beside the challenger; or why it was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfx_pedigree.comparison.config_reader import ConfigNode, optional
from tfx_pedigree.comparison.numbers import MetricValue
from tfx_pedigree.errors import InvalidInputError


@dataclass(frozen=True)
class Anchor:
    """`best` and `challenger` are both models' scores in one evaluation, `difference` challenger − best, paired.
    `missing` says in a few words why the version was not measured; there are no numbers then."""

    version: str
    best: MetricValue | None = None
    challenger: MetricValue | None = None
    difference: MetricValue | None = None
    missing: str | None = None

    def __post_init__(self) -> None:
        if (self.best is None or self.challenger is None) is not (self.missing is not None):
            raise InvalidInputError(f"The best champion {self.version} was measured, or it is said why not.")

    def to_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in ("best", "challenger", "difference")}
        numbers = {name: value.to_json() if value else None for name, value in values.items()}
        return {"version": self.version, **numbers, "missing": self.missing}

    @classmethod
    def read(cls, place: ConfigNode) -> Anchor:
        names = tuple(cls.__dataclass_fields__)
        found = place.fields(names, names)
        best, challenger, difference = (optional(found, name, MetricValue.read) for name in names[1:4])
        missing = optional(found, "missing", ConfigNode.text)
        return cls(found["version"].text(), best, challenger, difference, missing)
