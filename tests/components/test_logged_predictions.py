"""What TensorFlow writes into a log of TensorFlow Serving is what is read of it without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfx_pedigree.rollout.response_log import LogPosition, ResponseLog

TYPES = ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")


def logged(sequence: int, **outputs: Any) -> prediction_log_pb2.PredictionLog:
    log = prediction_log_pb2.PredictionLog()
    for spec in (log.predict_log.request.model_spec, log.predict_log.response.model_spec):
        spec.name, spec.version.value = "m", sequence
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto([[1.0, 2.0]]))
    for name, tensor in outputs.items():
        log.predict_log.response.outputs[name].CopyFrom(tensor)
    return log


def read(tmp_path: Path, *logs: prediction_log_pb2.PredictionLog) -> list[Any]:
    file = tmp_path / "log"
    with tf.io.TFRecordWriter(str(file)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    found, _ = ResponseLog(file, {"m"}).read(LogPosition(0, 0))
    return [(one.version, one.outputs) for one in found]


@pytest.mark.parametrize("dtype", TYPES)
def test_outputs_of_each_type_are_read_as_they_were_computed(tmp_path: Path, dtype: str) -> None:
    kind = tf.dtypes.as_dtype(dtype)
    values = np.array([[0, 1, 2], [3, 3, 3]]).astype(kind.as_numpy_dtype)
    listed = tf.make_tensor_proto(values, dtype=kind)
    packed = tf.io.parse_tensor(tf.io.serialize_tensor(tf.constant(values)), kind)
    content = tf.make_tensor_proto(packed.numpy(), dtype=kind)
    content.tensor_content = values.tobytes()
    for field in ("half_val", "float_val", "double_val", "int_val", "int64_val", "uint32_val"):
        content.ClearField(field)
    scalar = tf.make_tensor_proto(values[1, 0], dtype=kind)
    expected = {"content": [[0, 1, 2], [3, 3, 3]], "listed": [[0, 1, 2], [3, 3, 3]], "scalar": 3}
    assert read(tmp_path, logged(7, listed=listed, content=content, scalar=scalar)) == [("7", expected)]


def test_texts_truths_and_repeated_values_are_read(tmp_path: Path) -> None:
    alike = tf.compat.v1.make_tensor_proto(0.5, shape=[2, 2], dtype=tf.float32)
    del alike.float_val[1:]
    outputs = {"text": tf.make_tensor_proto(["é", "b"]), "truth": tf.make_tensor_proto([True, False]), "alike": alike}
    expected = {"alike": [[0.5, 0.5], [0.5, 0.5]], "text": ["é", "b"], "truth": [True, False]}
    assert read(tmp_path, logged(7, **outputs)) == [("7", expected)]


def test_classifications_and_regressions_are_read(tmp_path: Path) -> None:
    log = prediction_log_pb2.PredictionLog()
    log.classify_log.response.model_spec.name, log.classify_log.response.model_spec.version.value = "m", 3
    row = log.classify_log.response.result.classifications.add()
    row.classes.add(label="late", score=0.25)
    other = prediction_log_pb2.PredictionLog()
    other.regress_log.request.model_spec.name, other.regress_log.request.model_spec.version.value = "m", 4
    other.regress_log.response.result.regressions.add(value=-2.5)
    assert read(tmp_path, log, other) == [("3", {"results": [[["late", 0.25]]]}), ("4", {"results": [-2.5]})]
