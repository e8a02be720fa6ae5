"""A version's files as MLflow's client lists and downloads them.

A SavedModel has no `MLmodel`, which MLflow needs to load it. So three files are made here, and the model's own lie
below `tf2model/`. What holds an `MLmodel` already, or is no SavedModel, is shown as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.registry import Version
from tfx_pedigree.store import FileEntry
from tfx_pedigree.versioning import ModelDescription, Signature, TensorSpec

MLMODEL = "MLmodel"
FOLDER = "tf2model"
_GRAPH = "saved_model.pb"
_DEFAULT = "serving_default"
# As NumPy calls them; MLflow describes nothing else.
_DTYPES = {"string": "str", "bool": "bool"} | {
    name: name for name in ("float16", "float32", "float64", "complex64", "complex128")
}
_DTYPES |= {f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


@dataclass(frozen=True)
class File:
    """One file: its path for MLflow, and either the path in the version or what was made here."""

    path: str
    size: int
    stored: str | None = None
    made: bytes = b""


def files_of(version: Version, description: ModelDescription, entries: Iterable[FileEntry]) -> tuple[File, ...]:
    own = tuple(entries)
    names = {entry.path for entry in own}
    if _GRAPH not in names or MLMODEL in names or not description.signatures:
        return tuple(File(entry.path, entry.size, entry.path) for entry in own)
    made = {
        MLMODEL: _mlmodel(version, description, sum(entry.size for entry in own)),
        "requirements.txt": "mlflow\ntensorflow\n",
        "python_env.yaml": "python: 3.10\nbuild_dependencies: [pip]\ndependencies: [-r requirements.txt]\n",
    }
    below = (File(f"{FOLDER}/{entry.path}", entry.size, entry.path) for entry in own)
    return (*(_made(path, text) for path, text in made.items()), *below)


def listed(files: Iterable[File], folder: str) -> list[dict[str, Any]]:
    """What lies directly in the folder, as MLflow lists it; nothing for a file's own path."""
    head = f"{folder}/" if folder else ""
    found: dict[str, dict[str, Any]] = {}
    for one in files:
        if one.path.startswith(head):
            name, below, _ = one.path[len(head) :].partition("/")
            found[name] = (
                {"path": name, "is_dir": True} if below else {"path": name, "is_dir": False, "file_size": one.size}
            )
    return [found[name] for name in sorted(found)]


def _made(path: str, text: str) -> File:
    content = text.encode()
    return File(path, len(content), made=content)


def _mlmodel(version: Version, description: ModelDescription, size: int) -> str:
    """JSON is YAML. The signature is loaded by its name: what Keras exports cannot be called itself, and MLflow hands
    arrays and tables only to what has a signature in its own form."""
    key = _DEFAULT if _DEFAULT in description.signatures else min(description.signatures)
    schema = _schema(description.signatures[key])
    return json.dumps(
        {
            **({"signature": schema} if schema else {}),
            "artifact_path": "model",
            "flavors": {
                "python_function": {
                    "env": {"virtualenv": "python_env.yaml"},
                    "loader_module": "mlflow.tensorflow",
                    "python_version": "3.10",
                },
                "tensorflow": {
                    "code": None,
                    "meta_graph_tags": list(description.tags) or ["serve"],
                    "model_type": "tf1-estimator",
                    "saved_model_dir": FOLDER,
                    "signature_def_key": key,
                },
            },
            "model_size_bytes": size,
            "model_uuid": version.digest.removeprefix("sha256:")[:32],
            "utc_time_created": f"{version.created_at:%Y-%m-%d %H:%M:%S.%f}",
        },
        indent=1,
    )


def _schema(signature: Signature) -> dict[str, str | None] | None:
    """None where MLflow has no form for one of the tensors: it then passes on what it is given."""
    tensors = (*signature.inputs.values(), *signature.outputs.values())
    if any(one.kind != "dense" or one.dtype not in _DTYPES or one.shape is None for one in tensors):
        return None
    return {"inputs": _tensors(signature.inputs), "outputs": _tensors(signature.outputs), "params": None}


def _tensors(specs: Mapping[str, TensorSpec]) -> str:
    found = []
    for name, one in specs.items():
        shape = [-1 if size is None else size for size in one.shape or ()]
        found.append({"name": name, "type": "tensor", "tensor-spec": {"dtype": _DTYPES[one.dtype], "shape": shape}})
    return json.dumps(found)
