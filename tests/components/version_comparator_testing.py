"""A small world to compare in: two models of real TensorFlow, examples, and what TFMA says of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tfx.components.evaluator import executor as tfx_evaluator
from tfx.types import standard_artifacts

from pedigree_testing import digest
from tfx_pedigree.comparison import (
    Bounds,
    Comparison,
    Guardrail,
    ModelInputs,
    NotComparable,
    Policy,
    Regression,
    evaluator_plan,
)
from tfx_pedigree.registry import Evidence
from tfx_pedigree.tfx_components import artifacts
from tfx_pedigree.tfx_components.version_comparator import executor
from tfx_pedigree.versioning import describe

CARRIERS = ("AA", "UA")
FEATURES = ("x0", "x1", "x2")
LABEL = "late"
GOOD, POOR = (1.5, -1.0, 0.2), (0.5, 1.0, 0.2)
ROWS = 150
POLICY = Policy(
    "auc",
    confidence=0.95,
    guardrails=(Guardrail("binary_accuracy", max_regression=Regression(0.1), each_slice_of=("carrier",)),),
    first_version={"auc": Bounds(at_least=0.6)},
)
FLOORS = Policy("auc", first_version={"auc": Bounds(at_least=0.6)})
NEW, OLD = digest("new"), digest("old")


@dataclass(frozen=True)
class Rows:
    """The evaluation's examples as columns. `labels` may hold NaN: that example then has none."""

    features: np.ndarray
    labels: np.ndarray
    carriers: np.ndarray

    @classmethod
    def make(cls, count: int = ROWS, seed: int = 3) -> Rows:
        chance = np.random.default_rng(seed)
        features = chance.normal(size=(count, len(FEATURES))).astype(np.float32)
        labels = (chance.random(count) < sigmoid(features @ np.array(GOOD))).astype(np.float64)
        return cls(features, labels, chance.choice(np.array(CARRIERS), count))

    def serialized(self) -> Iterator[bytes]:
        for values, label, carrier in zip(self.features, self.labels, self.carriers, strict=True):
            feature = {name: _floats(value) for name, value in zip(FEATURES, values, strict=True)}
            feature["carrier"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[str(carrier).encode()]))
            if np.isfinite(label):
                feature[LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)]))
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            yield example.SerializeToString(deterministic=True)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def _floats(value: float) -> Any:
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))


def write_examples(folder: Path, rows: Rows, files: int = 1, split: str = "eval") -> Any:
    """An Examples artifact as ExampleGen leaves it."""
    target = folder / f"Split-{split}"
    target.mkdir(parents=True)
    records = list(rows.serialized())
    for number in range(files):
        name = f"data_tfrecord-{number:05}-of-{files:05}.gz"
        with tf.io.TFRecordWriter(str(target / name), "GZIP") as writer:
            for record in records[number::files]:
                writer.write(record)
    made = standard_artifacts.Examples()
    made.uri = str(folder)
    made.split_names = json.dumps([split])
    made.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
    made.set_string_custom_property("span", "3")
    return made


def write_model(folder: Path, weights: tuple[float, ...], outputs: int = 1, signature: str = "serving_default") -> Any:
    """A Model artifact as a Trainer leaves it: a logistic regression in Keras, served from serialized examples."""
    inputs = [keras.Input((1,), name=name) for name in FEATURES]
    layer = keras.layers.Dense(outputs, activation="sigmoid", name="logistic")
    model = keras.Model(inputs, layer(keras.layers.Concatenate()(inputs)))
    layer.set_weights([np.repeat(np.array([weights], np.float32).T, outputs, axis=1), np.zeros(outputs, np.float32)])
    spec = {name: tf.io.FixedLenFeature([1], tf.float32) for name in FEATURES}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples: Any) -> dict[str, Any]:
        parsed = tf.io.parse_example(examples, spec)
        return {"outputs": model([parsed[name] for name in FEATURES])}

    tf.saved_model.save(model, str(folder / "Format-Serving"), signatures={signature: serve})
    return artifact(standard_artifacts.Model, folder)


def artifact(kind: type, folder: Path, **properties: Any) -> Any:
    made = kind()
    made.uri = str(folder)
    artifacts.set_properties(made, **properties)
    return made


def evaluate(folder: Path, policy: Policy, examples: Any, model: Any, champion: Any | None = None) -> dict[str, Any]:
    """TFX's own Evaluator, once. Gives its outputs, each as an executor takes it."""
    config = evaluator_plan(policy, ModelInputs(label_key=LABEL), slice_features=[("carrier",)]).config
    evaluation = artifact(standard_artifacts.ModelEvaluation, folder / "evaluation")
    blessing = artifact(standard_artifacts.ModelBlessing, folder / "blessing")
    inputs = {"model": [model], "examples": [examples]} | ({"baseline_model": [champion]} if champion else {})
    outputs = {"evaluation": [evaluation], "blessing": [blessing]}
    tfx_evaluator.Executor().Do(inputs, outputs, {"eval_config": json.dumps(config), "example_splits": "null"})
    return {"evaluation": evaluation, "model_blessing": blessing}


def champion_record(model: Any, **more: Any) -> dict[str, Any]:
    """What the Versioner knows of the champion, and writes into the challenger's record."""
    parameters = {"units": 1, "epochs": 3}
    return {
        "version": "1.0.0",
        "digest": OLD,
        "size": 20_000,
        "parameters": parameters,
        "description": describe(Path(model.uri, "Format-Serving"), parameters=parameters).to_json(),
        "data": {"examples": [{"span": "1", "splits": {"train": {"fingerprint": digest("older")}}}]},
        "code": {"commit": "b" * 40, "dirty": False},
        **more,
    }


