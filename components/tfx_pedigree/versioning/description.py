"""What is known of a model without running it: its interface, variables, operations and how it was made.

Two laws hold, and the tests keep them: `ModelDescription.from_json(d.to_json()) == d`, and two descriptions
have the same digest exactly if they have the same JSON form, which docs/model-description.md documents.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tfx_pedigree.digest import canonical_json, digest_of, is_digest
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.versioning import _json, _words

FORMAT = "pedigree.model-description/1"

SAVED_MODEL = "saved_model"
OPAQUE = "opaque"
# The parameter that says what the model predicts.
LABEL_KEY = "label_key"
TENSOR_KINDS = ("dense", "sparse", "ragged", "composite")

Scalar = str | int | float | bool | None
Shape = tuple[int | None, ...] | None


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. A shape of None has an unknown rank, a dimension of None an unknown size."""

    dtype: str
    shape: Shape = None
    kind: str = "dense"

    def __post_init__(self) -> None:
        _json.text(self.dtype, "dtype")
        _shape(self.shape, "shape")
        if self.kind not in TENSOR_KINDS:
            raise _json.refusal("kind", self.kind, "one of " + ", ".join(TENSOR_KINDS))

    def to_json(self) -> dict[str, Any]:
        return {"dtype": self.dtype, "shape": _shape_json(self.shape), "kind": self.kind}

    @classmethod
    def from_json(cls, value: object, where: str = "tensor") -> TensorSpec:
        found = _json.fields(value, where, {"dtype", "shape", "kind"})
        if found["kind"] not in TENSOR_KINDS:
            raise _json.refusal(f"{where}.kind", found["kind"], "one of " + ", ".join(TENSOR_KINDS))
        return cls(
            _json.text(found["dtype"], f"{where}.dtype"),
            _shape(found["shape"], f"{where}.shape"),
            found["kind"],
        )

    def __str__(self) -> str:
        return f"{self.dtype} {shape_text(self.shape)}" + ("" if self.kind == "dense" else f" ({self.kind})")


