"""What comparing two models costs: predictions of both over all evaluation examples, and measuring their latency.

    python benchmarks/comparison.py [--rows N] [--naive-rows N] [--rounds N] [--json FILE]

The predictions are compared in two ways over the same files with the same two models, on Beam's local runner:

- as VersionComparator does it: both models on the same batch, sums as they come, nothing joined;
- the naive way: a pass of predictions for each model, keyed by row, joined by key, summed row by row.

Both give the same numbers, which is checked. Ratios are those of one round, median and extremes. Figures without Beam
(reading; reading and calling both models) tell what the computation could cost at the least.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import apache_beam as beam
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from tfx_pedigree.comparison import DeltaSums
from tfx_pedigree.tfx_components.version_comparator.examples import Examples, batches, labels
from tfx_pedigree.tfx_components.version_comparator.latency_measure import LatencySettings, measure_latency
from tfx_pedigree.tfx_components.version_comparator.predictions import (
    BATCH_SIZE,
    PairOf,
    Plan,
    compare_predictions,
    read_sums,
)
from tfx_pedigree.tfx_components.version_comparator.serving import ServedModel, ServingSignature

FEATURES = 10
LABEL = "label"
OPTIONS = ["--runner=DirectRunner"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what comparing two models costs.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="examples (default 1,000,000)")
    parser.add_argument("--naive-rows", type=int, default=200_000, help="examples for both ways (default 200,000)")
    parser.add_argument("--files", type=int, default=2, help="files they are in (default 2)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=None, help="write the numbers there, too")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="pedigree-bench-"))
    try:
        few = write_examples(work / "few", options.naive_rows, options.files)
        many = write_examples(work / "many", options.rows, options.files)
        models = [write_model(work / name, seed) for seed, name in enumerate(("new", "old"))]
        found = measure(work, few, many, models, options.rounds)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report(options, found)


def write_examples(folder: Path, rows: int, files: int) -> list[str]:
    """Ten numbers and a label each, gzipped as ExampleGen does it, and a key by which the naive way can join."""
    folder.mkdir()
    chance = np.random.default_rng(7)
    paths = []
    for number, count in enumerate(np.diff(np.linspace(0, rows, files + 1).astype(int))):
        paths.append(str(folder / f"data-{number}.gz"))
        features = chance.normal(size=(count, FEATURES)).astype(np.float32)
        truth = (features.sum(axis=1) + chance.normal(size=count) > 0).astype(int)
        with tf.io.TFRecordWriter(paths[-1], tf.io.TFRecordOptions("GZIP", compression_level=1)) as writer:
            for values, label in zip(features, truth, strict=True):
                writer.write(example(values, int(label)))
    return paths


def example(values: np.ndarray, label: int) -> bytes:
    feature = {
        "x": tf.train.Feature(float_list=tf.train.FloatList(value=values)),
        LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    found: bytes = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    return found


def write_model(folder: Path, seed: int) -> str:
    """Two hidden layers of 64, of the size that tabular models have."""
    chance = np.random.default_rng(seed)
    module = tf.Module()
    shapes = ((FEATURES, 64), (64, 64), (64, 1))
    module.layers = [tf.Variable(chance.normal(size=shape).astype(np.float32) / 8) for shape in shapes]
    spec = {"x": tf.io.FixedLenFeature([FEATURES], tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples: Any) -> dict[str, Any]:
        value = tf.io.parse_example(examples, spec)["x"]
        for weights in module.layers[:-1]:
            value = tf.nn.relu(value @ weights)
        return {"outputs": tf.sigmoid(value @ module.layers[-1])}

    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    return str(folder)


def measure(work: Path, few: list[str], many: list[str], models: list[str], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {}

    def timed(name: str, action: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        found = action()
        times.setdefault(name, []).append(time.perf_counter() - began)
        return found

    pair = [ServedModel(one, ServingSignature()) for one in models]
    for _ in range(rounds):
        ours = timed("ours, few", lambda: paired(work, few, models))
        naive = timed("naive, few", lambda: joined(work, few, models))
        assert naive.count == ours.count and math.isclose(naive.signed, ours.signed, rel_tol=1e-6), (naive, ours)
        timed("ours, many", lambda: paired(work, many, models))
        timed("reading", lambda: read_only(many))
        timed("fingerprint", Examples("eval", None, tuple(many)).fingerprint)
        timed("both models", lambda: call_only(many, pair))
    batch = next(batches(few[0], 32))
    for calls in (20, 50, 200):
        settings = LatencySettings(calls, 32)
        timed(f"latency, {calls} rounds", lambda settings=settings: measure_latency(pair[0], pair[1], batch, settings))
    timed("loading both models", lambda: [ServedModel(one, ServingSignature()) for one in models])
    return times


def paired(work: Path, paths: list[str], models: list[str]) -> DeltaSums:
    """As VersionComparator does it, with the loading of the models."""
    result = str(work / "sums.json")
    with beam.Pipeline(argv=OPTIONS) as pipeline:
        compare_predictions(pipeline, paths, Plan(PairOf.at(*models, ServingSignature()), LABEL), result)
    return read_sums(result).delta


def read_only(paths: list[str]) -> int:
    return sum(int(batch.shape[0]) for path in paths for batch in batches(path, BATCH_SIZE))


def call_only(paths: list[str], pair: list[ServedModel]) -> None:
    for path in paths:
        for batch in batches(path, BATCH_SIZE):
            labels(batch, LABEL)
            for model in pair:
                model.predict(batch)


class PredictRows(beam.DoFn):  # type: ignore[misc]
    """One model's pass: batches in, a pair of key and prediction out for each row."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def setup(self) -> None:
        self._model = ServedModel(self._folder, ServingSignature())

    def process(self, rows: list[bytes]) -> Iterator[tuple[bytes, tuple[float, float]]]:
        batch = tf.constant(rows)
        for row, label, value in zip(rows, labels(batch, LABEL), self._model.predict(batch), strict=True):
            yield hashlib.blake2b(row, digest_size=16).digest(), (float(label), float(value))


