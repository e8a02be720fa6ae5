"""What is kept of a batch on which both models predicted: sums, from which every score of the comparison follows.

Laws: `of(a + b) == of(a) + of(b)` for the examples of a and b, exactly; `delta` and `flips` are equal to
`DeltaSums.of` and `FlipCounts.of` over all examples at once; `PairedSums.from_json(s.to_json()) == s`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfx_pedigree.comparison import DeltaSums, FlipCounts, Outcomes
from tfx_pedigree.service.judging.comparison import Agreement, Predicted
from tfx_pedigree.tfx_components.version_comparator.exact_sums import as_float, exact_sums
from tfx_pedigree.tfx_components.version_comparator.score_counts import (
    added,
    both_outcomes,
    matrix_counts,
    outside,
    score_counts,
)

Numbers = np.ndarray[Any, Any]
_NO_TERMS = (0,) * 8
_NO_MOVES = (0,) * 6
_COUNTED = ("moves", "scores", "matrix")


@dataclass(frozen=True)
class PairedSums:
    """`failed` counts examples on which a model could not be run at all, `problem` says why.

    `terms` are exact sums of: (y−new)−(y−old), |y−new|−|y−old|, |new−old|, new, old, new², old², new·old. `moves` are
    counts in the order of FlipCounts. `graded` counts examples whose label is neither 0 nor 1.

    Of more than two `classes`, the prediction is the score of the class that the label names, its truth is 1, and it is
    positive where that class is the one predicted; `changed` counts the examples whose predicted class is another one.

    `scores` and `matrix` are the counts of `Outcomes`; `outside` counts scores that are no probabilities.
    """

    threshold: float = 0.5
    count: int = 0
    unusable: int = 0
    failed: int = 0
    graded: int = 0
    terms: tuple[int, ...] = _NO_TERMS
    largest: float = 0.0
    moves: tuple[int, ...] = _NO_MOVES
    problem: str = ""
    classes: int = 0
    changed: int = 0
    scores: tuple[int, ...] = ()
    matrix: tuple[int, ...] = ()
    outside: int = 0

    @classmethod
    def of_outputs(cls, labels: Numbers, new: Numbers, old: Numbers, threshold: float = 0.5) -> PairedSums:
        """Of what models give for each example: one number, or a row of them.

        A label for each output (several labels, several heads): each counts on its own. One label and two outputs: the
        second is the probability. One label and more: it names the class.
        """
        rows, width = new.shape
        if labels.ndim == 2 and labels.shape[1] == width:
            return cls.of(labels.ravel(), new.ravel(), old.ravel(), threshold)
        labels = labels.reshape(rows, -1)[:, 0]
        if width <= 2:
            return cls.of(labels, new[:, -1], old[:, -1], threshold)
        known = np.isfinite(labels) & (labels == np.floor(labels)) & (labels >= 0) & (labels < width)
        known &= np.isfinite(new).all(axis=1) & np.isfinite(old).all(axis=1)
        truth = np.where(known, labels, 0).astype(np.int64)
        each = np.arange(rows)
        score_new, score_old = (np.where(known, one[each, truth], np.nan) for one in (new, old))
        said_new, said_old = np.argmax(new, axis=1)[known], np.argmax(old, axis=1)[known]
        right_new, right_old = said_new == truth[known], said_old == truth[known]
        sure_new, sure_old = new[known].max(axis=1, initial=0.0), old[known].max(axis=1, initial=0.0)
        return replace(
            cls.of(np.ones(rows), score_new, score_old, threshold),
            moves=_moves(np.ones(len(right_new), dtype=bool), right_new, right_old),
            classes=width,
            changed=int(np.count_nonzero(said_new != said_old)),
            scores=score_counts(right_new, sure_new) + score_counts(right_old, sure_old),
            matrix=matrix_counts(truth[known], said_new, width) + matrix_counts(truth[known], said_old, width),
            outside=outside(sure_new, sure_old),
        )

    @classmethod
    def of(cls, labels: Numbers, new: Numbers, old: Numbers, threshold: float = 0.5) -> PairedSums:
        """Examples for which a label or a prediction is missing, NaN or infinite are counted as unusable."""
        y, new, old = (np.asarray(one, dtype=np.float64) for one in (labels, new, old))
        with np.errstate(all="ignore"):
            terms = np.stack([(y - new) - (y - old), np.abs(y - new) - np.abs(y - old), np.abs(new - old)])
            terms = np.concatenate([terms, np.stack([new, old, new * new, old * old, new * old])])
        usable = np.isfinite(y) & np.isfinite(terms).all(axis=0)
        y, new, old, terms = y[usable], new[usable], old[usable], terms[:, usable]
        truth, said_new, said_old = y >= threshold, new >= threshold, old >= threshold
        return cls(
            threshold,
            count=int(y.size),
            unusable=int(usable.size - y.size),
            graded=int(np.count_nonzero((y != 0) & (y != 1))),
            terms=exact_sums(terms),
            largest=float(terms[2].max(initial=0.0)),
            moves=_moves(truth, said_new, said_old),
            scores=score_counts(truth, new) + score_counts(truth, old),
            matrix=matrix_counts(truth, said_new, 2) + matrix_counts(truth, said_old, 2),
            outside=outside(new, old),
        )

    @classmethod
    def failure(cls, examples: int, problem: str, threshold: float = 0.5) -> PairedSums:
        return cls(threshold, failed=examples, problem=problem)

    def __add__(self, other: PairedSums) -> PairedSums:
        return PairedSums(
            self.threshold,
            self.count + other.count,
            self.unusable + other.unusable,
            self.failed + other.failed,
            self.graded + other.graded,
            tuple(map(int.__add__, self.terms, other.terms)),
            max(self.largest, other.largest),
            tuple(map(int.__add__, self.moves, other.moves)),
            # One of them is enough, and always the same one, however the parts were merged.
            min(filter(None, (self.problem, other.problem)), default=""),
            max(self.classes, other.classes),
            self.changed + other.changed,
            added(self.scores, other.scores),
            added(self.matrix, other.matrix),
            self.outside + other.outside,
        )

    @property
    def examples(self) -> int:
        return self.count + self.unusable + self.failed

    @property
    def delta(self) -> DeltaSums:
        signed, absolute = map(as_float, self.terms[:2])
        return DeltaSums(self.count, signed, absolute, self.unusable + self.failed)

    @property
    def flips(self) -> FlipCounts | None:
        """None where labels are not 0 and 1: a threshold says nothing of a regression."""
        if self.graded or not self.count:
            return None
        return replace(FlipCounts(self.threshold, *self.moves), classes=self.classes, changed=self.changed)

    @property
    def outcomes(self) -> Outcomes | None:
        """None where the truth is a number. Scores that are no probabilities are left out, and so is a matrix of too
        many classes."""
        if self.graded or not self.count:
            return None
        classes = self.classes or 2
        new, old = both_outcomes(() if self.outside else self.scores, self.matrix, classes)
        known = new.has_scores or new.matrix
        return Outcomes(self.threshold, classes, new, old) if known else None

    @property
    def agreement(self) -> Agreement | None:
        if not self.count:
            return None
        n, (_, _, moved, new, old, new2, old2, both) = self.count, self.terms
        # Whole numbers until the end: of float32 predictions, whose squares are exact, no digit is lost.
        unit = 1 << 1126
        variances = [n * square * unit - one * one for square, one in ((new2, new), (old2, old))]
        product = variances[0] * variances[1]
        covariance = n * both * unit - new * old
        correlation = math.nan
        if min(variances) > 0:
            # The scale cancels out, and only so do the numbers fit into floats.
            shift = max(0, (product.bit_length() - 1000) // 2 * 2)
            correlation = (covariance / (1 << shift // 2)) / math.sqrt(product / (1 << shift))
            correlation = max(-1.0, min(1.0, correlation))
        return Agreement(as_float(moved) / n, self.largest, correlation)

    @property
    def predicted(self) -> Predicted:
        """What the comparison makes of it."""
        return Predicted(self.delta if self.count else None, self.flips, self.agreement, self.outcomes)

    @property
    def predicted_alone(self) -> Predicted:
        """Of a model that was its own rival: what it said of the truth, and nothing of a difference."""
        found = self.outcomes
        return Predicted(outcomes=replace(found, champion=None) if found else None)

    def to_json(self) -> dict[str, Any]:
        """Sums as hexadecimal text: they are longer than any number that JSON can hold."""
        counts = {name: list(getattr(self, name)) for name in _COUNTED}
        return {**vars(self), "terms": [hex(one) for one in self.terms], **counts}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PairedSums:
        terms = tuple(int(one, 16) for one in data["terms"])
        return cls(**{**data, "terms": terms, **{name: tuple(data[name]) for name in _COUNTED}})


def _moves(truth: Numbers, new: Numbers, old: Numbers) -> tuple[int, ...]:
    flipped = new != old
    found = (~old & ~new, ~old & new, old & ~new, old & new, flipped & (new == truth), flipped & (old == truth))
    return tuple(int(np.count_nonzero(one)) for one in found)
