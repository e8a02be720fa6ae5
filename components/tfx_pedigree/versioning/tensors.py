"""TensorFlow's names for element types and its messages for shapes."""

from __future__ import annotations

from tfx_pedigree.json_form import LARGEST_INTEGER
from tfx_pedigree.versioning.description import Shape
from tfx_pedigree.versioning.wire import Span, WireError, signed

_HIGHEST_RANK = 254
_REFERENCE = 100  # a type number above it is a reference to the type that is 100 below

_NAMES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "qint8",
    12: "quint8",
    13: "qint32",
    14: "bfloat16",
    15: "qint16",
    16: "quint16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
    26: "float8_e4m3fnuz",
    27: "float8_e4m3b11fnuz",
    28: "float8_e5m2fnuz",
    29: "int4",
    30: "uint4",
    31: "int2",
    32: "uint2",
    33: "float4_e2m1fn",
}


def dtype_name(number: int) -> str:
    """As `tf.DType.name` has it. A type that is newer than this list is told apart by its number."""
    if number - _REFERENCE in _NAMES:
        return _NAMES[number - _REFERENCE] + "_ref"
    return _NAMES.get(number, f"type_{number}")


def shape_of(message: Span) -> Shape:
    """A TensorShapeProto. A size of -1 is unknown; `unknown_rank` wins over any dimensions."""
    sizes: list[int | None] = []
    unknown_rank = False
    for number, value in message.fields():
        if number == 2 and isinstance(value, Span):
            sizes.append(_size(value))
            if len(sizes) > _HIGHEST_RANK:
                raise WireError(f"the shape at byte {message.start} has more than {_HIGHEST_RANK} dimensions")
        elif number == 3 and isinstance(value, int):
            unknown_rank = value != 0
    return None if unknown_rank else tuple(sizes)


def _size(dimension: Span) -> int | None:
    size = 0
    for number, value in dimension.fields():
        if number == 1 and isinstance(value, int):
            size = signed(value)
    if size == -1:
        return None
    if not 0 <= size <= LARGEST_INTEGER:
        raise WireError(f"the dimension at byte {dimension.start} has the size {size}")
    return size
