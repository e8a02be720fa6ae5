"""The pipeline as it runs on this machine, and how it is put together from its settings."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path

import pytest
from flight_testing import ROWS, SPAN, Run
from pipelines.flight_delay import data
from pipelines.flight_delay.config import FlightDelayConfig
from pipelines.flight_delay.prepare import prepare

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.tfx_runner import local_run

SETTINGS = {"root": "/somewhere/artifacts", "data": "/somewhere/data"}


# A finished run


def test_all_components_ran_and_the_model_was_pushed(finished_run: Run) -> None:
    names = [step.name for step in finished_run.steps]
    assert names[:3] == [local_run.LOADING, local_run.PREPARING, "CsvExampleGen"]
    assert {"StatisticsGen", "ImportSchemaGen", "ExampleValidator", "Transform", "Trainer"} < set(names)
    assert names[-2:] == ["Evaluator", "Pusher"]
    (pushed,) = (Path(finished_run.config.serving_folder) / finished_run.config.name).iterdir()
    assert (pushed / "saved_model.pb").exists()


def test_a_person_sees_one_line_for_each_component_and_no_noise(finished_run: Run) -> None:
    lines = finished_run.shown.splitlines()
    assert lines == [str(step) for step in finished_run.steps]
    assert "Epoch 1/" in finished_run.log.read_text("utf-8", errors="replace")


def test_both_splits_are_one_span_and_as_large_as_the_sample(finished_run: Run) -> None:
    from tensorflow_metadata.proto.v0 import statistics_pb2

    found = {}
    for split in ("train", "eval"):
        statistics = statistics_pb2.DatasetFeatureStatisticsList()
        path = finished_run.artifact("StatisticsGen", "statistics") / f"Split-{split}" / "FeatureStats.pb"
        statistics.ParseFromString(path.read_bytes())
        (dataset,) = statistics.datasets
        found[split] = dataset.num_examples
    assert found == {"train": ROWS, "eval": ROWS}
    assert f"span-{SPAN}" in finished_run.log.read_text("utf-8", errors="replace")


def test_the_real_data_keep_the_contract(finished_run: Run) -> None:
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    for split in ("train", "eval"):
        anomalies = anomalies_pb2.Anomalies()
        path = finished_run.artifact("ExampleValidator", "anomalies") / f"Split-{split}" / "SchemaDiff.pb"
        anomalies.ParseFromString(path.read_bytes())
        assert dict(anomalies.anomaly_info) == {}


def test_the_evaluation_has_all_flights_and_slices_by_origin_and_carrier(finished_run: Run) -> None:
    import tensorflow_model_analysis as tfma

    folder = str(finished_run.artifact("Evaluator", "evaluation"))
    found = {key: metrics[""][""] for key, metrics in tfma.load_eval_result(folder).slicing_metrics}
    assert {name for slices in found for name, _ in slices} == {"origin", "carrier"}
    assert found[()]["example_count"]["doubleValue"] == ROWS
    # The delay at departure says most of the delay at arrival. A value near 1 would mean that something leaks.
    assert 0.75 < found[()]["auc"]["doubleValue"] < 0.97


# Following a run


def test_output_goes_back_to_where_it_went_before(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with local_run.quiet(tmp_path / "log") as terminal:
        os.write(1, b"from native code\n")
        terminal.write("for a person\n")
    os.write(1, b"afterwards\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("afterwards\n", "for a person\n")
    assert (tmp_path / "log").read_text() == "from native code\n"


def test_an_error_passes_through_and_the_line_says_where_to_look(tmp_path: Path) -> None:
    def make_pipeline() -> None:
        raise RuntimeError("no such span")

    terminal = io.StringIO()
    with pytest.raises(RuntimeError, match="no such span"):
        local_run.run_local(make_pipeline, tmp_path / "run.log", terminal)
    assert str(tmp_path / "run.log") in terminal.getvalue()
    assert "failed after" in terminal.getvalue()


def test_what_an_earlier_run_made_is_shown_as_such() -> None:
    assert str(local_run.ComponentProgress("Trainer", 0.02, reused=True)).endswith("(taken from an earlier run)")


# Settings


def test_settings_come_from_a_config_file_as_plain_values() -> None:
    given = {**SETTINGS, "span": 3, "features": "weather", "training": {"epochs": 2, "hidden_units": [8, 4]}}
    config = FlightDelayConfig.from_mapping(given)
    assert (config.span, config.features, config.training.hidden_units) == (3, "weather", (8, 4))
    assert json.loads(json.dumps(config.trainer_config()))["epochs"] == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({**SETTINGS, "epochs": 2}, "has no setting `epochs`"),
        ({**SETTINGS, "training": {"epoch": 2}}, "has no setting `training.epoch`"),
        ({**SETTINGS, "features": "arrival"}, "has no features 'arrival'"),
        ({"root": "/somewhere"}, "needs `data`"),
    ],
)
def test_a_slip_of_the_pen_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        FlightDelayConfig.from_mapping(given)


def test_before_a_run_its_data_are_written_and_without_a_span_the_first_month(
    tmp_path: Path, few_flights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_package_file", lambda name: few_flights / name)
    settings = {"root": str(tmp_path / "artifacts"), "data": str(tmp_path / "data"), "rows": 20}
    for asked, spans in (({}, ["span-1"]), ({}, ["span-1"]), ({"span": 2}, ["span-1", "span-2"])):
        prepare({**settings, **asked})
        assert sorted(path.name for path in (tmp_path / "data").iterdir()) == spans


# Putting it together


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, object]:
    return {"root": str(tmp_path / "artifacts"), "data": str(tmp_path / "data")}


def test_with_pedigree_the_pusher_obeys_the_registry_which_has_heard_the_evaluator(settings: dict[str, object]) -> None:
    from pipelines.flight_delay.pipeline import create_pipeline

    pipeline = create_pipeline({**settings, "pedigree": {"registry": "/somewhere/registry"}})
    components = {component.id: component for component in pipeline.components}
    named = {"ChampionProvider", "Versioner", "VersionComparator", "RegistryPusher", "LineageRecorder"}
    assert named < set(components)
    gates = components["Pusher"].inputs
    assert "model_blessing" not in gates
    assert gates["infra_blessing"] is components["RegistryPusher"].outputs["blessing"]
    heard = components["RegistryPusher"].inputs
    assert heard["model_blessing"] is components["Evaluator"].outputs["blessing"]


def test_the_modules_and_the_statistics_of_the_pipeline_are_recorded(settings: dict[str, object]) -> None:
    from pipelines.flight_delay import pipeline

    made = pipeline.create_pipeline({**settings, "pedigree": {"registry": "/somewhere/registry"}})
    components = {component.id: component for component in made.components}
    modules = json.loads(components["Versioner"].exec_properties["modules"])
    assert modules == {
        path.name: f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in (pipeline.MODEL_MODULE, pipeline.TRANSFORM_MODULE)
    }
    recorder = components["LineageRecorder"]
    assert recorder.inputs["statistics"] is components["StatisticsGen"].outputs["statistics"]


def test_without_pedigree_nothing_of_it_is_there(settings: dict[str, object]) -> None:
    from pipelines.flight_delay.pipeline import create_pipeline

    pipeline = create_pipeline({**settings, "with_pedigree": False})
    assert not [one.id for one in pipeline.components if type(one).__module__.startswith("tfx_pedigree")]


def test_both_evaluators_compute_the_same_metrics_on_the_same_slices(settings: dict[str, object]) -> None:
    """Else the two pipelines could not be compared."""
    from pipelines.flight_delay import gate
    from pipelines.flight_delay.pipeline import POLICY

    from tfx_pedigree.comparison import evaluator_plan, load_policy

    plan = evaluator_plan(load_policy(POLICY)).config
    theirs = {metric["className"] for spec in plan["metricsSpecs"] for metric in spec["metrics"]}
    assert {metric.class_name for spec in gate.eval_config().metrics_specs for metric in spec.metrics} == theirs


def test_a_changed_schema_gets_another_path(settings: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """TFX's cache knows an imported schema by its path alone."""
    from pipelines.flight_delay import pipeline

    config = FlightDelayConfig.from_mapping(settings)
    first = pipeline._staged_schema(config)
    assert pipeline._staged_schema(config) == first
    changed = Path(config.root) / "schema.pbtxt"
    changed.write_text(pipeline.SCHEMA.read_text() + "\n# changed\n")
    monkeypatch.setattr(pipeline, "SCHEMA", changed)
    second = pipeline._staged_schema(config)
    assert second != first
    assert Path(second).read_text() == changed.read_text()


def test_the_schema_has_a_feature_for_each_column_of_the_data() -> None:
    from google.protobuf import text_format
    from pipelines.flight_delay import pipeline
    from pipelines.flight_delay.data import COLUMNS
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = text_format.Parse(pipeline.SCHEMA.read_text(), schema_pb2.Schema())
    assert [feature.name for feature in schema.feature] == list(COLUMNS)


def test_the_modules_that_tfx_packs_are_alone_in_their_folders() -> None:
    from pipelines.flight_delay import pipeline

    for module in (pipeline.TRANSFORM_MODULE, pipeline.MODEL_MODULE):
        assert [path.name for path in module.parent.glob("*.py")] == [module.name]
        assert "pipelines" not in module.read_text()
