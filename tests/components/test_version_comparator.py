"""VersionComparator as a runner runs it: every way in which a comparison can end, and what it leaves behind."""

from __future__ import annotations

import html
import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tfx.components.util import model_utils
from tfx.types import standard_artifacts
from version_comparator_testing import (  # noqa: F401  `world` is a fixture
    FLOORS,
    GOOD,
    LABEL,
    NEW,
    OLD,
    POLICY,
    ROWS,
    Judged,
    Rows,
    World,
    absent,
    artifact,
    as_champion,
    champion_record,
    compare,
    evaluate,
    lenient,
    rewritten,
    world,
    write_examples,
    write_model,
    write_version,
)

from tfx_pedigree.comparison import Bounds, Guardrail, LatencyBudget, MissingSlice, Policy
from tfx_pedigree.errors import DamagedError


@pytest.fixture(scope="module")
def judged(world: World, tmp_path_factory: pytest.TempPathFactory) -> Judged:  # noqa: F811
    """The usual case: a challenger that is better."""
    return compare(tmp_path_factory.mktemp("judged"), world.inputs, latency_rounds=5)


def test_a_better_challenger_wins_and_the_stock_pusher_may_push(judged: Judged) -> None:
    assert judged.verdict == "PASS" and judged.blessed == 1
    blessing = artifact(standard_artifacts.InfraBlessing, judged.folder / "blessing", blessed=judged.blessed)
    assert model_utils.is_infra_validated(blessing)
    assert (judged.evidence.challenger, judged.evidence.champion) == (NEW, OLD)
    assert judged.evidence.verdict.value == "PASS"
    assert judged.artifact.get_string_custom_property("verdict") == "PASS"
    assert judged.artifact.get_string_custom_property("champion_version") == "1.0.0"


def test_the_report_opens_with_the_verdict_in_one_sentence(judged: Judged) -> None:
    assert judged.report.startswith("<!doctype html>")
    assert "PASS: the new version may be promoted" in judged.report
    reason = judged.comparison.decision.reason
    assert reason.endswith(".") and reason.count(". ") == 0
    assert f">{html.escape(reason)}<" in judged.report.replace("\u00a0", " ")
    assert not re.search(r"<script|https?://(?!www\.w3\.org)", judged.report)


def test_everything_that_is_known_of_both_is_compared(judged: Judged) -> None:
    found = judged.comparison
    assert found.champion is not None and found.champion.size_bytes == 20_000
    assert [(one.name, one.old, one.new) for one in found.parameter_changes] == [("epochs", 3, None)]
    assert [one.span for one in (*found.champion.trained_on, *found.challenger.trained_on)] == ["1", "2"]
    assert found.champion.code is not None and found.champion.code.commit == "b" * 40
    assert found.bump == "MINOR" and "hyperparameters" in found.changes[0]
    assert found.similarity is not None and 0 < found.similarity < 1
    assert found.importance is not None and found.latency_ratio is not None
    assert found.performance_delta is not None and found.performance_delta.count == ROWS
    assert found.flips is not None and found.flips.count == ROWS
    assert found.challenger.latency is not None and found.challenger.latency.batch_size == 32
    assert found.evaluated_on[0].span == "3" and found.evaluated_on[0].examples == ROWS
    assert judged.evidence.evaluation_data == found.evaluated_on[0].fingerprint
    assert judged.evidence.policy == POLICY.digest
    assert not judged.warnings


def test_a_rerun_leaves_the_same_evidence_and_only_times_differ(
    world: World,  # noqa: F811
    judged: Judged,
    tmp_path: Path,
) -> None:
    again = compare(tmp_path, world.inputs, latency_rounds=5)
    assert again.evidence.digest == judged.evidence.digest
    assert again.bytes_of("evidence.json") == judged.bytes_of("evidence.json")
    assert again.comparison.digest != judged.comparison.digest

    quiet = compare(tmp_path, world.inputs)
    before = [quiet.bytes_of(name) for name in ("comparison.json", "report.html", "evidence.json", "predictions.json")]
    quiet = compare(tmp_path, world.inputs)
    assert before == [
        quiet.bytes_of(name) for name in ("comparison.json", "report.html", "evidence.json", "predictions.json")
    ]


