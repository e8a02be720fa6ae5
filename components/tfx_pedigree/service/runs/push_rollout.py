"""The end of a run that rolls out: the version gets its first share from a controller, and the run does not wait.

Each version is rolled out by its pipeline once. A run that is repeated finds the rollout that it ordered, whatever came
of it; one that was rolled back is a person's to start again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.registry import PromotionRequest, Reference, RegistryApi, Version
from tfx_pedigree.rollout.api import RolloutApi
from tfx_pedigree.rollout.plan import Plan
from tfx_pedigree.rollout.spec_file import load_rollout, rollout_from_data
from tfx_pedigree.rollout.state import Phase, Rollout
from tfx_pedigree.service.runs.push import Move, Pushed, PushOutcome

_MOST = 1000


@dataclass(frozen=True)
class PipelineRollout(JsonForm):
    """What a pipeline orders: frozen when the pipeline is built. The target is known to the controller, not to the
    pipeline's host."""

    JSON: ClassVar[Layout] = Layout(format="pedigree.pipeline-rollout/1")

    target: str
    plan: Plan

    def __post_init__(self) -> None:
        if not self.target.strip() or not self.plan.steps:
            raise InvalidInputError("A pipeline's rollout needs a target and a plan with steps.")

    @classmethod
    def of(cls, given: PipelineRollout | str | Path | Mapping[str, Any]) -> PipelineRollout:
        """From a rollout.yaml, or a table with its keys."""
        if isinstance(given, PipelineRollout):
            return given
        if isinstance(given, Mapping):
            source, found = "rollout", rollout_from_data(given, "The parameter `rollout`")
        else:
            source, found = str(given), load_rollout(Path(given).expanduser())
        if found.target is None:
            raise InvalidInputError(
                f"{source}: lacks `target`. A pipeline must say where the version is rolled out: add the name of an "
                "entry under `serving:` of the controller's config, such as target: edge."
            )
        return cls(found.target, found.plan)


@dataclass(frozen=True)
class ByRollout(Move):
    """A rollout in place of a promotion. Where nothing serves yet there is nothing to compare with: the first version
    is promoted, and the traffic follows, as one decision."""

    rollouts: RolloutApi
    order: PipelineRollout

    def __call__(self, registry: RegistryApi, reference: Reference, request: PromotionRequest) -> Pushed:
        version = registry.get(reference)
        known = self._known(version)
        if known is not None:
            return _told(version, known)
        if self.rollouts.champion(version.model) is None:
            return self._first(version, request)
        try:
            rollout = self.rollouts.start_rollout(
                version.model, version.version, self.order.target, self.order.plan, request
            )
        except ConflictError:
            known = self._known(version)  # by the same run, which was started twice
            if known is None:
                raise
            return _told(version, known)
        return _told(version, rollout)

    def command(self, model: str, version: str) -> str:
        return f"pedigree rollout start {model}@{version} --target {self.order.target}"

    def _known(self, version: Version) -> Rollout | None:
        """The newest of this version; one that ended well says nothing about a version that serves no longer."""
        for one in self.rollouts.rollouts(version.model, limit=_MOST):
            if one.candidate.digest == version.digest and not one.is_deployment:
                return None if one.state.phase is Phase.DONE else one
        return None

    def _first(self, version: Version, request: PromotionRequest) -> Pushed:
        reference = Reference(version.model, version.version)
        followed = self.rollouts.promote_and_deploy(reference, request, self.order.target)
        deployment = followed.deployment
        reason = (
            f"{version.name} is the first champion, and {self.order.target} is to serve it: "
            f"`pedigree rollout watch {version.model}`."
        )
        return Pushed(PushOutcome.PROMOTED, followed.version, reason, rollout=deployment.number)


def _told(version: Version, rollout: Rollout) -> Pushed:
    state = rollout.state
    if state.phase.ended or state.backwards:
        raise ConflictError(
            f"The rollout {rollout.name} of {version.name} is {state.phase}: {state.reason or 'no reason was given'} "
            "A pipeline starts no second one. To try it again: "
            f"`pedigree rollout start {version.model}@{version.version}`."
        )
    reason = (
        f"The rollout {rollout.name} of {version.name} to {rollout.order.target} is {state.phase}. Look at it with "
        f"`pedigree rollout watch {version.model}`."
    )
    return Pushed(PushOutcome.ROLLING_OUT, version, reason, rollout=rollout.number)
