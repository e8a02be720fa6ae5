"""Rollouts: how a version that passed takes over the traffic, step by step, or gives it back.

In come a plan, the champion, a candidate and what was counted while both served; out go decisions, each one transaction
with the registry, and the shares that follow from them. Without data it never advances, and it moves no bytes itself.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfx_pedigree.rollout.api import RolloutApi as RolloutApi
    from tfx_pedigree.rollout.controller import Controller as Controller
    from tfx_pedigree.rollout.ledger import Ledger as Ledger
    from tfx_pedigree.rollout.plan import Plan as Plan
    from tfx_pedigree.rollout.plan import blue_green as blue_green
    from tfx_pedigree.rollout.plan import canary as canary
    from tfx_pedigree.rollout.spec_file import load_plan as load_plan
    from tfx_pedigree.rollout.traffic.api import TrafficManager as TrafficManager
    from tfx_pedigree.rollout.traffic.memory import MemoryBalancer as MemoryBalancer
    from tfx_pedigree.rollout.traffic.memory import MemoryTraffic as MemoryTraffic

_HERE = "tfx_pedigree.rollout"
# Loaded when first used: a traffic manager needs no database, and a ledger no traffic.
_HOMES = {
    "Controller": f"{_HERE}.controller",
    "Ledger": f"{_HERE}.ledger",
    "MemoryBalancer": f"{_HERE}.traffic.memory",
    "MemoryTraffic": f"{_HERE}.traffic.memory",
    "Plan": f"{_HERE}.plan",
    "RolloutApi": f"{_HERE}.api",
    "TrafficManager": f"{_HERE}.traffic.api",
    "blue_green": f"{_HERE}.plan",
    "canary": f"{_HERE}.plan",
    "load_plan": f"{_HERE}.spec_file",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
