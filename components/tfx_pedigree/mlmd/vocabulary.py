"""TFX's names for artifacts and components, and what may follow from what: one execution's outputs and inputs, as
edges of the graph. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tfx_pedigree.lineage.graph import EdgeKind

EXAMPLES = "Examples"
SCHEMA = "Schema"
TRANSFORM = "TransformGraph"
MODEL = "Model"
EVALUATION = "ModelEvaluation"
HYPERPARAMETERS = "HyperParameters"
MODEL_BLESSING = "ModelBlessing"
INFRA_BLESSING = "InfraBlessing"
PUSHED_MODEL = "PushedModel"
MODEL_VERSION = "tfx_pedigree.ModelVersion"
COMPARISON = "tfx_pedigree.VersionComparison"
# What Pedigree itself notes about lineage is no part of it.
UNTOLD = ("tfx_pedigree.LineageRecord",)

# Known by what they were made of, which the execution that made them tells.
DERIVED = (EVALUATION, COMPARISON, PUSHED_MODEL)
BLESSINGS = (MODEL_BLESSING, INFRA_BLESSING)
MODELS = (MODEL, MODEL_VERSION)
JUDGEMENTS = (EVALUATION, COMPARISON, *BLESSINGS)
# What code of the user's makes.
BUILT = (*MODELS, TRANSFORM, EVALUATION)
KNOWN = (EXAMPLES, SCHEMA, TRANSFORM, *MODELS, *DERIVED, *BLESSINGS)
# What an execution without inputs brings into a run from outside.
NOT_FROM_OUTSIDE = (*MODELS, *DERIVED, *BLESSINGS)

# What TFX, and Kubeflow and Vertex before and after, call the context of a run and that of a pipeline.
RUN_CONTEXTS = ("pipeline_run", "run", "system.PipelineRun")
PIPELINE_CONTEXTS = ("pipeline", "system.Pipeline")

# Inputs that are there to be compared with: what made them flows into nothing.
RIVALS = ("baseline_model", "champion")
# What TFX's Trainer calls the model that a training goes on from, and what a Tuner found.
BASE_MODEL, TUNED = "base_model", "hyperparameters"

_MADE = {
    SCHEMA: EdgeKind.CONFORMS_TO,
    TRANSFORM: EdgeKind.TRANSFORMED_BY,
    **dict.fromkeys(JUDGEMENTS, EdgeKind.RESTS_ON),
}
_JUDGED = {**_MADE, EXAMPLES: EdgeKind.EVALUATED_ON}
_TRAINED = {**_MADE, EXAMPLES: EdgeKind.TRAINED_ON}
_EVALUATES = {**_JUDGED, **dict.fromkeys(MODELS, EdgeKind.EVALUATES)}
_DECIDES = {**_JUDGED, **dict.fromkeys(MODELS, EdgeKind.DECIDES_ON)}
# By the type of the output and that of the input. What stands nowhere is derived from it.
_RULES: Mapping[str, Mapping[str, EdgeKind]] = {
    **dict.fromkeys(MODELS, _TRAINED),
    **dict.fromkeys((EVALUATION, COMPARISON), _EVALUATES),
    **dict.fromkeys(BLESSINGS, _DECIDES),
    PUSHED_MODEL: {**_JUDGED, **dict.fromkeys(MODELS, EdgeKind.DEPLOYS)},
}


def relation(output: str, given: str, key: str) -> EdgeKind | None:
    """What an output has to do with an input of the same execution, by their types. None: nothing that is told.

    The Versioner's `champion` is only what stood in production then.
    """
    if key in RIVALS and given in MODELS:
        return None if output in MODELS else EdgeKind.COMPARED_WITH
    return _RULES.get(output, _MADE).get(given, EdgeKind.DERIVED_FROM)


def is_versioner(component: str) -> bool:
    return component == "Versioner"


def is_trainer(component: str) -> bool:
    return component.endswith("Trainer")
