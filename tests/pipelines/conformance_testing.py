"""A service for tests: executes a compiled pipeline as Kubeflow or Vertex would, with what is written in it alone.

Each task runs by its own command and arguments, with the ExecutorInput filled in. There is no ML Metadata and no
pipeline object: what one task knows of another is its outputs' addresses, and their metadata as flat JSON, in which
every number is a float. Vertex runs the hook before a task and looks into its cache after it; Kubeflow knows no hooks.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from tfx_pedigree.orchestration.ir import CompiledPipeline, SpecKind, Task

Json = dict[str, Any]
_NUMBERS = ("NUMBER_INTEGER", "NUMBER_DOUBLE")
# ((inputs.artifacts['model'].artifacts[0].metadata['blessed'] == 1.0)): the one form that the tests need.
_CONDITION = re.compile(r"\(inputs\.artifacts\['([^']+)'\]\.artifacts\[0\]\.metadata\['([^']+)'\] == ([^)]+)\)")


@dataclass(frozen=True)
class Done:
    """What a task left, by output. `reused`: it came from the cache; `skipped`: it did not run."""

    artifacts: Mapping[str, Json] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reused: bool = False
    skipped: bool = False


class Service:
    """`subprocesses` are the tasks that run as real processes; the others run in this one, for speed."""

    def __init__(self, folder: Path, subprocesses: Collection[str] = ()) -> None:
        self._folder = folder
        self._subprocesses = subprocesses
        self._cache: dict[str, Done] = {}
        self._ids = itertools.count(1)

    def run(self, compiled: CompiledPipeline, **parameters: Any) -> dict[str, Done]:
        """The tasks in the order in which they ran."""
        job = _Job(self._folder / f"job-{next(self._ids)}", compiled, _given(compiled, parameters))
        for key in _in_order(compiled.tasks):
            job.done[key] = self._run_task(job, compiled.tasks[key])
        return job.done

    def _run_task(self, job: _Job, task: Task) -> Done:
        if any(job.done[one].skipped for one in task.upstream):
            return Done(skipped=True)
        inputs = {"artifacts": job.artifacts_of(task), "parameterValues": job.parameters_of(task)}
        if not _holds(task, inputs["artifacts"]):
            return Done(skipped=True)
        if "importer" in task.executor:
            return Done(_imported(job, task, inputs["parameterValues"]))
        outputs = job.outputs_of(task)
        given = {"inputs": inputs, "outputs": outputs}
        container = task.container
        hook = container.get("lifecycle", {}).get("preCacheCheck")
        if hook and job.compiled.kind is SpecKind.VERTEX:
            self._execute(task, hook, given)
            _take_over(given, Path(outputs["outputFile"]))
        key = _fingerprint(task, inputs)
        if task.node.get("cachingOptions", {}).get("enableCache") and key in self._cache:
            return Done(self._cache[key].artifacts, self._cache[key].parameters, reused=True)
        self._execute(task, container, given)
        self._cache[key] = _answer(outputs)
        return self._cache[key]

    def _execute(self, task: Task, how: Json, given: Json) -> None:
        text = json.dumps(given)
        words = [word.replace("{{$}}", text) for word in how["args"]]
        assert not [word for word in how["args"] if "{{$." in word], "no such placeholder is filled in"
        python, flag, module = how["command"]
        assert (python, flag) == ("python", "-m")
        environment = {one["name"]: one["value"] for one in task.container.get("env", ())}
        if task.key in self._subprocesses:
            _as_process(module, words, environment)
        else:
            _in_process(module, words, environment)


@dataclass
class _Job:
    """One run: where its tasks write, and what they have left so far."""

    folder: Path
    compiled: CompiledPipeline
    given: Mapping[str, Any]
    done: dict[str, Done] = field(default_factory=dict)

    def parameters_of(self, task: Task) -> Json:
        declared = task.component.get("inputDefinitions", {}).get("parameters", {})
        assert set(task.parameters) <= set(declared), f"{task.key} has parameters that its component does not declare"
        return {
            name: _typed(self._value(one), declared[name]["parameterType"]) for name, one in task.parameters.items()
        }

    def _value(self, one: Json) -> Any:
        if "componentInputParameter" in one:
            return self.given[one["componentInputParameter"]]
        if "taskOutputParameter" in one:
            source = one["taskOutputParameter"]
            return self.done[source["producerTask"]].parameters[source["outputParameterKey"]]
        value = one["runtimeValue"]["constant"]
        return self.folder.name if value == "{{$.pipeline_job_uuid}}" else value

    def artifacts_of(self, task: Task) -> Json:
        declared = task.component.get("inputDefinitions", {}).get("artifacts", {})
        assert set(task.artifacts) == set(declared), f"{task.key} has inputs that its component does not declare"
        sources = {name: one["taskOutputArtifact"] for name, one in task.artifacts.items()}
        return {
            name: {"artifacts": [self.done[source["producerTask"]].artifacts[source["outputArtifactKey"]]]}
            for name, source in sources.items()
        }

    def outputs_of(self, task: Task) -> Json:
        place = self.folder / f"{task.key}_1"
        place.mkdir(parents=True)
        declared = task.component.get("outputDefinitions", {})
        artifacts = {
            key: {"artifacts": [{**self.named(task, key), "uri": str(place / key), "type": one["artifactType"]}]}
            for key, one in declared.get("artifacts", {}).items()
        }
        parameters = {key: {"outputFile": str(place / f"{key}.txt")} for key in declared.get("parameters", {})}
        return {"artifacts": artifacts, "parameters": parameters, "outputFile": str(place / "executor_output.json")}

    def named(self, task: Task, key: str) -> Json:
        return {"name": f"projects/1/artifacts/{self.folder.name}-{task.key}-{key}"}


def _given(compiled: CompiledPipeline, parameters: Mapping[str, Any]) -> Json:
    """A run must be given what has no default, and nothing that the pipeline does not know."""
    known = {one.name: one for one in compiled.parameters}
    assert set(parameters) <= set(known)
    assert {one.name for one in known.values() if not one.optional} <= set(parameters)
    return {name: parameters.get(name, one.default) for name, one in known.items()}


def _in_order(tasks: Mapping[str, Task]) -> Iterator[str]:
    left = dict(tasks)
    for key, task in tasks.items():
        assert set(task.upstream) <= set(tasks), f"{key} waits for what is not there"
    while left:
        ready = [key for key, task in left.items() if not set(task.upstream) & set(left)]
        assert ready, f"these tasks wait for each other: {sorted(left)}"
        for key in ready:
            del left[key]
            yield key


def _typed(value: Any, kind: str) -> Any:
    """As a protobuf Value has it: all numbers are floats."""
    assert isinstance(value, int | float) if kind in _NUMBERS else isinstance(value, str), (value, kind)
    return float(value) if kind in _NUMBERS else value


def _holds(task: Task, artifacts: Json) -> bool:
    condition = task.node.get("triggerPolicy", {}).get("condition")
    if not condition:
        return True
    found = _CONDITION.fullmatch(condition)
    assert found, condition
    metadata = artifacts[found[1]]["artifacts"][0].get("metadata", {})
    return bool(metadata.get(found[2]) == json.loads(found[3]))


def _imported(job: _Job, task: Task, parameters: Json) -> dict[str, Json]:
    importer = task.executor["importer"]
    place = importer["artifactUri"]
    uri = place.get("constant") or parameters[place["runtimeParameter"]]
    (key,) = task.component["outputDefinitions"]["artifacts"]
    # What was imported before is that artifact again, unless the importer says otherwise.
    name = job.named(task, key) if importer.get("reimport") else {"name": f"projects/1/artifacts/{uri}"}
    return {key: {**name, "uri": uri, "type": importer["typeSchema"], "metadata": importer.get("metadata", {})}}


def _take_over(given: Json, file: Path) -> None:
    """What the hook has found becomes part of the task before anybody looks into the cache."""
    found = json.loads(file.read_text())
    given["inputs"]["parameterValues"].update(found.get("parameterValues", {}))
    for key, made in found.get("artifacts", {}).items():
        given["outputs"]["artifacts"][key]["artifacts"][0]["metadata"] = made["artifacts"][0].get("metadata", {})


def _fingerprint(task: Task, inputs: Json) -> str:
    names = {key: [one["name"] for one in found["artifacts"]] for key, found in inputs["artifacts"].items()}
    container = {key: task.container[key] for key in ("image", "command", "args")}
    whole = [container, names, inputs["parameterValues"], task.component.get("outputDefinitions")]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _answer(outputs: Json) -> Done:
    found = json.loads(Path(outputs["outputFile"]).read_text())
    made = found.get("artifacts", {})
    artifacts = {}
    for key, one in outputs["artifacts"].items():
        told = made.get(key, {}).get("artifacts", [{}])[0]
        artifacts[key] = {**one["artifacts"][0], "metadata": told.get("metadata", {})}
    parameters = found.get("parameterValues", {})
    assert set(parameters) == set(outputs["parameters"])
    return Done(artifacts, parameters)


def _as_process(module: str, words: list[str], environment: Mapping[str, str]) -> None:
    """With the container's environment, not with what this process happens to have."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "CUDA_VISIBLE_DEVICES") if key in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", module, *words], env={**kept, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def _in_process(module: str, words: list[str], environment: Mapping[str, str]) -> None:
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    found = importlib.import_module(module)
    parse = getattr(found, "_parse_flags", kubeflow_v2_run_executor._parse_flags)
    # TFX's Beam executors look for flags of their own there, and would take pytest's `-v FILE` for one.
    with _environment(environment), mock.patch.object(sys, "argv", [module]):
        found.main(parse([module, *words]))


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
