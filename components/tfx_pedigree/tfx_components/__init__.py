"""Pedigree in a TFX pipeline; the only room whose code imports TFX and TensorFlow.

In: artifacts and parameters of a pipeline. Out: artifacts, and what the registry and the store are told on the way.
Never: decides anything itself. Executors unpack, call one service of the rooms below, and write.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfx_pedigree.tfx_components.artifacts import LineageRecord, ModelVersion, VersionComparison
    from tfx_pedigree.tfx_components.best_champion.component import BestChampionEvaluator, BestChampionProvider
    from tfx_pedigree.tfx_components.candidates import add_candidates
    from tfx_pedigree.tfx_components.champion_provider.component import ChampionProvider
    from tfx_pedigree.tfx_components.evaluation import eval_config_of
    from tfx_pedigree.tfx_components.evaluator.component import Evaluator
    from tfx_pedigree.tfx_components.lineage_recorder.component import LineageRecorder
    from tfx_pedigree.tfx_components.registry_pusher.component import RegistryPusher
    from tfx_pedigree.tfx_components.version_comparator.component import VersionComparator
    from tfx_pedigree.tfx_components.versioner.component import Versioner
    from tfx_pedigree.tfx_components.wiring import Pedigree, add_pedigree

_HOMES = {
    "BestChampionEvaluator": "best_champion.component",
    "BestChampionProvider": "best_champion.component",
    "ChampionProvider": "champion_provider.component",
    "Evaluator": "evaluator.component",
    "LineageRecord": "artifacts",
    "LineageRecorder": "lineage_recorder.component",
    "ModelVersion": "artifacts",
    "Pedigree": "wiring",
    "RegistryPusher": "registry_pusher.component",
    "VersionComparator": "version_comparator.component",
    "VersionComparison": "artifacts",
    "Versioner": "versioner.component",
    "add_candidates": "candidates",
    "add_pedigree": "wiring",
    "eval_config_of": "evaluation",
}

__all__ = [
    "BestChampionEvaluator",
    "BestChampionProvider",
    "ChampionProvider",
    "Evaluator",
    "LineageRecord",
    "LineageRecorder",
    "ModelVersion",
    "Pedigree",
    "RegistryPusher",
    "VersionComparator",
    "VersionComparison",
    "Versioner",
    "add_candidates",
    "add_pedigree",
    "eval_config_of",
]


def __getattr__(name: str) -> Any:
    """Loading any of them takes TensorFlow's ten seconds, so each is loaded when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
