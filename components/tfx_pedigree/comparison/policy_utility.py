"""A score of a policy's own: several metrics weighed against each other, or what each outcome is worth.

TFMA computes either on the examples, as it does every metric, so that it has slices, and an interval that knows how its
parts vary together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfx_pedigree.comparison.config_reader import ConfigNode, optional
from tfx_pedigree.comparison.metric_names import MetricName, base_of
from tfx_pedigree.comparison.metrics import KNOWN
from tfx_pedigree.errors import InvalidInputError

OUTCOMES = ("true_positive", "true_negative", "false_positive", "false_negative")


@dataclass(frozen=True)
class Utility:
    """More is better. `weights`: the sum of metrics, each times its weight. `outcomes`: the mean over the examples of
    what their outcome is worth, where a prediction from `threshold` on is positive."""

    weights: Mapping[str, float] = field(default_factory=dict)
    outcomes: Mapping[str, float] = field(default_factory=dict)
    threshold: float = 0.5

    def __post_init__(self) -> None:
        given = {**self.weights, **self.outcomes}
        if bool(self.weights) is bool(self.outcomes):
            raise InvalidInputError("A utility has either `weights` of metrics, or what each of `outcomes` is worth.")
        if not all(map(math.isfinite, given.values())) or not any(given.values()):
            raise InvalidInputError("A utility in which everything is worth the same is none: give other numbers.")
        if unknown := [name for name in self.outcomes if name not in OUTCOMES]:
            raise InvalidInputError(f"`{unknown[0]}` is no outcome. There are {', '.join(OUTCOMES)}.")
        for part in ("weights", "outcomes"):
            object.__setattr__(self, part, dict(sorted(getattr(self, part).items())))

    def to_json(self) -> dict[str, Any]:
        if self.weights:
            return {"weights": dict(self.weights)}
        return {"outcomes": dict(self.outcomes), "threshold": self.threshold}

    @classmethod
    def read(cls, place: ConfigNode) -> Utility:
        found = place.fields(("weights", "outcomes", "threshold"))
        threshold = optional(found, "threshold", ConfigNode.number)
        if threshold is not None and "outcomes" not in found:
            raise found["threshold"].wrong("belongs to `outcomes`.")
        worth = {
            part: {name: one.number() for name, one in found[part].table().items()} if part in found else {}
            for part in ("weights", "outcomes")
        }
        try:
            return cls(**worth, threshold=0.5 if threshold is None else threshold)
        except InvalidInputError as error:
            raise place.wrong(f"cannot be used. {error}") from None


Utilities = Mapping[str, Utility]


def check_names(utilities: Utilities, metrics: Iterable[str]) -> None:
    """`metrics` are those that the policy decides on."""
    for name in metrics:
        utility = utilities.get(base_of(name))
        if utility is not None and utility.weights and name not in utilities:
            raise InvalidInputError(f"`{name}` is a sum, whose terms say what they are of: write `{base_of(name)}`.")
    for name, utility in utilities.items():
        if name in KNOWN or not name.isidentifier():
            raise InvalidInputError(f"`{name}` cannot name a utility: give it a word that is no metric's name.")
        for term in utility.weights:
            if MetricName.parse(term).base in utilities:
                raise InvalidInputError(f"The utility `{name}` weighs `{term}`, which is a utility itself.")


def terms_of(name: str, utilities: Utilities) -> tuple[str, ...]:
    """The metrics that this metric is made of; none if it is no sum."""
    found = utilities.get(base_of(name))
    return () if found is None else tuple(found.weights)
