"""The small reader of wire.py against the protobuf package, on messages that hypothesis makes."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from saved_model_messages import SavedModel
from versioning_testing import LETTERS, SAVED_MODELS, quick

from tfx_pedigree.versioning import describe_files
from tfx_pedigree.versioning.tensors import dtype_name
from tfx_pedigree.versioning.wire import Span, signed, varint, whole

_DIMENSIONS = st.one_of(st.just(-1), st.integers(0, 2**53 - 1))
_SHAPES = st.one_of(st.none(), st.lists(_DIMENSIONS, max_size=4))
_TENSORS = st.tuples(st.integers(0, 130), _SHAPES, st.sampled_from(["name", "coo_sparse"]))
_TABLES = st.dictionaries(st.text(LETTERS, max_size=200), _TENSORS, max_size=4)
_SIGNATURES = st.dictionaries(
    st.text(LETTERS, max_size=20), st.tuples(_TABLES, _TABLES, st.text(LETTERS, max_size=9)), max_size=3
)


def _fill(infos: Any, table: dict[str, Any]) -> None:
    for name, (dtype, shape, encoding) in table.items():
        info = infos[name]
        info.dtype = dtype
        if encoding == "name":
            info.name = "node:0"
        else:
            info.coo_sparse.values_tensor_name = info.coo_sparse.indices_tensor_name = "node:1"
            info.coo_sparse.dense_shape_tensor_name = "node:2"
        info.tensor_shape.unknown_rank = shape is None
        for size in shape or ():
            info.tensor_shape.dim.add(size=size)


def _expected(table: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (
            dtype_name(dtype),
            None if shape is None else tuple(None if size == -1 else size for size in shape),
            "dense" if encoding == "name" else "sparse",
        )
        for name, (dtype, shape, encoding) in table.items()
    }


@quick
@given(_SIGNATURES)
def test_signatures_are_read_as_protobuf_wrote_them(signatures: dict[str, Any]) -> None:
    model = SavedModel(saved_model_schema_version=1)
    graph = model.meta_graphs.add()
    graph.graph_def.node.add(name="node", op="Relu")
    for name, (inputs, outputs, method) in signatures.items():
        _fill(graph.signature_def[name].inputs, inputs)
        _fill(graph.signature_def[name].outputs, outputs)
        graph.signature_def[name].method_name = method
        for key in list(inputs)[:1]:
            graph.signature_def[name].defaults[key].dtype = 1
    data = model.SerializeToString()
    found = describe_files(lambda _: io.BytesIO(data), ["saved_model.pb"]).signatures
    assert set(found) == set(signatures)
    for name, (inputs, outputs, method) in signatures.items():
        sides = found[name].inputs, found[name].outputs
        read = [{key: (one.dtype, one.shape, one.kind) for key, one in side.items()} for side in sides]
        assert read == [_expected(inputs), _expected(outputs)]
        assert (found[name].method, found[name].optional) == (method, set(list(inputs)[:1]))


def test_every_recorded_model_is_walked_as_protobuf_reads_it() -> None:
    for folder in SAVED_MODELS:
        data = (folder / "saved_model.pb").read_bytes()
        model = SavedModel.FromString(data)
        graphs = list(whole(data).messages(2))
        assert len(graphs) == len(model.meta_graphs)
        for span, graph in zip(graphs, model.meta_graphs, strict=True):
            nodes = list(span.message(2).messages(1))
            assert [_texts(node) for node in nodes] == [
                [node.name, node.op, *node.input] for node in graph.graph_def.node
            ]
            functions = list(span.message(2).message(2).messages(1))
            assert [one.message(1).message(1).text() for one in functions] == [
                one.signature.name for one in graph.graph_def.library.function
            ]


def _texts(node: Span) -> list[str]:
    return [value.text() for number, value in node.fields() if number in (1, 2, 3) and isinstance(value, Span)]


@quick
@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_read_as_protobuf_writes_them(value: int) -> None:
    data = SavedModel(saved_model_schema_version=value).SerializeToString()
    if value:
        assert signed(varint(data, 1, len(data))[0]) == value
    assert whole(data).number(1) == value
