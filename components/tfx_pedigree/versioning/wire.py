"""The wire format of protocol buffers: enough to read a few fields of a large message, and to skip the rest.

A SavedModel's graph can have hundreds of megabytes, nearly all of it constants and attributes that nobody here
needs. A general parser would build or copy all of it; this one walks over it and touches only what is asked for.
Its answers are tested against the protobuf package and against TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

_SIZES = {1: 8, 5: 4}
_LENGTH_DELIMITED = 2
_HIGHEST_FIELD = (1 << 29) - 1
NUMBER = -1  # in place of an end: the field is a number

# An empty field takes two bytes, and looking at it half a microsecond: without these a small file costs minutes.
MOST_FIELDS = 100_000_000
MOST_FIELDS_OF_ONE = 1_000_000


class WireError(ValueError):
    """The bytes are no well-formed message. Caught by those who know the file's name."""


class _Budget:
    """How many fields may still be looked at in the file that is read."""

    def __init__(self, left: int) -> None:
        self.left = left


_BUDGET: ContextVar[_Budget] = ContextVar("fields of one file")


@contextmanager
def reading(most: int = MOST_FIELDS) -> Iterator[None]:
    """All that is scanned within counts together."""
    token = _BUDGET.set(_Budget(most))
    try:
        yield
    finally:
        _BUDGET.reset(token)


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

    def messages(self, number: int, most: int = MOST_FIELDS_OF_ONE, what: str = "fields of one kind") -> Iterator[Span]:
        """All messages, texts or bytes under one field number; more than `most` are refused."""
        count = 0
        for found, start, stop in scan(self.data, self.start, self.stop):
            if found == number and stop != NUMBER:
                count += 1
                if count > most:
                    raise WireError(f"there are more than {most:,} {what}")
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
    budget = _BUDGET.get(None) or _Budget(MOST_FIELDS)
    begin, left = at, min(budget.left, MOST_FIELDS_OF_ONE)
    first = left
    try:
        while at < stop:
            left -= 1
            if left < 0:
                raise WireError(f"the message at byte {begin} has too many fields, or the file has")
            key = data[at]
            at += 1
            if key >= 0x80:
                key, at = varint(data, at - 1, stop)
            number, kind = key >> 3, key & 7
            if not 0 < number <= _HIGHEST_FIELD:
                raise WireError(f"{number} is no field's number, before byte {at}")
            if kind == _LENGTH_DELIMITED:
                if at < stop and data[at] < 0x80:
                    size = data[at]
                    at += 1
                else:
                    size, at = varint(data, at, stop)
                end = at + size
                if end > stop:
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
    finally:
        budget.left -= first - left


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
