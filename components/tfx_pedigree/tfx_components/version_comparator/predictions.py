"""How the predictions of two models differ, over all evaluation examples and on any Beam runner.

Both models see the same batch in the same call, so nothing has to be joined. A worker loads them once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
from apache_beam.utils import shared
from tfx.dsl.io import fileio

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.tfx_components.version_comparator.examples import batches, labels
from tfx_pedigree.tfx_components.version_comparator.paired_sums import PairedSums
from tfx_pedigree.tfx_components.version_comparator.serving import ServedModel, ServingSignature, first_line

BATCH_SIZE = 4096


@dataclass(frozen=True)
class PairOf:
    """Where two models lie and how to call them. `handle` finds them again where this process has them loaded. A model
    that stands alone is both of them, and predicts once."""

    challenger: str
    champion: str
    target: ServingSignature
    handle: shared.Shared

    @classmethod
    def at(cls, challenger: str, champion: str, target: ServingSignature) -> PairOf:
        return cls(challenger, champion, target, shared.Shared())

    def load(self) -> Pair:
        """Once per process and handle, whatever number of threads asks."""
        found: Pair = self.handle.acquire(self._both)
        return found

    def _both(self) -> Pair:
        challenger = self._one(self.challenger)
        return Pair(challenger, challenger if self.champion == self.challenger else self._one(self.champion))

    def offer(self, pair: Pair) -> None:
        """What runs in this process then uses models that are loaded already."""
        self.handle.acquire(lambda: pair)

    def _one(self, folder: str) -> ServedModel:
        return ServedModel(folder, self.target)


@dataclass(frozen=True)
class Pair:
    challenger: ServedModel
    champion: ServedModel


@dataclass(frozen=True)
class Plan:
    """What to compute. The batch size does not change the sums, but for what a model itself makes of it."""

    pair: PairOf
    label_key: str
    threshold: float = 0.5
    batch_size: int = BATCH_SIZE


class PredictPairs(beam.DoFn):  # type: ignore[misc]
    """From a file of examples to sums, one for each batch."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._pair: Pair | None = None

    def setup(self) -> None:
        self._pair = self._plan.pair.load()

    def process(self, path: str) -> Iterator[PairedSums]:
        for batch in batches(path, self._plan.batch_size):
            yield self._sums(batch)

    def _sums(self, batch: Any) -> PairedSums:
        plan, pair = self._plan, self._pair or self._plan.pair.load()
        try:
            new = pair.challenger.predict(batch)
            old = new if pair.champion is pair.challenger else pair.champion.predict(batch)
            return PairedSums.of_outputs(_truth(batch, plan, pair, new.shape[1]), new, old, plan.threshold)
        except tf.errors.OpError as error:
            # One example that a model cannot read must not take the whole comparison with it.
            return PairedSums.failure(int(batch.shape[0]), first_line(error), plan.threshold)


def _truth(batch: Any, plan: Plan, pair: Pair, width: int) -> np.ndarray[Any, Any]:
    found = labels(batch, plan.label_key, width)
    if not plan.pair.target.preprocessing or np.isfinite(found).any():
        return found
    made = pair.challenger.transformed(batch).get(plan.label_key)
    if made is None:
        return found
    dense = tf.sparse.to_dense(made) if isinstance(made, tf.SparseTensor) else made
    return np.asarray(dense, dtype=np.float64).reshape(int(batch.shape[0]), -1)


class MergeSums(beam.CombineFn):  # type: ignore[misc]
    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    def create_accumulator(self) -> PairedSums:
        return PairedSums(self._threshold)

    def add_input(self, accumulator: PairedSums, element: PairedSums) -> PairedSums:
        return accumulator + element

    def merge_accumulators(self, accumulators: Iterable[PairedSums]) -> PairedSums:
        return sum(accumulators, PairedSums(self._threshold))

    def extract_output(self, accumulator: PairedSums) -> PairedSums:
        return accumulator


class ComparePredictions(beam.PTransform):  # type: ignore[misc]
    """From paths of TFRecord files with tf.Examples to one PairedSums over all of them."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def expand(self, paths: Any) -> Any:
        return (
            paths
            | "OneFileEach" >> beam.Reshuffle()
            | "PredictWithBoth" >> beam.ParDo(PredictPairs(self._plan))
            | "AddUp" >> beam.CombineGlobally(MergeSums(self._plan.threshold))
        )


def sums_of(paths: Iterable[str], plan: Plan) -> PairedSums:
    """In this process, without Beam."""
    predict = PredictPairs(plan)
    predict.setup()
    return sum((one for path in paths for one in predict.process(path)), PairedSums(plan.threshold))


def write_sums(sums: PairedSums, path: str) -> None:
    with fileio.open(path, "w") as file:
        file.write(json.dumps(sums.to_json(), sort_keys=True) + "\n")


def read_sums(path: str) -> PairedSums:
    with fileio.open(path, "rb") as file:
        return PairedSums.from_json(parse_json(file.read(), path, words=True))


def compare_predictions(pipeline: Any, paths: Sequence[str], plan: Plan, result: str) -> None:
    """Adds to a pipeline what computes the sums and writes them to the file `result`, from wherever it runs."""
    _ = (
        pipeline
        | "Files" >> beam.Create(list(paths), reshuffle=False)
        | "ComparePredictions" >> ComparePredictions(plan)
        | "Write" >> beam.Map(write_sums, result)
    )
