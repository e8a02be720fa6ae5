"""A SavedModel as a server would run it: serialized examples in, one number for each out.

A model whose signature takes features instead of serialized examples is fed with the features of the same names, if
each of them has a known shape. Of several outputs the one named is the prediction, else the one that TFMA would take.
"""

from __future__ import annotations

import contextlib
import gc
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import message

from tfx_pedigree.errors import DamagedError, InvalidInputError
from tfx_pedigree.tfx_components import files
from tfx_pedigree.tfx_components.version_comparator.needed_functions import without_other_functions
from tfx_pedigree.versioning.saved_model import GRAPH_FILE, OTHER_FORMS

DEFAULT_SIGNATURE = "serving_default"
# What TFMA takes of several outputs where none is named, in its order.
_CONVENTIONAL = ("scores", "outputs", "predictions", "logistic", "probabilities", "logits")
# What reading a damaged SavedModel ends in depends on which bit is wrong.
_UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    message.DecodeError,
    tf.errors.OpError,
)
_LONGEST = 300
# What lies in larger ones is mostly constants, which the rewriting would copy.
_LARGEST_GRAPH = 64 << 20
_WHERE = ("Traceback", "File ", "Detected at", "<", "[[", "{{")


@dataclass(frozen=True)
class ServingSignature:
    """What to call and what to take of the answer; empty means the usual one. `preprocessing` names functions of the
    challenger that make a label which the examples do not have."""

    signature: str = ""
    output: str = ""
    preprocessing: tuple[str, ...] = ()


