"""A compiled pipeline as a value, read from a file of either service and written back."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import parse_json, parse_yaml_documents, read_bounded
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.orchestration.ir.digest import spec_digest
from tfx_pedigree.text import plain

Json = Mapping[str, Any]
_MOST_TASKS = 10_000
_DEEPEST = 20


class SpecKind(str, Enum):
    """Open-source Kubeflow Pipelines takes a PipelineSpec, Vertex AI a PipelineJob around it."""

    KUBEFLOW = "kubeflow"
    VERTEX = "vertex"

    def __str__(self) -> str:
        return self.value

    @property
    def suffix(self) -> str:
        return ".yaml" if self is SpecKind.KUBEFLOW else ".json"


@dataclass(frozen=True)
class Parameter:
    """What a run may be given. `type` is STRING, NUMBER_INTEGER, NUMBER_DOUBLE, …; without a default it must be."""

    name: str
    type: str
    default: Any = None
    optional: bool = False


@dataclass(frozen=True)
class Task:
    """A task with its component and its executor; `key` is its name in the graph, `siblings` are all tasks there. They
    are the document's own: whoever has made a copy of that may change them in place."""

    key: str
    node: dict[str, Any]
    component: dict[str, Any]
    executor: dict[str, Any]
    siblings: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def parameters(self) -> dict[str, Any]:
        return _mapping(_mapping(self.node, "inputs"), "parameters")

    @property
    def artifacts(self) -> dict[str, Any]:
        return _mapping(_mapping(self.node, "inputs"), "artifacts")

    @property
    def container(self) -> dict[str, Any]:
        return _mapping(self.executor, "container")

    @property
    def upstream(self) -> tuple[str, ...]:
        """Every task that this one waits for, whether it says so or only uses an output."""
        sources = [one.get("taskOutputArtifact") for one in self.artifacts.values()]
        sources += [one.get("taskOutputParameter") for one in self.parameters.values()]
        used = {str(one["producerTask"]) for one in sources if isinstance(one, Mapping) and "producerTask" in one}
        return tuple(sorted(used | {str(one) for one in self.node.get("dependentTasks", ())}))

    def constant(self, name: str) -> Any:
        """The value of a parameter that is known now; None for one that a run or another task gives."""
        value = _mapping(self.parameters, name).get("runtimeValue")
        return value.get("constant") if isinstance(value, Mapping) else None