def test_a_rerun_with_another_answer_takes_the_old_word_back(world: World, tmp_path: Path) -> None:  # noqa: F811
    assert compare(tmp_path, world.inputs).blessed == 1
    strict = replace(POLICY, guardrails=(*POLICY.guardrails, Guardrail("auc", bounds=Bounds(at_least=0.99))))
    refused = compare(tmp_path, world.inputs, strict)
    assert (refused.verdict, refused.blessed) == ("FAIL", 0)


def test_a_latency_that_the_policy_budgets_is_part_of_the_evidence(world: World, tmp_path: Path) -> None:  # noqa: F811
    policy = replace(POLICY, latency=LatencyBudget(p95_ms=10_000))
    judged = compare(tmp_path, world.inputs, policy, latency_rounds=3)
    assert judged.verdict == "PASS"
    assert any(check["name"] == "latency (p95)" for check in judged.evidence.details["checks"])
    unmeasured = compare(tmp_path, world.inputs, policy)
    assert unmeasured.verdict == "INSUFFICIENT" and "latency (p95)" in unmeasured.comparison.decision.reason


@pytest.mark.parametrize("how", ["marked", "not connected"])
def test_a_first_version_is_decided_by_the_floors_and_the_evidence_says_there_was_no_baseline(
    world: World,  # noqa: F811
    tmp_path: Path,
    how: str,
) -> None:
    evaluated = _alone(world, tmp_path)
    champion = absent(tmp_path / "absent") if how == "marked" else None
    version = write_version(tmp_path / "version", world.new)
    inputs = {**world.inputs, **evaluated, "champion": champion, "version": version}
    judged = compare(tmp_path / "out", inputs, latency_rounds=2)
    assert (judged.verdict, judged.blessed) == ("PASS", 1)
    assert judged.evidence.champion is None
    assert judged.evidence.details["baseline"] == "none: no champion to compare with"
    assert judged.comparison.champion is None and judged.comparison.performance_delta is None
    assert judged.comparison.challenger.latency is not None
    assert judged.comparison.challenger.parameters == {"units": 1}
    assert "First version, with no champion to beat" in judged.report
    high = replace(POLICY, first_version={"auc": Bounds(at_least=0.99)})
    assert compare(tmp_path / "high", inputs, high).verdict == "FAIL"


def _alone(world: World, tmp_path: Path) -> dict[str, Any]:  # noqa: F811
    """The challenger's part of the evaluation, as TFMA writes it where there is no baseline."""

    def change(record: Any) -> bool:
        mine = [
            one for one in record.metric_keys_and_values if one.key.model_name == "candidate" and not one.key.is_diff
        ]
        for one in mine:
            one.key.model_name = ""
        del record.metric_keys_and_values[:]
        record.metric_keys_and_values.extend(mine)
        return True

    evaluation = rewritten(world.evaluated["evaluation"], tmp_path / "evaluation", change)
    path = Path(evaluation.uri, "eval_config.json")
    config = json.loads(path.read_text())
    config["evalConfig"]["modelSpecs"] = [{"labelKey": LABEL}]
    config["modelLocations"] = {"": next(iter(config["modelLocations"].values()))}
    path.write_text(json.dumps(config))
    return {"evaluation": evaluation, "model_blessing": None}


def test_a_real_evaluation_without_a_baseline_is_a_first_version(
    world: World,  # noqa: F811
    judged: Judged,
    tmp_path: Path,
) -> None:
    version = write_version(tmp_path / "version", world.new)
    inputs = {**world.inputs, **world.alone, "champion": None, "version": version}
    first = compare(tmp_path / "out", inputs, FLOORS)
    assert first.verdict == "PASS" and first.evidence.champion is None
    # Its report draws what the one model said: the same counts as beside a champion.
    said, both = first.comparison.outcomes, judged.comparison.outcomes
    assert said is not None and both is not None
    assert (said.challenger, said.champion) == (both.challenger, None)
    assert (first.comparison.flips, first.comparison.performance_delta, first.warnings) == (None, None, "")
    for part in ("What the model said", "ROC", "Precision and recall", "Calibration", "Scores where truth is yes"):
        assert part in first.report