def write_version(folder: Path, model: Any, **more: Any) -> Any:
    """A ModelVersion artifact with the record that a Versioner writes."""
    serving = Path(model.uri, "Format-Serving")
    parameters = more.pop("parameters", {"units": 1})
    record = {
        "format": "pedigree.model-version/1",
        "model": "flight-delay",
        "version": "1.1.0",
        "digest": NEW,
        "size": sum(path.stat().st_size for path in serving.rglob("*") if path.is_file()),
        "champion": None,
        "description": describe(serving, parameters=parameters).to_json(),
        "parameters": parameters,
        "data": {
            "examples": [{"span": "2", "splits": {"train": {"fingerprint": digest("rows"), "rows": 900}, "eval": {}}}]
        },
        "code": {"commit": "a" * 40, "remote": None, "dirty": False},
        **more,
    }
    folder.mkdir(parents=True)
    (folder / "version.json").write_text(json.dumps(record))
    return artifact(artifacts.ModelVersion, folder)


def as_champion(model: Any, version: str = "1.0.0", digest: str = OLD, **more: Any) -> Any:
    """What ChampionProvider says of the model that it gives."""
    properties = {"model": "flight-delay", "absent": 0, "version": version, "digest": digest, **more}
    return artifact(standard_artifacts.Model, Path(model.uri), **properties)


def absent(folder: Path) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    return artifact(standard_artifacts.Model, folder, model="flight-delay", absent=1)


@dataclass(frozen=True)
class Judged:
    """What a run of the component left behind."""

    folder: Path
    comparison: Comparison
    evidence: Evidence
    report: str
    blessed: int
    artifact: Any

    @property
    def verdict(self) -> str:
        return self.comparison.decision.verdict.value

    @property
    def warnings(self) -> str:
        return " | ".join(self.comparison.decision.warnings)

    def bytes_of(self, name: str) -> bytes:
        return (self.folder / "comparison" / name).read_bytes()


def compare(folder: Path, inputs: Mapping[str, Any], policy: Policy = POLICY, **properties: Any) -> Judged:
    """Runs the executor as a runner would, without latency unless it is asked for."""
    comparison = artifact(artifacts.VersionComparison, folder / "comparison")
    blessing = artifact(standard_artifacts.InfraBlessing, folder / "blessing")
    given = {key: [value] for key, value in inputs.items() if value is not None}
    exec_properties = {"policy": json.dumps(policy.to_json()), "latency_rounds": 0, **properties}
    executor.Executor().Do(given, {"comparison": [comparison], "blessing": [blessing]}, exec_properties)
    made = folder / "comparison"
    blessed = blessing.get_int_custom_property("blessed")
    assert [path.name for path in Path(blessing.uri).iterdir()] == ["INFRA_BLESSED" if blessed else "INFRA_NOT_BLESSED"]
    return Judged(
        folder,
        Comparison.from_text((made / "comparison.json").read_text()),
        Evidence.from_text((made / "evidence.json").read_text()),
        (made / "report.html").read_text(),
        blessed,
        comparison,
    )


def lenient(policy: Policy = POLICY) -> Policy:
    """The same, but the floors decide where the champion cannot be compared."""
    return replace(policy, not_comparable=NotComparable.FLOORS)


def rewritten(evaluation: Any, folder: Path, change: Callable[[Any], bool]) -> Any:
    """The same evaluation, after `change` has had its way with each of TFMA's records. False: the record is gone."""
    shutil.copytree(evaluation.uri, folder)
    (path,) = folder.glob("metrics-*")
    kept = [record for record in tfma.load_metrics(evaluation.uri) if change(record)]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in kept:
            writer.write(record.SerializeToString())
    return artifact(standard_artifacts.ModelEvaluation, folder)


@dataclass(frozen=True)
class World:
    """A challenger that is better than its champion, and TFMA's word on both."""

    folder: Path
    rows: Rows
    examples: Any
    new: Any
    old: Any
    version: Any
    evaluated: Mapping[str, Any]

    @property
    def inputs(self) -> dict[str, Any]:
        return {
            "model": self.new,
            "version": self.version,
            "champion": as_champion(self.old),
            "examples": self.examples,
            **self.evaluated,
        }

    @cached_property
    def alone(self) -> Mapping[str, Any]:
        """What TFMA says of the challenger without a baseline."""
        return evaluate(self.folder / "alone", FLOORS, self.examples, self.new)

    @cached_property
    def lost(self) -> Mapping[str, Any]:
        """What TFMA says where the better model is the champion."""
        return evaluate(self.folder / "lost", FLOORS, self.examples, self.old, self.new)

    def predictions(self, weights: tuple[float, ...]) -> np.ndarray:
        """What a model with these weights says, in plain numpy."""
        return sigmoid(self.rows.features.astype(np.float64) @ np.array(weights))

    @classmethod
    @cache
    def make(cls, folder: Path) -> World:
        rows = Rows.make()
        examples = write_examples(folder / "examples", rows)
        new, old = write_model(folder / "new", GOOD), write_model(folder / "old", POOR)
        version = write_version(folder / "version", new, champion=champion_record(old))
        evaluated = evaluate(folder / "evaluated", POLICY, examples, new, old)
        return cls(folder, rows, examples, new, old, version, evaluated)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Made once, whatever number of test modules asks for it: TFMA takes its time for intervals."""
    return World.make(tmp_path_factory.getbasetemp() / "version-comparator")
