"""Several models of one name, trained in one run: each is judged, and the best that passes is promoted."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.types.channel import BaseChannel

from tfx_pedigree.comparison import Policy
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.service.runs.permissions import pipeline_actions
from tfx_pedigree.service.runs.push import PushTarget
from tfx_pedigree.tfx_components import parameters
from tfx_pedigree.tfx_components.champion_provider.component import ChampionProvider
from tfx_pedigree.tfx_components.registry_pusher.executor import PROMOTE_TO
from tfx_pedigree.tfx_components.wiring import Pedigree, add_pedigree, judge_candidate


def add_candidates(
    trainers: Mapping[str, BaseComponent],
    examples: BaseChannel,
    model_name: str,
    policy: Policy | str | Path | Mapping[str, Any],
    **options: Any,
) -> dict[str, Pedigree]:
    """For each trainer, by its name, what `add_pedigree` adds for one, with `options` as there. All candidates are
    compared with one champion, on the same examples. Each is registered with its own verdict; of those that pass only
    the best is promoted, and the evidence of the others says so. Each is a decision that an error budget counts.

    The ChampionProvider is a component of the first one, unless `champion_provider` is given.
    """
    if len(trainers) < 2:
        raise InvalidInputError("One candidate has no rivals: give two or more trainers, or use add_pedigree.")
    asked = inspect.signature(add_pedigree)
    given = asked.bind(None, examples, model_name, policy, **options)
    given.apply_defaults()
    common = dict(given.arguments)
    provider = common["champion_provider"]
    if provider is None:
        target = parameters.one_of(PushTarget, PROMOTE_TO, common["promote_to"])
        needs = pipeline_actions(target, lineage=common["lineage"], rollout=common["rollout"] is not None)
        place = {key: common[key] for key in ("model_name", "registry", "store", "actor")}
        common["champion_provider"] = ChampionProvider(**place, needs=needs)
    judged = {name: judge_candidate({**common, "trainer": trainer, "name": name}) for name, trainer in trainers.items()}
    comparisons = {name: one.comparator.outputs["comparison"] for name, one in judged.items()}
    found = {
        name: one.end([channel for other, channel in comparisons.items() if other != name])
        for name, one in judged.items()
    }
    if provider is None:
        first = next(iter(found))
        found[first] = found[first].with_champion()
    return found