class ServedModel:
    """A loaded model. Calling it from several threads at once is safe."""

    def __init__(self, folder: str, target: ServingSignature) -> None:
        """DamagedError if the files cannot be loaded, InvalidInputError if the signature is not there or of no use.

        Functions that the signature does not reach are not looked at; every variable is read.
        """
        name = target.signature or DEFAULT_SIGNATURE
        try:
            with _without_collections():
                loaded = _load(folder, {name, *target.preprocessing})
        except _UNREADABLE as error:
            # Without the path, which is another one in each run: the reason becomes part of the evidence.
            said = first_line(error).replace(folder.rstrip("/"), "its folder")
            raise DamagedError(f"its SavedModel cannot be loaded: {said}") from error
        if name not in loaded.signatures:
            there = ", ".join(sorted(loaded.signatures)) or "none"
            raise InvalidInputError(f"it has no signature '{name}' (it has: {there})")
        self._loaded = loaded  # a signature does not keep its model's variables alive
        self._function = loaded.signatures[name]
        self._inputs: Mapping[str, Any] = self._function.structured_input_signature[1]
        self._serialized = _serialized_input(self._inputs)
        self._features = None if self._serialized else _features(name, self._inputs)
        self._output = _output(name, target.output, self._function.structured_outputs)
        self._preprocessing = target.preprocessing

    def inputs(self, examples: Any) -> dict[str, Any]:
        """What the signature is called with for these serialized examples."""
        if self._serialized:
            return {self._serialized: examples}
        parsed = tf.io.parse_example(examples, self._features)
        return {name: tf.cast(value, self._inputs[name].dtype) for name, value in parsed.items()}

    def run(self, inputs: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        """All that the signature gives is computed; the prediction comes back as it is."""
        found: np.ndarray[Any, Any] = self._function(**inputs)[self._output].numpy()
        return found

    def predict(self, examples: Any) -> np.ndarray[Any, Any]:
        """A row of numbers per example. InvalidInputError where the answer has another number of rows."""
        found = self.run(self.inputs(examples))
        rows = int(examples.shape[0])
        if found.ndim == 0 or found.shape[0] != rows:
            raise InvalidInputError(f"it gives predictions of the shape {found.shape} for {rows} examples")
        return found.reshape(rows, -1).astype(np.float64)

    def transformed(self, examples: Any) -> dict[str, Any]:
        """What the model's own preprocessing makes of the examples: where a label comes from that no example has."""
        found: dict[str, Any] = {}
        for name in self._preprocessing:
            function = (
                self._loaded.signatures[name] if name in self._loaded.signatures else getattr(self._loaded, name, None)
            )
            if function is None:
                raise InvalidInputError(f"it has no function '{name}', which the evaluation names for preprocessing")
            if hasattr(function, "structured_input_signature") and function.structured_input_signature[1]:
                found |= function(**{next(iter(function.structured_input_signature[1])): examples})
            else:
                found |= function(examples)
        return found


def _load(folder: str, signatures: Collection[str]) -> Any:
    """No more than these signatures need, where that is known; else, and to say what is wrong, all of the model."""
    whole = Path(folder)
    if not files.is_remote(folder) and not any((whole / name).exists() for name in OTHER_FORMS):
        with contextlib.suppress(*_UNREADABLE), tempfile.TemporaryDirectory(prefix="pedigree-") as smaller:
            if _make_smaller(whole, Path(smaller), signatures):
                return tf.saved_model.load(smaller)
    return tf.saved_model.load(folder)


def _make_smaller(folder: Path, target: Path, signatures: Collection[str]) -> bool:
    graph = folder / GRAPH_FILE
    found = without_other_functions(graph.read_bytes(), signatures) if graph.stat().st_size <= _LARGEST_GRAPH else None
    if found is None:
        return False
    (target / GRAPH_FILE).write_bytes(found)
    for other in folder.iterdir():
        if other.name != GRAPH_FILE:
            (target / other.name).symlink_to(other.resolve())
    return True


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Loading makes so many objects that Python looks through all of TFX's for garbage, which takes as long again."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def first_line(error: BaseException) -> str:
    """What a person can use of TensorFlow's messages, which begin with where in the graph something happened."""
    lines = [line.strip() for line in str(error).splitlines()]
    text = next((line for line in lines if line and not line.endswith(":") and not line.startswith(_WHERE)), "")
    text = (text or type(error).__name__).rstrip(".")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _serialized_input(inputs: Mapping[str, Any]) -> str | None:
    if len(inputs) != 1:
        return None
    ((name, spec),) = inputs.items()
    takes = isinstance(spec, tf.TensorSpec) and spec.dtype == tf.string and spec.shape.rank in (None, 1)
    return name if takes else None


def _features(signature: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, spec in inputs.items():
        shape = spec.shape[1:] if isinstance(spec, tf.TensorSpec) and spec.shape.rank else None
        dtype = _parsed_as(spec.dtype) if isinstance(spec, tf.TensorSpec) else None
        if shape is None or dtype is None or not shape.is_fully_defined():
            raise InvalidInputError(
                f"its signature '{signature}' takes no serialized examples, and its input '{name}' is none that could "
                "be filled from the feature of that name"
            )
        found[name] = tf.io.FixedLenFeature(shape, dtype)
    return found


def _parsed_as(dtype: Any) -> Any | None:
    if dtype.is_floating:
        return tf.float32
    if dtype.is_integer or dtype == tf.bool:
        return tf.int64
    return tf.string if dtype == tf.string else None


def _output(signature: str, wanted: str, outputs: Mapping[str, Any]) -> str:
    if wanted and wanted not in outputs:
        there = ", ".join(sorted(outputs))
        raise InvalidInputError(f"its signature '{signature}' has no output '{wanted}' (it has: {there})")
    one = wanted or (next(iter(outputs)) if len(outputs) == 1 else "")
    one = one or next((name for name in _CONVENTIONAL if name in outputs), "")
    if not one:
        raise InvalidInputError(
            f"its signature '{signature}' has the outputs {', '.join(sorted(outputs))}, and `prediction_key` does not "
            "say which of them is the prediction"
        )
    dtype = getattr(outputs[one], "dtype", None)
    if dtype is None or not (dtype.is_floating or dtype.is_integer):
        raise InvalidInputError(f"the output '{one}' of its signature '{signature}' is no number")
    return one
