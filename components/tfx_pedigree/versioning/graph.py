"""Which operations a graph runs, and how often, as far as its signatures reach.

What is not reached is left out: saving and restoring, functions that only training used, and the traces that
a function got because it was once called with another shape. They differ from run to run of the same code.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tfx_pedigree.versioning._words import quoted
from tfx_pedigree.versioning.wire import NUMBER, Span, WireError, scan, signed

# They move values about, or stand for variables, which are described by themselves.
PLUMBING = frozenset(
    ("Identity", "IdentityN", "NoOp", "Placeholder", "PlaceholderWithDefault", "ReadVariableOp", "VarHandleOp")
)
_CALLS = frozenset(("PartitionedCall", "StatefulPartitionedCall"))

# What makes another architecture of the same operations and variables. Each has a fixed value in a model's code;
# names, types, shapes and whatever training computes are left out.
ATTRIBUTES = frozenset(
    (
        "adj_x",
        "adj_y",
        "align_corners",
        "alpha",
        "approximate",
        "batch_dims",
        "data_format",
        "dilations",
        "epsilon",
        "equation",
        "explicit_paddings",
        "half_pixel_centers",
        "keep_dims",
        "ksize",
        "mode",
        "num_buckets",
        "padding",
        "strides",
        "transpose_a",
        "transpose_b",
    )
)
_MOST_NODES = 1_000_000
_MOST_LINKED = 500_000  # nodes outside functions, whose names are kept
_MOST_FUNCTIONS = 100_000
_MOST_OPERATIONS = 100_000  # of different names
_LONGEST_VALUE = 64 << 10
_REMEMBERED = 256  # bytes of an attribute that is worth a look-up
_MOST_REMEMBERED = 20_000


class Node(NamedTuple):
    """One node as far as it is read: its operation, its inputs and the functions it calls."""

    op: str
    attributes: tuple[str, ...]
    inputs: list[str]
    calls: list[str]

    @property
    def operation(self) -> str:
        return f"{self.op}({', '.join(sorted(self.attributes))})" if self.attributes else self.op


def operations(graph: Span, roots: Iterable[str] | None) -> dict[str, int]:
    """Operation to count, over the nodes that the tensors `roots` need and the functions these call.

    A function counts once, however often it is called; a call inside a function counts as an operation.
    Without `roots` (a model without signatures) the whole graph and its whole function library count.
    """
    reader, library = _Reader(), _library(graph)
    called = _Called(library)
    counted: Counter[str] = Counter()
    if roots is None:
        nodes: Iterable[Node] = map(reader.node, graph.messages(1))
        called.add(library)
    else:
        nodes = _reached(reader, graph, roots)
    for node in nodes:
        _count(node, called, counted, hidden=PLUMBING | _CALLS)
    for name in called:
        for message in library[name].messages(3):
            _count(reader.node(message), called, counted, hidden=PLUMBING)
    return dict(counted)


class _Called:
    """The functions that are called, each once; more may be added while one goes through them."""

    def __init__(self, library: Mapping[str, Span]) -> None:
        self._library = library
        self._seen: set[str] = set()
        self._waiting: list[str] = []

    def add(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._library and name not in self._seen:
                self._seen.add(name)
                self._waiting.append(name)

    def __contains__(self, name: str) -> bool:
        return name in self._library

    def __iter__(self) -> Iterator[str]:
        while self._waiting:
            yield self._waiting.pop()


def _count(node: Node, called: _Called, counted: Counter[str], hidden: frozenset[str]) -> None:
    called.add(node.calls)
    if node.op in called:
        called.add((node.op,))
    elif node.op not in hidden:
        counted[node.operation] += 1
        if len(counted) > _MOST_OPERATIONS:
            raise WireError(f"the graph has more than {_MOST_OPERATIONS:,} operations of different names")


def _library(graph: Span) -> dict[str, Span]:
    found: dict[str, Span] = {}
    for library in graph.messages(2):
        for function in library.messages(1, _MOST_FUNCTIONS, "functions"):
            found[function.message(1).message(1).text()] = function
            if len(found) > _MOST_FUNCTIONS:
                raise WireError(f"there are more than {_MOST_FUNCTIONS:,} functions")
    return found


def _reached(reader: _Reader, graph: Span, roots: Iterable[str]) -> Iterator[Node]:
    """Only where a node lies is kept, and it is read when it is reached."""
    nodes = {
        message.message(1).text(): message for message in graph.messages(1, _MOST_LINKED, "nodes outside functions")
    }
    reached: set[str] = set()
    waiting: list[str] = []

    def reach(tensors: Iterable[str]) -> None:
        for name in map(_node_name, tensors):
            if name not in nodes:
                raise WireError(f"a signature needs the node {quoted(name)}, which the graph does not have")
            if name not in reached:
                reached.add(name)
                waiting.append(name)

    reach(roots)
    while waiting:
        node = reader.node(nodes[waiting.pop()], linked=True)
        reach(node.inputs)
        yield node


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


class _Attribute(NamedTuple):
    """What one attribute of a node adds: a text that belongs to the operation's name, or functions it calls."""

    said: str | None = None
    calls: tuple[str, ...] = ()


