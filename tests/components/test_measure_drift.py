"""How far a span lies from the champion's data: real statistics of a real pipeline, TFDV's comparators, ML Metadata."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from components_testing import MODELS, NAME

from tfx_pedigree.registry import Registry
from tfx_pedigree.retraining.drift import MeasuredDrift, excesses
from tfx_pedigree.retraining.rules import Bounds, DriftRule
from tfx_pedigree.tfx_runner import measure_drift

MODULE = """
from components_testing import NAME
from wired_testing import Train

def create(settings):
    from tfx.components.example_gen.csv_example_gen.component import CsvExampleGen
    from tfx.components.statistics_gen.component import StatisticsGen
    from tfx.orchestration.metadata import sqlite_metadata_connection_config
    from tfx.orchestration.pipeline import Pipeline
    from tfx.proto import example_gen_pb2, range_config_pb2
    from tfx_pedigree.tfx_components.versioner.component import Versioner

    root, span = settings["root"], settings["span"]
    splits = [example_gen_pb2.Input.Split(name=name, pattern="span-{SPAN}/*.csv") for name in ("eval", "train")]
    only = range_config_pb2.RangeConfig(
        static_range=range_config_pb2.StaticRange(start_span_number=span, end_span_number=span)
    )
    gen = CsvExampleGen(
        input_base=settings["data"], input_config=example_gen_pb2.Input(splits=splits), range_config=only
    )
    examples = gen.outputs["examples"]
    statistics = [StatisticsGen(examples=examples)] if settings.get("statistics", True) else []
    train = Train(examples, settings["ready"])
    version = Versioner(
        model=train.outputs["model"], examples=examples, model_name=NAME, **settings["pedigree"]
    )
    metadata = sqlite_metadata_connection_config(root + "/mlmd.db") if settings.get("here", True) else None
    steps = [gen, *statistics, train, version]
    return Pipeline("own", root, components=steps, metadata_connection_config=metadata, enable_cache=True)

def crash(settings):
    raise RuntimeError("out of cheese")
