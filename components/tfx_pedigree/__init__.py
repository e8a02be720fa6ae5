"""Pedigree: versions, lineage and gated promotion for the models that TFX pipelines train.

A tour, from the ground up; imports point downwards only, and all rooms but one know nothing of TensorFlow:

- `errors`, `digest`, `progress`, `verdict`: how Pedigree says no, what is hashed and how, how long work tells where it
  is, the words of the gate.
- `store/`: the bytes of models, addressed by their content, on a disk or in a bucket.
- `db/`: the tables of a registry, on SQLite or PostgreSQL.
- `versioning/`: what a model is to those who use it, what changed between two, and which number follows.
- `comparison/`: which of two models is better, by which policy, and the report that shows it.
- `registry/`: versions with their standing and evidence, promotion and rollback, roles, the audit log.
- `tfx_components/`: the above, plugged into TFX pipelines; the only room that knows TFX and TensorFlow.
- `settings`, `cli/`: how people reach all this.

Names below are loaded when they are first used, so that `import tfx_pedigree` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfx_pedigree.notebook import to_dataframe as to_dataframe
    from tfx_pedigree.registry import Registry as Registry
    from tfx_pedigree.store import Store as Store
    from tfx_pedigree.versioning import ModelDescription as ModelDescription

__version__ = "0.1.0"

# Artifact types must be found here: Kubeflow imports them by the name `tfx_pedigree.<Type>`.
_COMPONENTS = (
    "ChampionProvider",
    "Evaluator",
    "LineageRecord",
    "LineageRecorder",
    "ModelVersion",
    "RegistryPusher",
    "VersionComparator",
    "VersionComparison",
    "Versioner",
    "add_pedigree",
)
_HOMES = {
    "ModelDescription": "tfx_pedigree.versioning",
    "Registry": "tfx_pedigree.registry",
    "Store": "tfx_pedigree.store",
    "to_dataframe": "tfx_pedigree.notebook",
    **dict.fromkeys(_COMPONENTS, "tfx_pedigree.tfx_components"),
}

__all__ = [  # noqa: PLE0604  names are looked up in the table
    "__version__",
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
