"""Kubeflow's second document: what the pods of all tasks get from the cluster, which a PipelineSpec cannot say.

Secrets are named here, never held: the cluster fills them in when it starts a pod.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx_pedigree.orchestration.ir.compiled import Json


def platform_document(spec: Json, secrets: Mapping[str, str], volumes: Mapping[str, str]) -> Json | None:
    """`secrets`: a variable of the environment → `secret/key`; `volumes`: a path in the container → the claim that is
    mounted there. None where there is nothing to say."""
    if not secrets and not volumes:
        return None
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    labels = sorted(label for label, one in executors.items() if "container" in one)
    pods = {label: _pod(secrets, volumes) for label in labels}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": pods}}}}


def _pod(secrets: Mapping[str, str], volumes: Mapping[str, str]) -> dict[str, Any]:
    whole = {"secretAsEnv": _secrets(secrets), "pvcMount": _mounts(volumes)}
    return {key: value for key, value in whole.items() if value}


def _secrets(secrets: Mapping[str, str]) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, str]]] = {}
    for variable, place in sorted(secrets.items()):
        name, _, key = place.partition("/")
        found.setdefault(name, []).append({"secretKey": key, "envVar": variable})
    return [{"secretName": name, "keyToEnv": keys} for name, keys in sorted(found.items())]


def _mounts(volumes: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"constant": claim, "mountPath": path} for path, claim in sorted(volumes.items())]


def secret_variables(extra: Json | None, label: str) -> frozenset[str]:
    """Those that the cluster fills in for the containers of one executor."""
    platform = (extra or {}).get("platforms", {}).get("kubernetes", {})
    pod = platform.get("deploymentSpec", {}).get("executors", {}).get(label, {})
    return frozenset(str(key.get("envVar")) for one in pod.get("secretAsEnv", ()) for key in one.get("keyToEnv", ()))


def mounted_paths(extra: Json | None) -> tuple[str, ...]:
    """Where volumes are mounted in every container that the document speaks of."""
    platform = (extra or {}).get("platforms", {}).get("kubernetes", {})
    pods = platform.get("deploymentSpec", {}).get("executors", {}).values()
    mounts = [{str(one.get("mountPath")) for one in pod.get("pvcMount", ())} for pod in pods]
    return tuple(sorted(set.intersection(*mounts))) if mounts else ()
