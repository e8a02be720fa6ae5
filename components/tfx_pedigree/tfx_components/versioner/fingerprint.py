"""What data, schema and transform graph are, as digests. Free of TensorFlow.

Examples: ExampleGen shuffles, and protobuf writes the features of a row in any order, so the same rows give other
files each time. Their fingerprint is of the rows, whatever their order, that of their features, and the files they
lie in. Schema and transform graph have two digests: one of the files, which tells
whether they are the same, and one of their structure, which decides whether a new model was made differently. The
means, vocabularies and domains in them change with every month of data, and are no difference of making.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.versioning import describe

_GZIP = b"\x1f\x8b"
_HEAD = struct.Struct("<QI")
_CRC = 4
_FIELD_1 = 0x0A  # number 1, a length and then so many bytes
_LARGEST_RECORD = 1 << 31
_BLOCK = 1 << 18
_written = functools.lru_cache(struct.Struct("<Q").pack)


@dataclass(frozen=True)
class Rows:
    """`fingerprint` is the same for the same rows in any order. Not meant against somebody who forges rows."""

    fingerprint: str
    count: int


def fingerprint_rows(names: Iterable[str], open_file: Callable[[str], BinaryIO]) -> Rows | None:
    """Over files of TFRecords, gzipped or not. None if one of them holds something else."""
    total, count = 0, 0
    try:
        for name in names:
            with open_file(name) as raw:
                for record in records(raw):
                    total += int.from_bytes(hashlib.sha256(steady(record)).digest(), "big")
                    count += 1
    except (ValueError, EOFError, gzip.BadGzipFile):
        return None
    return Rows(digest_of(f"{count}:{total % (1 << 256):064x}".encode()), count)


def steady(record: bytes) -> bytes:
    """The features of a tf.Example in one order. What is none stays as it is."""
    try:
        features = _parts(record)
        entries = sorted(_parts(features[0])) if len(features) == 1 else []
    except (ValueError, IndexError):
        return record
    return b"".join([_written(len(entry)) + entry for entry in entries]) or record


def _parts(message: bytes) -> list[bytes]:
    """The values of a message that consists of field 1 alone, as Example and Features do: tag, length, value."""
    found = []
    start, end = 0, len(message)
    while start < end:
        if message[start] != _FIELD_1:
            raise ValueError("another field")
        length = message[start + 1]
        start += 2
        if length > 0x7F:
            length, start = _long(message, length & 0x7F, start)
        after = start + length
        found.append(message[start:after])
        start = after
    if start > end:
        raise ValueError("a value is cut off")
    return found


def _long(message: bytes, length: int, position: int) -> tuple[int, int]:
    """A length of several bytes, of which the first is known; and where the value begins."""
    shift = 7
    while True:
        byte = message[position]
        length |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return length, position


def records(raw: BinaryIO) -> Iterator[bytes]:
    start = raw.read(2)
    raw.seek(0)
    # Unpacked in blocks: each read of a GzipFile costs as much as the hash of a row.
    stream: Any = io.BufferedReader(gzip.GzipFile(fileobj=raw), _BLOCK) if start == _GZIP else raw  # type: ignore[arg-type]
    while head := stream.read(_HEAD.size):
        if len(head) < _HEAD.size:
            raise ValueError("a record is cut off")
        length, _ = _HEAD.unpack(head)
        if length > _LARGEST_RECORD:
            raise ValueError("not a record")
        record: bytes = stream.read(length)
        if len(record) < length or len(stream.read(_CRC)) < _CRC:
            raise ValueError("a record is cut off")
        yield record


def schema_structure(text: str) -> str:
    """The digest of names, types and shapes of the features, which is what a model is built on."""
    schema = schema_pb2.Schema()
    try:
        text_format.Parse(text, schema)
    except text_format.ParseError as error:
        raise InvalidInputError(f"The schema cannot be read: {error}.") from None
    return digest_of(canonical_json(_features(schema.feature)))


def _features(features: Iterable[Any]) -> dict[str, Any]:
    return {one.name: _feature(one) for one in features}


def _feature(feature: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"type": schema_pb2.FeatureType.Name(feature.type)}
    if feature.HasField("shape"):
        found["shape"] = [dimension.size for dimension in feature.shape.dim]
    if feature.HasField("struct_domain"):
        found["features"] = _features(feature.struct_domain.feature)
    return found


def transform_structure(folder: Path) -> str | None:
    """The digest of the transform graph's inputs, outputs and operations; None if there is none in the folder."""
    graph = folder / "transform_fn"
    return describe(graph).digest if graph.is_dir() else None
