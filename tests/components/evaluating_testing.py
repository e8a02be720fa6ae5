"""What a user's own module may do in the Evaluator: here it doubles all labels."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma


def custom_extractors(eval_shared_model: Any, eval_config: Any, tensor_adapter_config: Any) -> list[Any]:
    usual = tfma.default_extractors(
        eval_shared_model=eval_shared_model, eval_config=eval_config, tensor_adapter_config=tensor_adapter_config
    )
    labels = next(at for at, one in enumerate(usual) if one.stage_name == "ExtractLabels")
    doubling = tfma.extractors.Extractor(stage_name="Doubled", ptransform=beam.Map(_doubled))
    return [*usual[: labels + 1], doubling, *usual[labels + 1 :]]


def _doubled(extracts: dict[str, Any]) -> dict[str, Any]:
    return {**extracts, tfma.LABELS_KEY: extracts[tfma.LABELS_KEY] * 2}
