"""The document for Kubernetes is what kfp-kubernetes, Kubeflow's own extension, writes for the same wishes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from ir_testing import fitted
from kfp import compiler, dsl, kubernetes
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from tfx_pedigree.orchestration.ir import SpecKind
from tfx_pedigree.orchestration.ir.platform import platform_document

SECRETS = {"PGPASSWORD": "db/password", "PGUSER": "db/user", "HUB_TOKEN": "hub/token"}
VOLUMES = {"/mnt/models": "models", "/mnt/data": "flights"}


@dsl.container_component
def step():
    return dsl.ContainerSpec(image="registry.example/step:1", command=["true"])


def by_kfp(folder: Path, secrets: bool, volumes: bool) -> tuple[Any, Any]:
    """A pipeline of two tasks and its platform document."""

    @dsl.pipeline(name="steps")
    def steps():
        for component in (step, step):
            task = component()
            if secrets:
                kubernetes.use_secret_as_env(task, "db", {"password": "PGPASSWORD", "user": "PGUSER"})
                kubernetes.use_secret_as_env(task, "hub", {"token": "HUB_TOKEN"})
            if volumes:
                kubernetes.mount_pvc(task, "flights", "/mnt/data")
                kubernetes.mount_pvc(task, "models", "/mnt/models")

    file = folder / "steps.yaml"
    compiler.Compiler().compile(steps, str(file))
    spec, platform = yaml.safe_load_all(file.read_text())
    return spec, platform


def pods_of(document: Any) -> dict[str, Any]:
    found: dict[str, Any] = document["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return found


def without_repetitions(pod: Any) -> Any:
    """Later releases say each name a second time, in a form that older drivers do not know, and that nothing is
    optional, which is what is meant where nothing is said."""
    for entries, name, again in (("secretAsEnv", "secretName", "secretNameParameter"),
                                 ("pvcMount", "constant", "pvcNameParameter")):  # fmt: skip
        for one in pod.get(entries, ()):
            assert one.pop(again, None) in (None, {"runtimeValue": {"constant": one[name]}})
            assert one.pop("optional", False) is False
    return pod


@pytest.mark.parametrize(("secrets", "volumes"), [(True, False), (False, True), (True, True)])
def test_document_says_the_same_as_kfps_own(secrets: bool, volumes: bool, tmp_path: Path) -> None:
    spec, theirs = by_kfp(tmp_path, secrets, volumes)
    for label, pod in pods_of(theirs).items():
        pods_of(theirs)[label] = without_repetitions(pod)

    ours = platform_document(spec, SECRETS if secrets else {}, VOLUMES if volumes else {})

    assert ours == theirs


def test_document_is_parsed_strictly_by_kubeflows_messages() -> None:
    """Nothing is unknown to them, and nothing is lost in them."""
    compiled, _ = fitted("small", SpecKind.KUBEFLOW, secrets=SECRETS, volumes=VOLUMES)
    assert compiled.extra is not None

    json_format.ParseDict(dict(compiled.extra), pipeline_spec_pb2.PlatformSpec())
    for pod in pods_of(compiled.extra).values():
        read = json_format.ParseDict(pod, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
        assert json_format.MessageToDict(read) == pod
