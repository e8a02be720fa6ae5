"""What the reader says of models against what TensorFlow itself says of them, in one process with TensorFlow."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.versioning import Bump, ModelDescription, Signature, compare, describe
from tfx_pedigree.versioning import tensors as our_types
from tfx_pedigree.versioning.tensor_bundle import variables

GOLDENS = Path(__file__).parents[1] / "goldens" / "saved_models"
RECORDED = sorted(path.parent for path in GOLDENS.glob("*/saved_model.pb"))


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow

    return tensorflow


def check_agreement(tf: Any, folder: Path) -> ModelDescription:
    found = describe(folder)
    loaded = tf.saved_model.load(str(folder), tags=list(found.tags))
    assert set(found.signatures) == set(loaded.signatures)
    for name, signature in found.signatures.items():
        check_signature(tf, signature, loaded.signatures[name])
    check_variables(tf, found, folder)
    return found


def check_signature(tf: Any, ours: Signature, loaded: Any) -> None:
    inputs = dict(loaded.structured_input_signature[1])
    assert {name: (one.dtype, one.shape) for name, one in ours.inputs.items()} == {
        name: (spec.dtype.name, shape(spec)) for name, spec in inputs.items()
    }
    kinds = {tf.SparseTensorSpec: "sparse", tf.RaggedTensorSpec: "ragged"}
    for side, specs in ((ours.inputs, inputs), (ours.outputs, loaded.structured_outputs)):
        for name, one in side.items():
            assert one.kind == kinds.get(type(specs[name]), "dense")
    assert {name: (one.dtype, one.shape) for name, one in ours.outputs.items()} == {
        name: (spec.dtype.name, shape(spec)) for name, spec in loaded.structured_outputs.items()
    }


def shape(spec: Any) -> tuple[int | None, ...] | None:
    return None if spec.shape.rank is None else tuple(spec.shape.as_list())


def check_variables(tf: Any, found: ModelDescription, folder: Path) -> None:
    """Ours are TensorFlow's list without what is no variable; nothing else is missing."""
    reader = tf.train.load_checkpoint(str(folder / "variables/variables"))
    types, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
    theirs = {
        name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE"): (types[name].name, tuple(shapes[name]))
        for name in shapes
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH" and not name.startswith("_all_variables/")
    }
    assert {name: (one.dtype, one.shape) for name, one in found.variables.items()} == theirs


@pytest.mark.parametrize("name", [folder.name for folder in RECORDED if folder.name not in ("composite", "bare")])
def test_recorded_models(tf: Any, name: str) -> None:
    check_agreement(tf, GOLDENS / name)


