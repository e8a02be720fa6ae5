"""A second, independent reader and writer of SavedModels: the protobuf package, with messages declared here.

Only tests use it. The fields are TensorFlow's; the messages live in a pool of their own, so that they do not clash
with TensorFlow's where that is loaded as well.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TYPES = {
    "int64": 3,
    "int32": 5,
    "bool": 8,
    "string": 9,
    "bytes": 12,
    "float": 2,
}
_MESSAGES = {
    "SavedModel": {"saved_model_schema_version": (1, "int64"), "meta_graphs": (2, "*MetaGraphDef")},
    "MetaGraphDef": {
        "meta_info_def": (1, "MetaInfoDef"),
        "graph_def": (2, "GraphDef"),
        "signature_def": (5, "{SignatureDef}"),
    },
    "MetaInfoDef": {"tags": (4, "*string"), "tensorflow_version": (5, "string")},
    "GraphDef": {"node": (1, "*NodeDef"), "library": (2, "FunctionDefLibrary")},
    "FunctionDefLibrary": {"function": (1, "*FunctionDef")},
    "FunctionDef": {"signature": (1, "OpDef"), "node_def": (3, "*NodeDef")},
    "OpDef": {"name": (1, "string")},
    "NodeDef": {
        "name": (1, "string"),
        "op": (2, "string"),
        "input": (3, "*string"),
        "device": (4, "string"),
        "attr": (5, "{AttrValue}"),
    },
    "AttrValue": {
        "list": (1, "ListValue"),
        "s": (2, "bytes"),
        "i": (3, "int64"),
        "f": (4, "float"),
        "b": (5, "bool"),
        "type": (6, "int32"),
        "shape": (7, "TensorShapeProto"),
        "tensor": (8, "TensorProto"),
        "func": (10, "NameAttrList"),
    },
    "ListValue": {
        "s": (2, "*bytes"),
        "i": (3, "*int64"),
        "f": (4, "*float"),
        "type": (6, "*int32"),
        "func": (9, "*NameAttrList"),
    },
    "NameAttrList": {"name": (1, "string")},
    "TensorProto": {"dtype": (1, "int32"), "tensor_content": (4, "bytes")},
    "TensorShapeProto": {"dim": (2, "*Dim"), "unknown_rank": (3, "bool")},
    "Dim": {"size": (1, "int64"), "name": (2, "string")},
    "SignatureDef": {
        "inputs": (1, "{TensorInfo}"),
        "outputs": (2, "{TensorInfo}"),
        "method_name": (3, "string"),
        "defaults": (4, "{TensorProto}"),
    },
    "TensorInfo": {
        "name": (1, "string"),
        "dtype": (2, "int32"),
        "tensor_shape": (3, "TensorShapeProto"),
        "coo_sparse": (4, "CooSparse"),
        "composite_tensor": (5, "CompositeTensor"),
    },
    "CooSparse": {
        "values_tensor_name": (1, "string"),
        "indices_tensor_name": (2, "string"),
        "dense_shape_tensor_name": (3, "string"),
    },
    "CompositeTensor": {"type_spec": (1, "TypeSpecProto"), "components": (2, "*TensorInfo")},
    "TypeSpecProto": {
        "type_spec_class": (1, "int32"),
        "type_state": (2, "StructuredValue"),
        "type_spec_class_name": (3, "string"),
    },
    "StructuredValue": {
        "tensor_shape_value": (31, "TensorShapeProto"),
        "tensor_dtype_value": (32, "int32"),
        "tuple_value": (52, "TupleValue"),
    },
    "TupleValue": {"values": (1, "*StructuredValue")},
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="pedigree_tests.proto", package="pedigree_tests", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    return file


def _add_field(message: Any, name: str, number: int, kind: str) -> None:
    repeated = kind[0] in "*{"
    field = message.field.add(name=name, number=number, label=3 if repeated else 1)
    kind = kind.strip("*{}") if kind[0] != "{" else _map_entry(message, name, kind.strip("{}"))
    if kind in _TYPES:
        field.type = _TYPES[kind]
    else:
        field.type, field.type_name = 11, f".pedigree_tests.{kind}"


def _map_entry(message: Any, name: str, value: str) -> str:
    entry = message.nested_type.add(name="".join(part.title() for part in name.split("_")) + "Entry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=1, type=9)
    entry.field.add(name="value", number=2, label=1, type=11, type_name=f".pedigree_tests.{value}")
    return f"{message.name}.{entry.name}"


def _message_class(name: str) -> Any:
    descriptor = _POOL.FindMessageTypeByName(f"pedigree_tests.{name}")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(_POOL).GetPrototype(descriptor)  # protobuf 3


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file()) if not hasattr(_POOL, "AddSerializedFile") else _POOL.AddSerializedFile(_file().SerializeToString())
SavedModel = _message_class("SavedModel")
