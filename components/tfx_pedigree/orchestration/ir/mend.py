"""What TFX's compiler for Kubeflow and Vertex gets wrong, put right. Each step leaves alone what is right already.

- A parameter that is another task's output names `<id>_task` as its producer, and there is no such task.
- The same parameter is declared as a text whatever it is, so that a number arrives as 7.0 or not at all.
- The condition of a task names an input by a name that is not declared if the task has that input anyway.
- The defaults of runtime parameters are dropped, so that every run would have to give them.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfx_pedigree.orchestration.ir.compiled import Task, output_of, tasks_of

Draft = dict[str, Any]

_TASK = "_task"
# The arguments with which TFX's containers are told how their parameters are declared.
_INPUTS_SPEC = "--json_serialized_inputs_spec_args"
# In a condition: inputs.artifacts['_Producer.key']
_CONDITION_INPUT = re.compile(r"inputs\.artifacts\['([^']+)'\]")
_IMPLICIT = re.compile(r"_(?P<producer>.+)\.(?P<key>[^.]+)")


@dataclass
class SpecDraft:
    """A copy of a PipelineSpec that is being changed. `notes` are sentences for a person about what was changed; each
    names the task."""

    spec: Draft
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> SpecDraft:
        return cls(copy.deepcopy(dict(spec)))

    def tasks(self) -> Iterator[Task]:
        yield from tasks_of(self.spec)


def mend_compiler(draft: SpecDraft, defaults: Mapping[str, Any]) -> None:
    """`defaults` are those of the runtime parameters, which only the pipeline itself knows."""
    for task in draft.tasks():
        _mend_producers(draft, task)
        _mend_types(draft, task)
        _mend_condition(draft, task)
    _mend_defaults(draft, defaults)


def _mend_producers(draft: SpecDraft, task: Task) -> None:
    for name, given in sorted(task.parameters.items()):
        source = given.get("taskOutputParameter", {})
        producer = str(source.get("producerTask", ""))
        right = producer.removesuffix(_TASK)
        if producer and producer not in task.siblings and right in task.siblings:
            source["producerTask"] = right
            if right not in task.node.setdefault("dependentTasks", []):
                task.node["dependentTasks"] = sorted([*task.node["dependentTasks"], right])
            draft.notes.append(f"{task.key}: the parameter `{name}` comes from {right}, not from {producer}.")


def _mend_types(draft: SpecDraft, task: Task) -> None:
    declared = task.component.get("inputDefinitions", {}).get("parameters", {})
    for name, given in sorted(task.parameters.items()):
        source = given.get("taskOutputParameter")
        made = output_of(draft.spec, task, source, "parameters", "outputParameterKey") if source else None
        kind = (made or {}).get("parameterType")
        if kind and name in declared and declared[name].get("parameterType") != kind:
            draft.notes.append(
                f"{task.key}: the parameter `{name}` is a {kind}, not a {declared[name].get('parameterType')}."
            )
            declared[name]["parameterType"] = kind
            _tell_container(task)


def _tell_container(task: Task) -> None:
    """The container's arguments repeat how its inputs are declared: after a change they must say the same."""
    hook = task.container.get("lifecycle", {}).get("preCacheCheck", {})
    text = json.dumps(task.component.get("inputDefinitions", {}), indent=2, sort_keys=True)
    for args in (task.container.get("args", []), hook.get("args", [])):
        if _INPUTS_SPEC in args:
            args[args.index(_INPUTS_SPEC) + 1] = text


def _mend_condition(draft: SpecDraft, task: Task) -> None:
    policy = task.node.get("triggerPolicy", {})
    condition = str(policy.get("condition", ""))
    for name in sorted(set(_CONDITION_INPUT.findall(condition))):
        parts = _IMPLICIT.fullmatch(name)
        if name in task.artifacts or parts is None:
            continue
        source = {"producerTask": parts["producer"], "outputArtifactKey": parts["key"]}
        known = next((key for key, one in sorted(task.artifacts.items()) if _from(one) == source), None)
        if known is not None:
            policy["condition"] = policy["condition"].replace(f"['{name}']", f"['{known}']")
            draft.notes.append(f"{task.key}: its condition looks at the input `{known}`, which it called `{name}`.")
        elif _declare(draft, task, name, source):
            draft.notes.append(f"{task.key}: its condition looks at `{name}`, which is an input now.")


def _declare(draft: SpecDraft, task: Task, name: str, source: Draft) -> bool:
    """Makes an output of another task an input of this one; False if there is no such output."""
    made = output_of(draft.spec, task, source, "artifacts", "outputArtifactKey")
    if made is None:
        return False
    task.node.setdefault("inputs", {}).setdefault("artifacts", {})[name] = {"taskOutputArtifact": source}
    inputs = task.component.setdefault("inputDefinitions", {}).setdefault("artifacts", {})
    inputs[name] = {"artifactType": made["artifactType"]}
    task.node["dependentTasks"] = sorted({*task.node.get("dependentTasks", []), source["producerTask"]})
    _tell_container(task)
    return True


def _from(given: Mapping[str, Any]) -> Any:
    return given.get("taskOutputArtifact")


def _mend_defaults(draft: SpecDraft, defaults: Mapping[str, Any]) -> None:
    declared = draft.spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    for name, default in sorted(defaults.items()):
        if name in declared and "defaultValue" not in declared[name]:
            declared[name]["defaultValue"] = default
            declared[name]["isOptional"] = True
            draft.notes.append(f"The parameter `{name}` of a run is {default!r} where a run does not give it.")
