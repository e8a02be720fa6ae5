"""What TensorFlow Serving's own messages read of the files that are written for it, and the model's answer to them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from components_testing import MODELS
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from tfx_pedigree.integrations import warmup_records
from tfx_pedigree.rollout.traffic.serving_config import ModelEntry, with_entry
from tfx_pedigree.versioning import ModelDescription, describe
from tfx_pedigree.versioning.description import Signature, TensorSpec

NUMBERS = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def played(content: bytes, tmp_path: Path) -> list[prediction_log_pb2.PredictionLog]:
    file = tmp_path / "requests"
    file.write_bytes(content)
    return [
        prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file))
    ]


def test_recorded_request_is_answered_by_the_model_as_the_same_numbers_are(tmp_path: Path) -> None:
    rows = [[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]]
    lines = "\n".join(json.dumps(one) for one in ({"instances": rows}, {"inputs": {"features": rows}}))
    logs = played(warmup_records(lines, "m", describe(MODELS / "keras")), tmp_path)
    signature = tf.saved_model.load(str(MODELS / "keras")).signatures["serving_default"]
    expected = signature(features=tf.constant(rows))["output_0"].numpy()
    for log in logs:
        request = log.predict_log.request
        assert (request.model_spec.name, request.model_spec.signature_name) == ("m", "serving_default")
        given = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        np.testing.assert_array_equal(signature(**given)["output_0"].numpy(), expected)
    assert len(logs) == 2


@pytest.mark.parametrize("dtype", [*NUMBERS, "bool", "string"])
def test_tensor_of_each_type_is_read_back(tmp_path: Path, dtype: str) -> None:
    description = ModelDescription(
        signatures={"serving_default": Signature({"x": TensorSpec(dtype, (None, 2)), "y": TensorSpec(dtype, ())}, {})}
    )
    values = {"bool": [True, False], "string": ["é", {"b64": base64.b64encode(b"\0\xff").decode()}]}
    row = values.get(dtype, [1, 0])
    [log] = played(warmup_records(json.dumps({"inputs": {"x": [row], "y": row[0]}}), "m", description), tmp_path)
    found = {name: tf.make_ndarray(tensor) for name, tensor in log.predict_log.request.inputs.items()}
    expected = ["é".encode(), b"\0\xff"] if dtype == "string" else row
    assert (found["x"].tolist(), found["y"].tolist()) == ([expected], expected[0])
    assert tf.dtypes.as_dtype(log.predict_log.request.inputs["x"].dtype).name == dtype


def test_config_file_is_what_was_meant_whatever_the_names_are() -> None:
    entry = ModelEntry('m"x\\', "/models/é\n", (3, 7), {"stable": 3, 'next"}': 7})
    text = with_entry("", entry, entry.name)
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config[0]
    assert (config.name, config.base_path, config.model_platform) == (entry.name, entry.base_path, "tensorflow")
    assert list(config.model_version_policy.specific.versions) == [3, 7]
    assert dict(config.version_labels) == dict(entry.labels)