class _Reader:
    """Reads nodes, not more than a bound: a file of two bytes per node could keep it busy for an hour.

    The same few attributes come back in most nodes, so that each is read once and then looked up by its bytes.
    """

    def __init__(self) -> None:
        self._left = _MOST_NODES
        self._known: dict[bytes, _Attribute] = {}

    def node(self, message: Span, linked: bool = False) -> Node:
        """With its inputs only if it is `linked`: a function's body is taken whole."""
        self._left -= 1
        if self._left < 0:
            raise WireError(f"the graph has more than {_MOST_NODES:,} nodes")
        data = message.data
        op = ""
        inputs: list[str] = []
        attributes: list[_Attribute] = []
        for number, start, stop in scan(*message):
            if number > 5 or number == 4 or stop == NUMBER:
                continue
            if number == 5:
                attribute = self._known.get(data[start : min(stop, start + _REMEMBERED)])
                attributes.append(attribute or self._attribute(Span(data, start, stop)))
            elif number == 2:
                op = Span(data, start, stop).text()
            elif linked and number == 3:
                inputs.append(Span(data, start, stop).text())
        said = tuple(one.said for one in attributes if one.said)
        return Node(op, said, inputs, [name for one in attributes for name in one.calls])

    def _attribute(self, entry: Span) -> _Attribute:
        attribute = _attribute(entry)
        if entry.stop - entry.start < _REMEMBERED and len(self._known) < _MOST_REMEMBERED:
            self._known[entry.raw()] = attribute
        return attribute


def _attribute(entry: Span) -> _Attribute:
    key, value = entry.message(1), entry.message(2)
    if key.raw().startswith(b"_"):  # notes that TensorFlow writes for itself
        return _Attribute()
    name = key.text()
    if name in ATTRIBUTES:
        said = _value(value)
        return _Attribute() if said is None else _Attribute(f"{name}={said}")
    calls: list[str] = []
    for number, part in value.fields():
        if number == 10 and isinstance(part, Span):
            calls.append(part.message(1).text())
        elif number == 1 and isinstance(part, Span):
            calls += [function.message(1).text() for function in part.messages(9)]
    return _Attribute(None, tuple(calls))


def _value(value: Span) -> str | None:
    """A text, number, truth or list of these as JSON; None for a type, shape, tensor or placeholder."""
    if value.stop - value.start > _LONGEST_VALUE:
        raise WireError(f"the attribute at byte {value.start} has more than {_LONGEST_VALUE:,} bytes")
    for number, part in value.fields():
        if number == 1 and isinstance(part, Span):
            return "[" + ", ".join(_list(part)) + "]"
        said = _single(number, part)
        if said is not None:
            return said
    return None


def _list(items: Span) -> Iterable[str]:
    for number, part in items.fields():
        if number == 3 and isinstance(part, Span):
            yield from (str(signed(one)) for one in part.varints())
        else:
            yield _single(number, part) or "?"


def _single(number: int, part: int | Span) -> str | None:
    if number == 2 and isinstance(part, Span):
        return json.dumps(part.raw().decode(errors="backslashreplace"))
    if number == 3 and isinstance(part, int):
        return str(signed(part))
    if number == 4 and isinstance(part, int):
        return f"{struct.unpack('<f', part.to_bytes(8, 'little')[:4])[0]:.7g}"
    if number == 5 and isinstance(part, int):
        return json.dumps(part != 0)
    return None
