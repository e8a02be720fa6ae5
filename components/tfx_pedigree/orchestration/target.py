"""The section `target:` of a config file: the service that runs the pipeline, and with what.

    target:
      kind: kubeflow                       # or vertex
      image: registry/name:tag@sha256:…    # or a table: default, and tasks that need another one
      output: ../build/flight-delay.yaml   # where `pipeline compile` writes; relative to this file
      env: {PEDIGREE_ACTOR: pipeline}      # set in every container; no secrets
      secrets: {PGPASSWORD: name/key}      # Kubeflow: variables that the cluster fills in from a secret of its own
      volumes: {/mnt/models: claim}        # Kubeflow: claims that are mounted in every container
      host: https://kubeflow.example       # where the service is, and how a run is asked for: see `SERVICE`

${NAME} is the environment's NAME, ${here} this file's folder. Where artifacts lie (the pipeline's root) is a setting of
the pipeline itself, and is read from what was compiled.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_pedigree.comparison.config_reader import ConfigNode, from_data, optional
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.orchestration.ir import SpecKind
from tfx_pedigree.pipeline_config import filled, section_of

DEFAULT_IMAGE = "default"

# What compiling needs.
COMPILING = ("kind", "image", "output", "env")
# What compiling needs for one of the services: the cluster's own, which Vertex does not have.
CLUSTER = {SpecKind.KUBEFLOW: ("secrets", "volumes"), SpecKind.VERTEX: ()}
# What submitting and scheduling need, by the service that they belong to. `orchestration/services/` owns these.
SERVICE = {
    SpecKind.KUBEFLOW: ("host", "namespace", "experiment", "service_account", "ca"),
    SpecKind.VERTEX: ("project", "location", "service_account", "network", "endpoint"),
}
SCHEDULE = "schedule"


@dataclass(frozen=True)
class TargetConfig:
    """`images` holds the image of each task that has its own, and the rest's under `default`. Paths are absolute.

    `service` holds only keys of `SERVICE[kind]`, as texts; `schedule` is what stands in the file, filled in.
    """

    file: Path
    kind: SpecKind
    images: Mapping[str, str]
    output: Path
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    service: Mapping[str, str] = field(default_factory=dict)
    schedule: Mapping[str, Any] = field(default_factory=dict)


def load_target(file: Path, environ: Mapping[str, str] | None = None) -> TargetConfig:
    file = file.absolute()
    section = section_of(file, "target")
    if section is None:
        raise InvalidInputError(
            f"{file} names no target. Give it a section `target:` with `kind: kubeflow` or `kind: vertex`; "
            "docs/compile.md shows one."
        )
    values = filled(file, dict(section), os.environ if environ is None else environ)
    target = from_data({"target": values}, str(file)).table()["target"]
    kind = target.fields(target.table(), required=("kind",))["kind"].choice(SpecKind)
    found = target.fields(_known(target, kind))
    env, secrets = optional(found, "env", _texts) or {}, optional(found, "secrets", _secrets) or {}
    for name in sorted({*env} & {*secrets}):
        raise target.wrong(
            f"has {name} under `env` and under `secrets`, and a container has it once. Leave one of them out."
        )
    return TargetConfig(
        file,
        kind,
        _images(target, found),
        file.parent / (optional(found, "output", _text) or f"pipeline{kind.suffix}"),
        env,
        secrets,
        optional(found, "volumes", _volumes) or {},
        {key: _text(found[key]) for key in SERVICE[kind] if key in found},
        values[SCHEDULE] if optional(found, SCHEDULE, ConfigNode.table) else {},
    )


def _known(target: ConfigNode, kind: SpecKind) -> tuple[str, ...]:
    keys = (*COMPILING, *CLUSTER[kind], *SERVICE[kind], SCHEDULE)
    for key, node in target.table().items():
        for other in SpecKind:
            if key not in keys and key in (*SERVICE[other], *CLUSTER[other]):
                raise node.wrong(f"is a setting of {other}; this target is {kind}. Leave it out.")
    return keys


def _images(target: ConfigNode, found: Mapping[str, ConfigNode]) -> Mapping[str, str]:
    image = found.get("image")
    images = (
        {DEFAULT_IMAGE: image.value} if image and isinstance(image.value, str) else optional(found, "image", _texts)
    )
    if not images or not images.get(DEFAULT_IMAGE):
        raise target.wrong(
            "has no `image`. Give the image in which the tasks run, as registry/name:tag@sha256:…, or a table with "
            f"`{DEFAULT_IMAGE}` and the tasks that need another one."
        )
    return images


def _text(node: ConfigNode) -> str:
    if not isinstance(node.value, str | int | float) or isinstance(node.value, bool):
        raise node.must_be("a text. Put it in quotes")
    return str(node.value)


def _texts(node: ConfigNode) -> dict[str, str]:
    return {name: _text(one) for name, one in node.table().items()}


def _secrets(node: ConfigNode) -> dict[str, str]:
    """What stands there is never shown: it may be a secret itself, put there by mistake."""
    places = node.value if isinstance(node.value, dict) else {"": node}
    for place in places.values():
        if not re.fullmatch(r"[^/\s]+/[^/\s]+", str(place.value)) or place is node:
            raise place.wrong("must name a secret of the cluster and a key in it: VARIABLE: secret/key.")
    return {name: str(place.value) for name, place in places.items()}


def _volumes(node: ConfigNode) -> dict[str, str]:
    found = _texts(node)
    for path, claim in found.items():
        if not path.startswith("/") or not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", claim):
            raise node.wrong(
                f"must give paths in the container the names of claims, as /mnt/data: flights, but has {path}: {claim}."
            )
    return found