def test_a_champion_that_a_pipeline_forgot_to_connect_is_not_a_first_version(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    judged = compare(tmp_path / "out", {**world.inputs, "champion": None})
    assert (judged.verdict, judged.blessed) == ("INSUFFICIENT", 0)
    assert "1.0.0 is there to be beaten" in judged.comparison.decision.reason
    version = write_version(tmp_path / "version", world.new)
    judged = compare(tmp_path / "out", {**world.inputs, "champion": None, "version": version})
    assert "the baseline of the evaluation is there to be beaten" in judged.comparison.decision.reason


def test_the_same_model_again_does_not_win(world: World, tmp_path: Path) -> None:  # noqa: F811
    """With itself as the rival: all differences are nothing, and the champion stays."""

    def change(record: Any) -> bool:
        for item in record.metric_keys_and_values:
            if item.key.is_diff:
                for number in (item.value, item.confidence_interval.lower_bound, item.confidence_interval.upper_bound):
                    number.double_value.value = 0
            elif item.key.model_name == "baseline":
                same = next(
                    one
                    for one in record.metric_keys_and_values
                    if one.key.name == item.key.name and one.key.model_name == "candidate" and not one.key.is_diff
                )
                item.value.CopyFrom(same.value)
                item.confidence_interval.CopyFrom(same.confidence_interval)
        return True

    evaluation = rewritten(world.evaluated["evaluation"], tmp_path / "evaluation", change)
    champion = as_champion(world.new, "1.1.0", NEW)
    judged = compare(tmp_path / "out", {**world.inputs, "champion": champion, "evaluation": evaluation})
    assert (judged.verdict, judged.blessed) == ("FAIL", 0)
    assert judged.comparison.decision.recommendation is not None
    assert judged.comparison.decision.recommendation.value == "SIMILAR_PERFORMANCE"
    assert "the same bytes" in judged.warnings
    assert judged.comparison.similarity == 1.0 and not judged.comparison.parameter_changes
    assert judged.comparison.flips is not None and judged.comparison.flips.flipped == 0
    assert judged.evidence.challenger == judged.evidence.champion == NEW


def test_a_slice_on_which_the_champion_was_judged_is_missed(world: World, tmp_path: Path) -> None:  # noqa: F811
    """What the Versioner found in the champion's evidence reaches the gate through version.json."""
    slices = [{"slice": {}, "examples": ROWS}, {"slice": {"carrier": "ZZ"}, "examples": 40}]
    version = write_version(tmp_path / "version", world.new, champion=champion_record(world.old, slices=slices))
    judged = compare(tmp_path, {**world.inputs, "version": version})
    assert judged.verdict == "FAIL"
    assert "no examples of carrier=ZZ, on which the champion was judged with 40" in judged.evidence.reason


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [(MissingSlice.FAIL, "FAIL"), (MissingSlice.INSUFFICIENT, "INSUFFICIENT"), (MissingSlice.WARN, "PASS")],
)
def test_a_missing_slice_ends_as_the_policy_says(
    world: World,  # noqa: F811
    tmp_path: Path,
    answer: MissingSlice,
    verdict: str,
) -> None:
    evaluation = rewritten(
        world.evaluated["evaluation"],
        tmp_path / "evaluation",
        lambda record: not record.slice_key.single_slice_keys,
    )
    judged = compare(tmp_path, {**world.inputs, "evaluation": evaluation}, replace(POLICY, missing_slice=answer))
    assert judged.verdict == verdict
    assert "carrier" in judged.report


def _nan(record: Any) -> bool:
    for item in record.metric_keys_and_values:
        if item.key.name == "auc" and item.key.model_name == "candidate":
            item.value.double_value.value = math.nan
    return True


def test_a_score_that_is_no_number_decides_nothing(world: World, tmp_path: Path) -> None:  # noqa: F811
    evaluation = rewritten(world.evaluated["evaluation"], tmp_path / "evaluation", _nan)
    judged = compare(tmp_path, {**world.inputs, "evaluation": evaluation})
    assert (judged.verdict, judged.blessed) == ("INSUFFICIENT", 0)
    assert "NaN" in judged.comparison.decision.reason
    assert judged.evidence.metrics["challenger"]["auc"] == "NaN"


def test_an_empty_evaluation_decides_nothing(world: World, tmp_path: Path) -> None:  # noqa: F811
    examples = write_examples(tmp_path / "examples", Rows.make(0))
    evaluated = evaluate(tmp_path, Policy("auc"), examples, world.new, world.old)
    judged = compare(tmp_path / "out", {**world.inputs, **evaluated, "examples": examples}, latency_rounds=3)
    assert (judged.verdict, judged.blessed) == ("INSUFFICIENT", 0)
    assert "the evaluation holds no numbers" in judged.comparison.decision.reason
    assert "has no examples" in judged.warnings
    assert judged.comparison.challenger.latency is None and judged.comparison.performance_delta is None


