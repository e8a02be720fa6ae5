"""Compiled pipelines for tests: what TFX's compiler made of small pipelines, and a way to spoil one."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from tfx_pedigree.orchestration.ir import CompiledPipeline, SpecKind, Surroundings, fit
from tfx_pedigree.orchestration.ir.compiled import compiled_of

GOLDENS = Path(__file__).parent / "goldens"
CONFIGS = Path(__file__).parents[3] / "configs"


def by_tfx(name: str) -> dict[str, Any]:
    """As TFX compiled it, with its errors. tests/pipelines/test_conformance_small.py holds it to TFX."""
    found: dict[str, Any] = json.loads((GOLDENS / f"{name}.json").read_text())
    return found


def fitted(name: str, kind: SpecKind, **around: Any) -> tuple[CompiledPipeline, tuple[str, ...]]:
    made = by_tfx(name)
    return fit(made["job"], kind, defaults=made["defaults"], around=Surroundings(**around))


def spoilt(compiled: CompiledPipeline, value: Any, *path: str | int) -> CompiledPipeline:
    """A copy in which `value` stands at the place `path` of the PipelineSpec; None takes away what stands there."""
    document: Any = copy.deepcopy(dict(compiled.document))
    place = document["pipelineSpec"] if compiled.kind is SpecKind.VERTEX else document
    for key in path[:-1]:
        place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return compiled_of(compiled.kind, document, compiled.extra)


def in_task(task: str, *path: str | int) -> tuple[str | int, ...]:
    return ("root", "dag", "tasks", task, *path)


def in_container(task: str, *path: str | int) -> tuple[str | int, ...]:
    return ("deploymentSpec", "executors", f"{task}_executor", "container", *path)


def parameter(task: str, name: str) -> tuple[str | int, ...]:
    return in_task(task, "inputs", "parameters", name, "runtimeValue", "constant")
