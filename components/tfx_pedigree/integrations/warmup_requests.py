"""Warm-up requests of TensorFlow Serving: recorded requests, so that a version's first real ones are not slow.

In come requests as the REST interface takes them, one as JSON a line; out goes a TFRecord file of PredictionLog, which
the server plays when it loads the version. What does not fit the version's signature is refused: a server that cannot
play a request does not serve the version at all. Written without TensorFlow.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import Version
from tfx_pedigree.rollout.traffic.files import write_whole
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.text import plain
from tfx_pedigree.versioning import ModelDescription
from tfx_pedigree.versioning.description import Shape, Signature, TensorSpec, shape_text
from tfx_pedigree.versioning.tensor_values import PACKED, STRING
from tfx_pedigree.versioning.tfrecord import framed
from tfx_pedigree.versioning.wire_writing import number, run, varint

FILE = "assets.extra/tf_serving_warmup_requests"
# The server's own limit.
MOST_REQUESTS = 1_000
_DEFAULT_SIGNATURE = "serving_default"
_MOST_VALUES = 1_000_000


def warmup_records(lines: str, model: str, description: ModelDescription) -> bytes:
    """The whole file, the same each time."""
    found: list[bytes] = []
    for at, line in enumerate(lines.split("\n"), 1):
        if not line.strip():
            continue
        if len(found) == MOST_REQUESTS:
            raise InvalidInputError(f"There are more than {MOST_REQUESTS:,} requests, and the server plays no more.")
        where = f"Line {at} of the requests"
        found.append(framed(run(6, run(1, _request(parse_json(line, where), where, model, description)))))
    if not found:
        raise InvalidInputError(
            "There are no requests. Write one as JSON on each line, as the REST interface takes it."
        )
    return b"".join(found)


def warm_up(workspace: Workspace, versions: Sequence[Version], lines: str, folder: Path) -> dict[str, Path]:
    """Writes the requests beside each version, where the server finds them below `folder`, and says which file is
    whose. Nothing is written unless all of it can be."""
    made: dict[str, tuple[Path, bytes]] = {}
    for version in versions:
        description = workspace.registry.description(f"{version.model}@{version.version}")
        made[version.name] = _place(workspace, version, folder), warmup_records(lines, version.model, description)
    for file, content in made.values():
        write_whole(file, content)
    return {name: file for name, (file, _) in made.items()}


def _place(workspace: Workspace, version: Version, folder: Path) -> Path:
    place = folder / version.model / str(version.sequence)
    if not place.is_dir():
        raise NotFoundError(
            f"{version.name} is not in {place}. Put it there first: "
            f"`pedigree pull {version.model}@{version.version} {place}`."
        )
    if not (place / "saved_model.pb").is_file():
        raise NotFoundError(f"There is no model in {place}.")
    if workspace.store.manifest(version.digest).file(FILE) is not None:
        raise ConflictError(f"{version.name} has a file {FILE} of its own, and its files are not changed.")
    return place / FILE


def _request(request: Any, where: str, model: str, description: ModelDescription) -> bytes:
    if not isinstance(request, dict):
        raise InvalidInputError(f'{where}: a request is an object, such as {{"instances": [[1.0, 2.0]]}}.')
    if unknown := sorted(set(request) - {"signature_name", "instances", "inputs"}):
        raise InvalidInputError(f"{where}: `{plain(unknown[0])}` is none of signature_name, instances, inputs.")
    name = request.get("signature_name", _DEFAULT_SIGNATURE)
    signature = description.signatures.get(name) if isinstance(name, str) else None
    if signature is None:
        known = ", ".join(description.signatures) or "none"
        raise InvalidInputError(f"{where}: the version has no signature {plain(str(name))!r}. It has: {known}.")
    if ("instances" in request) is ("inputs" in request):
        raise InvalidInputError(f"{where}: give `instances` (a list of rows) or `inputs` (columns by name), not both.")
    rows = "instances" in request
    columns = _columns(request["instances"], signature, where) if rows else _named(request["inputs"], signature)
    if not isinstance(columns, Mapping):
        raise InvalidInputError(f"{where}: `inputs` must be an object with the inputs by name.")
    missing = sorted(set(signature.inputs) - set(columns) - signature.optional)
    if missing or (unknown := sorted(set(columns) - set(signature.inputs))):
        told = f"lacks the input {missing[0]}" if missing else f"has an input {plain(unknown[0])} that is none"
        raise InvalidInputError(f"{where}: it {told}. The signature takes: {', '.join(signature.inputs)}.")
    tensors = b"".join(
        run(2, run(1, key) + run(2, _tensor(columns[key], signature.inputs[key], f"{where}, input {key}")))
        for key in sorted(columns)
    )
    return run(1, run(1, model) + run(3, name)) + tensors


def _named(inputs: Any, signature: Signature) -> Any:
    """The only input needs no name."""
    if isinstance(inputs, dict) and "b64" not in inputs:
        return inputs
    return {next(iter(signature.inputs)): inputs} if len(signature.inputs) == 1 else None


def _columns(instances: Any, signature: Signature, where: str) -> dict[str, list[Any]]:
    if not isinstance(instances, list) or not instances:
        raise InvalidInputError(f"{where}: `instances` must be a list of one row or more.")
    if all(isinstance(row, dict) and "b64" not in row for row in instances):
        names = set(instances[0])
        if any(set(row) != names for row in instances):
            raise InvalidInputError(f"{where}: its rows do not all have the same inputs.")
        return {name: [row[name] for row in instances] for name in instances[0]}
    if len(signature.inputs) != 1:
        raise InvalidInputError(f"{where}: the signature takes several inputs, so each row must be an object.")
    return {next(iter(signature.inputs)): instances}


def _tensor(value: Any, spec: TensorSpec, where: str) -> bytes:
    """TensorProto."""
    kind, form = PACKED.get(spec.dtype, (STRING, ""))
    if spec.kind != "dense" or (kind == STRING and spec.dtype != "string"):
        raise InvalidInputError(f"{where}: it takes {spec}, and such a tensor cannot be given as JSON.")
    shape = _shape(value)
    if not _fits(shape, spec.shape):
        raise InvalidInputError(f"{where}: its shape is {shape_text(shape)}, but the input takes {spec}.")
    leaves = list(_leaves(value, shape, where))
    sizes = b"".join(run(2, varint(1 << 3) + varint(size)) for size in shape)
    head = number(1, kind) + run(2, sizes)
    if kind == STRING:
        return head + b"".join(run(8, _bytes(one, where)) for one in leaves)
    return head + run(4, b"".join(_packed(form, one, spec, where) for one in leaves))


def _fits(shape: Shape, wanted: Shape) -> bool:
    if wanted is None or shape is None:
        return True
    return len(shape) == len(wanted) and all(want in (None, have) for want, have in zip(wanted, shape, strict=True))


def _shape(value: Any) -> tuple[int, ...]:
    found = []
    while isinstance(value, list):
        found.append(len(value))
        value = value[0] if value else None
    return tuple(found)


def _leaves(value: Any, shape: tuple[int, ...], where: str) -> Iterator[Any]:
    if math.prod(shape) > _MOST_VALUES:
        raise InvalidInputError(f"{where}: it has more than {_MOST_VALUES:,} values.")
    if not shape:
        if isinstance(value, list):
            raise InvalidInputError(f"{where}: its rows are not all of one length.")
        yield value
        return
    if not isinstance(value, list) or len(value) != shape[0]:
        raise InvalidInputError(f"{where}: its rows are not all of one length.")
    for one in value:
        yield from _leaves(one, shape[1:], where)


def _packed(form: str, value: Any, spec: TensorSpec, where: str) -> bytes:
    floating = spec.dtype.startswith("float")
    fits = isinstance(value, bool) if spec.dtype == "bool" else isinstance(value, int | float if floating else int)
    if not fits or (isinstance(value, bool) and spec.dtype != "bool"):
        raise InvalidInputError(f"{where}: {plain(repr(value), 40)} is no {spec.dtype}.")
    try:
        return struct.pack(form, value)
    except (struct.error, OverflowError):
        raise InvalidInputError(f"{where}: {plain(repr(value), 40)} is beyond what a {spec.dtype} holds.") from None


def _bytes(value: Any, where: str) -> bytes:
    """A text, or bytes as `{"b64": …}`."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            raise InvalidInputError(f"{where}: what stands under `b64` is no base64.") from None
    raise InvalidInputError(f"{where}: {plain(repr(value), 40)} is no string.")
