"""BestChampionProvider and BestChampionEvaluator: a former champion that was better than the present one, on today's
rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base import executor_spec
from tfx.types.channel import BaseChannel
from tfx.types.standard_artifacts import Model

from tfx_pedigree.comparison import Policy
from tfx_pedigree.tfx_components.best_champion import executor
from tfx_pedigree.tfx_components.declaring import filled, spec_class
from tfx_pedigree.tfx_components.evaluator.component import Evaluator
from tfx_pedigree.tfx_components.uncached import UncachedComponent


class BestChampionProvider(UncachedComponent):
    """Gives the best champion so far by the policy's score, as far as earlier decisions tell. `champion` is the one
    that this run evaluates against.

    Where the champion itself is the best one, or the bytes of the best one are not there any more, the artifact says so
    (custom properties `absent` = 1 and, in the second case, `version` and `missing`) and holds no files.
    """

    SPEC_CLASS = spec_class(
        "BestChampionProviderSpec",
        inputs={"champion?": Model},
        outputs={"model": Model},
        parameters={executor.POLICY: str},
    )
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.ProviderExecutor)

    def __init__(
        self,
        model_name: str,
        policy: Policy | Mapping[str, Any],
        registry: str | None = None,
        store: str | None = None,
        actor: str | None = None,
        *,
        champion: BaseChannel | None = None,
    ) -> None:
        policy = policy.to_json() if isinstance(policy, Policy) else policy
        super().__init__(spec=filled(self.SPEC_CLASS, locals()))


class BestChampionEvaluator(Evaluator):
    """The Evaluator once more, with the best champion as the baseline. Does nothing where there is none to evaluate."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.EvaluatorExecutor)
