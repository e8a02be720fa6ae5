"""What is read of SavedModels that the real TensorFlow wrote (tests/goldens/make_saved_models.py).

PEDIGREE_UPDATE_GOLDENS=1 writes the expected descriptions anew.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import BinaryIO

import pytest
from saved_model_messages import SavedModel
from versioning_testing import GOLDENS, SAVED_MODELS

from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.versioning import Bump, ModelDescription, TensorSpec, compare, describe, describe_files

KERAS = GOLDENS / "saved_models" / "keras"


def saved_model(name: str) -> ModelDescription:
    return describe(GOLDENS / "saved_models" / name)


@pytest.mark.parametrize("folder", SAVED_MODELS, ids=lambda folder: folder.name)
def test_description_is_the_recorded_one(folder: Path) -> None:
    expected = GOLDENS / "descriptions" / f"{folder.name}.json"
    found = describe(folder)
    if os.environ.get("PEDIGREE_UPDATE_GOLDENS"):
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(json.dumps(found.to_json(), indent=2) + "\n")
    assert ModelDescription.from_json(json.loads(expected.read_text())) == found


def test_retraining_the_same_code_changes_nothing_but_weights() -> None:
    before, after = saved_model("keras"), saved_model("keras_retrained")
    assert before.digest == after.digest
    assert compare(before, after).bump == Bump.PATCH
    weights = "variables/variables.data-00000-of-00001"
    assert (KERAS / weights).read_bytes() != (GOLDENS / "saved_models/keras_retrained" / weights).read_bytes()


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ("keras_tanh", "operations changed in number: `Relu` 1 to 0 and `Tanh` 0 to 1"),
        ("keras_deeper", "operations changed in number: `AddV2` 2 to 3, `MatMul` 2 to 3 and `Relu` 1 to 2"),
        ("keras_wider", "variables: changed `variables/0` from float32 [3, 4] to float32 [3, 5]"),
        ("keras_tf_2_21", "operations changed in number: `AddV2` 2 to 1 and `BiasAdd` 0 to 1"),
    ],
)
def test_another_architecture_is_minor(other: str, reason: str) -> None:
    change = compare(saved_model("keras"), saved_model(other))
    assert change.bump == Bump.MINOR
    assert any(said.startswith(reason) for said in change.reasons)


def test_newer_tensorflow_gives_the_same_interface_and_variables() -> None:
    old, new = saved_model("keras"), saved_model("keras_tf_2_21")
    assert (old.signatures, old.variables, old.tags) == (new.signatures, new.variables, new.tags)


def test_input_with_a_default_is_optional() -> None:
    assert saved_model("module").signatures["serving_default"].optional == {"scale"}


def test_sparse_and_ragged_tensors_are_told_apart() -> None:
    signature = saved_model("composite").signatures["serving_default"]
    assert signature.inputs["words"] == TensorSpec("float32", (None, 6), "sparse")
    assert signature.inputs["stops"] == TensorSpec("int64", (None, None), "ragged")
    assert signature.outputs["logits"] == TensorSpec("float32", (None, 2), "dense")


def test_partitioned_variable_has_its_whole_shape_once() -> None:
    assert {name: one.shape for name, one in saved_model("composite").variables.items()} == {"table": (6, 2)}


def test_attributes_that_make_an_architecture_belong_to_an_operation() -> None:
    operations = saved_model("module").operations
    assert operations['Conv2D(padding="SAME", strides=[1, 2, 2, 1])'] == 1
    assert operations["LeakyRelu(alpha=0.3)"] == 1


def test_model_without_signatures_and_variables_is_legal() -> None:
    bare = saved_model("bare")
    assert (bare.signatures, bare.variables, bare.kind) == ({}, {}, "saved_model")


def test_what_is_known_from_elsewhere_is_kept() -> None:
    digest = "sha256:" + 64 * "1"
    found = describe(KERAS, parameters={"rate": 0.1}, transform_digest=digest, schema_digest=digest)
    assert (found.parameters, found.transform_digest, found.schema_digest) == ({"rate": 0.1}, digest, digest)
    with pytest.raises(InvalidInputError, match="parameter `layers`"):
        describe(KERAS, parameters={"layers": [4]})  # type: ignore[dict-item]


def test_files_of_a_store_are_read_without_a_folder_and_without_the_weights() -> None:
    opened = []

    def open_file(path: str) -> BinaryIO:
        opened.append(path)
        return io.BytesIO((KERAS / path).read_bytes())

    paths = [path.relative_to(KERAS).as_posix() for path in KERAS.rglob("*") if path.is_file()]
    assert describe_files(open_file, paths) == describe(KERAS)
    assert sorted(opened) == ["saved_model.pb", "variables/variables.index"]


def test_model_in_the_folder_that_tfx_makes_for_serving_is_found(tmp_path: Path) -> None:
    shutil.copytree(KERAS, tmp_path / "Format-Serving")
    assert describe(tmp_path) == describe(KERAS)


def test_folder_without_saved_model_is_opaque(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07")
    found = describe(tmp_path, parameters={"rate": 0.1})
    assert (found.kind, found.is_opaque, found.signatures) == ("opaque", True, {})
    assert found.parameters == {"rate": 0.1}


def test_no_folder_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is no folder"):
        describe(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["saved_model.pbtxt", "saved_model.cpb"])
def test_other_forms_are_refused_and_not_taken_for_opaque(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("saved_model_schema_version: 1")
    with pytest.raises(InvalidInputError, match=f"{name} is a form of SavedModel that is not read here"):
        describe(tmp_path)


def _with_graphs(tags: list[list[str]]) -> bytes:
    model = SavedModel()
    for index, names in enumerate(tags):
        graph = model.meta_graphs.add()
        graph.meta_info_def.tags.extend(names)
        graph.signature_def[f"from_{index}"].method_name = "predict"
    return model.SerializeToString()


def described(data: bytes) -> ModelDescription:
    return describe_files(lambda _: io.BytesIO(data), ["saved_model.pb"])


@pytest.mark.parametrize(
    ("tags", "chosen"),
    [
        ([["train"], ["serve"]], 1),
        ([["serve", "tpu"], ["serve"]], 1),
        ([["serve", "tpu"], ["train"]], 0),
        ([["serve", "tpu"], ["gpu", "serve"]], 1),
        ([["train"]], 0),
        ([[]], 0),
    ],
)
def test_graph_for_serving_is_chosen(tags: list[list[str]], chosen: int) -> None:
    found = described(_with_graphs(tags))
    assert list(found.signatures) == [f"from_{chosen}"]
    assert found.tags == tuple(sorted(tags[chosen]))


def test_several_graphs_of_which_none_is_for_serving_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"tags \(train\) and \(eval gpu\), and none is tagged serve"):
        described(_with_graphs([["train"], ["gpu", "eval"]]))


def test_pseudo_signatures_are_no_signatures() -> None:
    model = SavedModel()
    graph = model.meta_graphs.add()
    for name in ("__saved_model_init_op", "__saved_model_train_op", "real"):
        graph.signature_def[name].method_name = ""
    assert list(described(model.SerializeToString()).signatures) == ["real"]


def _graph_with_functions() -> SavedModel:
    """A signature that reaches `used`, which calls `helper`; `unused` is a trace that only training made."""
    model = SavedModel()
    graph = model.meta_graphs.add()
    graph.signature_def["s"].outputs["y"].name = "call:0"
    node = graph.graph_def.node.add(name="call", op="StatefulPartitionedCall", input=["x", "^side"])
    node.attr["f"].func.name = "used"
    graph.graph_def.node.add(name="x", op="Placeholder")
    graph.graph_def.node.add(name="side", op="HashTableV2")
    graph.graph_def.node.add(name="saver", op="SaveV2")
    for name, ops in {"used": ["MatMul", "If"], "helper": ["Relu"], "unused": ["ApplyAdam"]}.items():
        function = graph.graph_def.library.function.add()
        function.signature.name = name
        for op in ops:
            function.node_def.add(name=op, op=op)
    branches = graph.graph_def.library.function[0].node_def[1].attr["branches"].list.func
    branches.add(name="helper")
    branches.add(name="used")  # a function may call itself
    return model


def test_a_name_that_no_registry_can_hold_is_refused_with_its_file() -> None:
    model = SavedModel()
    graph = model.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    graph.signature_def["serving_default"].method_name = "predict\0"
    data = model.SerializeToString()
    with pytest.raises(InvalidInputError, match=r"^saved_model.pb cannot .*: Method holds the character zero"):
        describe_files(lambda _: io.BytesIO(data), ["saved_model.pb"])


def test_only_what_the_signatures_reach_is_counted() -> None:
    found = described(_graph_with_functions().SerializeToString())
    assert found.operations == {"MatMul": 1, "If": 1, "Relu": 1, "HashTableV2": 1}


def test_without_signatures_the_whole_graph_is_counted() -> None:
    model = _graph_with_functions()
    model.meta_graphs[0].signature_def.clear()
    counted = described(model.SerializeToString()).operations
    assert {"SaveV2", "ApplyAdam", "MatMul", "Relu"} <= set(counted)


def test_notes_and_large_constants_are_passed_over() -> None:
    model = _graph_with_functions()
    before = described(model.SerializeToString())
    matmul = model.meta_graphs[0].graph_def.library.function[0].node_def[0]
    matmul.device = "/device:GPU:0"
    matmul.attr["_output_shapes"].list.i.extend(range(1000))
    matmul.attr["value"].tensor.tensor_content = bytes(1 << 20)
    matmul.attr["shared_name"].s = b"\xff\xfe"
    matmul.attr["T"].type = 1
    assert described(model.SerializeToString()) == before


def test_attributes_are_said_as_json() -> None:
    model = _graph_with_functions()
    attributes = model.meta_graphs[0].graph_def.library.function[0].node_def[0].attr
    attributes["transpose_a"].b = True
    attributes["alpha"].f = 0.1
    attributes["num_buckets"].i = -3
    attributes["padding"].s = b'"\xff'
    attributes["strides"].list.i.extend([1, -2])
    attributes["dilations"].list.SetInParent()
    counted = described(model.SerializeToString()).operations
    name = next(name for name in counted if name.startswith("MatMul"))
    assert name == (
        r'MatMul(alpha=0.1, dilations=[], num_buckets=-3, padding="\"\\xff", strides=[1, -2], transpose_a=true)'
    )
