"""The evaluation's examples: which files they are in, how to read them in batches, and the digest of what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tfx.components.util import examples_utils
from tfx.dsl.io import fileio

from tfx_pedigree.comparison import Data
from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.tfx_components import files
from tfx_pedigree.tfx_components.versioner.executor import span_of
from tfx_pedigree.tfx_components.versioner.fingerprint import fingerprint_rows

PAYLOAD = "FORMAT_TF_EXAMPLE"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Examples:
    """`unreadable` says why the files cannot be read as examples here, and is empty if they can."""

    split: str
    span: str | None
    files: tuple[str, ...]
    unreadable: str = ""

    @classmethod
    def of(cls, artifacts: Sequence[Any], split: str) -> Examples:
        found = files_of(artifacts, split)
        spans = {span_of(artifact) or "" for artifact in artifacts} - {""}
        return cls(split, ", ".join(sorted(spans)) or None, tuple(found), _unreadable(artifacts))

    def fingerprint(self) -> str:
        """Of the rows, in whatever order and files they are, so that the same data are known again in the next run. Of
        the files' content where that is no TFRecords."""
        rows = fingerprint_rows(self.files, files.open_binary)
        if rows is not None:
            return rows.fingerprint
        return digest_of(canonical_json(sorted(_sha256(path) for path in self.files)))

    def first(self, count: int) -> Any | None:
        """A batch of the first `count` serialized examples, fewer if there are not so many; None if there is none."""
        if self.unreadable:
            return None
        found: list[Any] = []
        for path in self.files:
            for batch in batches(path, count - len(found)):
                found.extend(batch.numpy())
                break
            if len(found) >= count:
                break
        return tf.constant(found) if found else None

    def data(self, examples: int | None) -> Data:
        return Data(self.split, self.span, self.fingerprint(), examples)


def files_of(artifacts: Sequence[Any], split: str) -> list[str]:
    try:
        patterns = examples_utils.get_split_file_patterns(list(artifacts), split)
    except ValueError as error:
        raise InvalidInputError(f"The examples have no split '{split}': {error}.") from error
    return sorted(path for pattern in patterns for path in fileio.glob(pattern) if not fileio.isdir(path))


def batches(path: str, size: int) -> Iterator[Any]:
    """Serialized examples as string tensors, `size` in each but the last. TensorFlow reads and unpacks them without
    Python touching a record, ten times as fast as Beam's own reader."""
    packed = "GZIP" if path.endswith(".gz") else ""
    return iter(tf.data.TFRecordDataset(path, compression_type=packed).batch(size).prefetch(1))


def labels(examples: Any, key: str, width: int = 1) -> np.ndarray[Any, Any]:
    """One label per example, or `width` of them where that is what examples have. NaN where an example has no label,
    another number of them, or a text."""
    rows = int(examples.shape[0])
    kind = _kind(examples, key)
    if kind is None:
        return np.full(rows, np.nan)
    parsed = tf.io.parse_example(examples, {key: tf.io.VarLenFeature(kind)})[key]
    owners, values = parsed.indices.numpy()[:, 0], parsed.values.numpy()
    counts = np.bincount(owners, minlength=rows)
    each = width if width > 1 and (counts == width).any() and not (counts == 1).any() else 1
    found = np.full((rows, each), np.nan)
    complete = counts == each
    found[complete] = values[complete[owners]].reshape(-1, each)
    return found if each > 1 else found[:, 0]


def _kind(examples: Any, key: str) -> Any | None:
    """As what the label was written, told by the first example that has it."""
    for one in _each(examples):
        feature = tf.train.Example.FromString(one).features.feature
        if key in feature:
            kind = feature[key].WhichOneof("kind")
            if kind is not None:
                return {"int64_list": tf.int64, "float_list": tf.float32}.get(kind)
    return None


def _each(examples: Any) -> Iterable[bytes]:
    found: Iterable[bytes] = examples.numpy()
    return found


def _unreadable(artifacts: Sequence[Any]) -> str:
    for artifact in artifacts:
        payload = examples_utils.get_payload_format_string(artifact)
        if payload != PAYLOAD:
            return f"the examples are {payload}, and only {PAYLOAD} is read here"
        form = examples_utils.get_file_format(artifact)
        if not form.startswith("tfrecord"):
            return f"the examples are in files of the form {form}, and only TFRecords are read here"
    return ""


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with files.open_binary(path) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
