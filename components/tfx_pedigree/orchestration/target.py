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

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.orchestration.ir import SpecKind
from tfx_pedigree.pipeline_config import filled, section_of
from tfx_pedigree.text import did_you_mean, listed

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
    kind = _kind(file, section.get("kind"))
    _known(file, section, kind)
    values = filled(file, dict(section), os.environ if environ is None else environ)
    _no_two_places(file, values)
    return TargetConfig(
        file,
        kind,
        _images(file, values.get("image")),
        file.parent / str(values.get("output") or f"pipeline{kind.suffix}"),
        _texts(file, "env", values.get("env") or {}),
        _places(file, "secrets", values.get("secrets") or {}),
        _volumes(file, values.get("volumes") or {}),
        _texts(file, "target", {key: values[key] for key in SERVICE[kind] if values.get(key) is not None}),
        _table(file, SCHEDULE, values.get(SCHEDULE) or {}),
    )


def _kind(file: Path, value: Any) -> SpecKind:
    try:
        return SpecKind(str(value).lower())
    except ValueError:
        kinds = " or ".join(one.value for one in SpecKind)
        raise InvalidInputError(f"{file}: `target.kind` is {value!r}, but it must be {kinds}.") from None


def _known(file: Path, section: Mapping[str, Any], kind: SpecKind) -> None:
    keys = (*COMPILING, *CLUSTER[kind], *SERVICE[kind], SCHEDULE)
    for key in section:
        if key in keys:
            continue
        other = next((one for one in SpecKind if key in (*SERVICE[one], *CLUSTER[one])), None)
        hint = did_you_mean(str(key), keys, f"It takes {listed(keys)}.")
        if other is not None:
            hint = f"That is one of {other}; this target is {kind}."
        raise InvalidInputError(f"{file}: the target has no setting `{key}`. {hint}")


def _images(file: Path, value: Any) -> Mapping[str, str]:
    if isinstance(value, str) and value:
        return {DEFAULT_IMAGE: value}
    images = _texts(file, "image", value) if isinstance(value, Mapping) else {}
    if not images.get(DEFAULT_IMAGE):
        raise InvalidInputError(
            f"{file}: `target.image` is missing. Give the image in which the tasks run, as registry/name:tag@sha256:…, "
            f"or a table with `{DEFAULT_IMAGE}` and the tasks that need another one."
        )
    return images


def _texts(file: Path, key: str, value: Any) -> Mapping[str, str]:
    found = _table(file, key, value)
    for name, one in found.items():
        if not isinstance(one, str | int | float) or isinstance(one, bool):
            what = f"a {type(one).__name__}" if key == "secrets" else repr(one)
            raise InvalidInputError(f"{file}: `{key}.{name}` is {what}, but it must be a text. Put it in quotes.")
    return {name: str(one) for name, one in found.items()}


def _places(file: Path, key: str, value: Any) -> Mapping[str, str]:
    found = _texts(file, key, value)
    for name, place in found.items():
        if not re.fullmatch(r"[^/\s]+/[^/\s]+", place):
            raise InvalidInputError(
                f"{file}: `{key}.{name}` must name a secret of the cluster and a key in it, as secret/key. "
                "What stands there is not shown, since it may be a secret itself."
            )
    return found


def _volumes(file: Path, value: Any) -> Mapping[str, str]:
    found = _texts(file, "volumes", value)
    for path, claim in found.items():
        if not path.startswith("/") or not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", claim):
            raise InvalidInputError(
                f"{file}: `volumes` must give paths in the container the names of claims, as /mnt/data: flights, but "
                f"has {path}: {claim}."
            )
    return found


def _no_two_places(file: Path, values: Mapping[str, Any]) -> None:
    env, secrets = values.get("env"), values.get("secrets")
    if isinstance(env, Mapping) and isinstance(secrets, Mapping):
        for name in sorted({str(one) for one in env} & {str(one) for one in secrets}):
            raise InvalidInputError(
                f"{file}: {name} stands under `env` and under `secrets`, and a container has it once. Leave one out."
            )


def _table(file: Path, key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        what = f"a {type(value).__name__}" if key == "secrets" else repr(value)
        raise InvalidInputError(f"{file}: `target.{key}` must be names with values, but is {what}.")
    return {str(name): one for name, one in value.items()}
