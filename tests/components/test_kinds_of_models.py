"""Whole pipelines around models of other kinds than one number a row: each is judged against a champion, and timed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from components_testing import NAME, Place, write_rows
from stock_testing import WarmTrainer, run_pipeline
from tfx.components.example_gen.import_example_gen.component import ImportExampleGen

from tfx_pedigree.comparison import (
    Comparison,
    Guardrail,
    ModelInputs,
    Policy,
    Regression,
    Rule,
    RuleKind,
)
from tfx_pedigree.registry import Registry
from tfx_pedigree.service.intake import candidate_of
from tfx_pedigree.service.judging.replaying import replay_all
from tfx_pedigree.tfx_components import add_pedigree

ROWS = 240
_STRINGS = [tf.TensorSpec([None], tf.string, name="examples")]
RULE = Rule(RuleKind.ABSOLUTE, 0.0)


def _loss(metric: str) -> Guardrail:
    return Guardrail(metric, max_regression=Regression(0.9, relative=False))


@dataclass(frozen=True)
class Kind:
    """What the model gives, what the policy asks of it, and what the Evaluator is told."""

    outputs: tuple[str, ...]
    policy: Policy
    inputs: ModelInputs


KINDS = {
    "a label that Transform makes, and weights": Kind(
        ("late",),
        Policy("auc", rule=RULE, min_examples=ROWS // 4, guardrails=(_loss("binary_accuracy"),)),
        ModelInputs(
            "late_xf",
            "serving_default",
            example_weight_key="hours",
            preprocessing_function_names=("transform_features",),
        ),
    ),
    "three classes": Kind(
        ("kinds",),
        Policy("sparse_categorical_accuracy", rule=RULE, guardrails=(_loss("auc@class_id=2"),)),
        ModelInputs("kind", "serving_default", prediction_key="kinds", classes=3),
    ),
    "several labels": Kind(
        ("signs",),
        Policy("auc@micro_average", rule=RULE, guardrails=(_loss("auc@class_id=1"),)),
        ModelInputs("signs", "serving_default", prediction_key="signs"),
    ),
    "two heads, and a ranking": Kind(
        ("late", "kinds"),
        Policy("late/auc", rule=RULE, guardrails=(_loss("kinds/auc@class_id=1"), _loss("late/ndcg@top_k=3"))),
        ModelInputs(
            signature_name="serving_default",
            label_keys={"late": "late", "kinds": "kind"},
            query_key="query",
            gain_key="late",
            classes=3,
        ),
    ),
}


def rows() -> list[dict[str, Any]]:
    chance, found = random.Random(4), []
    for number in range(ROWS):
        x, z = chance.random(), chance.random()
        late, kind = float(chance.random() < x), float(chance.choices(range(3), (x, z, 0.6))[0])
        signs = [float(chance.random() < x), float(chance.random() < z)]
        weighed = {"hours": 1.0 + number % 3, "query": float(number // 6)}
        found.append({"x": x, "z": z, "late": late, "kind": kind, "signs": signs, **weighed})
    return found


def saved(folder: Path, outputs: tuple[str, ...], misled: float) -> str:
    """Says what of the given outputs it is asked for. Of its preprocessing it has the label."""

    def parsed(examples: Any, *names: str) -> list[Any]:
        spec = {name: tf.io.FixedLenFeature([1], tf.float32) for name in names}
        found = tf.io.parse_example(examples, spec)
        return [found[name] for name in names]

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.misled = tf.Variable(misled)

        @tf.function(input_signature=_STRINGS)
        def serve(self, examples: Any) -> dict[str, Any]:
            x, z = parsed(examples, "x", "z")
            seen = x * (1 - self.misled) + z * self.misled
            kinds = tf.nn.softmax(tf.concat([3 * seen, 3 * (x + z - seen), tf.fill(tf.shape(x), 0.6)], axis=1))
            signs = tf.concat([seen, x + z - seen], axis=1)
            every = {"late": tf.sigmoid(3 * (seen - 0.5)), "kinds": kinds, "signs": signs}
            return {name: every[name] for name in outputs}

        @tf.function(input_signature=_STRINGS)
        def transform(self, examples: Any) -> dict[str, Any]:
            (late,) = parsed(examples, "late")
            return {"late_xf": tf.cast(late > 0.5, tf.int64)}

    model = Model()
    signatures = {"serving_default": model.serve, "transform_features": model.transform}
    tf.saved_model.save(model, str(folder), signatures=signatures)
    return str(folder)


@pytest.mark.parametrize("name", KINDS)
def test_models_of_every_kind_are_judged_timed_and_compared(
    name: str, place: Place, local_registry: Registry, tmp_path: Path
) -> None:
    kind = KINDS[name]
    (tmp_path / "data").mkdir()
    write_rows(tmp_path / "data" / "rows.gz", rows())
    serving = candidate_of(local_registry.store_to_fill, saved(tmp_path / "champion", kind.outputs, 0.7))
    local_registry.promote(f"{NAME}@{local_registry.add(NAME, serving).version.version}")
    examples = ImportExampleGen(str(tmp_path / "data"))
    trainer = WarmTrainer(examples.outputs["examples"], saved(tmp_path / "challenger", kind.outputs, 0.1))
    pedigree = add_pedigree(
        trainer,
        examples.outputs["examples"],
        NAME,
        kind.policy,
        inputs=kind.inputs,
        comparator_options={"latency_rounds": 4, "latency_batch_size": 8},
        **{key: place.properties[key] for key in ("registry", "store", "actor")},
    )
    run_pipeline(tmp_path, [examples, trainer, *pedigree.components])
    (path,) = (tmp_path / "root").rglob("comparison.json")
    found = Comparison.from_text(path.read_text())
    assert (found.decision.verdict.value, found.decision.warnings) == ("PASS", ()), found.decision.reason
    assert {check.outcome.value for check in found.decision.checks} == {"holds"}
    assert found.latency_ratio is not None and found.latency_ratio.interval is not None
    assert found.performance_delta is not None and found.performance_delta.unusable == 0
    assert found.performance_delta.mean_absolute < 0, "the challenger is nearer to the truth"
    assert found.flips is not None and found.flips.flipped + found.flips.changed > 0
    assert local_registry.model(NAME).champion == found.challenger.version
    assert replay_all(local_registry).ok
