"""What intervals cost that follow from the rows: TFMA's pass over the same rows without intervals, with TFMA's own
chance, and with Pedigree's parts; and whether reruns come to the same interval and the same verdict.

    make bench BENCH=intervals ARGS='--rows 100000'
    make bench BENCH=intervals ARGS='--rows 1000000 --ways without rows'
    make bench BENCH=intervals ARGS='--rows 2000 --reruns 20'
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tfx_bsl.public import tfxio

from tfx_pedigree.comparison import Key, ModelInputs, Policy, Rule, RuleKind, Scores, decide, evaluator_plan
from tfx_pedigree.service.judging.comparison import Evaluated
from tfx_pedigree.tfx_components import eval_config_of
from tfx_pedigree.tfx_components.evaluator.same_intervals import copies, same_intervals
from tfx_pedigree.tfx_components.version_comparator.tfma_results import read_evaluation

WITHOUT, CHANCE, ROWS = "without intervals", "TFMA's chance", "by the rows"
WAYS = {"without": WITHOUT, "chance": CHANCE, "rows": ROWS}


def intervals(rows: int, metric: str, ways: list[str]) -> None:
    """Seconds of the clock and of the processor of TFMA's pass over the same rows, one way after the other."""
    with tempfile.TemporaryDirectory() as folder:
        files = _written(Path(folder), rows)
        models = _models(Path(folder))
        _evaluate(Path(folder, "warm"), _written(Path(folder, "few"), 100), models, WITHOUT, metric)
        took: dict[str, float] = {}
        for name in ways:
            clock, processor = time.perf_counter(), time.process_time()
            _evaluate(Path(folder, name), files, models, name, metric)
            took[name] = time.process_time() - processor
            clock = time.perf_counter() - clock
            print(f"{rows:,} rows, {name}: {clock:.1f} s, of the processor {took[name]:.1f} s", flush=True)
        least = took.get(WITHOUT, min(took.values()))
        print(json.dumps({name: round(seconds / least, 2) for name, seconds in took.items()}))


def _written(folder: Path, rows: int) -> str:
    chance = np.random.default_rng(3)
    features = chance.normal(size=(rows, 4)).astype(np.float32)
    labels = (chance.random(rows) < 1 / (1 + np.exp(-features[:, 0]))).astype(np.float32)
    folder.mkdir(exist_ok=True)
    path = str(folder / "rows.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for values, label in zip(features, labels, strict=True):
            feature = {
                name: tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
                for name, value in (*((f"x{at}", one) for at, one in enumerate(values)), ("label", label))
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return path


def _models(folder: Path) -> dict[str, str]:
    found = {}
    for name, weight in (("candidate", 1.0), ("baseline", 0.7)):

        class Reader(tf.Module):
            def __init__(self, weight: float) -> None:
                super().__init__()
                self.weight = tf.Variable(weight)

            @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
            def serve(self, examples: Any) -> Any:
                wanted = {f"x{at}": tf.io.FixedLenFeature([1], tf.float32) for at in range(2)}
                parsed = tf.io.parse_example(examples, wanted)
                return {"score": tf.sigmoid(parsed["x0"] * self.weight + parsed["x1"] * (1 - self.weight))}

        reader = Reader(weight)
        found[name] = str(folder / name)
        tf.saved_model.save(reader, found[name], signatures={"serving_default": reader.serve})
    return found


def _evaluate(out: Path, path: str, models: dict[str, str], how: str, metric: str = "auc") -> None:
    policy = Policy(metric, confidence=None if how == WITHOUT else 0.95)
    config = eval_config_of(evaluator_plan(policy, ModelInputs("label", "serving_default")))
    config = tfma.utils.update_eval_config_with_defaults(config, has_baseline=True, rubber_stamp=True)
    shared = [
        tfma.default_eval_shared_model(models[spec.name], model_name=spec.name, eval_config=config)
        for spec in config.model_specs
    ]
    source = tfxio.TFExampleRecord(path, raw_record_column_name=tfma.constants.ARROW_INPUT_COLUMN)
    by_rows = how == ROWS
    steady = same_intervals(copies([path], _open)) if by_rows else contextlib.nullcontext()
    with steady, beam.Pipeline() as pipeline:
        _ = (
            pipeline
            | source.BeamSource()
            | tfma.ExtractEvaluateAndWriteResults(eval_config=config, eval_shared_model=shared, output_path=str(out))
        )


def _open(name: str) -> BinaryIO:
    return Path(name).open("rb")


def reruns(rows: int, times: int, ways: list[str]) -> None:
    """Intervals, and the verdicts of a policy whose threshold lies in the middle of the lower ends that were found."""
    with tempfile.TemporaryDirectory() as folder:
        files, models = _written(Path(folder), rows), _models(Path(folder))
        found = {
            how: [_evaluated(Path(folder, f"{how} {at}"), files, models, how) for at in range(times)] for how in ways
        }
    lows = [_interval(one)[0] for one in found[ways[0]]]
    policy = Policy("auc", rule=Rule(RuleKind.ABSOLUTE, max(0.0, (min(lows) + max(lows)) / 2)), confidence=0.95)
    for how, every in found.items():
        ends = {_interval(one) for one in every}
        verdicts = Counter(_verdict(policy, one) for one in every)
        print(
            f"{how}: {len(ends)} intervals in {times} reruns, lower ends {min(low for low, _ in ends):.5f} to "
            f"{max(low for low, _ in ends):.5f}, verdicts {dict(verdicts)}"
        )


def _evaluated(out: Path, files: str, models: dict[str, str], how: str) -> Evaluated:
    _evaluate(out, files, models, how)
    return read_evaluation(str(out))


def _interval(found: Evaluated) -> tuple[float, float]:
    interval = found.differences[Key("auc")].interval
    assert interval is not None
    return interval


def _verdict(policy: Policy, found: Evaluated) -> str:
    champion = Scores(found.champion or {})
    return decide(policy, Scores(found.challenger), champion, differences=found.differences).verdict.value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--metric", default="auc")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="TFMA's own chance takes longest")
    parser.add_argument("--reruns", type=int, default=0, help="so often with each way, instead of the times")
    given = parser.parse_args()
    ways = [WAYS[way] for way in given.ways]
    if given.reruns:
        reruns(given.rows, given.reruns, [way for way in ways if way != WITHOUT])
    else:
        intervals(given.rows, given.metric, ways)


if __name__ == "__main__":
    main()
