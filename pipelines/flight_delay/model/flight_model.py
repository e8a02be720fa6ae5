"""The model: trains on a month's flights and exports what is served.

Packed alone by TFX: imports nothing of this project, gets its columns through `custom_config` (see columns.py).
The training rows go through the very graph that is exported, so that training and serving cannot differ.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.public.tfxio import TensorFlowDatasetOptions

PARSE_BATCH = 4096
WORD_WIDTH = 4


def run_fn(fn_args: Any) -> None:
    """Called by TFX's Trainer. Only the train split is read: a model never sees the rows it is judged by."""
    config = fn_args.custom_config
    # The same rows and the same seed give the same model: `pedigree reproduce` holds us to it.
    keras.utils.set_random_seed(config["seed"])
    tf.config.experimental.enable_op_determinism()
    transform = Transform(fn_args.transform_graph_path)
    options = TensorFlowDatasetOptions(batch_size=PARSE_BATCH, num_epochs=1, shuffle=False, label_key=config["label"])
    rows = fn_args.data_accessor.tf_dataset_factory(fn_args.train_files, options, transform.schema)
    data = rows.map(_plain(lambda columns, label: (transform(columns), label))).unbatch().cache()
    data = data.shuffle(config["shuffle_rows"], seed=config["seed"]).batch(config["batch_size"])
    model = build(config)
    # Step by step output would be one line for every 128 flights.
    model.fit(data.prefetch(tf.data.AUTOTUNE), epochs=config["epochs"], verbose=2)
    export(model, transform, config, fn_args.serving_model_dir)


def build(config: Mapping[str, Any]) -> keras.Model:
    """The same for the same columns: in the order of their names, since a configuration has none, and with a name for
    each layer, since Keras counts up unnamed ones over the life of a process."""
    features = config["features"]
    places = {**features["words"], **{name: step[1] for name, step in features["steps"].items()}}
    inputs, parts = {}, []
    for name, count in sorted(places.items()):
        inputs[name] = keras.Input((1,), name=name, dtype="int64")
        embedded = keras.layers.Embedding(count, min(count, WORD_WIDTH), name=f"{name}_embedding")(inputs[name])
        parts.append(keras.layers.Flatten(name=f"{name}_flat")(embedded))
    for name in sorted(features["numbers"]):
        inputs[name] = keras.Input((1,), name=name, dtype="float32")
        parts.append(inputs[name])
    hidden = keras.layers.Concatenate(name="features")(parts)
    for number, units in enumerate(config["hidden_units"], 1):
        hidden = keras.layers.Dense(units, activation="relu", name=f"hidden_{number}")(hidden)
    probability = keras.layers.Dense(1, activation="sigmoid", name="probability")(hidden)
    model = keras.Model(inputs, probability, name="flight_delay")
    model.compile(optimizer=keras.optimizers.Adam(config["learning_rate"]), loss="binary_crossentropy", metrics=["auc"])
    return model


def export(model: keras.Model, transform: Transform, config: Mapping[str, Any], folder: str) -> None:
    """Two ways in, one answer: serialized tf.Examples, as TFMA and batch jobs have them, and columns by name."""
    features = config["features"]
    optional = frozenset(features["optional"])
    # An argument with a default cannot stand before one without.
    names = sorted([*features["words"], *features["steps"], *features["numbers"]], key=lambda name: name in optional)
    types = {name: transform.types[name] for name in names}
    served = tf.Module(name="flight_delay")
    # What is not reachable from here is not saved; the vocabularies belong to the transform.
    served.model, served.transform = model, transform
    # Keras hides its variables from tf.Module. Functions would be saved with copies of them, and TensorFlow Serving,
    # which restores by name, would find the copies empty.
    served.weights = [variable.value for variable in model.variables]
    served.on_examples = _on_examples(model, transform, types)
    served.on_columns = _on_columns(model, transform, types, optional)
    signatures = {"serving_default": served.on_examples, "serving_raw": served.on_columns}
    tf.saved_model.save(served, folder, signatures=signatures)


class Transform(tf.Module):
    """The graph that tf.Transform wrote, without the Keras layer that it offers: saving that one takes longer than the
    training, and doubles the file."""

    def __init__(self, path: str) -> None:
        super().__init__(name="transform")
        output = tft.TFTransformOutput(path)
        self.schema = output.raw_metadata.schema
        self.types = {name: spec.dtype for name, spec in output.raw_feature_spec().items()}
        self.loaded = tf.saved_model.load(output.transform_savedmodel_dir)
        (self._inputs,), _ = self.loaded.transform_fn.structured_input_signature

    def __call__(self, columns: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Columns that it takes but does not use, as the label when serving, may be left out."""
        rows = next(column.dense_shape[0] for column in columns.values() if isinstance(column, tf.SparseTensor))
        return self.loaded.transform_fn(
            {name: columns[name] if name in columns else _nothing(spec, rows) for name, spec in self._inputs.items()}
        )


def _nothing(spec: Any, rows: tf.Tensor) -> tf.Tensor | tf.SparseTensor:
    if isinstance(spec, tf.SparseTensorSpec):
        return tf.SparseTensor(tf.zeros([0, 2], tf.int64), tf.zeros([0], spec.dtype), tf.stack([rows, 0]))
    return tf.zeros(tf.stack([rows, 1]), spec.dtype)


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Without AutoGraph, which would rewrite the code of Keras and tf.Transform for seconds, and finds nothing."""
    return tf.autograph.experimental.do_not_convert(function)


def _on_examples(
    model: keras.Model, transform: Transform, types: Mapping[str, tf.DType]
) -> Callable[..., dict[str, tf.Tensor]]:
    spec = {name: tf.io.VarLenFeature(dtype) for name, dtype in types.items()}

    def on_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probability": model(transform(tf.io.parse_example(examples, spec)))}

    return tf.function(
        on_examples, input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False
    )


def _on_columns(
    model: keras.Model, transform: Transform, types: Mapping[str, tf.DType], optional: frozenset[str]
) -> Callable[..., dict[str, tf.Tensor]]:
    """One named input for each column. The optional ones have a default, one value for all rows: missing."""

    def on_columns(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.size(values[0])
        columns = {name: _sparse(value, rows) for name, value in zip(types, values, strict=True)}
        return {"probability": model(transform(columns))}

    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=tf.constant([float("nan")]) if name in optional else inspect.Parameter.empty,
        )
        for name in types
    ]
    # TensorFlow takes the inputs' names and defaults from here.
    on_columns.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    signature = [tf.TensorSpec([None], dtype, name) for name, dtype in types.items()]
    return tf.function(on_columns, input_signature=signature, autograph=False)


def _sparse(values: tf.Tensor, rows: tf.Tensor) -> tf.SparseTensor:
    """The form in which the transform takes a column. NaN and the empty text stand for what is missing."""
    values = tf.broadcast_to(values, [rows])
    if values.dtype.is_floating:
        there = tf.math.is_finite(values)
    elif values.dtype == tf.string:
        there = values != ""
    else:
        there = tf.ones([rows], tf.bool)
    shape = tf.cast(tf.stack([rows, 1]), tf.int64)
    return tf.SparseTensor(tf.pad(tf.where(there), [[0, 0], [0, 1]]), tf.boolean_mask(values, there), shape)
