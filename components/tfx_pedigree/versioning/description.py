"""What is known of a model without running it: its interface, variables, operations and how it was made.

Two laws hold, and the tests keep them: `ModelDescription.from_json(d.to_json()) == d`, and two descriptions
have the same digest exactly if they have the same JSON form, which docs/model-description.md documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from tfx_pedigree.digest import canonical_json, digest_of, is_digest
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import LARGEST_INTEGER, Bounds, JsonForm, Layout, Place, read

FORMAT = "pedigree.model-description/1"

SAVED_MODEL = "saved_model"
OPAQUE = "opaque"
# The parameter that says what the model predicts.
LABEL_KEY = "label_key"

Scalar = str | int | float | bool | None
Number = Annotated[int, Bounds(0, LARGEST_INTEGER)]
Shape = tuple[Number | None, ...] | None
TensorKind = Literal["dense", "sparse", "ragged", "composite"]


class _Record(JsonForm):
    JSON: ClassVar[Layout] = Layout(whole=True)


@dataclass(frozen=True)
class TensorSpec(_Record):
    """One input or output. A shape of None has an unknown rank, a dimension of None an unknown size."""

    dtype: str
    shape: Shape = None
    kind: TensorKind = "dense"

    def __post_init__(self) -> None:
        read(str, self.dtype, "dtype")
        read(Shape, self.shape, "shape")  # type: ignore[arg-type]
        read(TensorKind, self.kind, "kind")  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{self.dtype} {shape_text(self.shape)}" + ("" if self.kind == "dense" else f" ({self.kind})")


@dataclass(frozen=True)
class Variable(_Record):
    """One trained value. Its shape is always known in full."""

    dtype: str
    shape: tuple[Number, ...]

    def __post_init__(self) -> None:
        read(str, self.dtype, "dtype")
        read(tuple[Number, ...], self.shape, "shape")

    def __str__(self) -> str:
        return f"{self.dtype} [{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Signature(_Record):
    """One entry point of a served model. `optional` names the inputs that have a default."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    optional: frozenset[str] = frozenset()
    method: str = ""

    def __post_init__(self) -> None:
        _sort(self, "inputs", "outputs")
        read(str, self.method, "method")
        for name in sorted(self.optional):
            if name not in self.inputs:
                raise Place("optional").refusal(name, "the name of an input")


@dataclass(frozen=True)
class ModelDescription(JsonForm):
    """All that decides whether a new version is a PATCH, a MINOR or a MAJOR one.

    An opaque description is of files that hold no SavedModel: it says how the model was made, and nothing of
    its interface. `operations` counts what the signatures reach; the few attributes that make an architecture
    (strides, padding) are part of an operation's name.
    """

    JSON: ClassVar[Layout] = Layout(FORMAT, whole=True)

    kind: str = SAVED_MODEL
    tags: tuple[str, ...] = ()
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    variables: Mapping[str, Variable] = field(default_factory=dict)
    operations: Mapping[str, Number] = field(default_factory=dict)
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    transform_digest: str | None = None
    schema_digest: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in (SAVED_MODEL, OPAQUE):
            raise Place("kind").refusal(self.kind, f"{SAVED_MODEL} or {OPAQUE}")
        if self.kind == OPAQUE and (self.tags or self.signatures or self.variables or self.operations):
            raise InvalidInputError(
                "An opaque model description has no tags, signatures, variables or operations: leave them "
                f"out, or give the kind {SAVED_MODEL}."
            )
        object.__setattr__(self, "tags", tuple(sorted(read(tuple[str, ...], self.tags, "tags"))))
        _sort(self, "signatures", "variables", "operations", "parameters")
        object.__setattr__(self, "parameters", {name: _scalar(one, name) for name, one in self.parameters.items()})
        read(Mapping[str, Number], self.operations, "operations")  # type: ignore[type-abstract]
        for name, digest in (("transform_digest", self.transform_digest), ("schema_digest", self.schema_digest)):
            if digest is not None and not is_digest(read(str, digest, name)):
                raise Place(name).refusal(digest, "null or 'sha256:' with 64 hexadecimal digits in lower case")

    @property
    def is_opaque(self) -> bool:
        return self.kind == OPAQUE

    @property
    def digest(self) -> str:
        return digest_of(canonical_json(self.to_json()))


def shape_text(shape: Shape) -> str:
    """`[?, 3]`, or `of unknown rank`."""
    if shape is None:
        return "of unknown rank"
    return "[" + ", ".join("?" if one is None else str(one) for one in shape) + "]"


def _sort(instance: object, *names: str) -> None:
    for name in names:
        found = getattr(instance, name)
        read(tuple[str, ...], tuple(found), f"what {name} are called")
        object.__setattr__(instance, name, dict(sorted(found.items())))


def _scalar(value: Any, name: str) -> Scalar:
    what = f"the parameter `{name}`"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_INTEGER:
        if not _is_written_float(value):
            raise Place(what).refusal(value, f"finite, and a whole number within ±{LARGEST_INTEGER}")
        value = float(value)
    scalar: Scalar = read(Scalar, value, what)  # type: ignore[arg-type]
    return scalar


def _is_written_float(value: int) -> bool:
    """Whether the digits are those that canonical JSON writes for a float: it gives 1e20 no exponent."""
    try:
        return canonical_json(float(value)) == str(value).encode()
    except (OverflowError, ValueError):
        return False
