"""The wire format of protocol buffers: enough to read a few fields of a large message, and to skip the rest.

A SavedModel's graph can have hundreds of megabytes, nearly all of it constants and attributes that nobody here
needs. A general parser would build or copy all of it; this one walks over it and touches only what is asked for.
Its answers are tested against the protobuf package and against TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_SIZES = {1: 8, 5: 4}
_LENGTH_DELIMITED = 2
NUMBER = -1  # in place of an end: the field is a number


class WireError(ValueError):
    """The bytes are no well-formed message. Caught by those who know the file's name."""


class Span(NamedTuple):
    """A message, text or run of bytes inside a buffer that is not copied."""

    data: bytes
    start: int
    stop: int

    def raw(self) -> bytes:
        return self.data[self.start : self.stop]

    def text(self) -> str:
        try:
            return self.raw().decode()
        except UnicodeDecodeError as error:
            raise WireError(f"the text at byte {self.start} is not UTF-8") from error

    def fields(self) -> Iterator[tuple[int, int | Span]]:
        """Number and value of each field in order: an unsigned integer, or the span of what has a length."""
        for number, value, stop in scan(self.data, self.start, self.stop):
            yield number, value if stop == NUMBER else Span(self.data, value, stop)

    def messages(self, number: int) -> Iterator[Span]:
        """All messages, texts or bytes under one field number."""
        for found, start, stop in scan(self.data, self.start, self.stop):
            if found == number and stop != NUMBER:
                yield Span(self.data, start, stop)

    def message(self, number: int) -> Span:
        """The last message under a field number; an empty one if there is none, as the format has it."""
        last = Span(self.data, self.stop, self.stop)
        for message in self.messages(number):
            last = message
        return last

    def number(self, number: int) -> int:
        """The last number under a field number as a signed 64-bit integer; zero if there is none."""
        last = 0
        for found, value, stop in scan(self.data, self.start, self.stop):
            if found == number and stop == NUMBER:
                last = value
        return signed(last)

    def varints(self) -> Iterator[int]:
        """A packed run of unsigned integers."""
        at = self.start
        while at < self.stop:
            value, at = varint(self.data, at, self.stop)
            yield value


def whole(data: bytes) -> Span:
    return Span(data, 0, len(data))


def scan(data: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """The fields of the message in `data[at:stop]`: number, where its value starts, where it stops.

    For a number the second is its value and the third is NUMBER.
    """
    while at < stop:
        key = data[at]
        at += 1
        if key >= 0x80:
            key, at = varint(data, at - 1, stop)
        number, kind = key >> 3, key & 7
        if kind == _LENGTH_DELIMITED:
            if at < stop and data[at] < 0x80:
                size = data[at]
                at += 1
            else:
                size, at = varint(data, at, stop)
            end = at + size
            if end > stop or not number:
                raise WireError(f"field {number} ends {end - stop} bytes behind its message, at byte {at}")
            yield number, at, end
            at = end
        elif kind == 0:
            value, at = varint(data, at, stop)
            yield number, value, NUMBER
        else:
            end = at + _SIZES.get(kind, stop + 1)
            if end > stop:
                raise WireError(f"field {number} has wire type {kind} or is cut off, at byte {at}")
            yield number, int.from_bytes(data[at:end], "little"), NUMBER
            at = end


def varint(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """An unsigned integer of up to 64 bits, and where it ends."""
    value = shift = 0
    while at < stop and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise WireError(f"a number does not end before byte {at}")


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
