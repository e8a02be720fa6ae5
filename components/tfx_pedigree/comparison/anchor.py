"""The best champion so far, measured anew on the rows of this decision beside the challenger; or why it was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tfx_pedigree.comparison.numbers import MetricValue
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm, Layout


@dataclass(frozen=True)
class Anchor(JsonForm):
    """`best` and `challenger` are both models' scores in one evaluation, `difference` challenger − best, paired.
    `missing` says in a few words why the version was not measured; there are no numbers then."""

    JSON: ClassVar[Layout] = Layout(whole=True)

    version: str
    best: MetricValue | None = None
    challenger: MetricValue | None = None
    difference: MetricValue | None = None
    missing: str | None = None

    def __post_init__(self) -> None:
        if (self.best is None or self.challenger is None) is not (self.missing is not None):
            raise InvalidInputError(f"The best champion {self.version} was measured, or it is said why not.")
