"""Evaluator: TFX's own, which understands a champion that is absent or cannot be compared."""

from __future__ import annotations

from tfx.components.evaluator import component as tfx_evaluator
from tfx.dsl.components.base import executor_spec

from tfx_pedigree.tfx_components.evaluator import executor


class Evaluator(tfx_evaluator.Evaluator):  # type: ignore[misc]
    """Takes and gives what TFX's Evaluator does, in all its ways of being called.

    A `baseline_model` that ChampionProvider marked as absent counts as none. One that cannot be evaluated on these
    examples is left out as well, and the output `evaluation` says so: its custom property `baseline_incompatible` is 1
    and `baseline_incompatible_reason` tells why.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
