"""Writes the SavedModels under tests/goldens/saved_models with the real TensorFlow. Run by hand, not by the tests.

    python tests/goldens/make_saved_models.py            # TensorFlow 2.16, Keras 3.6: all but the newer one
    python tests/goldens/make_saved_models.py newer      # TensorFlow 2.21, Keras 3.15: keras_tf_2_21

The bytes differ from run to run (Keras shuffles, TensorFlow numbers its functions), the descriptions must not.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent / "saved_models"


def fresh(name: str) -> str:
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    return str(folder)


def keras_model(name: str, seed: int, activation: str = "relu", widths: tuple[int, ...] = (4,)) -> None:
    """A regression model, trained for one epoch, exported as Keras 3 does it."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(width, activation=activation) for width in widths]
    model = keras.Sequential([keras.Input((3,), name="features"), *layers, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(seed).normal(size=(16, 3))
    model.fit(x, x.sum(axis=1), verbose=0)
    model.export(fresh(name), verbose=False)


class Flights(tf.Module):
    """Two signatures, several types, shapes of unknown rank and size, and an input with a default."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
        self.seen = tf.Variable(3, dtype=tf.int64, trainable=False)
        self.half = tf.Variable([1.0, 2.0, 3.0], dtype=tf.bfloat16)
        self.carriers = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["AA", "UA"], tf.constant([0, 1], tf.int64)), -1
        )

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2], tf.float32, name="x"),
            tf.TensorSpec(None, tf.string, name="carrier"),
            tf.TensorSpec([], tf.float64, name="scale"),
        ]
    )
    def predict(self, x, carrier, scale=tf.constant(1.0, tf.float64)):  # noqa: B008
        delay = tf.cast(tf.nn.relu(x @ self.weights), tf.float64) * scale
        return {"delay": delay, "carrier_id": self.carriers.lookup(carrier), "half": self.half}

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 1], tf.uint8, name="image")])
    def look(self, image):
        kernel = tf.ones([3, 3, 1, 2])
        seen = tf.nn.conv2d(tf.cast(image, tf.float32), kernel, strides=[1, 2, 2, 1], padding="SAME")
        return {"seen": tf.nn.leaky_relu(seen, alpha=0.3), "any": tf.reduce_any(image > 0, axis=[1, 2, 3])}


def module() -> None:
    flights = Flights()
    tf.saved_model.save(flights, fresh("module"), signatures={"serving_default": flights.predict, "look": flights.look})


def composite() -> None:
    """Written as TensorFlow 1 did: two graphs, sparse and ragged tensors, a partitioned variable, no functions."""
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        words = v1.sparse_placeholder(tf.float32, shape=[None, 6], name="words")
        stops = v1.ragged.placeholder(tf.int64, ragged_rank=1, value_shape=[], name="stops")
        table = v1.get_variable("table", [6, 2], partitioner=v1.fixed_size_partitioner(3, axis=0))
        logits = tf.sparse.sparse_dense_matmul(words, tf.concat(list(table), axis=0))
        info = v1.saved_model.utils.build_tensor_info
        signature = v1.saved_model.signature_def_utils.build_signature_def(
            inputs={"words": info(words), "stops": info(stops)},
            outputs={"logits": info(logits), "doubled": info(words * 2.0), "stops": info(stops + 1)},
            method_name="tensorflow/serving/predict",
        )
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(fresh("composite"))
        builder.add_meta_graph_and_variables(session, ["train"])
        builder.add_meta_graph(["serve"], signature_def_map={"serving_default": signature})
        builder.save()


def newer() -> None:
    keras_model("keras_tf_2_21", seed=1)


def all_but_the_newer() -> None:
    keras_model("keras", seed=1)
    keras_model("keras_retrained", seed=2)
    keras_model("keras_tanh", seed=1, activation="tanh")
    keras_model("keras_deeper", seed=1, widths=(4, 4))
    keras_model("keras_wider", seed=1, widths=(5,))
    module()
    composite()
    tf.saved_model.save(tf.Module(), fresh("bare"))


if __name__ == "__main__":
    newer() if sys.argv[1:] == ["newer"] else all_but_the_newer()