def row_delta(found: tuple[bytes, tuple[Iterable[Any], Iterable[Any]]]) -> Iterator[DeltaSums]:
    for (label, new), (_, old) in zip(*found[1], strict=True):
        yield DeltaSums(1, (label - new) - (label - old), abs(label - new) - abs(label - old))


def joined(work: Path, paths: list[str], models: list[str]) -> DeltaSums:
    """The naive way: two passes, a join by key, row by row."""
    result = work / "joined.json"
    with beam.Pipeline(argv=OPTIONS) as pipeline:
        passes = [
            pipeline
            | f"Files{at}" >> beam.Create(paths)
            | f"Read{at}" >> beam.io.ReadAllFromTFRecord()
            | f"Batch{at}" >> beam.BatchElements(BATCH_SIZE, BATCH_SIZE)
            | f"Predict{at}" >> beam.ParDo(PredictRows(folder))
            for at, folder in enumerate(models)
        ]
        _ = (
            passes
            | beam.CoGroupByKey()
            | beam.FlatMap(row_delta)
            | beam.CombineGlobally(lambda parts: sum(parts, DeltaSums()))
            | beam.Map(lambda found: result.write_text(json.dumps(found.to_json())))
        )
    found = json.loads(result.read_text())
    return DeltaSums(found["count"], found["signed"], found["absolute"], found["unusable"])


def report(options: argparse.Namespace, times: dict[str, list[float]]) -> None:
    console = Console()
    console.print(f"Python {platform.python_version()}, TensorFlow {tf.__version__}, {os.cpu_count()} cores")
    few, many = options.naive_rows, options.rows
    table = Table("", "rows", "seconds", "rows per second", title="Paired predictions of two models")
    for name, rows, text in (
        ("naive, few", few, "two passes, joined by key"),
        ("ours, few", few, "VersionComparator"),
        ("ours, many", many, "VersionComparator"),
        ("both models", many, "at the least: read, both models, no Beam"),
        ("reading", many, "of that: reading"),
        ("fingerprint", many, "the digest of the rows"),
    ):
        seconds = statistics.median(times[name])
        table.add_row(text, f"{rows:,}", f"{seconds:.2f}", f"{rows / seconds:,.0f}")
    console.print(table)
    gains = sorted(a / b for a, b in zip(times["naive, few"], times["ours, few"], strict=True))
    console.print(f"Faster than the join: {statistics.median(gains):.1f} times ({gains[0]:.1f} to {gains[-1]:.1f}).")
    costs = Table("", "seconds", title="Latency of both, in turn, 32 examples a call")
    for name, found in times.items():
        if name.startswith(("latency", "loading")):
            costs.add_row(name, f"{found[0]:.3f}")
    console.print(costs)
    if options.json:
        options.json.write_text(json.dumps(times, indent=2) + "\n")


if __name__ == "__main__":
    main()
