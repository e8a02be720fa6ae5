"""A compiled pipeline made to fit the service that runs it. Each step leaves alone what fits already.

- The root stands in the PipelineSpec, where both services look for it. TFX writes it into the job only, and open-source
  Kubeflow gets no job.
- What asks the registry is never taken from a cache, and carries nothing that changes from one compilation to the next.
- Open-source Kubeflow does not run the hook in which TFX's file-based ExampleGens find their span: the container does
  it itself, before it reads the data, in each run. As the service then knows nothing of the data when it looks into its
  cache, only data of a span that was fixed may come from there.
- Every container gets the environment of the target; on Kubeflow, also the secrets and volumes of the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.orchestration.ir.compiled import CompiledPipeline, Json, SpecKind, Task, compiled_of
from tfx_pedigree.orchestration.ir.digest import ASKED, steady
from tfx_pedigree.orchestration.ir.mend import SpecDraft, mend_compiler
from tfx_pedigree.orchestration.ir.platform import platform_document

TFX_COMMAND = ["python", "-m", "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"]
# Runs TFX's driver and then its executor, as Vertex does it with two containers.
HOOKED_COMMAND = ["python", "-m", "tfx_pedigree.tfx_runner.run_with_driver"]


@dataclass(frozen=True)
class Surroundings:
    """What containers find around them: variables; on Kubeflow also secrets (variable → secret/key) and volumes (path →
    claim) of the cluster."""

    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)


def fit(
    job: Json, kind: SpecKind, *, defaults: Mapping[str, Any] | None = None, around: Surroundings | None = None
) -> tuple[CompiledPipeline, tuple[str, ...]]:
    """What the service `kind` takes, of the PipelineJob that TFX's compiler made; and what was mended, in sentences."""
    around = around or Surroundings()
    draft = SpecDraft.of(job.get("pipelineSpec", {}))
    mend_compiler(draft, defaults or {})
    _fit_root(draft, job)
    for task in draft.tasks():
        _fit_asking(task)
        _fit_environment(task, around.env)
        if kind is SpecKind.KUBEFLOW:
            _fit_hook(draft, task)
    spec = steady(draft.spec)
    source, notes = "What TFX compiled", tuple(draft.notes)
    if kind is SpecKind.VERTEX:
        return compiled_of(kind, {**job, "pipelineSpec": spec}, source=source), notes
    extra = platform_document(spec, around.secrets, around.volumes)
    return compiled_of(kind, spec, extra, source=source), notes


def _fit_root(draft: SpecDraft, job: Json) -> None:
    root = job.get("runtimeConfig", {}).get("gcsOutputDirectory")
    if root:
        draft.spec.setdefault("defaultPipelineRoot", root)


def _fit_asking(task: Task) -> None:
    if ASKED in task.parameters:
        task.node["cachingOptions"] = {}


def _fit_environment(task: Task, env: Mapping[str, str]) -> None:
    if not task.container or not env:
        return
    known = {one.get("name") for one in task.container.get("env", [])}
    added = [{"name": name, "value": value} for name, value in sorted(env.items()) if name not in known]
    task.container["env"] = [*task.container.get("env", []), *added]


def _fit_hook(draft: SpecDraft, task: Task) -> None:
    container = task.container
    if "preCacheCheck" not in container.get("lifecycle", {}):
        return
    if container.get("command") != TFX_COMMAND:
        return  # somebody's own command; the linter says that its hook will not run
    del container["lifecycle"]["preCacheCheck"]
    if not container["lifecycle"]:
        del container["lifecycle"]
    container["command"] = list(HOOKED_COMMAND)
    fixed = has_fixed_span(task.parameters)
    if not fixed:
        task.node["cachingOptions"] = {}
    draft.notes.append(
        f"{task.key}: its container looks for the data itself; "
        + ("the span is fixed." if fixed else "each run takes the newest span and reads it again.")
    )


def has_fixed_span(parameters: Mapping[str, Any]) -> bool:
    """Whether an ExampleGen was told which spans to read."""
    text = parameters.get("range_config", {}).get("runtimeValue", {}).get("constant")
    try:
        found = parse_json(text, "range_config") if isinstance(text, str) else None
    except InvalidInputError:
        return False
    return isinstance(found, dict) and bool(found.get("static_range") or found.get("staticRange"))
