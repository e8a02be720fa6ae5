"""A small compiled pipeline of each kind, and configs that name a service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tfx_pedigree.orchestration.ir import CompiledPipeline, parse_ir


def spec(message: str = "hello", version: str = "2.1.0", name: str = "flight-delay") -> dict[str, Any]:
    """A pipeline of one task, which takes a number of steps. Another `message` is another pipeline."""
    return {
        "pipelineInfo": {"name": name},
        "schemaVersion": version,
        "sdkVersion": "tfx-1.16.0",
        "root": {
            "inputDefinitions": {"parameters": {"steps": {"parameterType": "NUMBER_INTEGER", "defaultValue": 10}}},
            "dag": {
                "tasks": {
                    "trainer": {
                        "taskInfo": {"name": "trainer"},
                        "componentRef": {"name": "comp-trainer"},
                        "inputs": {"parameters": {"message": {"runtimeValue": {"constant": message}}}},
                    }
                }
            },
        },
        "components": {
            "comp-trainer": {
                "executorLabel": "exec-trainer",
                "inputDefinitions": {"parameters": {"message": {"parameterType": "STRING"}}},
            }
        },
        "deploymentSpec": {"executors": {"exec-trainer": {"container": {"image": "registry/image:1"}}}},
    }


def kubeflow_pipeline(message: str = "hello") -> CompiledPipeline:
    return parse_ir(json.dumps(spec(message)))


def vertex_pipeline(message: str = "hello") -> CompiledPipeline:
    job = {
        "displayName": "flight-delay",
        "labels": {"tfx_version": "1-16-0"},
        "runtimeConfig": {"gcsOutputDirectory": "gs://bucket/root"},
        "pipelineSpec": spec(message, "2.0.0"),
    }
    return parse_ir(json.dumps(job))


def write_compiled(folder: Path, compiled: CompiledPipeline, name: str = "compiled") -> Path:
    file = folder / f"{name}{compiled.kind.suffix}"
    file.write_text(compiled.to_text())
    return file


def write_config(folder: Path, kind: str, cron: str | None = "0 3 * * *", **service: str) -> Path:
    """As a config that a person writes; `pipeline:` is there for compiling, which these tests leave out."""
    target: dict[str, Any] = {"kind": kind, "image": "registry/image:1", **service}
    if cron:
        target["schedule"] = {"cron": cron}
    file = folder / "config.yaml"
    file.write_text(json.dumps({"pipeline": {"create": "pipeline:create"}, "target": target}))
    return file
