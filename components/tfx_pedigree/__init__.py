"""Pedigree: versions, lineage and gated promotion for the models that TFX pipelines train.

The rooms, from the ground up. Imports point downwards only; all rooms but the last two know nothing of TensorFlow.

- `errors`, `extras`, `text`, `digest`, `progress`, `verdict`, `states`, `role`, `retry_policy`: refusals; packages that
  are missing; texts for people; what is hashed and how; how far long work is; the gate's words; the states of a
  version; the roles of people; how long a service is waited for.
- `bounded_parse`, `secrets`: what is read from elsewhere, within limits; the one gate that hides secrets.
- `json_form/`: the JSON form of every record. `html`, `notebook`: what a notebook shows of one. `kept`: what was made
  of something that never changes, for the next who asks.
- `settings`, `pipeline_config`: where the registry is, and what a config says of a pipeline.
- `store/`: the bytes of models, addressed by their content, on a disk or in a bucket.
- `db/`: the tables of a registry, on SQLite or PostgreSQL.
- `versioning/`: what a model is for its users, what changed between two, and which number follows.
- `comparison/`: which of two models is better, by which policy, and the report that shows it.
- `signing/`: signatures of versions, as OpenSSF model signing writes them.
- `registry/`: versions with their states and evidence, promotion and rollback, roles, the audit log, archives.
- `lineage/`: the graph of what versions came from and what came of them, and the questions to it.
- `retraining/`: whether to train again, on which data, and why.
- `rollout/`: how a version that passed takes over the traffic, step by step, or gives it back.
- `orchestration/`: compiled pipelines, and the services that run them (Kubeflow, Vertex).
- `mlmd/`: what ML Metadata recorded, as parts of the lineage graph.
- `wire/`: the table of operations of `/api/v1`, from which server and client are made.
- `client/`: a registry on a server, over HTTP, for those who use one.
- `service/`: use cases, which combine the rooms above; command line and components only translate them.
- `server/`: one registry for a team, over HTTP.
- `integrations/`: what other systems read and say: bills of materials, attestations, model cards, MLflow, trackers.
- `cli/`: the command `pedigree`. `self_check`: whether an installation is sound.
- `tfx_components/`: all this, plugged into TFX pipelines.
- `tfx_runner/`: what starts TFX, each in a process of its own.

Names below are loaded when they are first used, so that `import tfx_pedigree` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfx_pedigree.notebook import to_dataframe as to_dataframe
    from tfx_pedigree.registry import Registry as Registry
    from tfx_pedigree.service.workspace import connect as connect
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
    "connect": "tfx_pedigree.service.workspace",
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