def test_recorded_model_of_tensorflow_1(tf: Any) -> None:
    """The modern loader turns composite tensors into their parts, so the message itself is asked."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((GOLDENS / "composite/saved_model.pb").read_bytes())
    signature = model.meta_graphs[1].signature_def["serving_default"]
    utilities = tf.compat.v1.saved_model.utils
    with tf.compat.v1.Graph().as_default() as graph:
        tf.compat.v1.import_graph_def(model.meta_graphs[1].graph_def, name="")
        ours = describe(GOLDENS / "composite").signatures["serving_default"]
        for side, infos in ((ours.inputs, signature.inputs), (ours.outputs, signature.outputs)):
            assert set(side) == set(infos)
            for name, info in infos.items():
                tensor = utilities.get_tensor_from_tensor_info(info, graph)
                kinds = {tf.SparseTensor: "sparse", tf.RaggedTensor: "ragged"}
                assert side[name].kind == kinds.get(type(tensor), "dense")
                assert side[name].dtype == tensor.dtype.name
                assert side[name].shape is not None
                assert len(side[name].shape or ()) == tensor.shape.rank
    listed = dict(tf.train.list_variables(str(GOLDENS / "composite/variables/variables")))
    assert listed == {"table": [6, 2]}
    assert describe(GOLDENS / "composite").variables["table"].shape == (6, 2)


def module(tf: Any, layers: Callable[[Any], Any], width: int = 4, seed: int = 1) -> Any:
    """A model as a function of its layers; the same code with another seed is a retraining."""

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            random = tf.random.Generator.from_seed(seed)
            self.weights = tf.Variable(random.normal([3, width]))

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def __call__(self, x: Any) -> Any:
            return {"y": layers(x @ self.weights)}

        @tf.function
        def train(self, x: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(x @ self.weights)
            self.weights.assign_sub(0.1 * tape.gradient(loss, self.weights))
            return loss

    model = Model()
    for rows in range(1, 1 + seed):  # another number of rows makes another trace of the training function
        model.train(tf.ones([rows, 3]))
    return model


def save(tf: Any, model: Any, folder: Path) -> ModelDescription:
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.__call__})
    return check_agreement(tf, folder)


def test_retraining_the_same_code_gives_the_same_description(tf: Any, tmp_path: Path) -> None:
    one = save(tf, module(tf, tf.nn.relu, seed=1), tmp_path / "one")
    other = save(tf, module(tf, tf.nn.relu, seed=3), tmp_path / "other")
    assert one.digest == other.digest


@pytest.mark.parametrize("change", ["activation", "attribute", "layer", "width"])
def test_every_change_of_the_architecture_is_seen(tf: Any, tmp_path: Path, change: str) -> None:
    def leaky(alpha: float) -> Callable[[Any], Any]:
        return lambda x: tf.nn.leaky_relu(x, alpha)

    before = save(tf, module(tf, leaky(0.1)), tmp_path / "before")
    changed = {
        "activation": lambda: module(tf, tf.nn.tanh),
        "attribute": lambda: module(tf, leaky(0.3)),
        "layer": lambda: module(tf, lambda x: leaky(0.1)(leaky(0.1)(x))),
        "width": lambda: module(tf, leaky(0.1), width=5),
    }
    after = save(tf, changed[change](), tmp_path / "after")
    assert compare(before, after).bump == (Bump.MAJOR if change == "width" else Bump.MINOR)
    assert before.digest != after.digest


def test_keras_export_is_read_the_same_whenever_it_is_made(tf: Any, tmp_path: Path) -> None:
    """Keras shuffles one of its lists of variables in every export."""
    import keras

    digests = set()
    for seed in range(4):
        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((3,), name="features")
        hidden = keras.layers.BatchNormalization()(keras.layers.Dense(4, activation="relu")(inputs))
        model = keras.Model(inputs, {"delay": keras.layers.Dense(1)(hidden), "late": keras.layers.Dense(2)(hidden)})
        model.export(str(tmp_path / str(seed)), verbose=False)
        digests.add(check_agreement(tf, tmp_path / str(seed)).digest)
    assert len(digests) == 1


def test_types_and_shapes_of_every_kind(tf: Any, tmp_path: Path) -> None:
    names = [
        "float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
        "uint64", "bool", "string", "complex64", "complex128",
    ]  # fmt: skip
    shapes = [[], [None], [2, None], None, [None, 3, 1], [0]]

    class Model(tf.Module):
        @tf.function
        def __call__(self, **inputs: Any) -> Any:
            return {f"out_{name}": tf.identity(value) for name, value in inputs.items()}

    model = Model()
    specs = {name: tf.TensorSpec(shapes[index % 6], name, name=name) for index, name in enumerate(names)}
    tf.saved_model.save(model, str(tmp_path), signatures=model.__call__.get_concrete_function(**specs))
    found = check_agreement(tf, tmp_path)
    assert len(found.signatures["serving_default"].inputs) == len(names)


def test_names_of_types_are_tensorflows(tf: Any) -> None:
    from tensorflow.core.framework import types_pb2

    for number in types_pb2.DataType.values():
        if 0 < number < 100:
            assert our_types.dtype_name(number) == tf.dtypes.as_dtype(number).name
            assert our_types.dtype_name(number + 100) == tf.dtypes.as_dtype(number + 100).name


def test_field_numbers_are_tensorflows(tf: Any) -> None:
    from tensorflow.core.framework import attr_value_pb2, function_pb2, graph_pb2, node_def_pb2, tensor_shape_pb2
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2, struct_pb2, tensor_bundle_pb2

    expected: list[tuple[Any, dict[str, int]]] = [
        (saved_model_pb2.SavedModel, {"meta_graphs": 2}),
        (meta_graph_pb2.MetaGraphDef, {"meta_info_def": 1, "graph_def": 2, "signature_def": 5}),
        (meta_graph_pb2.MetaGraphDef.MetaInfoDef, {"tags": 4}),
        (meta_graph_pb2.SignatureDef, {"inputs": 1, "outputs": 2, "method_name": 3, "defaults": 4}),
        (
            meta_graph_pb2.TensorInfo,
            {"name": 1, "dtype": 2, "tensor_shape": 3, "coo_sparse": 4, "composite_tensor": 5},
        ),
        (
            meta_graph_pb2.TensorInfo.CooSparse,
            {"values_tensor_name": 1, "indices_tensor_name": 2, "dense_shape_tensor_name": 3},
        ),
        (meta_graph_pb2.TensorInfo.CompositeTensor, {"type_spec": 1, "components": 2}),
        (struct_pb2.TypeSpecProto, {"type_spec_class": 1, "type_state": 2, "type_spec_class_name": 3}),
        (struct_pb2.StructuredValue, {"tensor_shape_value": 31, "tensor_dtype_value": 32, "tuple_value": 52}),
        (struct_pb2.TupleValue, {"values": 1}),
        (tensor_shape_pb2.TensorShapeProto, {"dim": 2, "unknown_rank": 3}),
        (tensor_shape_pb2.TensorShapeProto.Dim, {"size": 1}),
        (graph_pb2.GraphDef, {"node": 1, "library": 2}),
        (function_pb2.FunctionDefLibrary, {"function": 1}),
        (function_pb2.FunctionDef, {"signature": 1, "node_def": 3}),
        (node_def_pb2.NodeDef, {"name": 1, "op": 2, "input": 3, "attr": 5}),
        (attr_value_pb2.AttrValue, {"list": 1, "s": 2, "i": 3, "f": 4, "b": 5, "func": 10}),
        (attr_value_pb2.AttrValue.ListValue, {"s": 2, "i": 3, "f": 4, "b": 5, "func": 9}),
        (attr_value_pb2.NameAttrList, {"name": 1}),
        (tensor_bundle_pb2.BundleEntryProto, {"dtype": 1, "shape": 2}),
    ]
    for message, numbers in expected:
        fields = message.DESCRIPTOR.fields_by_name
        assert {name: fields[name].number for name in numbers} == numbers
    assert struct_pb2.TypeSpecProto.SPARSE_TENSOR_SPEC == 1
    assert struct_pb2.TypeSpecProto.RAGGED_TENSOR_SPEC == 3


def test_entries_of_a_checkpoint_that_are_no_variables_are_left_out(tf: Any, tmp_path: Path) -> None:
    """Slots, lookup tables, slices and the checkpoint's own records, written with TensorFlow's own operation."""
    value = "/.ATTRIBUTES/VARIABLE_VALUE"
    entries: dict[str, tuple[Any, str]] = {
        "_CHECKPOINTABLE_OBJECT_GRAPH": (tf.constant("x"), ""),
        f"save_counter{value}": (tf.constant(1, tf.int64), ""),
        f"layer/kernel{value}": (tf.ones([3, 4]), ""),
        f"layer/kernel/.OPTIMIZER_SLOT/optimizer/m{value}": (tf.ones([3, 4]), ""),
        "table/.ATTRIBUTES/table-keys": (tf.constant(["a"]), ""),
        "table/.ATTRIBUTES/table-values": (tf.constant([1]), ""),
        "plain/name": (tf.ones([2]), ""),
        "parted": (tf.ones([2, 5]), "4 5 0,2:0,5"),
        "parted ": (tf.ones([2, 5]), "4 5 2,2:0,5"),
    }
    names = [name.strip() for name in entries]
    tensors = [tensor for tensor, _ in entries.values()]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "variables"),
        tensor_names=names,
        shape_and_slices=[slices for _, slices in entries.values()],
        tensors=tensors,
    )
    found = variables((tmp_path / "variables.index").read_bytes())
    assert {name: one.shape for name, one in found.items()} == {
        "layer/kernel": (3, 4),
        "plain/name": (2,),
        "parted": (4, 5),
    }
    listed = {name.removesuffix(value) for name, _ in tf.train.list_variables(str(tmp_path / "variables"))}
    assert set(found) <= listed


def test_index_of_many_blocks_is_read_whole(tf: Any, tmp_path: Path) -> None:
    names = [f"layer_{index}/" + "deep/" * (index % 7) + "kernel" for index in range(3000)]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "variables"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.zeros([index % 5], tf.int64) for index in range(len(names))],
    )
    found = variables((tmp_path / "variables.index").read_bytes())
    assert {name: list(one.shape) for name, one in found.items()} == dict(
        tf.train.list_variables(str(tmp_path / "variables"))
    )
    assert len(found) == 3000


def test_damaged_index_is_refused_as_tensorflow_refuses_it(tf: Any, tmp_path: Path) -> None:
    shutil.copytree(GOLDENS / "module", tmp_path / "copy")
    path = tmp_path / "copy/variables/variables.index"
    data = bytearray(path.read_bytes())
    data[20] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(tf.errors.OpError, match="checksum"):
        tf.train.list_variables(str(tmp_path / "copy/variables/variables"))
    with pytest.raises(InvalidInputError, match="does not agree with its checksum"):
        describe(tmp_path / "copy")