@dataclass(frozen=True)
class Variable:
    """One trained value. Its shape is always known in full."""

    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        _json.text(self.dtype, "dtype")
        _json.listing(self.shape, "shape", _json.whole_number)

    def to_json(self) -> dict[str, Any]:
        return {"dtype": self.dtype, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, value: object, where: str = "variable") -> Variable:
        found = _json.fields(value, where, {"dtype", "shape"})
        shape = _json.listing(found["shape"], f"{where}.shape", _json.whole_number)
        return cls(_json.text(found["dtype"], f"{where}.dtype"), shape)

    def __str__(self) -> str:
        return f"{self.dtype} [{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Signature:
    """One entry point of a served model. `optional` names the inputs that have a default."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    optional: frozenset[str] = frozenset()
    method: str = ""

    def __post_init__(self) -> None:
        _sort(self, "inputs", "outputs")
        for name in sorted(self.optional):
            if name not in self.inputs:
                raise _json.refusal("optional", name, "the name of an input")

    def to_json(self) -> dict[str, Any]:
        return {
            "inputs": {name: spec.to_json() for name, spec in self.inputs.items()},
            "outputs": {name: spec.to_json() for name, spec in self.outputs.items()},
            "optional": sorted(self.optional),
            "method": self.method,
        }

    @classmethod
    def from_json(cls, value: object, where: str = "signature") -> Signature:
        found = _json.fields(value, where, {"inputs", "outputs", "optional", "method"})
        inputs = _json.table(found["inputs"], f"{where}.inputs", TensorSpec.from_json)
        optional = _json.listing(found["optional"], f"{where}.optional", partial(_name_of, inputs))
        return cls(
            inputs,
            _json.table(found["outputs"], f"{where}.outputs", TensorSpec.from_json),
            frozenset(optional),
            _json.text(found["method"], f"{where}.method"),
        )


@dataclass(frozen=True)
class ModelDescription:
    """All that decides whether a new version is a PATCH, a MINOR or a MAJOR one.

    An opaque description is of files that hold no SavedModel: it says how the model was made, and nothing of
    its interface. `operations` counts what the signatures reach; the few attributes that make an architecture
    (strides, padding) are part of an operation's name.
    """

    kind: str = SAVED_MODEL
    tags: tuple[str, ...] = ()
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    variables: Mapping[str, Variable] = field(default_factory=dict)
    operations: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    transform_digest: str | None = None
    schema_digest: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in (SAVED_MODEL, OPAQUE):
            raise _json.refusal("kind", self.kind, f"{SAVED_MODEL} or {OPAQUE}")
        if self.kind == OPAQUE and (self.tags or self.signatures or self.variables or self.operations):
            raise InvalidInputError(
                "An opaque model description has no tags, signatures, variables or operations: leave them "
                f"out, or give the kind {SAVED_MODEL}."
            )
        object.__setattr__(self, "tags", tuple(sorted(self.tags)))
        _sort(self, "signatures", "variables", "operations")
        object.__setattr__(self, "parameters", _json.table(self.parameters, "parameters", _scalar))
        _json.table(self.operations, "operations", _json.whole_number)
        _digest(self.transform_digest, "transform_digest")
        _digest(self.schema_digest, "schema_digest")

    @property
    def is_opaque(self) -> bool:
        return self.kind == OPAQUE

    @property
    def digest(self) -> str:
        return digest_of(canonical_json(self.to_json()))

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "kind": self.kind,
            "tags": list(self.tags),
            "signatures": {name: one.to_json() for name, one in self.signatures.items()},
            "variables": {name: one.to_json() for name, one in self.variables.items()},
            "operations": dict(self.operations),
            "parameters": dict(self.parameters),
            "transform_digest": self.transform_digest,
            "schema_digest": self.schema_digest,
        }

    @classmethod
    def from_json(cls, value: object) -> ModelDescription:
        """Refuses whatever `to_json` would not have written, and names the field."""
        _check_format(value)
        found = _json.fields(value, "The model description", set(cls().to_json()))
        return cls(
            kind=_json.text(found["kind"], "kind"),
            tags=_json.listing(found["tags"], "tags", _json.text),
            signatures=_json.table(found["signatures"], "signatures", Signature.from_json),
            variables=_json.table(found["variables"], "variables", Variable.from_json),
            operations=_json.table(found["operations"], "operations", _json.whole_number),
            parameters=_json.table(found["parameters"], "parameters", _scalar),
            transform_digest=_digest(found["transform_digest"], "transform_digest"),
            schema_digest=_digest(found["schema_digest"], "schema_digest"),
        )


def shape_text(shape: Shape) -> str:
    """`[?, 3]`, or `of unknown rank`."""
    if shape is None:
        return "of unknown rank"
    return "[" + ", ".join("?" if one is None else str(one) for one in shape) + "]"


def _check_format(value: object) -> None:
    found = value.get("format") if isinstance(value, Mapping) else None
    if found == FORMAT:
        return
    if isinstance(found, str) and found.partition("/")[0] == FORMAT.partition("/")[0]:
        raise InvalidInputError(
            f"The model description has the format {_words.quoted(found)}, but this Pedigree reads `{FORMAT}`. "
            "Upgrade tfx-pedigree, or describe the model again."
        )
    raise InvalidInputError(f"This is no model description: its field 'format' must be {FORMAT!r}.")


def _sort(instance: object, *names: str) -> None:
    for name in names:
        object.__setattr__(instance, name, dict(sorted(getattr(instance, name).items())))


def _shape(value: object, where: str) -> Shape:
    return None if value is None else _json.listing(value, where, _dimension)


def _dimension(value: object, where: str) -> int | None:
    return None if value is None else _json.whole_number(value, where)


def _shape_json(shape: Shape) -> list[int | None] | None:
    return None if shape is None else list(shape)


def _name_of(names: Mapping[str, object], value: object, where: str) -> str:
    if not isinstance(value, str) or value not in names:
        raise _json.refusal(where, value, "the name of an input")
    return value


def _digest(value: object, where: str) -> str | None:
    if value is None or (isinstance(value, str) and is_digest(value)):
        return value
    raise _json.refusal(where, value, "null or 'sha256:' with 64 hexadecimal digits in lower case")


def _scalar(value: object, where: str) -> Scalar:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _json.text(value, where)
    if isinstance(value, int) and abs(value) <= _json.LARGEST_INTEGER:
        return value
    if isinstance(value, int) and _is_written_float(value):
        return float(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise _json.refusal(
        where, value, "a text, a finite number (a whole one within ±9007199254740991), true, false or null"
    )


def _is_written_float(value: int) -> bool:
    """Whether the digits are those that canonical JSON writes for a float: it gives 1e20 no exponent."""
    try:
        return canonical_json(float(value)) == str(value).encode()
    except (OverflowError, ValueError):
        return False