"""


def rows(span: int) -> str:
    """The share of `b` grows from a tenth to a half, `x` moves by far, `n` stays, and `old` is empty in span 2."""
    every = 10 if span == 1 else 2
    lines = [
        f"{n + 1000.0 * (span - 1)},{'b' if n % every == 0 else 'a'},{n % 7},{'' if span == 2 else 'y'}"
        for n in range(300)
    ]
    return "x,kind,n,old\n" + "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Trained on span 1 by the whole pipeline; the data of span 1 are gone since, those of span 2 and 3 have come."""
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    folder = tmp_path_factory.mktemp("drift")
    (folder / "drift_pipeline.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    for span in (1, 2, 3):
        (folder / f"data/span-{span}").mkdir(parents=True)
        (folder / f"data/span-{span}/rows.csv").write_text(rows(min(span, 2)))
    registry = str(folder / "registry")
    Registry.create(registry, actor="ada").close()
    settings = {
        "root": str(folder / "artifacts"),
        "data": str(folder / "data"),
        "ready": str(MODELS / "keras"),
        "pedigree": {"registry": registry, "actor": "ada"},
    }
    from drift_pipeline import create

    LocalDagRunner().run(create({**settings, "span": 1}))
    shutil.rmtree(folder / "data/span-1")
    with Registry.open(registry, actor="ada") as opened:
        digest = opened.get(f"{NAME}@1").digest
    return {
        "create": "drift_pipeline:create",
        "prepare": None,
        "path": str(folder),
        "log": str(folder / "run.log"),
        "settings": settings,
        "champion": {"digest": digest, "spans": [1]},
        "span": 2,
    }


@pytest.fixture(scope="module")
def measured(project: dict[str, Any]) -> MeasuredDrift:
    """The champion's statistics can only be those of its own run: its data are gone."""
    return measure_drift.measure(project, Path(project["log"]).parent / "drift")


def test_distances_are_those_that_tfdv_measures(measured: MeasuredDrift) -> None:
    assert (measured.champion_span, measured.span, measured.missing) == ("1", 2, None)
    assert set(measured.features) == {"x", "kind", "n", "old"}
    kind, n = measured.features["kind"], measured.features["n"]
    # 10 % of one value became 50 %.
    assert kind.is_text
    assert kind.distances["infinity_norm"] == pytest.approx(0.4)
    assert 0.1 < kind.distances["jensen_shannon"] < 0.3
    assert n.distances["jensen_shannon"] == pytest.approx(0.0, abs=1e-6)
    assert (n.is_text, "infinity_norm" in n.distances) == (False, False)
    assert measured.features["x"].distances["jensen_shannon"] == pytest.approx(1.0)
    assert measured.features["old"].gone


def test_policy_decides_on_them(measured: MeasuredDrift) -> None:
    rule = DriftRule(Bounds(jensen_shannon=0.5), {"kind": Bounds(infinity_norm=0.39)})
    assert [one.feature for one in excesses(measured, rule)] == ["old", "x", "kind"]
    assert excesses(measured, DriftRule(Bounds(1.0), ignore=("old",))) == ()


def test_run_that_follows_takes_examples_and_statistics_from_the_cache(
    project: dict[str, Any], measured: MeasuredDrift
) -> None:
    from drift_pipeline import create
    from ml_metadata import MetadataStore
    from ml_metadata.proto import metadata_store_pb2
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.metadata import sqlite_metadata_connection_config

    LocalDagRunner().run(create({**project["settings"], "span": measured.span}))
    store = MetadataStore(sqlite_metadata_connection_config(f"{project['settings']['root']}/mlmd.db"))
    run = max(store.get_contexts_by_type("pipeline_run"), key=lambda one: one.id)
    state = metadata_store_pb2.Execution.State
    states = {
        one.type.rpartition(".")[2]: state.Name(one.last_known_state) for one in store.get_executions_by_context(run.id)
    }
    assert states == {
        "CsvExampleGen": "CACHED",
        "StatisticsGen": "CACHED",
        "Train": "COMPLETE",
        "Versioner": "COMPLETE",
    }


def test_champion_that_was_trained_elsewhere_is_measured_by_the_data_of_its_span(
    project: dict[str, Any], measured: MeasuredDrift
) -> None:
    """And a pipeline that keeps its metadata on a service has these two steps run here."""
    elsewhere = {"digest": "sha256:" + "0" * 64, "spans": [3]}
    settings = {**project["settings"], "here": False}
    order = {**project, "champion": elsewhere, "span": 3, "settings": settings}
    folder = Path(project["log"]).parent / "here"
    found = measure_drift.measure(order, folder)
    assert {one.distances["jensen_shannon"] for one in found.features.values()} == {0.0}
    assert set(found.features) == set(measured.features) - {"old"}
    assert (folder / "metadata.sqlite").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"champion": {"digest": "sha256:" + "0" * 64, "spans": []}}, "not known which data"),
        ({"settings": {"statistics": False}}, "has no StatisticsGen"),
    ],
)
def test_what_cannot_be_compared_says_why(project: dict[str, Any], change: dict[str, Any], says: str) -> None:
    settings = {**project["settings"], **change.pop("settings", {})}
    found = measure_drift.measure({**project, **change, "settings": settings}, Path("unused"))
    assert says in str(found.missing)


def test_answer_is_json_on_standard_output_and_all_noise_is_in_the_log(
    project: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(project)))
    assert measure_drift.main() == 0
    assert MeasuredDrift.from_json(json.loads(capfd.readouterr().out)).span == 2


def test_pipeline_that_crashes_is_told_in_a_sentence(
    project: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({**project, "create": "drift_pipeline:crash"})))
    assert measure_drift.main() == 1
    assert capfd.readouterr().err == "Error: out of cheese\n"
    assert "Traceback" in Path(project["log"]).read_text()
