"""Whether each task gets what it asks for: producers, conditions, parameters of the run, and what the service runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tfx_pedigree.orchestration.ir.compiled import CompiledPipeline, SpecKind, Task, component_of
from tfx_pedigree.orchestration.ir.findings import Finding, error, warning
from tfx_pedigree.orchestration.ir.fit import HOOKED_COMMAND

_KUBEFLOW_SCHEMA = "2.1"
_CONDITION_INPUT = re.compile(r"inputs\.(artifacts|parameters|parameter_values)\['([^']+)'\]")
_PATTERN_OF_SPANS = re.compile(r"\{(SPAN|VERSION|YYYY|MM|DD)(:\d+)?\}")


def check_producers(compiled: CompiledPipeline) -> Iterator[Finding]:
    for task in compiled.tasks.values():
        for name, given in (*sorted(task.artifacts.items()), *sorted(task.parameters.items())):
            yield from _check_source(compiled, task, name, given)
        for upstream in sorted(str(one) for one in task.node.get("dependentTasks", ())):
            if upstream not in task.siblings:
                yield _no_task(task, "it waits for", upstream)


def _check_source(compiled: CompiledPipeline, task: Task, name: str, given: Mapping[str, Any]) -> Iterator[Finding]:
    for form, kind, field in (
        ("taskOutputArtifact", "artifacts", "outputArtifactKey"),
        ("taskOutputParameter", "parameters", "outputParameterKey"),
    ):
        source = given.get(form)
        if not isinstance(source, Mapping):
            continue
        producer, key = str(source.get("producerTask")), str(source.get(field))
        if producer not in task.siblings:
            yield _no_task(task, f"its input `{name}` comes from", producer)
            continue
        outputs = component_of(compiled.spec, task.siblings[producer]).get("outputDefinitions", {}).get(kind, {})
        if key not in outputs:
            has = ", ".join(sorted(outputs)) or "none"
            yield error(
                "output",
                task.key,
                f"its input `{name}` is the output `{key}` of {producer}, which has {has}.",
                "Connect an output that the producer declares.",
            )


def _no_task(task: Task, what: str, producer: str) -> Finding:
    remedy = "Put the component that produces it into the pipeline's components."
    if producer.endswith("_task") and producer.removesuffix("_task") in task.siblings:
        remedy = (
            f"Compile it with `pedigree pipeline compile`, which corrects the name: {producer.removesuffix('_task')}."
        )
    return error("producer", task.key, f"{what} {producer}, and there is no such task.", remedy)


def check_conditions(compiled: CompiledPipeline) -> Iterator[Finding]:
    for task in compiled.tasks.values():
        condition = str(task.node.get("triggerPolicy", {}).get("condition", ""))
        for kind, name in sorted(set(_CONDITION_INPUT.findall(condition))):
            if name not in (task.artifacts if kind == "artifacts" else task.parameters):
                yield error(
                    "condition",
                    task.key,
                    f"its condition looks at `{name}`, which is not one of its inputs.",
                    "Compile it with `pedigree pipeline compile`, which corrects the name, or take the condition away.",
                )


def check_parameters(compiled: CompiledPipeline) -> Iterator[Finding]:
    declared = {one.name for one in compiled.parameters}
    root = compiled.spec.get("root", {}).get("dag", {}).get("tasks", {})
    for task in compiled.tasks.values():
        if task.key not in root:
            continue  # inside a graph of its own, where names are those of that graph
        for name, given in sorted(task.parameters.items()):
            asked = given.get("componentInputParameter")
            if asked is not None and asked not in declared:
                yield error(
                    "parameter",
                    task.key,
                    f"its parameter `{name}` is the run's `{asked}`, which the pipeline does not declare.",
                    "Give the component a RuntimeParameter of that name.",
                )


def check_resolvers(compiled: CompiledPipeline) -> Iterator[Finding]:
    if compiled.kind is not SpecKind.KUBEFLOW:
        return
    for task in compiled.tasks.values():
        if "resolver" in task.executor:
            yield error(
                "resolver",
                task.key,
                "it is a Resolver, which open-source Kubeflow rejects.",
                "Take the baseline from Pedigree's ChampionProvider, which needs none, or compile for Vertex.",
            )


def check_schema(compiled: CompiledPipeline) -> Iterator[Finding]:
    version = str(compiled.spec.get("schemaVersion", ""))
    if compiled.kind is SpecKind.KUBEFLOW and not version.startswith(_KUBEFLOW_SCHEMA):
        yield error(
            "schema",
            None,
            f"its schema is {version or 'not said'}, and open-source Kubeflow takes 2.1.0.",
            "Compile it with `pedigree pipeline compile`.",
        )


def check_hooks(compiled: CompiledPipeline) -> Iterator[Finding]:
    """The hook in which TFX finds the span of the data, where it would not run or would not be heard."""
    for task in compiled.tasks.values():
        hooked = "preCacheCheck" in task.container.get("lifecycle", {})
        pattern = _PATTERN_OF_SPANS.search(str(task.constant("input_config") or ""))
        if not hooked or not pattern or task.container.get("command") == HOOKED_COMMAND:
            continue
        if compiled.kind is SpecKind.KUBEFLOW:
            yield error(
                "span",
                task.key,
                f"it reads {pattern[0]}, which open-source Kubeflow leaves as it is: it does not run TFX's driver.",
                "Compile it with `pedigree pipeline compile` and with TFX's own command, so that the container looks "
                "for the span itself.",
            )
        elif str(compiled.spec.get("schemaVersion", "")).startswith("2.0"):
            yield warning(
                "span",
                task.key,
                f"it reads {pattern[0]}; with schema 2.0, TFX's executor does not read what its driver finds.",
                "Compile it with `pedigree pipeline compile`, which uses schema 2.1.",
            )
