"""What the exported model answers, and what can be read of it without TensorFlow."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from flight_testing import ROWS, Run
from pipelines.flight_delay import data
from pipelines.flight_delay.columns import LABEL, REQUIRED, VARIANTS, Number, Word
from pipelines.flight_delay.config import FlightDelayConfig, Training

from tfx_pedigree.service.reproducing.levels import TOLERANCE, PredictionDifference
from tfx_pedigree.tfx_runner import compare_predictions
from tfx_pedigree.versioning import Bump, compare, describe

DEPARTURE = VARIANTS["departure"]
Row = dict[str, Any]


@pytest.fixture(scope="module")
def served(finished_run: Run) -> Any:
    import tensorflow as tf

    return tf.saved_model.load(str(finished_run.model))


@pytest.fixture(scope="module")
def flights(finished_run: Run) -> list[Row]:
    """Some flights of the month after, with the types that the model takes."""
    import csv

    path = Path(finished_run.config.data) / "span-2" / data.FILES["eval"]
    with path.open(newline="") as file:
        return [typed(row) for row in list(csv.DictReader(file))[:40]]


def typed(row: dict[str, str]) -> Row:
    found: Row = {}
    for column in DEPARTURE:
        text = row[column.name]
        if isinstance(column, Word):
            found[column.name] = text
        elif isinstance(column, Number):
            found[column.name] = float(text or "nan")
        else:
            found[column.name] = int(text)
    return found


def by_columns(served: Any, rows: list[Row]) -> np.ndarray:
    import tensorflow as tf

    types = {name: spec.dtype for name, spec in served.signatures["serving_raw"].structured_input_signature[1].items()}
    columns = {name: tf.constant([row[name] for row in rows], dtype) for name, dtype in types.items()}
    return served.signatures["serving_raw"](**columns)["probability"].numpy()[:, 0]


def by_examples(served: Any, rows: list[Row]) -> np.ndarray:
    import tensorflow as tf

    examples = tf.constant([example(row) for row in rows])
    return served.signatures["serving_default"](examples=examples)["probability"].numpy()[:, 0]


def example(row: Row) -> bytes:
    """As CsvExampleGen writes it: a missing value is a feature without any."""
    import tensorflow as tf

    features = {}
    for name, value in row.items():
        if isinstance(value, str):
            feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()] if value else []))
        elif isinstance(value, float):
            feature = tf.train.Feature(float_list=tf.train.FloatList(value=[] if np.isnan(value) else [value]))
        else:
            feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        features[name] = feature
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


# Answers


def test_columns_and_serialized_examples_get_the_same_answer(served: Any, flights: list[Row]) -> None:
    answers = by_columns(served, flights)
    assert answers == pytest.approx(by_examples(served, flights), abs=1e-6)
    assert np.ptp(answers) > 0.1


@pytest.mark.parametrize("signature", ["serving_default", "serving_raw"])
def test_tensorflow_serving_gets_the_same_answer(
    served: Any, finished_run: Run, flights: list[Row], signature: str
) -> None:
    """It restores the graph into a session, where a variable is known by the name under which it was saved."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(finished_run.model))
        found = loaded.signature_def[signature]
        values: dict[str, list[Any]] = (
            {"examples": [example(row) for row in flights]}
            if signature == "serving_default"
            else {name: [row[name] for row in flights] for name in found.inputs}
        )
        fed = {found.inputs[name].name: value for name, value in values.items()}
        answers = session.run(found.outputs["probability"].name, fed)[:, 0]
    assert answers == pytest.approx(by_columns(served, flights), abs=1e-6)


def test_the_label_in_an_example_changes_nothing(served: Any, flights: list[Row]) -> None:
    labelled = [{**row, LABEL: number % 2} for number, row in enumerate(flights)]
    assert by_examples(served, labelled) == pytest.approx(by_examples(served, flights), abs=0)


def test_a_flight_that_leaves_late_is_likelier_to_arrive_late(served: Any, flights: list[Row]) -> None:
    punctual, late = ([{**row, "departure_delay": delay} for row in flights] for delay in (-5.0, 60.0))
    assert (by_columns(served, late) > by_columns(served, punctual) + 0.05).all()


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        *(
            (column.name, value)
            for column in DEPARTURE
            if isinstance(column, Number)
            for value in (np.nan, np.inf, 1e30)
        ),
        *((column.name, value) for column in DEPARTURE if isinstance(column, Word) for value in ("", "ZZ", "é\n")),
        ("departure_minute", -1),
        ("departure_minute", 99_999),
        ("day_of_week", 0),
    ],
)
def test_odd_values_get_a_probability(served: Any, flights: list[Row], name: str, odd: Any) -> None:
    rows = [{**row, name: odd} for row in flights]
    answers = by_columns(served, rows)
    assert np.isfinite(answers).all()
    assert ((answers >= 0) & (answers <= 1)).all()


@pytest.mark.parametrize("column", [one for one in DEPARTURE if isinstance(one, Number)], ids=lambda one: one.name)
def test_a_missing_measurement_counts_as_the_usual_one(served: Any, flights: list[Row], column: Number) -> None:
    missing, usual = ([{**row, column.name: value} for row in flights] for value in (np.nan, column.usual))
    assert by_columns(served, missing) == pytest.approx(by_columns(served, usual), abs=1e-6)


