"""Names, types and shapes of a checkpoint's variables, from its index file alone.

`variables.index` is a sorted table of strings in LevelDB's format, of which TensorFlow writes a plain subset:
blocks without compression. The values are BundleEntryProto messages. The weights themselves are not read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tfx_pedigree.versioning._words import quoted
from tfx_pedigree.versioning.description import Variable
from tfx_pedigree.versioning.tensors import dtype_name, shape_of
from tfx_pedigree.versioning.tfrecord import masked_crc
from tfx_pedigree.versioning.wire import Span, WireError, varint, whole

_FOOTER = 48
_TRAILER = 5  # one byte for the compression, four for the checksum
_MAGIC = 0xDB4775248B80FB57
_SNAPPY = 1
_LONGEST_KEY = 4096
_MOST_VARIABLES = 200_000
_ALL_KEYS = 64 << 20  # prefix compression could blow a small file up to gigabytes of names
_OBJECT = "/.ATTRIBUTES/"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_KERAS_LIST = "_all_variables/"
# Where Keras 3 keeps an optimizer's state, if the model that is exported has been compiled.
_KERAS_OPTIMIZER = "/optimizer/_"
_BOOKKEEPING = ("_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter")


def variables(index: bytes) -> dict[str, Variable]:
    """By name, without what is no variable of the model.

    Left out are the checkpoint's own records, state of optimizers (whether training state was saved along
    says nothing of the model), contents of lookup tables (their size follows the data) and the pieces of a
    partitioned variable, which is named once with its whole shape.
    """
    entries = table(index)
    if next(entries, (b"?", None))[0] != b"":
        raise WireError("the first entry is not the header of a checkpoint")
    found = {}
    for key, value in entries:
        if key.startswith(b"\0"):  # a piece of a partitioned variable
            continue
        name = _variable_name(_text(key))
        if name is not None:
            found[name] = _variable(value, name)
            if len(found) > _MOST_VARIABLES:
                raise WireError(f"there are more than {_MOST_VARIABLES:,} variables")
    return _without_keras_list(found)


def _without_keras_list(found: dict[str, Variable]) -> dict[str, Variable]:
    """Keras 3 lists a model's variables a second time, in an order that changes with every export."""
    listed = [one for name, one in found.items() if name.startswith(_KERAS_LIST)]
    others = {name: one for name, one in found.items() if not name.startswith(_KERAS_LIST)}
    if Counter(listed) <= Counter(others.values()):
        return others
    listed.sort(key=str)
    return others | {f"{_KERAS_LIST}{index}": one for index, one in enumerate(listed)}


def _variable_name(key: str) -> str | None:
    name = key.removesuffix(_VALUE)
    if name in _BOOKKEEPING or _OBJECT in name or "/.OPTIMIZER_SLOT/" in key:
        return None
    if _KERAS_OPTIMIZER in f"/{name}":
        return None
    return name


def _variable(entry: Span, name: str) -> Variable:
    shape = shape_of(entry.message(2))
    if shape is None or None in shape:
        raise WireError(f"the variable {quoted(name)} has no complete shape")
    return Variable(dtype_name(entry.number(1)), tuple(one for one in shape if one is not None))


def _text(key: bytes) -> str:
    return whole(key).text()


def table(data: bytes) -> Iterator[tuple[bytes, Span]]:
    """Keys and values of a table in order. Every block is used once, every checksum is checked."""
    if len(data) < _FOOTER or int.from_bytes(data[-8:], "little") != _MAGIC:
        raise WireError("the last eight bytes are not those of a table")
    footer, limit = len(data) - _FOOTER, len(data) - 8
    start, at = varint(data, footer, limit)
    size, at = varint(data, at, limit)
    _block(data, start, size, footer)  # of notes on the table, which nobody writes
    start, at = varint(data, at, limit)
    size, _ = varint(data, at, limit)
    used = total = 0
    last: bytes | None = None
    for _, handle in _entries(_block(data, start, size, footer)):
        start, at = varint(data, handle.start, handle.stop)
        size, _ = varint(data, at, handle.stop)
        if start < used:
            raise WireError(f"the block at byte {start} begins inside the one before")
        used = start + size + _TRAILER
        for key, value in _entries(_block(data, start, size, footer)):
            total += len(key)
            if (last is not None and key <= last) or total > _ALL_KEYS:
                raise WireError(f"the names in the block at byte {start} are out of order or far too long")
            yield key, value
            last = key


def _block(data: bytes, start: int, size: int, footer: int) -> Span:
    """The entries of one block, without the restart points, which only searching needs."""
    stop = start + size
    if stop + _TRAILER > footer or size < 4:
        raise WireError(f"the block at byte {start} has no place in the file")
    if data[stop]:
        kind = "Snappy" if data[stop] == _SNAPPY else f"method {data[stop]}"
        raise WireError(f"the block at byte {start} is compressed with {kind}, which TensorFlow does not write here")
    if masked_crc(data[start : stop + 1]) != int.from_bytes(data[stop + 1 : stop + _TRAILER], "little"):
        raise WireError(f"the block at byte {start} does not agree with its checksum")
    restarts = 4 * (1 + int.from_bytes(data[stop - 4 : stop], "little"))
    if restarts > size:
        raise WireError(f"the block at byte {start} has no room for its restart points")
    return Span(data, start, stop - restarts)


def _entries(block: Span) -> Iterator[tuple[bytes, Span]]:
    data, at, key = block.data, block.start, b""
    while at < block.stop:
        shared, at = varint(data, at, block.stop)
        fresh, at = varint(data, at, block.stop)
        length, at = varint(data, at, block.stop)
        middle, end = at + fresh, at + fresh + length
        if end > block.stop or shared > len(key) or shared + fresh > _LONGEST_KEY:
            raise WireError(f"the entry before byte {at} does not fit its block")
        key = key[:shared] + data[at:middle]
        yield key, Span(data, middle, end)
        at = end
