"""ChampionProvider: the baseline of an evaluation, asked of the registry in each run."""

from __future__ import annotations

from collections.abc import Iterable

from tfx.dsl.components.base import executor_spec
from tfx.types.standard_artifacts import Model

from tfx_pedigree.registry import Action
from tfx_pedigree.tfx_components import parameters
from tfx_pedigree.tfx_components.champion_provider import executor
from tfx_pedigree.tfx_components.declaring import filled, spec_class
from tfx_pedigree.tfx_components.uncached import UncachedComponent


class ChampionProvider(UncachedComponent):
    """Gives the model that is in production now; give its output `model` to Evaluator as `baseline_model`.

    Where there is none, the artifact says so (custom property `absent` = 1) and holds no files: the Evaluator of
    this package then sees no baseline. `needs` are the actions that the pipeline's later components will take in the
    registry (`registry.Action`): where the actor's role does not allow one of them, the run stops here.
    """

    SPEC_CLASS = spec_class("ChampionProviderSpec", outputs={"model": Model}, parameters={"needs?": str})
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model_name: str,
        registry: str | None = None,
        store: str | None = None,
        actor: str | None = None,
        *,
        needs: Iterable[Action | str] = (),
    ) -> None:
        needs = [parameters.one_of(Action, executor.NEEDS, one).value for one in needs]
        super().__init__(spec=filled(self.SPEC_CLASS, locals()))
