"""Reading TFMA: its numbers are those that numpy computes, and what is missing stays missing."""

from __future__ import annotations

import importlib
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tensorflow_model_analysis.proto import metrics_for_slice_pb2
from tfx.types import standard_artifacts
from version_comparator_testing import (  # noqa: F401  `world` is a fixture
    CARRIERS,
    GOOD,
    LABEL,
    POOR,
    World,
    artifact,
    rewritten,
    world,
)

from tfx_pedigree.cli.main import cli
from tfx_pedigree.comparison import OVERALL, Key, Slice
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.service.pipelines import tfx_process
from tfx_pedigree.tfx_components.version_comparator.tfma_blessing import read_word
from tfx_pedigree.tfx_components.version_comparator.tfma_results import metric_name, read_evaluation, read_told


def _auc(labels: np.ndarray, predictions: np.ndarray) -> float:
    """The share of pairs that are in the right order, which is what the area under the curve is."""
    positive, negative = predictions[labels == 1], predictions[labels == 0]
    return float((positive[:, None] > negative[None, :]).mean())


def _masks(world: World) -> dict[Slice, np.ndarray]:  # noqa: F811
    whole = np.ones(len(world.rows.labels), dtype=bool)
    return {OVERALL: whole} | {Slice.of({"carrier": one}): world.rows.carriers == one for one in CARRIERS}


def test_the_numbers_of_both_models_are_those_of_numpy(world: World) -> None:  # noqa: F811
    found = read_evaluation(world.evaluated["evaluation"].uri, 0.95)
    assert found.champion is not None and found.examples == len(world.rows.labels)
    assert set(found.challenger) == set(found.champion) == set(found.differences)
    for metrics, weights in ((found.challenger, GOOD), (found.champion, POOR)):
        predictions = world.predictions(weights)
        for where, mask in _masks(world).items():
            labels, here = world.rows.labels[mask], predictions[mask]
            accuracy, auc = metrics[Key("binary_accuracy", where)], metrics[Key("auc", where)]
            assert accuracy.value == pytest.approx(np.mean((here >= 0.5) == labels), abs=1e-9)
            assert auc.value == pytest.approx(_auc(labels, here), abs=2e-3)  # TFMA's curve has 10,000 steps
            assert accuracy.count == auc.count == mask.sum()
            assert auc.interval is not None and auc.interval[0] < auc.value < auc.interval[1]


def test_differences_are_paired_and_narrower_than_those_of_two_intervals(world: World) -> None:  # noqa: F811
    found = read_evaluation(world.evaluated["evaluation"].uri, 0.95)
    assert found.champion is not None
    for key, difference in found.differences.items():
        expected = found.challenger[key].value - found.champion[key].value
        assert difference.value == pytest.approx(expected, abs=1e-9)
    ends = found.differences[Key("binary_accuracy")].interval
    assert ends is not None and ends[0] > 0


def test_intervals_are_of_the_confidence_that_the_policy_asks_for(world: World) -> None:  # noqa: F811
    folder, key = world.evaluated["evaluation"].uri, Key("auc")
    as_written, narrow = read_evaluation(folder).differences[key], read_evaluation(folder, 0.8).differences[key]
    assert as_written == read_evaluation(folder, 0.95).differences[key]
    assert as_written.interval is not None and narrow.interval is not None
    assert as_written.interval[0] < narrow.interval[0] < narrow.value < narrow.interval[1] < as_written.interval[1]


def test_without_a_baseline_there_is_no_champion(world: World) -> None:  # noqa: F811
    found = read_evaluation(world.alone["evaluation"].uri)
    assert found.champion is None and not found.differences
    expected = _auc(world.rows.labels, world.predictions(GOOD))
    assert found.challenger[Key("auc")].value == pytest.approx(expected, abs=2e-3)
    assert found.challenger[Key("auc")].interval is None


def test_what_tfma_was_told_is_known(world: World) -> None:  # noqa: F811
    told = read_told(world.evaluated["evaluation"].uri)
    assert (told.label_key, told.signature, told.prediction_key) == (LABEL, "", "")