def test_an_example_without_a_feature_is_as_one_with_an_empty_one(served: Any, flights: list[Row]) -> None:
    empty = [{**row, "carrier": "", "pressure": np.nan} for row in flights]
    without = [{name: row[name] for name in row if name not in ("carrier", "pressure")} for row in flights]
    assert by_examples(served, without) == pytest.approx(by_examples(served, empty), abs=0)


def test_all_unknown_carriers_are_alike(served: Any, flights: list[Row]) -> None:
    one, other = ([{**row, "carrier": carrier} for row in flights] for carrier in ("ZZ", ""))
    assert by_columns(served, one) == pytest.approx(by_columns(served, other), abs=1e-6)


def test_the_exported_transform_is_the_one_that_tf_transform_offers(finished_run: Run, flights: list[Row]) -> None:
    import tensorflow as tf
    import tensorflow_transform as tft

    path = str(finished_run.artifact("Transform", "transform_graph"))
    output = tft.TFTransformOutput(path)
    spec = {name: one for name, one in output.raw_feature_spec().items() if name in REQUIRED | {"departure_delay"}}
    spec |= {column.name: tf.io.VarLenFeature(tf.float32) for column in DEPARTURE if isinstance(column, Number)}
    columns = tf.io.parse_example([example(row) for row in flights], spec)
    theirs, ours = output.transform_features_layer()(columns), model_module().Transform(path)(columns)
    assert set(theirs) == set(ours) == {column.name for column in DEPARTURE}
    for name in theirs:
        assert theirs[name].numpy() == pytest.approx(ours[name].numpy(), abs=0)


# What is read of it without TensorFlow


def test_the_interface_shows_each_column_by_name(finished_run: Run) -> None:
    found = describe(finished_run.model)
    assert set(found.signatures) == {"serving_default", "serving_raw"}
    raw = found.signatures["serving_raw"]
    assert set(raw.inputs) == {column.name for column in DEPARTURE}
    assert str(raw.inputs["carrier"]) == "string [?]"
    assert str(raw.inputs["departure_minute"]) == "int64 [?]"
    assert str(raw.inputs["departure_delay"]) == "float32 [?]"
    assert set(found.signatures["serving_default"].inputs) == {"examples"}


def test_what_came_after_the_first_generation_is_optional(finished_run: Run) -> None:
    raw = describe(finished_run.model).signatures["serving_raw"]
    assert raw.optional == {column.name for column in DEPARTURE} - REQUIRED


@pytest.fixture(scope="module")
def trained(finished_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Path]]:
    """Trains again as TFX's Trainer does, on the examples and the transform of the finished run."""

    def train(features: str, **training: Any) -> Path:
        folder = tmp_path_factory.mktemp("model")
        settings = Training(**{"epochs": 1, **training})
        config = FlightDelayConfig(root="", data="", features=features, training=settings)
        model_module().run_fn(fn_args(finished_run, config, folder))
        return folder

    yield train


def fn_args(run: Run, config: FlightDelayConfig, folder: Path) -> Any:
    from tfx.components.trainer.fn_args_utils import DataAccessor, FnArgs
    from tfx.components.util import tfxio_utils
    from tfx.types import standard_artifacts

    examples = standard_artifacts.Examples()
    examples.uri = str(run.artifact("CsvExampleGen", "examples"))
    factory = tfxio_utils.get_tf_dataset_factory_from_artifact([examples], [])
    return FnArgs(
        train_files=[f"{examples.uri}/Split-train/*"],
        transform_graph_path=str(run.artifact("Transform", "transform_graph")),
        data_accessor=DataAccessor(tf_dataset_factory=factory, record_batch_factory=None, data_view_decode_fn=None),
        serving_model_dir=str(folder),
        custom_config=config.trainer_config(),
    )


def model_module() -> ModuleType:
    """The module file as TFX loads it: not as a part of this project."""
    name = "flight_model_under_test"
    if name not in sys.modules:
        path = Path(__file__).parents[2] / "pipelines" / "flight_delay" / "model" / "flight_model.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def test_training_again_changes_only_weights(finished_run: Run, trained: Callable[..., Path]) -> None:
    made = trained("departure", seed=99)
    again, first = describe(made), describe(finished_run.model)
    assert compare(first, again).bump is Bump.PATCH
    assert again.digest == first.digest
    assert apart(finished_run, made).differing > 0


def test_same_rows_and_seed_give_the_same_predictions(finished_run: Run, trained: Callable[..., Path]) -> None:
    """What `pedigree reproduce` needs of a pipeline; the run was made by TFX's Trainer, in the same process."""
    again = trained("departure", epochs=Training().epochs)
    found = apart(finished_run, again)
    assert (found.rows, found.differing, found.failed) == (ROWS, 0, 0)
    assert describe(again) == describe(finished_run.model)


def apart(run: Run, folder: Path) -> PredictionDifference:
    """The run's model and another one, on the run's evaluation rows."""
    rows = run.artifact("CsvExampleGen", "examples") / "Split-eval"
    return compare_predictions.compare([str(run.model), str(folder)], str(rows), TOLERANCE)


def test_more_features_are_a_minor_change(finished_run: Run, trained: Callable[..., Path]) -> None:
    before = describe(trained("schedule"))
    assert set(before.signatures["serving_raw"].inputs) == REQUIRED
    assert before.signatures["serving_raw"].optional == frozenset()
    change = compare(before, describe(finished_run.model))
    assert change.bump is Bump.MINOR
    assert any("departure_delay" in reason for reason in change.reasons)