def _incompatible(world: World, tmp_path: Path, reason: str) -> dict[str, Any]:  # noqa: F811
    """What our Evaluator leaves where it had to leave the champion out."""
    evaluation = _alone(world, tmp_path)["evaluation"]
    properties = {"baseline_incompatible": 1, "baseline_incompatible_reason": reason}
    marked = artifact(standard_artifacts.ModelEvaluation, Path(evaluation.uri), **properties)
    return {**world.inputs, "evaluation": marked, "model_blessing": None}


def test_a_champion_that_could_not_be_evaluated_is_for_a_person_or_for_the_floors(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    inputs = _incompatible(world, tmp_path, "it needs the feature 'x9'")
    judged = compare(tmp_path / "out", inputs, latency_rounds=2)
    assert (judged.verdict, judged.blessed) == ("INSUFFICIENT", 0)
    assert "it needs the feature 'x9'" in judged.comparison.decision.reason
    assert judged.evidence.champion == OLD
    assert judged.evidence.details["baseline"] == "not comparable: it needs the feature 'x9'"
    assert judged.comparison.performance_delta is None and not judged.evidence.metrics.get("champion")
    assert compare(tmp_path / "floors", inputs, lenient(), latency_rounds=2).verdict == "PASS"
    high = replace(lenient(), first_version={"auc": Bounds(at_least=0.99)})
    assert compare(tmp_path / "high", inputs, high).verdict == "FAIL"


def test_a_champion_of_which_the_evaluation_has_no_numbers_is_not_compared(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    judged = compare(tmp_path / "out", {**world.inputs, **_alone(world, tmp_path)})
    assert judged.verdict == "INSUFFICIENT"
    assert "the evaluation holds no numbers of it" in judged.comparison.decision.reason
    # What could be found out without TFMA is there for the person who decides.
    assert judged.comparison.performance_delta is not None


def test_a_champion_that_predicts_another_label_is_not_compared(world: World, tmp_path: Path) -> None:  # noqa: F811
    champion = as_champion(world.old, label_key="cancelled")
    judged = compare(tmp_path, {**world.inputs, "champion": champion})
    assert judged.verdict == "INSUFFICIENT"
    assert "it predicts 'cancelled', and the examples are labelled with 'late'" in judged.comparison.decision.reason


def test_a_champion_with_another_signature_is_a_major_change_and_not_compared(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    other = write_model(tmp_path / "other", GOOD, signature="score_flights")
    version = write_version(tmp_path / "version", world.new, champion=champion_record(other))
    inputs = {**world.inputs, **_alone(world, tmp_path), "champion": as_champion(other), "version": version}
    judged = compare(tmp_path / "out", inputs)
    assert judged.verdict == "INSUFFICIENT" and judged.comparison.bump == "MAJOR"
    assert "no signature 'serving_default'" in judged.comparison.decision.reason
    assert compare(tmp_path / "floors", inputs, lenient()).verdict == "PASS"


def test_a_champion_with_more_outputs_is_a_major_change_and_not_compared(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    wide = write_model(tmp_path / "wide", GOOD, outputs=3)
    version = write_version(tmp_path / "version", world.new, champion=champion_record(wide))
    inputs = {**world.inputs, **_alone(world, tmp_path), "champion": as_champion(wide), "version": version}
    judged = compare(tmp_path / "out", inputs, latency_rounds=2)
    assert judged.verdict == "INSUFFICIENT" and judged.comparison.bump == "MAJOR"
    assert judged.comparison.challenger.latency is not None and judged.comparison.performance_delta is None


def _no_weights(folder: Path) -> None:
    (folder / "variables" / "variables.data-00000-of-00001").write_bytes(b"")


def _cut(folder: Path) -> None:
    path = folder / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("hurt", [_no_weights, _cut, shutil.rmtree], ids=["weights", "graph", "everything"])
@pytest.mark.parametrize("policy", [POLICY, lenient()], ids=["human", "floors"])
def test_a_damaged_champion_decides_nothing_and_nothing_is_lost(
    world: World,  # noqa: F811
    tmp_path: Path,
    hurt: Callable[[Path], None],
    policy: Policy,
) -> None:
    """Also where the floors may decide about a champion that cannot be compared: this one may well be better."""
    folder = tmp_path / "old"
    shutil.copytree(world.old.uri, folder)
    hurt(folder / "Format-Serving")
    damaged = as_champion(artifact(standard_artifacts.Model, folder))
    judged = compare(tmp_path / "out", {**world.inputs, "champion": damaged}, policy, latency_rounds=2)
    assert (judged.verdict, judged.blessed) == ("INSUFFICIENT", 0)
    assert "the champion's files are damaged" in judged.comparison.decision.reason
    assert str(tmp_path) not in judged.bytes_of("evidence.json").decode() + judged.report
    assert judged.evidence.champion == OLD
    # What TFMA measured before stays on record.
    assert judged.evidence.metrics["challenger"]["auc"] > judged.evidence.metrics["champion"]["auc"]


def test_a_damaged_challenger_stops_the_component(world: World, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "new"
    shutil.copytree(world.new.uri, folder)
    _no_weights(folder / "Format-Serving")
    damaged = artifact(standard_artifacts.Model, folder)
    with pytest.raises(DamagedError, match=r"The challenger cannot be judged: .* Train it again"):
        compare(tmp_path / "out", {**world.inputs, "model": damaged})
    assert not (tmp_path / "out" / "blessing").exists()


def test_a_champion_whose_making_is_not_recorded_is_compared_in_what_is_known(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Or every parameter would seem to be new, and the transform graph to have changed."""
    record = {"version": "1.0.0", "digest": OLD}
    version = write_version(tmp_path / "version", world.new, champion=record)
    judged = compare(tmp_path / "out", {**world.inputs, "version": version})
    assert judged.verdict == "PASS"
    assert judged.comparison.bump == "PATCH" and not judged.comparison.parameter_changes
    assert judged.comparison.champion is not None and judged.comparison.champion.size_bytes > 10_000
    assert "does not say how the champion was made" in judged.warnings


def test_a_baseline_that_no_registry_gave_is_known_by_its_content(world: World, tmp_path: Path) -> None:  # noqa: F811
    nameless = artifact(standard_artifacts.Model, Path(world.old.uri))
    judged = compare(tmp_path, {**world.inputs, "champion": nameless})
    assert judged.verdict == "PASS"
    assert judged.evidence.champion is not None and judged.evidence.champion not in (OLD, NEW)
    assert judged.comparison.champion is not None and judged.comparison.champion.version == "of unknown version"


def test_without_a_label_predictions_are_not_compared_and_the_report_says_so(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    judged = compare(tmp_path, world.inputs, label_key="somewhere_else")
    assert judged.verdict == "PASS" and judged.comparison.performance_delta is None
    assert "no example has a number as its label 'somewhere_else'" in judged.warnings


def test_where_the_gate_refuses_what_tfma_blessed_the_report_says_why(world: World, tmp_path: Path) -> None:  # noqa: F811
    strict = replace(POLICY, guardrails=(*POLICY.guardrails, Guardrail("auc", bounds=Bounds(at_least=0.99))))
    judged = compare(tmp_path, world.inputs, strict)
    assert judged.verdict == "FAIL"
    assert "TFMA's Evaluator blessed the challenger, and the gate does not let it pass" in judged.warnings
    assert judged.evidence.details["tfma_blessed"] is True


def test_where_tfma_refuses_what_the_gate_passes_the_report_names_what_failed(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    """TFMA judged the models the other way round here; that is one way to make it say no."""
    evaluation = rewritten(world.evaluated["evaluation"], tmp_path / "mixed", lambda _: True)
    shutil.copy(Path(world.lost["evaluation"].uri, "validations.tfrecord"), evaluation.uri)
    inputs = {**world.inputs, "evaluation": evaluation, "model_blessing": world.lost["model_blessing"]}
    judged = compare(tmp_path / "out", inputs)
    assert judged.verdict == "PASS"
    assert "TFMA's Evaluator did not bless the challenger, so the Pusher pushes nothing" in judged.warnings
    assert "auc on overall" in judged.warnings
    silent = artifact(standard_artifacts.ModelBlessing, tmp_path / "silent")
    judged = compare(tmp_path / "out", {**world.inputs, "model_blessing": silent})
    assert "no thresholds" in judged.warnings
