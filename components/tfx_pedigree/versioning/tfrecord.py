"""TFRecord, the frame in which TensorFlow writes records to files: length, checksum, bytes, checksum.

The checksums are CRC-32C, in plain Python: what is read here has kilobytes, seldom a megabyte.
"""

from __future__ import annotations

import re
import struct

HEAD = struct.Struct("<QI")
SUM = struct.Struct("<I")
# A head is believed up to this length; one beyond it is damage.
_LONGEST = 1 << 30
# How many places are tried, where a head must be searched for.
_MOST_TRIES = 50_000
# Heads of records below 16 MiB: the five high bytes of the length are zero.
_LIKE_HEAD = re.compile(rb"(?=.{3}\x00{5}.{4})", re.DOTALL)


def _crc_table() -> tuple[int, ...]:
    remainders = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        remainders.append(crc)
    return tuple(remainders)


_CRC = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32 with Castagnoli's polynomial."""
    crc, remainders = 0xFFFFFFFF, _CRC
    for byte in data:
        crc = crc >> 8 ^ remainders[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """As TFRecord and LevelDB store it, so that a checksum over bytes that hold a checksum stays a good one."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def framed(data: bytes) -> bytes:
    """One record as it lies in a file."""
    length = struct.pack("<Q", len(data))
    return length + SUM.pack(masked_crc(length)) + data + SUM.pack(masked_crc(data))


def length_at(data: bytes, at: int) -> int | None:
    """How long the record is whose head lies there; None where there is no head."""
    if len(data) - at < HEAD.size:
        return None
    length, crc = HEAD.unpack_from(data, at)
    return int(length) if length <= _LONGEST and masked_crc(data[at : at + 8]) == crc else None


def cut(data: bytes, left: int, longest: int) -> tuple[list[bytes], int]:
    """The whole records in `data`, and how far they go; `left` bytes are in the file from there on.

    What is damaged is passed over up to the next head, as is the rest of a record in whose middle `data` begins. One
    that is longer than `longest` is passed over whole.
    """
    found, at = [], 0
    while len(data) - at >= HEAD.size:
        length = length_at(data, at)
        if length is None:
            at = _next_head(data, at + 1)
            continue
        begin, end = at + HEAD.size, at + HEAD.size + length + SUM.size
        if end > left or (end > len(data) and length <= longest):
            break  # the rest of it is still to come, or to be read
        if length <= longest and SUM.unpack_from(data, end - SUM.size)[0] == masked_crc(data[begin : begin + length]):
            found.append(data[begin : begin + length])
        at = end
    return found, at


def _next_head(data: bytes, at: int) -> int:
    """Where the search goes on, if there is none within so many tries."""
    last = at
    for tries, match in enumerate(_LIKE_HEAD.finditer(data, at)):
        last = match.start()
        if tries >= _MOST_TRIES or length_at(data, last) is not None:
            return last
    return max(last, len(data) - HEAD.size + 1)
