"""Records in files, as two writers frame them: TFRecord (TensorFlow) and the log of LevelDB (Weights & Biases).

A file that is still written, or whose writer died, ends within a record: what is whole before it counts. A record that
is damaged before the end is refused, for nothing behind it can be trusted.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tfx_pedigree.errors import DamagedError, InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.versioning.tfrecord import HEAD, SUM, masked_crc

# Stated in docs/limits.md.
MOST_RECORDS = 1_000_000
LARGEST_RECORD = 16 << 20

_BLOCK = 32 << 10
_CHUNK = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


class Record:
    """A TFRecord as it lies in its file. Its sum is looked at by who uses it: most are not used, and Python is slow."""

    def __init__(self, data: bytes, sum_of_it: int, place: str) -> None:
        self.data, self._sum, self._place = data, sum_of_it, place

    def check(self) -> None:
        if masked_crc(self.data) != self._sum:
            raise DamagedError(f"{self._place} is damaged: its checksum is another one. Copy the file again.")


def tfrecords(file: Path) -> Iterator[Record]:
    """All whole records; of those that are larger than the limit, as pictures and graphs may be, nothing is read."""
    with _opened(file) as opened:
        size, at = os.fstat(opened.fileno()).st_size, 0
        for _ in range(MOST_RECORDS + 1):
            head = opened.read(HEAD.size)
            if len(head) < HEAD.size or not any(head):  # zeros are what a crash of the machine leaves
                return
            length, crc = HEAD.unpack(head)
            if masked_crc(head[:8]) != crc:
                raise DamagedError(f"{file} is no file of TFRecords, or damaged, at byte {at}. Copy the file again.")
            end = at + HEAD.size + length + SUM.size
            if end > size:
                return
            if length > LARGEST_RECORD:
                opened.seek(end)
            else:
                data, tail = opened.read(length), opened.read(SUM.size)
                if len(tail) < SUM.size:
                    return
                yield Record(data, SUM.unpack(tail)[0], f"The record at byte {at} of {file}")
            at = end
        raise InvalidInputError(f"{file} holds more than {MOST_RECORDS:,} records, and more are not read.")


def leveldb_records(file: Path, header: int) -> Iterator[bytes]:
    """The records behind the file's own `header` of so many bytes, which is part of the first block."""
    parts: bytearray | None = None
    count = 0
    for kind, data, place in _chunks(file, header):
        if (parts is None) != (kind in (_FULL, _FIRST)):
            raise DamagedError(f"{place} is damaged: the parts of a record are not in order. Copy the file again.")
        parts = bytearray(data) if parts is None else parts + data
        if len(parts) > LARGEST_RECORD:
            raise InvalidInputError(
                f"{place} is part of a record of more than {LARGEST_RECORD >> 20} MiB, and a larger one is not read."
            )
        if kind in (_FULL, _LAST):
            count += 1
            if count > MOST_RECORDS:
                raise InvalidInputError(f"{file} holds more than {MOST_RECORDS:,} records, and more are not read.")
            yield bytes(parts)
            parts = None


def _chunks(file: Path, header: int) -> Iterator[tuple[int, bytes, str]]:
    """Kind, bytes and place of each part of a record. A block ends with zeros where no further part has room."""
    with _opened(file) as opened:
        base, at = 0, header
        while block := opened.read(_BLOCK):
            while len(block) - at >= _CHUNK.size:
                crc, length, kind = _CHUNK.unpack_from(block, at)
                if kind == 0 and length == 0:
                    break
                end = at + _CHUNK.size + length
                if end > len(block) and len(block) < _BLOCK:
                    return
                place = f"The part at byte {base + at} of {file}"
                data = block[at + _CHUNK.size : end]
                if end > len(block) or not _FULL <= kind <= _LAST or zlib.crc32(data, zlib.crc32(bytes([kind]))) != crc:
                    raise DamagedError(f"{place} is damaged: its checksum is another one. Copy the file again.")
                yield kind, data, place
                at = end
            base, at = base + len(block), 0


def _opened(file: Path) -> BinaryIO:
    """A file, and nothing that would keep its reader waiting, as a pipe does."""
    try:
        if not file.is_file():
            raise NotFoundError(f"There is no file {file}.")
        return file.open("rb")
    except OSError as error:
        raise UnavailableError(f"{file} cannot be read: {error.strerror}.") from error
