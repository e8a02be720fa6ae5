"""Runs that take up where an earlier one stood (TFX's partial runs), and an Evaluator with a user's own module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from components_testing import NAME, Place, write_rows
from stock_testing import run_pipeline
from tfx.components.example_gen.import_example_gen.component import ImportExampleGen
from tfx.orchestration import pipeline as tfx_pipeline
from wired_testing import Train, ready_model

from tfx_pedigree.comparison import ModelInputs, Policy, Rule, RuleKind
from tfx_pedigree.registry import Registry
from tfx_pedigree.service.judging.replaying import replay_all
from tfx_pedigree.tfx_components import Evaluator, add_pedigree

STRICT, EASY = (Policy("mean_absolute_error", rule=Rule(RuleKind.RELATIVE, share)) for share in (0.5, 0.05))


@pytest.fixture
def components(place: Place, tmp_path: Path) -> Any:
    """Of the pipeline, with a policy; `factor` of the model that is trained."""
    (tmp_path / "data").mkdir()
    write_rows(tmp_path / "data" / "rows.gz", [{"x": n / 40, "y": n / 20} for n in range(1, 120)])
    where = {key: place.properties[key] for key in ("registry", "store", "actor")}
    models: dict[float, str] = {}

    def made(policy: Policy, factor: float, **given: Any) -> list[Any]:
        ready = models.get(factor) or ready_model(tmp_path / str(factor), factor)
        models[factor] = ready
        examples = ImportExampleGen(str(tmp_path / "data"))
        trainer = Train(examples.outputs["examples"], ready)
        pedigree = add_pedigree(
            trainer,
            examples.outputs["examples"],
            NAME,
            policy,
            inputs=ModelInputs(label_key="y", signature_name="serving_default"),
            comparator_options={"latency_rounds": 0},
            **where,
            **given,
        )
        return [examples, trainer, *pedigree.components]

    return made


def resumed(start: str) -> tfx_pipeline.RunOptions:
    """Only this component and those after it; what the others gave in the last run is taken over."""
    return tfx_pipeline.RunOptions(from_nodes=[start])


def test_a_run_is_taken_up_again_under_another_policy(
    components: Any, local_registry: Registry, tmp_path: Path
) -> None:
    run_pipeline(tmp_path, components(STRICT, 1.0))
    run_pipeline(tmp_path, components(STRICT, 1.2))
    assert local_registry.get(f"{NAME}@1.0.1").refusal.startswith("FAIL")
    run_pipeline(tmp_path, components(EASY, 1.2), options=resumed("VersionComparator"))
    assert local_registry.model(NAME).champion == "1.0.0"
    refused = "FAIL: The Evaluator did not bless the model."
    assert local_registry.get(f"{NAME}@1.0.1").refusal == refused, "its thresholds are those of the policy before"
    run_pipeline(tmp_path, components(EASY, 1.2), options=resumed("Evaluator"))
    assert local_registry.model(NAME).champion == "1.0.1", "the model is the one that was trained before"
    assert len(local_registry.versions(NAME).items) == 2
    before = local_registry.history(NAME)
    run_pipeline(tmp_path, components(EASY, 1.2), options=resumed("RegistryPusher"))
    assert local_registry.history(NAME) == before
    assert replay_all(local_registry).ok


def test_an_evaluator_with_a_module_of_the_users_own(components: Any, local_registry: Registry, tmp_path: Path) -> None:
    """The module doubles all labels, so that a model which predicts twice the label is right."""

    def evaluator(**given: Any) -> Evaluator:
        return Evaluator(module_path="evaluating_testing", **given)

    run_pipeline(tmp_path, components(EASY, 4.0, evaluator=evaluator))
    assert local_registry.get(f"{NAME}@1.0.0").metrics["mean_absolute_error"] == pytest.approx(0, abs=1e-6)
