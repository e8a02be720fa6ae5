"""The values of a TensorProto, read without TensorFlow, and how those are packed that are written.

What was logged or sent is hostile: a size is believed only where the values are there.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

from tfx_pedigree.versioning.tensors import dtype_name, shape_of
from tfx_pedigree.versioning.wire import Span, WireError, signed

# The type's number in a TensorProto, and how one value is packed into `tensor_content`.
PACKED = {
    "float32": (1, "<f"), "float64": (2, "<d"), "int32": (3, "<i"), "uint8": (4, "<B"), "int16": (5, "<h"),
    "int8": (6, "<b"), "int64": (9, "<q"), "bool": (10, "<?"), "uint16": (17, "<H"), "uint32": (22, "<I"),
    "uint64": (23, "<Q"),
}  # fmt: skip
STRING = 7
# The field that holds values of a type one by one, and how a value of fixed size lies there; None is a varint.
_FIELDS: dict[str, tuple[int, str | None]] = {
    "float32": (5, "<f"), "float64": (6, "<d"), "int64": (10, None), "bool": (11, None), "uint32": (16, None),
    "uint64": (17, None), "float16": (13, None), "bfloat16": (13, None),
    **dict.fromkeys(("int32", "uint8", "int16", "int8", "uint16"), (7, None)),
}  # fmt: skip
# Types that lie there as whole numbers of 16 bits, and what those are.
_HALVES: dict[str, Callable[[int], float]] = {
    "float16": lambda bits: float(struct.unpack("<e", struct.pack("<H", bits & 0xFFFF))[0]),
    "bfloat16": lambda bits: float(struct.unpack("<f", struct.pack("<I", (bits & 0xFFFF) << 16))[0]),
}
_CONTENT = 4
MOST_VALUES = 100_000


def tensor_values(tensor: Span) -> Any:
    """Lists in lists, or one value. `WireError` for what is no tensor of numbers or texts."""
    kind, shape = dtype_name(tensor.number(1)), shape_of(tensor.message(2))
    if shape is None or None in shape:
        raise WireError(f"the tensor at byte {tensor.start} has no shape")
    sizes = [size or 0 for size in shape]
    count = math.prod(sizes)
    if count > MOST_VALUES or len(sizes) > 20:
        raise WireError(f"the tensor at byte {tensor.start} has more than {MOST_VALUES:,} values")
    values = _values(tensor, kind)
    if len(values) > count:
        raise WireError(f"the tensor at byte {tensor.start} has more values than its shape")
    # TensorFlow leaves out what is like the last one.
    values += [values[-1] if values else "" if kind == "string" else 0] * (count - len(values))
    return _nested(values, sizes)


def _values(tensor: Span, kind: str) -> list[Any]:
    if kind == "string":
        return [one.raw().decode("utf-8", "backslashreplace") for one in tensor.messages(8, MOST_VALUES)]
    if kind not in _FIELDS:
        raise WireError(f"the tensor at byte {tensor.start} is of the type {kind}")
    content = tensor.message(_CONTENT).raw()
    if content:
        found = _unpacked("<H" if kind in _HALVES else PACKED[kind][1], content, tensor)
    else:
        found = _listed(tensor, *_FIELDS[kind])
    if kind in _HALVES:
        return [_HALVES[kind](bits) for bits in found]
    return [bool(one) for one in found] if kind == "bool" else found


def _listed(tensor: Span, field: int, form: str | None) -> list[Any]:
    found: list[Any] = []
    for number, value in tensor.fields():
        if number != field:
            continue
        if isinstance(value, Span):
            found += _unpacked(form, value.raw(), tensor) if form else map(signed, value.varints())
        elif form:
            size = struct.calcsize(form)
            found += struct.unpack(form, (value % (1 << 8 * size)).to_bytes(size, "little"))
        else:
            found.append(signed(value))
        if len(found) > MOST_VALUES:
            break
    return found


def _unpacked(form: str, data: bytes, tensor: Span) -> list[Any]:
    if len(data) % struct.calcsize(form):
        raise WireError(f"the tensor at byte {tensor.start} ends within a value")
    return [value for (value,) in struct.iter_unpack(form, data[: MOST_VALUES * 8 + 8])]


def _nested(values: list[Any], sizes: list[int]) -> Any:
    if not sizes:
        return values[0]
    if not values:
        return []
    for size in reversed(sizes[1:]):
        values = [values[at : at + size] for at in range(0, len(values), size)]
    return values
