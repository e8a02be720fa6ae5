"""A copy of a PipelineSpec that is being changed: its graphs, and the tasks in each with component and executor."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Draft = dict[str, Any]

# The arguments with which TFX's containers are told how their parameters are declared.
INPUTS_SPEC = "--json_serialized_inputs_spec_args"


@dataclass(frozen=True)
class TaskDraft:
    """A task, the graph that it is in, and what it refers to; all may be changed in place."""

    key: str
    node: Draft
    component: Draft
    executor: Draft
    siblings: Mapping[str, Draft]

    @property
    def parameters(self) -> Draft:
        found: Draft = self.node.get("inputs", {}).get("parameters", {})
        return found

    @property
    def artifacts(self) -> Draft:
        found: Draft = self.node.get("inputs", {}).get("artifacts", {})
        return found

    @property
    def container(self) -> Draft | None:
        return self.executor.get("container")

    def tell_container(self) -> None:
        """The container's arguments repeat how its inputs are declared: after a change they must say the same."""
        container = self.container or {}
        hook = container.get("lifecycle", {}).get("preCacheCheck", {})
        text = json.dumps(self.component.get("inputDefinitions", {}), indent=2, sort_keys=True)
        for args in (container.get("args", []), hook.get("args", [])):
            if INPUTS_SPEC in args:
                args[args.index(INPUTS_SPEC) + 1] = text


@dataclass
class SpecDraft:
    """`notes` are sentences for a person about what was changed; each names the task."""

    spec: Draft
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> SpecDraft:
        return cls(copy.deepcopy(dict(spec)))

    def tasks(self) -> Iterator[TaskDraft]:
        yield from self._tasks(self.spec.get("root", {}).get("dag", {}).get("tasks", {}))

    def component_of(self, node: Mapping[str, Any]) -> Draft:
        found: Draft = self.spec.get("components", {}).get(node.get("componentRef", {}).get("name"), {})
        return found

    def output_of(self, task: TaskDraft, source: Mapping[str, Any], kind: str, key: str) -> Draft | None:
        """How the output that `source` names is declared by its producer; `kind` is artifacts or parameters."""
        producer = task.siblings.get(str(source.get("producerTask")), {})
        outputs = self.component_of(producer).get("outputDefinitions", {}).get(kind, {})
        found: Draft | None = outputs.get(str(source.get(key)))
        return found

    def _tasks(self, nodes: Mapping[str, Draft]) -> Iterator[TaskDraft]:
        executors = self.spec.get("deploymentSpec", {}).get("executors", {})
        for key, node in sorted(nodes.items()):
            component = self.component_of(node)
            if "dag" in component:
                yield from self._tasks(component["dag"].get("tasks", {}))
            else:
                yield TaskDraft(key, node, component, executors.get(component.get("executorLabel"), {}), nodes)
