"""Scores and said classes of a batch as counts, of both models, challenger first: the stored form of `Outcomes`.

Laws: `added` is commutative and associative, has () as identity, and the counts of parts add up to those of the whole.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np

from tfx_pedigree.comparison import ModelOutcomes
from tfx_pedigree.comparison.outcomes import BINS, MOST_CLASSES

Numbers = np.ndarray[Any, Any]
Counts = tuple[int, ...]


def added(one: Counts, other: Counts) -> Counts:
    return tuple(a + b for a, b in zip_longest(one, other, fillvalue=0))


def score_counts(truths: Numbers, scores: Numbers) -> Counts:
    """The bins of one model: first of the examples that are not true, then of those that are."""
    places = np.clip(np.floor(scores * BINS), 0, BINS - 1).astype(np.int64)
    return _counted(places + truths.astype(np.int64) * BINS, 2 * BINS)


def outside(*scores: Numbers) -> int:
    """How many are no probabilities: logits, say, or estimates."""
    return sum(int(np.count_nonzero((one < 0) | (one > 1))) for one in scores)


def matrix_counts(truths: Numbers, said: Numbers, classes: int) -> Counts:
    """Row by row; nothing where there are too many classes."""
    if classes > MOST_CLASSES:
        return ()
    return _counted(truths.astype(np.int64) * classes + said.astype(np.int64), classes * classes)


def both_outcomes(scores: Counts, matrix: Counts, classes: int) -> tuple[ModelOutcomes, ModelOutcomes]:
    """Challenger's and champion's, from their counts one after the other."""
    half = len(matrix) // 2
    sides = ((scores[: 2 * BINS], matrix[:half]), (scores[2 * BINS :], matrix[half:]))
    new, old = (ModelOutcomes(one[:BINS], one[BINS:], _square(cells, classes)) for one, cells in sides)
    return new, old


def _square(cells: Counts, classes: int) -> tuple[Counts, ...]:
    return tuple(cells[at : at + classes] for at in range(0, len(cells), classes))


def _counted(places: Numbers, size: int) -> Counts:
    return tuple(np.bincount(places, minlength=size).tolist())
