"""Whether an actor may do all that a pipeline will do, asked before the pipeline trains anything."""

from __future__ import annotations

from collections.abc import Iterable

from tfx_pedigree.errors import ForbiddenError
from tfx_pedigree.registry import LEAST_ROLE, Action, Administration
from tfx_pedigree.service.runs.push import PushTarget
from tfx_pedigree.text import listed

_PROMOTING = {
    PushTarget.STAGING: (Action.PROMOTE_TO_STAGING,),
    PushTarget.PRODUCTION: (Action.PROMOTE_TO_PRODUCTION,),
}


def pipeline_actions(target: PushTarget, *, lineage: bool, rollout: bool = False) -> tuple[Action, ...]:
    """What the components do in a registry, from the Versioner to the LineageRecorder."""
    found = [Action.RESERVE, Action.REGISTER, Action.ATTACH_EVIDENCE, Action.ANNOTATE, *_PROMOTING.get(target, ())]
    if rollout and target is PushTarget.PRODUCTION:
        found.append(Action.ROLL_OUT)
    return (*found, *((Action.RECORD_LINEAGE,) if lineage else ()))


def check_permissions(registry: Administration, model: str, actions: Iterable[Action]) -> None:
    """ForbiddenError that names all of them, and one command that grants what they need. The model need not exist."""
    every = sorted(set(actions), key=lambda one: LEAST_ROLE[one])
    if not every:
        return
    try:
        # Each role may do what the roles below it may.
        registry.require(every[-1], model)
    except ForbiddenError as refusal:
        said = listed(str(one).replace("-", " ") for one in every)
        raise ForbiddenError(f"This pipeline is to {said}. {refusal}", refusal.operation) from None
