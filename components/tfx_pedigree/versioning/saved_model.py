"""What a SavedModel says of itself, read from its files without TensorFlow.

Field numbers are those of TensorFlow's saved_model.proto, meta_graph.proto, graph.proto, function.proto and
node_def.proto. docs/model-description.md says why they can be relied on; tests hold them against TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.text import listed, plain
from tfx_pedigree.versioning import tensor_bundle
from tfx_pedigree.versioning.description import OPAQUE, ModelDescription, Scalar, Signature, TensorKind, TensorSpec
from tfx_pedigree.versioning.graph import operations
from tfx_pedigree.versioning.tensors import dtype_name, shape_of
from tfx_pedigree.versioning.wire import Span, WireError, reading, whole

GRAPH_FILE = "saved_model.pb"
INDEX_FILE = "variables/variables.index"
# Where a SavedModel lies in a model's folder: at its top, or where TFX's Trainer puts the one for serving.
PLACES = ("", "Format-Serving/")
SERVE = "serve"
_PSEUDO = ("__saved_model_init_op", "__saved_model_train_op")
OTHER_FORMS = ("saved_model.pbtxt", "saved_model.cpb")
_LARGEST = 2 << 30  # protocol buffers go no further
_LARGEST_INDEX = 32 << 20
_MOST_GRAPHS = 100
_MOST_TAGS = 100
_MOST_SIGNATURES = 1_000
_MOST_TENSORS = 100_000
_KINDS: dict[int, TensorKind] = {1: "sparse", 3: "ragged"}  # TypeSpecProto.TypeSpecClass
_DEEPEST = 16

T = TypeVar("T")
Open = Callable[[str], BinaryIO]


def describe(
    folder: str | Path,
    *,
    parameters: Mapping[str, Scalar] | None = None,
    transform_digest: str | None = None,
    schema_digest: str | None = None,
) -> ModelDescription:
    """Describes the model in a folder. One that holds no SavedModel gets an opaque description."""
    root = Path(folder)
    if not root.is_dir():
        raise NotFoundError(f"{root} is no folder, so it holds no model to describe. Give the folder of a model.")
    places = [place + name for place in PLACES for name in (GRAPH_FILE, INDEX_FILE, *OTHER_FORMS)]
    return describe_files(
        lambda path: (root / path).open("rb"),
        [path for path in places if (root / path).is_file()],
        parameters=parameters,
        transform_digest=transform_digest,
        schema_digest=schema_digest,
    )


def describe_files(
    open_file: Open,
    paths: Collection[str],
    *,
    parameters: Mapping[str, Scalar] | None = None,
    transform_digest: str | None = None,
    schema_digest: str | None = None,
) -> ModelDescription:
    """Describes a model of which only a list of relative paths and a way to open one of them are at hand.

    At most two files are opened, whatever the size of the weights.
    """
    place = _place(paths)
    if place is None:
        return ModelDescription(
            kind=OPAQUE,
            parameters=parameters or {},
            transform_digest=transform_digest,
            schema_digest=schema_digest,
        )
    found = _read(open_file, place + GRAPH_FILE, _graph_file, _LARGEST)
    index = place + INDEX_FILE
    return ModelDescription(
        tags=found.tags,
        signatures=found.signatures,
        operations=found.operations,
        variables=_read(open_file, index, tensor_bundle.variables, _LARGEST_INDEX) if index in paths else {},
        parameters=parameters or {},
        transform_digest=transform_digest,
        schema_digest=schema_digest,
    )


@dataclass(frozen=True)
class _GraphFile:
    tags: tuple[str, ...]
    signatures: Mapping[str, Signature]
    operations: Mapping[str, int]


def _place(paths: Collection[str]) -> str | None:
    for place in PLACES:
        if place + GRAPH_FILE in paths:
            return place
        for name in OTHER_FORMS:
            if place + name in paths:
                raise InvalidInputError(
                    f"{place + name} is a form of SavedModel that is not read here. Export the model as "
                    f"{GRAPH_FILE}, or give a description with --description."
                )
    return None


def _read(open_file: Open, path: str, parse: Callable[[bytes], T], largest: int) -> T:
    with open_file(path) as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise InvalidInputError(f"{path} has more than {largest >> 20:,} MiB, so it is no SavedModel's file.")
    try:
        with reading():
            return parse(data)
    except (WireError, InvalidInputError) as error:
        told = str(error).rstrip(".")
        raise InvalidInputError(
            f"{path} cannot be read as part of a SavedModel: {told}. Copy or export the model again."
        ) from error


def _graph_file(data: bytes) -> _GraphFile:
    tags, meta_graph = _serving_graph(whole(data))
    graph = meta_graph.message(2)
    signatures: dict[str, Signature] = {}
    roots: list[str] = []
    tensors = 0
    for key, message in _map(meta_graph.messages(5, _MOST_SIGNATURES, "signatures")):
        if key not in _PSEUDO:
            signatures[key] = one = _signature(message)
            tensors += len(one.inputs) + len(one.outputs)
            if tensors > _MOST_TENSORS:
                raise WireError(f"the signatures have more than {_MOST_TENSORS:,} inputs and outputs")
            roots += _output_tensors(message)
    return _GraphFile(tags, signatures, operations(graph, roots if signatures else None))


def _serving_graph(saved_model: Span) -> tuple[tuple[str, ...], Span]:
    """The only graph whatever its tags, else the one tagged `serve` alone, else one that is tagged so too."""
    graphs = [
        (tuple(sorted(tag.text() for tag in graph.message(1).messages(4, _MOST_TAGS, "tags"))), graph)
        for graph in saved_model.messages(2, _MOST_GRAPHS, "graphs")
    ]
    if not graphs:
        raise WireError("it holds no graph")
    if len(graphs) == 1:
        return graphs[0]
    for wanted in ((SERVE,), *sorted(tags for tags, _ in graphs if SERVE in tags)):
        for tags, graph in graphs:
            if tags == wanted:
                return tags, graph
    names = listed((f"({plain(' '.join(tags))})" for tags, _ in graphs), 3)
    raise WireError(f"it holds several graphs with the tags {names}, and none is tagged {SERVE}")


def _signature(message: Span) -> Signature:
    inputs = {name: _tensor(info) for name, info in _map(message.messages(1, _MOST_TENSORS, "inputs"))}
    outputs = {name: _tensor(info) for name, info in _map(message.messages(2, _MOST_TENSORS, "outputs"))}
    defaults = {name for name, _ in _map(message.messages(4, _MOST_TENSORS, "defaults"))}
    return Signature(inputs, outputs, frozenset(defaults & set(inputs)), message.message(3).text())


def _map(entries: Iterator[Span]) -> Iterator[tuple[str, Span]]:
    for entry in entries:
        yield entry.message(1).text(), entry.message(2)


def _tensor(info: Span) -> TensorSpec:
    kind: TensorKind = "dense"
    dtype, shape = 0, Span(info.data, info.stop, info.stop)
    for number, value in info.fields():
        if number == 2 and isinstance(value, int):
            dtype = value
        elif number == 3 and isinstance(value, Span):
            shape = value
        elif number == 4:
            kind = "sparse"
        elif number == 5 and isinstance(value, Span):
            return _composite(value.message(1))
    return TensorSpec(dtype_name(dtype), shape_of(shape), kind)


def _composite(spec: Span) -> TensorSpec:
    """A TypeSpecProto: shape and type of a sparse or ragged one, the name of the class of any other."""
    kind: TensorKind = _KINDS.get(spec.number(1), "composite")
    shape = dtype = None
    for value in spec.message(2).message(52).messages(1):
        for number, part in value.fields():
            if number == 31 and isinstance(part, Span) and shape is None:
                shape = part
            elif number == 32 and isinstance(part, int) and dtype is None:
                dtype = part
    if kind == "composite" or dtype is None:
        return TensorSpec(spec.message(3).text() or kind, None, kind)
    return TensorSpec(dtype_name(dtype), None if shape is None else shape_of(shape), kind)


def _output_tensors(signature: Span) -> list[str]:
    return [name for _, info in _map(signature.messages(2)) for name in _tensor_names(info)]


def _tensor_names(info: Span, depth: int = 0) -> Iterator[str]:
    """The graph's tensors that make up an output: one, the three of a sparse one, or a composite's parts."""
    if depth > _DEEPEST:
        raise WireError(f"the composite tensor at byte {info.start} is nested too deeply")
    for number, value in info.fields():
        if not isinstance(value, Span):
            continue
        if number == 1:
            yield value.text()
        elif number == 4:
            yield from (part.text() for field in (1, 2, 3) for part in value.messages(field))
        elif number == 5:
            for part in value.messages(2):
                yield from _tensor_names(part, depth + 1)
