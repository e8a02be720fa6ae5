"""ChampionProvider: the baseline of an evaluation, asked of the registry in each run."""

from __future__ import annotations

from tfx.dsl.components.base import executor_spec
from tfx.types.standard_artifacts import Model

from tfx_pedigree.tfx_components.champion_provider import executor
from tfx_pedigree.tfx_components.declaring import filled, spec_class
from tfx_pedigree.tfx_components.uncached import UncachedComponent


class ChampionProvider(UncachedComponent):
    """Gives the model that is in production now; give its output `model` to Evaluator as `baseline_model`.

    Where there is none, the artifact says so (custom property `absent` = 1) and holds no files: the Evaluator of
    this package then sees no baseline.
    """

    SPEC_CLASS = spec_class("ChampionProviderSpec", outputs={"model": Model})
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self, model_name: str, registry: str | None = None, store: str | None = None, actor: str | None = None
    ) -> None:
        super().__init__(spec=filled(self.SPEC_CLASS, locals()))