def test_a_slice_that_is_not_there_and_a_number_that_is_none_stay_so(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    def change(record: Any) -> bool:
        keys = record.slice_key.single_slice_keys
        if not keys:
            for item in record.metric_keys_and_values:
                if item.key.name == "auc" and item.key.model_name == "candidate":
                    item.value.double_value.value = math.nan
                    item.confidence_interval.lower_bound.double_value.value = math.nan
        return not keys or keys[0].bytes_value != b"UA"

    evaluation = rewritten(world.evaluated["evaluation"], tmp_path / "evaluation", change)
    found = read_evaluation(evaluation.uri, 0.95)
    assert found.champion is not None
    value = found.challenger[Key("auc")]
    assert math.isnan(value.value) and value.interval is not None and math.isnan(value.interval[0])
    assert math.isfinite(found.champion[Key("auc")].value)
    assert {key.slice for key in found.challenger} == {OVERALL, Slice.of({"carrier": "AA"})}


def test_an_evaluation_of_nothing_has_no_numbers(world: World, tmp_path: Path) -> None:  # noqa: F811
    evaluation = rewritten(world.evaluated["evaluation"], tmp_path / "evaluation", lambda _: False)
    found = read_evaluation(evaluation.uri)
    assert not found.challenger and not found.champion and found.examples is None


def test_a_folder_that_tfma_did_not_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="holds no results of TFMA"):
        read_evaluation(str(tmp_path))


def test_names_tell_outputs_classes_and_averages_apart() -> None:
    key = metrics_for_slice_pb2.MetricKey(name="auc", output_name="late")
    assert metric_name(key) == "late/auc"
    key.sub_key.class_id.value = 3
    assert metric_name(key) == "late/auc@class_id=3"
    average = metrics_for_slice_pb2.MetricKey(name="auc")
    average.aggregation_type.macro_average = True
    assert metric_name(average) == "auc@macro_average"


def test_weighted_and_plain_numbers_of_one_metric_are_told_apart(world: World, tmp_path: Path) -> None:  # noqa: F811
    def change(record: Any) -> bool:
        for item in list(record.metric_keys_and_values):
            if item.key.name == "binary_accuracy":
                more = record.metric_keys_and_values.add()
                more.CopyFrom(item)
                more.key.example_weighted.value = True
                more.value.double_value.value = 0.25
        return True

    evaluation = rewritten(world.evaluated["evaluation"], tmp_path / "evaluation", change)
    found = read_evaluation(evaluation.uri).challenger
    assert found[Key("weighted_binary_accuracy")].value == 0.25
    assert found[Key("binary_accuracy")].value > 0.5


def test_the_word_of_tfma_names_the_thresholds_that_failed(world: World, tmp_path: Path) -> None:  # noqa: F811
    blessed = read_word(world.evaluated["model_blessing"], world.evaluated["evaluation"].uri)
    assert blessed is not None and blessed.blessed is True and not blessed.failures
    word = read_word(world.lost["model_blessing"], world.lost["evaluation"].uri)
    assert word is not None and word.blessed is False
    assert word.failures and word.failures[0].startswith("auc on overall")
    silent = artifact(standard_artifacts.ModelBlessing, tmp_path)
    assert read_word(None, "") is None
    word = read_word(silent, "")
    assert word is not None and word.blessed is None


def in_this_process(module: str, order: dict[str, Any], **_: Any) -> subprocess.CompletedProcess[str]:
    """As `tfx_process.start`, where TensorFlow is loaded already."""
    stdin, stderr = sys.stdin, sys.stderr
    sys.stdin, sys.stderr = io.StringIO(json.dumps(order)), io.StringIO()
    try:
        code = importlib.import_module(module).main()
        return subprocess.CompletedProcess([], code, "", sys.stderr.getvalue())
    finally:
        sys.stdin, sys.stderr = stdin, stderr


def gate(*words: Any) -> str:
    return CliRunner().invoke(cli, ["gate", *map(str, words)]).output


def test_the_gate_judges_evaluations_in_folders(
    world: World,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One evaluation of both models has paired intervals; of two that were made apart nothing is too sure."""
    policy, by_values = tmp_path / "policy.yaml", tmp_path / "values.yaml"
    by_values.write_text("metric: auc\nrule: {absolute: 0.01}")
    policy.write_text("metric: auc\nrule: {absolute: 0.01}\nconfidence: 0.95")
    both, alone, lost = (Path(one["evaluation"].uri) for one in (world.evaluated, world.alone, world.lost))
    assert gate("--policy", policy, "--challenger", both).startswith("PASS: ")  # in a process of its own
    monkeypatch.setattr(tfx_process, "start", in_this_process)
    apart = gate("--policy", policy, "--challenger", both, "--champion", lost)
    assert apart.startswith("INSUFFICIENT: ")
    assert "interval of the difference of auc is missing" in apart.replace("\n", " ")
    assert gate("--policy", by_values, "--challenger", alone, "--champion", lost).startswith("PASS: ")
    assert "holds no results of TFMA" in gate("--policy", policy, "--challenger", tmp_path)
