"""From a flight's row to the model's features, for training and serving alike.

Packed alone by TFX: imports nothing of this project, gets its columns through `custom_config` (see columns.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft


def preprocessing_fn(inputs: Mapping[str, tf.SparseTensor], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Columns that the variant does not use, and the label, are left out: serving has no label."""
    config = custom_config["features"]
    outputs = {}
    for name, places in config["words"].items():
        outputs[name] = _word(_dense(inputs[name], ""), name, places)
    for name, (width, places) in config["steps"].items():
        outputs[name] = tf.clip_by_value(_dense(inputs[name], 0) // width, 0, places - 1)
    for name, (low, high, usual) in config["numbers"].items():
        outputs[name] = _number(_dense(inputs[name], float("nan")), low, high, usual)
    return outputs


def _dense(values: tf.SparseTensor, missing: Any) -> tf.Tensor:
    """One value for each row. More than one breaks the schema, and fails here."""
    shape = tf.stack([values.dense_shape[0], 1])
    return tf.sparse.to_dense(tf.SparseTensor(values.indices, values.values, shape), missing)


def _word(values: tf.Tensor, name: str, places: int) -> tf.Tensor:
    """Its place among the month's words; all that the month has not seen, or that is empty, share the one behind.

    The approximate vocabulary is exact where there are fewer words than places, and takes fewer stages of Beam.
    """
    return tft.experimental.compute_and_apply_approximate_vocabulary(
        values, top_k=places - 1, num_oov_buckets=1, vocab_filename=name
    )


def _number(values: tf.Tensor, low: float, high: float, usual: float) -> tf.Tensor:
    """Missing and infinite values become the usual one, so that they pull the prediction nowhere."""
    known = tf.where(tf.math.is_finite(values), values, tf.fill(tf.shape(values), usual))
    return tft.scale_to_z_score(tf.clip_by_value(known, low, high))
