"""Scores beside the metric: how alike two models are, how their predictions moved, and what a change is worth.

Sums, not lists: a distributed computation makes one `DeltaSums` and one `FlipCounts` per part of the examples and
merges them in any order. Laws: merging is commutative, has the empty value as identity, and is associative (the sums
of floats up to rounding).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tfx_pedigree.comparison.policy import Weights
from tfx_pedigree.digest import canonical_json, plain_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import Count, JsonForm, Layout, Measured
from tfx_pedigree.versioning import ModelDescription

# Written only of models with more than two classes.
_OF_CLASSES = ("classes", "changed")


def characteristics(
    description: ModelDescription, parameters: Mapping[str, Any] | None = None, metrics: Iterable[str] = ()
) -> frozenset[str]:
    """What a model is, as a set of facts: its tensors, variables, kinds of operation, parameters and metrics."""
    facts = {f"metric {name}" for name in metrics}
    for name, signature in description.signatures.items():
        facts |= {f"signature {name} input {key}: {spec}" for key, spec in signature.inputs.items()}
        facts |= {f"signature {name} output {key}: {spec}" for key, spec in signature.outputs.items()}
    facts |= {f"variable {name}: {variable}" for name, variable in description.variables.items()}
    facts |= {f"operation {name}" for name in description.operations}
    for name, value in {**description.parameters, **(parameters or {})}.items():
        facts.add(f"parameter {name} = {canonical_json(plain_json(value)).decode()}")
    for name, digest in (("transform", description.transform_digest), ("schema", description.schema_digest)):
        if digest is not None:
            facts.add(f"{name} {digest}")
    return frozenset(facts)


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """|M1∩M2| / |M1∪M2|, from 0 (nothing in common) to 1 (the same). Two models without any fact are alike."""
    union = len(one | other)
    return len(one & other) / union if union else 1.0


def importance(improvement: float, latency_change_seconds: float, weights: Weights) -> float:
    """`improvement` is the gain as a share of the champion's score, the latency change new minus old."""
    return weights.improvement * improvement - weights.latency * latency_change_seconds


@dataclass(frozen=True)
class DeltaSums(JsonForm):
    """Over examples: count, Σ (y−ŷ_new) − (y−ŷ_old), Σ |y−ŷ_new| − |y−ŷ_old|, and how many could not be used."""

    JSON: ClassVar[Layout] = Layout(also=("mean_signed", "mean_absolute"), whole=True)

    count: Count = 0
    signed: Measured = 0.0
    absolute: Measured = 0.0
    unusable: Count = 0

    @classmethod
    def of(cls, labels: Sequence[float], new: Sequence[float], old: Sequence[float]) -> DeltaSums:
        """The plain form, which says what a vectorised one must give. NaN anywhere makes an example unusable."""
        rows = _usable(labels, new, old)
        return cls(
            count=len(rows),
            signed=math.fsum((y - now) - (y - before) for y, now, before in rows),
            absolute=math.fsum(abs(y - now) - abs(y - before) for y, now, before in rows),
            unusable=len(labels) - len(rows),
        )

    def __add__(self, other: DeltaSums) -> DeltaSums:
        return DeltaSums(
            self.count + other.count,
            self.signed + other.signed,
            self.absolute + other.absolute,
            self.unusable + other.unusable,
        )

    @property
    def mean_signed(self) -> float:
        """Positive: the new model predicts less than the old one did. NaN without examples."""
        return self.signed / self.count if self.count else math.nan

    @property
    def mean_absolute(self) -> float:
        """Negative: the new model is nearer to the truth than the old one was. NaN without examples."""
        return self.absolute / self.count if self.count else math.nan


@dataclass(frozen=True)
class FlipCounts(JsonForm):
    """How predictions moved across the threshold, old to new; `fixed` went from wrong to right, `broken` back.

    Of more than two `classes`, positive means that the class of the label was predicted. `changed` then counts the
    examples whose predicted class is another one, also where both are wrong.
    """

    JSON: ClassVar[Layout] = Layout(also=("rate",), whole=True, lacking=_OF_CLASSES)

    threshold: float = 0.5
    negative_to_negative: Count = 0
    negative_to_positive: Count = 0
    positive_to_negative: Count = 0
    positive_to_positive: Count = 0
    fixed: Count = 0
    broken: Count = 0
    classes: Count = 0
    changed: Count = 0

    @classmethod
    def of(
        cls, labels: Sequence[float], new: Sequence[float], old: Sequence[float], threshold: float = 0.5
    ) -> FlipCounts:
        """A prediction is positive from the threshold on. Examples with a NaN are left out."""
        rows = _usable(labels, new, old)
        moves = [(before >= threshold, now >= threshold, y >= threshold) for y, now, before in rows]
        return cls(
            threshold,
            negative_to_negative=sum(not before and not now for before, now, _ in moves),
            negative_to_positive=sum(not before and now for before, now, _ in moves),
            positive_to_negative=sum(before and not now for before, now, _ in moves),
            positive_to_positive=sum(before and now for before, now, _ in moves),
            fixed=sum(before != now == truth for before, now, truth in moves),
            broken=sum(truth == before != now for before, now, truth in moves),
        )

    def __add__(self, other: FlipCounts) -> FlipCounts:
        if (self.threshold, self.classes) != (other.threshold, other.classes):
            raise InvalidInputError(f"Flips at the thresholds {self.threshold} and {other.threshold} cannot be added.")
        mine, theirs = vars(self), vars(other)
        counts = {key: mine[key] + theirs[key] for key in mine if key not in ("threshold", "classes")}
        return FlipCounts(self.threshold, **counts, classes=self.classes)

    @property
    def count(self) -> int:
        stayed = self.negative_to_negative + self.positive_to_positive
        return stayed + self.negative_to_positive + self.positive_to_negative

    @property
    def flipped(self) -> int:
        return self.changed if self.classes else self.negative_to_positive + self.positive_to_negative

    @property
    def rate(self) -> float:
        return self.flipped / self.count if self.count else math.nan

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in super().to_json().items() if self.classes or key not in _OF_CLASSES}


def _usable(labels: Sequence[float], new: Sequence[float], old: Sequence[float]) -> list[tuple[float, float, float]]:
    if not len(labels) == len(new) == len(old):
        raise InvalidInputError(
            f"There are {len(labels)} labels, {len(new)} new and {len(old)} old predictions: they must belong to "
            "the same examples."
        )
    return [row for row in zip(labels, new, old, strict=True) if all(map(math.isfinite, row))]
