"""Whether a container can reach what it is told to: the root, other addresses, images, types, the registry."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tfx_pedigree.orchestration.ir.compiled import CompiledPipeline, SpecKind
from tfx_pedigree.orchestration.ir.digest import ASKED
from tfx_pedigree.orchestration.ir.findings import Finding, error, warning
from tfx_pedigree.orchestration.ir.fit import HOOKED_COMMAND, TFX_COMMAND
from tfx_pedigree.orchestration.ir.platform import mounted_paths, secret_variables
from tfx_pedigree.orchestration.ir.values import texts_in
from tfx_pedigree.settings import ENVIRONMENT

# Pedigree opens these itself, with fsspec or SQLAlchemy.
_OURS = ("registry", "store")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CLOSED = ("s3", "s3a", "s3n", "minio", "abfs", "abfss", "az", "oci", "http", "https", "file")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_TAG = re.compile(r":([\w][\w.-]{0,127})$")
# The types that TFX's container knows by their titles.
# fmt: off
TFX_TYPES = frozenset([
    "Boolean", "Dataset", "ExampleAnomalies", "ExampleStatistics", "Examples", "File", "Float", "HyperParameters",
    "InferenceResult", "InfraBlessing", "Integer", "JsonValue", "Metrics", "Model", "ModelBlessing", "ModelEvaluation",
    "ModelRun", "PushedModel", "Schema", "Statistics", "String", "TransformCache", "TransformGraph", "TunerResults",
])
# fmt: on
_TITLE = re.compile(r"^title:\s*['\"]?([^'\"\s]+)", re.MULTILINE)
_IMPORTABLE = re.compile(r"[a-z][a-z0-9_]*\.[A-Z]\w*")


def check_root(compiled: CompiledPipeline) -> Iterator[Finding]:
    root, vertex = compiled.root or "", compiled.kind is SpecKind.VERTEX
    if root.startswith("gs://"):
        return
    if root.startswith("/") and not vertex:
        yield _mounted(compiled, root)
        return
    takes = "gs://bucket/folder" if vertex else "gs://bucket/folder or a path that is mounted in every container"
    problem = f"its root is {root}, which TFX cannot open in a container." if root else "it has no root."
    if vertex and root.startswith("/"):
        problem = f"its root is {root}, and Vertex keeps artifacts in a bucket only."
    yield error("root", None, problem, f"Give the pipeline a root of the form {takes}.")


def _mounted(compiled: CompiledPipeline, root: str) -> Finding:
    """TFX would be content with a path; whether Kubeflow is depends on its release, so somebody has to look."""
    if any(root == path or root.startswith(f"{path}/") for path in mounted_paths(compiled.extra)):
        return warning(
            "root",
            None,
            f"its root is {root}, and Kubeflow's launcher takes only buckets for a root, in the releases known today.",
            "Take a gs:// address, unless your Kubeflow keeps artifacts on volumes.",
        )
    return warning(
        "root",
        None,
        f"its root is {root}, which only holds what other tasks wrote if it is mounted in every container.",
        "Take a gs:// address, or mount a claim there with `target.volumes` if your Kubeflow keeps artifacts so.",
    )


def check_addresses(compiled: CompiledPipeline) -> Iterator[Finding]:
    for task in compiled.tasks.values():
        for name in sorted(task.parameters):
            for address in texts_in(task.constant(name)) if name not in _OURS else ():
                scheme = _SCHEME.match(address)
                if scheme and scheme[1].lower() in _CLOSED and "git" not in name:
                    yield error(
                        "address",
                        task.key,
                        f"its parameter `{name}` names a place under {scheme[0]}, which TFX cannot open.",
                        "Give it a gs:// address, or a path that is mounted in the container.",
                    )


def check_images(compiled: CompiledPipeline) -> Iterator[Finding]:
    for task in compiled.tasks.values():
        image = task.container.get("image")
        if image is None:
            continue
        tag = _TAG.search(str(image).rpartition("/")[2])
        if _DIGEST.search(str(image)) or (tag and tag[1] != "latest" and "@" not in str(image)):
            continue
        state = "has neither tag nor digest" if tag is None else "is whatever was pushed last under that name"
        state = "has an invalid digest" if "@" in str(image) else state
        yield error(
            "image",
            task.key,
            f"the image {image} {state}: two runs could run different code.",
            "Name it as registry/name:tag@sha256:… in `target.image`.",
        )


def check_types(compiled: CompiledPipeline, unimportable: Collection[str]) -> Iterator[Finding]:
    """`unimportable` are titles that could not be imported where the pipeline was compiled."""
    for task in compiled.tasks.values():
        if task.container.get("command") not in (TFX_COMMAND, HOOKED_COMMAND):
            continue  # not TFX: whoever reads its artifacts has a way of his own
        for title in sorted(set(_titles(task.component))):
            package, _, name = title.partition(".")
            if package == "tfx" and name in TFX_TYPES:
                continue
            if title in unimportable or package == "tfx" or not _IMPORTABLE.fullmatch(title):
                yield error(
                    "type",
                    task.key,
                    f"the artifact type {title} cannot be imported by that name, which is what a container does.",
                    "Set TYPE_NAME to '<package>.<Class>', and make the class an attribute of that package.",
                )


def _titles(component: Mapping[str, Any]) -> Iterator[str]:
    for side in ("inputDefinitions", "outputDefinitions"):
        for one in component.get(side, {}).get("artifacts", {}).values():
            kind = one.get("artifactType", {})
            found = _TITLE.search(str(kind.get("instanceSchema", "")))
            title = kind.get("schemaTitle") or (found[1] if found else None)
            if title:
                yield str(title)


def check_registry(compiled: CompiledPipeline) -> Iterator[Finding]:
    for task in compiled.tasks.values():
        if ASKED not in task.parameters:
            continue
        filled_in = secret_variables(compiled.extra, str(task.component.get("executorLabel")))
        if "registry" not in task.parameters and ENVIRONMENT["registry"] in filled_in:
            continue
        address = task.constant("registry")
        environment = {str(one.get("name")): one.get("value") for one in task.container.get("env", ())}
        if address is None and "registry" not in task.parameters:
            address = environment.get(ENVIRONMENT["registry"])
        if address is None and "registry" not in task.parameters:
            yield warning(
                "registry",
                task.key,
                "nothing says where the registry is.",
                f"Set `registry` in the config, or {ENVIRONMENT['registry']} in `target.env` or in the image.",
            )
        elif isinstance(address, str) and ("://" not in address or address.startswith("sqlite")):
            yield warning(
                "registry",
                task.key,
                f"the registry {address} is a file, and each container has files of its own.",
                "Use PostgreSQL where containers meet, or mount that path in each of them.",
            )
