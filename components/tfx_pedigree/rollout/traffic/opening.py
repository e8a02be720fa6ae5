"""From a target to its traffic manager. A kind's module is imported only when a target of that kind is opened."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.rollout.traffic.api import ManagerContext, TrafficManager
from tfx_pedigree.text import did_you_mean, listed

if TYPE_CHECKING:
    from tfx_pedigree.rollout.targets import ServingTarget

_HERE = "tfx_pedigree.rollout.traffic"
# kind → module:function, called with the target's settings and the context.
KINDS: dict[str, str] = {
    "envoy": f"{_HERE}.envoy:open_envoy",
    "gateway-api": f"{_HERE}.gateway_api:open_route",
    "haproxy": f"{_HERE}.haproxy:open_haproxy",
    "kserve": f"{_HERE}.kserve:open_kserve",
    "python": f"{_HERE}.opening:open_own",
    "tensorflow-serving": f"{_HERE}.tensorflow_serving:open_serving",
    "vertex": f"{_HERE}.vertex:open_vertex",
}
Opener = Callable[[ConfigNode, ManagerContext], TrafficManager]


def open_manager(target: ServingTarget, context: ManagerContext) -> TrafficManager:
    place = KINDS.get(target.kind)
    if place is None:
        hint = did_you_mean(target.kind, list(KINDS), f"The kinds are {listed(KINDS)}.")
        raise InvalidInputError(f"{target.file}: the target {target.name} has the unknown kind {target.kind!r}. {hint}")
    module, _, function = place.partition(":")
    opener: Opener = getattr(importlib.import_module(module), function)
    return opener(target.settings, context)


def open_own(settings: ConfigNode, context: ManagerContext) -> TrafficManager:
    """A traffic manager of the user's own: `factory: module:function`, called with the other settings and the context.

    It has the methods of `api.TrafficManager` and is held to the same laws as those that Pedigree brings.
    """
    found = settings.table()
    if "factory" not in found:
        raise settings.wrong("lacks `factory`. Name the function that makes the manager: factory: module:function.")
    factory = found.pop("factory")
    module, colon, function = factory.text().partition(":")
    if not colon or not function.isidentifier():
        raise factory.must_be("module:function")
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise factory.wrong(f"cannot be loaded: {error}. Is its folder in PYTHONPATH?") from error
    manager: TrafficManager = make({key: node.value for key, node in found.items()}, context)
    return manager