@dataclass(frozen=True)
class CompiledPipeline:
    """`document` is what stands in the file. `extra` is what follows it there: Kubeflow's platform document.

    The law: `parse_ir(compiled.to_text()) == compiled`.
    """

    kind: SpecKind
    document: Json = field(repr=False)
    extra: Json | None = field(default=None, repr=False)

    @property
    def spec(self) -> Json:
        return self.document if self.kind is SpecKind.KUBEFLOW else _mapping(self.document, "pipelineSpec")

    @property
    def name(self) -> str:
        return str(_mapping(self.spec, "pipelineInfo").get("name", ""))

    @property
    def root(self) -> str | None:
        """Where its artifacts lie, as far as the pipeline says."""
        job = _mapping(self.document, "runtimeConfig").get("gcsOutputDirectory")
        found = job or self.spec.get("defaultPipelineRoot")
        return str(found) if found else None

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        declared = _mapping(_mapping(_mapping(self.spec, "root"), "inputDefinitions"), "parameters")
        return tuple(_parameter(name, one) for name, one in sorted(declared.items()))

    @functools.cached_property
    def tasks(self) -> Mapping[str, Task]:
        return {task.key: task for task in tasks_of(self.spec)}

    @functools.cached_property
    def digest(self) -> str:
        return spec_digest(self.spec if self.extra is None else {**self.spec, "platforms": self.extra})

    def to_text(self) -> str:
        if self.kind is SpecKind.VERTEX:
            return json.dumps(self.document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        import yaml  # noqa: PLC0415  only who writes for Kubeflow

        documents = [self.document] if self.extra is None else [self.document, self.extra]
        text: str = yaml.safe_dump_all(documents, sort_keys=True, allow_unicode=True, width=10_000)
        return f"# PIPELINE DEFINITION\n# Name: {self.name}\n{text}"


def load_ir(path: str | Path) -> CompiledPipeline:
    """Refuses what is no compiled pipeline. `pedigree pipeline compile` writes such files, and so do kfp and TFX."""
    try:
        text = read_bounded(Path(path))
    except OSError as error:
        raise NotFoundError(
            f"The compiled pipeline {path} cannot be read: {error.strerror}. `pedigree pipeline compile` writes one."
        ) from error
    return parse_ir(text, str(path))


def parse_ir(text: str | bytes, source: str = "The text") -> CompiledPipeline:
    documents = _documents(text, source)
    first = documents[0] if documents else None
    if not isinstance(first, Mapping):
        raise _refusal(source, "it is not a JSON object")
    extra = documents[1] if len(documents) > 1 else None
    if len(documents) > 2 or not isinstance(extra, Mapping | None):
        raise _refusal(source, "more follows after it than one platform document")
    if "pipelineSpec" in first:
        return compiled_of(SpecKind.VERTEX, first, source=source)
    return compiled_of(SpecKind.KUBEFLOW, first, extra, source=source)


def compiled_of(
    kind: SpecKind, document: Json, extra: Json | None = None, source: str = "The pipeline"
) -> CompiledPipeline:
    """Checks that every task has its component and executor, so that who reads on need not."""
    compiled = CompiledPipeline(kind, document, extra)
    if not compiled.name:
        raise _refusal(source, "it has no name in `pipelineInfo`")
    if not compiled.tasks:
        raise _refusal(source, "it has no tasks")
    for task in compiled.tasks.values():
        if not task.executor:
            raise _refusal(source, f"the task {task.key} has no executor")
    return compiled


def _documents(text: str | bytes, source: str) -> list[Any]:
    if text.lstrip()[:1] in ("{", b"{"):
        return [parse_json(text, source)]
    return parse_yaml_documents(text, source)


def tasks_of(spec: Json) -> Iterator[Task]:
    """All tasks that execute something, also those in a graph within the graph, by their names."""
    yield from _tasks(spec, _mapping(_mapping(spec, "root"), "dag"), itertools.count(1))


def _tasks(spec: Json, dag: Json, count: Iterator[int], depth: int = 1) -> Iterator[Task]:
    """Bounded: a component can name itself, and forty of which each names the next one twice are a trillion tasks."""
    executors = _mapping(_mapping(spec, "deploymentSpec"), "executors")
    nodes = _mapping(dag, "tasks")
    for key, node in sorted(nodes.items()):
        if next(count) > _MOST_TASKS or depth > _DEEPEST:
            raise InvalidInputError(
                f"The pipeline has more than {_MOST_TASKS:,} tasks, or graphs more than {_DEEPEST} deep in each other."
            )
        if not isinstance(node, dict):
            raise InvalidInputError(f"The pipeline's task {plain(str(key))} is no table.")
        component = component_of(spec, node)
        if "dag" in component:
            yield from _tasks(spec, _mapping(component, "dag"), count, depth + 1)
        else:
            yield Task(str(key), node, component, _mapping(executors, str(component.get("executorLabel"))), nodes)


def component_of(spec: Json, node: Json) -> dict[str, Any]:
    return _mapping(_mapping(spec, "components"), str(_mapping(node, "componentRef").get("name")))


def output_of(spec: Json, task: Task, source: Json, kind: str, key: str) -> dict[str, Any] | None:
    """How the output that `source` names is declared by its producer; `kind` is artifacts or parameters."""
    producer = component_of(spec, _mapping(task.siblings, str(source.get("producerTask"))))
    return _mapping(_mapping(_mapping(producer, "outputDefinitions"), kind), str(source.get(key))) or None


def _parameter(name: str, declared: Json) -> Parameter:
    kind = declared.get("parameterType") or declared.get("type") or "STRING"
    default = declared.get("defaultValue")
    return Parameter(str(name), str(kind), default, default is not None or bool(declared.get("isOptional")))


def _mapping(value: Json, key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _refusal(source: str, problem: str) -> InvalidInputError:
    return InvalidInputError(
        f"{source} is not a compiled pipeline: {problem}. Write one with `pedigree pipeline compile`."
    )
