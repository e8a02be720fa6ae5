"""Running both models on the same examples: the sums, what is done about labels and signatures, and the latency."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import keras
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.internal import pickler
from version_comparator_testing import (  # noqa: F401  `world` is a fixture
    FEATURES,
    GOOD,
    LABEL,
    POOR,
    ROWS,
    Rows,
    World,
    world,
    write_examples,
    write_model,
)

from tfx_pedigree.comparison import DeltaSums, FlipCounts
from tfx_pedigree.errors import DamagedError, InvalidInputError
from tfx_pedigree.tfx_components.version_comparator.examples import Examples, batches, labels
from tfx_pedigree.tfx_components.version_comparator.latency_measure import LatencySettings, measure_latency
from tfx_pedigree.tfx_components.version_comparator.paired_sums import PairedSums
from tfx_pedigree.tfx_components.version_comparator.predictions import (
    PairOf,
    Plan,
    PredictPairs,
    compare_predictions,
    read_sums,
    sums_of,
)
from tfx_pedigree.tfx_components.version_comparator.running import ComparisonSettings, run_models
from tfx_pedigree.tfx_components.version_comparator.serving import ServedModel, ServingSignature


def _serving(model: Any) -> str:
    return f"{model.uri}/Format-Serving"


def _plan(world: World, **more: Any) -> Plan:  # noqa: F811
    return Plan(PairOf.at(_serving(world.new), _serving(world.old), ServingSignature()), LABEL, **more)


def _run(examples: Any, plan: Plan) -> PairedSums:
    return sums_of(Examples.of([examples], "eval").files, plan)


def _run_on_beam(tmp_path: Path, examples: Any, plan: Plan, *options: str) -> PairedSums:
    paths = Examples.of([examples], "eval").files
    with beam.Pipeline(argv=["--runner=DirectRunner", *options]) as pipeline:
        compare_predictions(pipeline, paths, plan, str(tmp_path / "sums.json"))
    return read_sums(str(tmp_path / "sums.json"))


def test_the_sums_are_what_numpy_computes_from_the_weights(world: World) -> None:  # noqa: F811
    found = _run(world.examples, _plan(world))
    new, old, y = world.predictions(GOOD), world.predictions(POOR), world.rows.labels
    assert found.count == len(y) and not found.unusable and not found.failed
    assert found.delta.mean_signed == pytest.approx(np.mean((y - new) - (y - old)), abs=1e-6)
    assert found.delta.mean_absolute == pytest.approx(np.mean(np.abs(y - new) - np.abs(y - old)), abs=1e-6)
    assert found.flips == FlipCounts.of(y.tolist(), new.tolist(), old.tolist())
    assert found.agreement is not None
    assert found.agreement.correlation == pytest.approx(np.corrcoef(new, old)[0, 1], abs=1e-6)


def test_the_sums_are_the_plain_form_of_the_same_predictions_to_the_last_digit(
    world: World,  # noqa: F811
) -> None:
    (path,) = Examples.of([world.examples], "eval").files
    (batch,) = batches(path, 10_000)
    new, old = (
        ServedModel(_serving(one), ServingSignature()).predict(batch)[:, 0].tolist() for one in (world.new, world.old)
    )
    plain = DeltaSums.of(world.rows.labels.tolist(), new, old)
    assert _run(world.examples, _plan(world)).delta == plain


@pytest.mark.parametrize("size", [1, 7, ROWS - 1, ROWS, 100_000])
def test_the_batch_size_changes_nothing(world: World, tmp_path: Path, size: int) -> None:  # noqa: F811
    whole = _run(world.examples, _plan(world))
    found = _run(world.examples, _plan(world, batch_size=size))
    assert found.flips == whole.flips and found.count == whole.count
    # What a matrix product rounds depends on its shape; the adding up does not.
    assert found.delta.signed == pytest.approx(whole.delta.signed, abs=1e-5)
    assert found.delta.absolute == pytest.approx(whole.delta.absolute, abs=1e-5)


@pytest.mark.parametrize("options", [(), ("--direct_running_mode=multi_threading", "--direct_num_workers=3")])
def test_files_and_workers_change_nothing(
    world: World,  # noqa: F811
    tmp_path: Path,
    options: tuple[str, ...],
) -> None:
    examples = write_examples(tmp_path / "examples", world.rows, files=5)
    found = _run_on_beam(tmp_path, examples, _plan(world, batch_size=16), *options)
    again = _run(examples, _plan(world, batch_size=16))
    assert found == again
    assert found.flips == _run(world.examples, _plan(world)).flips


def test_what_travels_to_a_worker_loads_the_models_there(world: World) -> None:  # noqa: F811
    plan = _plan(world)
    arrived = pickler.loads(pickler.dumps(PredictPairs(plan)))
    arrived.setup()
    (path,) = Examples.of([world.examples], "eval").files
    total = sum(arrived.process(path), PairedSums())
    assert total.count == len(world.rows.labels)


def test_no_file_at_all_gives_empty_sums(world: World, tmp_path: Path) -> None:  # noqa: F811
    with beam.Pipeline(argv=["--runner=DirectRunner"]) as pipeline:
        compare_predictions(pipeline, (), _plan(world), str(tmp_path / "sums.json"))
    assert read_sums(str(tmp_path / "sums.json")) == PairedSums()


def test_examples_without_a_label_count_as_unusable(world: World, tmp_path: Path) -> None:  # noqa: F811
    without = world.rows.labels.copy()
    without[::3] = np.nan
    examples = write_examples(tmp_path / "examples", replace(world.rows, labels=without))
    found = _run(examples, _plan(world))
    assert (found.count, found.unusable) == (100, 50)
    new, old = world.predictions(GOOD), world.predictions(POOR)
    plain = DeltaSums.of(without.tolist(), new.tolist(), old.tolist())
    assert found.delta.signed == pytest.approx(plain.signed, abs=1e-4)
    assert found.delta.unusable == 50


def _examples(*features: dict[str, Any]) -> Any:
    made = [tf.train.Example(features=tf.train.Features(feature=one)).SerializeToString() for one in features]
    return tf.constant(made)


def test_labels_are_numbers_of_either_kind_and_nothing_else() -> None:
    whole = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
    part = tf.train.Feature(float_list=tf.train.FloatList(value=[0.5]))
    two = tf.train.Feature(float_list=tf.train.FloatList(value=[0.5, 0.25]))
    text = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"1"]))
    np.testing.assert_equal(labels(_examples({}, {"y": whole}), "y"), [np.nan, 1])
    np.testing.assert_equal(labels(_examples({"y": part}, {"y": two}, {}), "y"), [0.5, np.nan, np.nan])
    np.testing.assert_equal(labels(_examples({"y": two}, {}), "y", 2), [[0.5, 0.25], [np.nan, np.nan]])
    np.testing.assert_equal(labels(_examples({"y": text}, {}), "y"), [np.nan, np.nan])
    np.testing.assert_equal(labels(_examples({"y": tf.train.Feature()}), "y"), [np.nan])


def test_one_batch_that_cannot_be_read_does_not_take_the_others_with_it(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    examples = write_examples(tmp_path / "examples", world.rows)
    (path,) = Examples.of([examples], "eval").files
    records = [one.numpy() for one in tf.data.TFRecordDataset(path, compression_type="GZIP")]
    records[10] = b"not an example"
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for record in records:
            writer.write(record)
    found = _run(examples, _plan(world, batch_size=40))
    assert (found.count, found.failed) == (ROWS - 40, 40)
    assert "parse" in found.problem.lower()
    assert found.delta.unusable == 40


def _save(folder: Path, signatures: dict[str, Any], module: Any = None) -> str:
    tf.saved_model.save(module or tf.Module(), str(folder), signatures=signatures)
    return str(folder)


_STRINGS = tf.TensorSpec([None], tf.string, name="examples")
_PLAIN = tf.TensorSpec([None, 1], tf.float32)


@tf.function(input_signature=[_STRINGS])
def _two_outputs(examples: Any) -> dict[str, Any]:
    length = tf.cast(tf.strings.length(examples), tf.float32)
    return {"first": length[:, None] / 2, "second": length / 4}


@tf.function(input_signature=[_STRINGS])
def _two_classes(examples: Any) -> dict[str, Any]:
    share = tf.cast(tf.strings.length(examples), tf.float32)[:, None] / 100
    return {"probabilities": tf.concat([1 - share, share], axis=1), "classes": tf.strings.as_string(share)}


@tf.function(input_signature=[_STRINGS])
def _three_classes(examples: Any) -> dict[str, Any]:
    return {"probabilities": tf.zeros([tf.size(examples), 3])}


def test_of_several_outputs_the_named_one_is_the_prediction(tmp_path: Path) -> None:
    folder = _save(tmp_path / "model", {"serving_default": _two_outputs})
    batch = tf.constant([b"", b"1234"])
    assert ServedModel(folder, ServingSignature(output="second")).predict(batch).tolist() == [[0], [1]]
    assert ServedModel(folder, ServingSignature(output="first")).predict(batch).tolist() == [[0], [2]]
    with pytest.raises(InvalidInputError, match="outputs first, second, and `prediction_key` does not say"):
        ServedModel(folder, ServingSignature())
    with pytest.raises(InvalidInputError, match=r"no output 'third' \(it has: first, second\)"):
        ServedModel(folder, ServingSignature(output="third"))


def test_a_model_of_several_classes_gives_a_row_of_numbers(tmp_path: Path) -> None:
    two = ServedModel(_save(tmp_path / "two", {"serving_default": _two_classes}), ServingSignature())
    assert two.predict(tf.constant([b"1", b"12"]))[:, 1].tolist() == pytest.approx([0.01, 0.02])
    three = ServedModel(_save(tmp_path / "three", {"serving_default": _three_classes}), ServingSignature())
    assert three.predict(tf.constant([b"1", b"12"])).shape == (2, 3)


def _of_classes(tmp_path: Path, name: str, shift: int) -> str:
    """Sure of the class (x0 rounded down + shift) modulo 3."""

    @tf.function(input_signature=[_STRINGS])
    def serve(examples: Any) -> dict[str, Any]:
        parsed = tf.io.parse_example(examples, {"x0": tf.io.FixedLenFeature([1], tf.float32)})
        chosen = tf.math.floormod(tf.cast(tf.floor(parsed["x0"][:, 0]), tf.int32) + shift, 3)
        return {"probabilities": tf.one_hot(chosen, 3) * 0.7 + 0.1}

    return _save(tmp_path / name, {"serving_default": serve})


def test_models_of_three_classes_are_timed_and_compared(world: World, tmp_path: Path) -> None:  # noqa: F811
    rows = world.rows
    classes = np.floor(rows.features[:, 0]) % 3
    examples = Examples.of([write_examples(tmp_path / "examples", replace(rows, labels=classes))], "eval")
    right, wrong = _of_classes(tmp_path, "right", 0), _of_classes(tmp_path, "wrong", 1)
    settings = ComparisonSettings(LABEL, latency=LatencySettings(rounds=4, batch_size=8))
    found = run_models(right, wrong, examples, settings, sums_of)
    assert found.notes == ()
    assert found.latency is not None and found.latency.champion is not None
    assert found.predicted.flips is not None
    flips = found.predicted.flips
    assert (flips.classes, flips.count, flips.fixed, flips.broken, flips.rate) == (3, ROWS, ROWS, 0, 1.0)
    assert found.predicted.delta is not None
    assert found.predicted.delta.mean_absolute == pytest.approx(-0.7)  # the true class went from 0.1 to 0.8


def test_models_that_give_other_numbers_of_outputs_are_timed_and_not_compared(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    examples = Examples.of([world.examples], "eval")
    settings = ComparisonSettings(LABEL, latency=LatencySettings(rounds=2, batch_size=8))
    found = run_models(_of_classes(tmp_path, "three", 0), _serving(world.old), examples, settings, _never)
    assert found.latency is not None and found.latency.champion is not None
    assert found.notes == ("predictions were not compared: the models give 3 and 1 numbers per example",)


def test_a_label_that_the_models_own_preprocessing_makes_is_found(world: World, tmp_path: Path) -> None:  # noqa: F811
    @tf.function(input_signature=[_STRINGS])
    def transform(examples: Any) -> dict[str, Any]:
        parsed = tf.io.parse_example(examples, {"x0": tf.io.FixedLenFeature([1], tf.float32)})
        return {"late_xf": tf.cast(parsed["x0"] > 0, tf.int64)}

    @tf.function(input_signature=[_STRINGS])
    def serve(examples: Any) -> dict[str, Any]:
        return {"score": tf.cast(transform(examples)["late_xf"], tf.float32)}

    folder = _save(tmp_path / "model", {"serving_default": serve, "transform_features": transform})
    examples = Examples.of([world.examples], "eval")
    settings = ComparisonSettings(
        "late_xf", ServingSignature(preprocessing=("transform_features",)), LatencySettings(rounds=0)
    )
    found = run_models(folder, folder, examples, settings, sums_of)
    assert found.predicted.delta is not None and found.predicted.delta.count == ROWS
    assert found.predicted.flips is not None and found.predicted.flips.flipped == 0


def test_a_model_that_takes_features_is_fed_with_them(world: World, tmp_path: Path) -> None:  # noqa: F811
    inputs = [keras.Input((1,), name=name) for name in FEATURES]
    layer = keras.layers.Dense(1, activation="sigmoid")
    model = keras.Model(inputs, layer(keras.layers.Concatenate()(inputs)))
    layer.set_weights([np.array([GOOD], np.float32).T, np.zeros(1, np.float32)])

    @tf.function(input_signature=[{name: tf.TensorSpec([None, 1], tf.float32, name=name) for name in FEATURES}])
    def serve(features: dict[str, Any]) -> dict[str, Any]:
        return {"score": model([features[name] for name in FEATURES])}

    folder = _save(tmp_path / "model", {"serving_default": serve}, model)
    batch = Examples.of([world.examples], "eval").first(50)
    found = ServedModel(folder, ServingSignature()).predict(batch)
    assert found[:, 0] == pytest.approx(world.predictions(GOOD)[:50], abs=1e-6)


def test_a_model_that_cannot_be_fed_says_so(tmp_path: Path) -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="sequence")])
    def serve(sequence: Any) -> dict[str, Any]:
        return {"score": tf.reduce_sum(sequence, axis=1)}

    folder = _save(tmp_path / "model", {"serving_default": serve})
    with pytest.raises(InvalidInputError, match="takes no serialized examples, and its input 'sequence'"):
        ServedModel(folder, ServingSignature())
    with pytest.raises(InvalidInputError, match=r"no signature 'other' \(it has: serving_default\)"):
        ServedModel(folder, ServingSignature(signature="other"))


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
def test_whatever_bytes_are_damaged_the_model_loads_or_is_called_damaged(tmp_path: Path, name: str) -> None:
    folder = Path(_serving(write_model(tmp_path / "model", GOOD)))
    path = folder / name
    whole, chance = path.read_bytes(), random.Random(name)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedError, match="cannot be loaded"):
        ServedModel(str(folder), ServingSignature())
    for _ in range(8):
        hurt = bytearray(whole)
        for _ in range(3):
            hurt[chance.randrange(len(hurt))] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(hurt))
        try:
            ServedModel(str(folder), ServingSignature())
        except (DamagedError, InvalidInputError) as error:
            assert "\n" not in str(error)


def test_a_model_that_is_not_there_is_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="cannot be loaded"):
        ServedModel(str(tmp_path / "nowhere"), ServingSignature())


def test_latency_is_of_both_on_the_same_batch_and_names_its_size(world: World) -> None:  # noqa: F811
    both = [ServedModel(_serving(one), ServingSignature()) for one in (world.new, world.old)]
    batch = Examples.of([world.examples], "eval").first(32)
    found = measure_latency(both[0], both[1], batch, LatencySettings(rounds=12, batch_size=32))
    assert found.challenger.calls >= 12 and found.challenger.batch_size == 32
    assert found.champion is not None and 0 < found.champion.p50_ms <= found.champion.p95_ms
    alone = measure_latency(both[0], None, batch, LatencySettings(rounds=2))
    assert alone.champion is None and alone.challenger.calls == 2


def test_fewer_examples_than_a_batch_are_named_as_they_are(world: World, tmp_path: Path) -> None:  # noqa: F811
    examples = Examples.of([write_examples(tmp_path / "few", Rows.make(5), files=2)], "eval")
    batch = examples.first(32)
    assert batch is not None and batch.shape[0] == 5
    settings = ComparisonSettings(latency=LatencySettings(rounds=2, batch_size=32))
    found = run_models(_serving(world.new), None, examples, settings, _never)
    assert found.latency is not None and found.latency.batch_size == 5


def _never(_paths: tuple[str, ...], _plan: Plan) -> PairedSums:
    raise AssertionError("there is nothing to compare")


def test_the_fingerprint_is_of_the_rows_and_not_of_the_files(world: World, tmp_path: Path) -> None:  # noqa: F811
    one = Examples.of([world.examples], "eval")
    many = Examples.of([write_examples(tmp_path / "many", world.rows, files=3)], "eval")
    fewer = Examples.of([write_examples(tmp_path / "fewer", Rows.make(ROWS - 1))], "eval")
    assert one.fingerprint() == many.fingerprint() != fewer.fingerprint()
    assert one.span == "3"


def test_a_split_that_is_not_there_is_refused_and_another_payload_is_said(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    with pytest.raises(InvalidInputError, match="have no split 'test'"):
        Examples.of([world.examples], "test")
    other = write_examples(tmp_path / "other", Rows.make(3))
    other.set_string_custom_property("payload_format", "FORMAT_PARQUET")
    examples = Examples.of([other], "eval")
    assert examples.first(3) is None
    found = run_models(_serving(world.new), _serving(world.old), examples, ComparisonSettings(LABEL), _never)
    assert found.notes == ("the examples are FORMAT_PARQUET, and only FORMAT_TF_EXAMPLE is read here",)
