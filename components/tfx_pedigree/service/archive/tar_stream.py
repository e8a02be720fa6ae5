"""Tar files as streams: written and read from the first byte to the last, so that they pass through pipes.

Read is only what is written here: plain files, each with one header of 512 bytes, before which another may say that the
file has 8 GiB or more. Links, sparse files, chains of headers and all else of tar's sixty years are refused, so that no
member is larger than the stream that brings it.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import plain

BLOCK = 512
_CHUNK = 1 << 20
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)
_SIZE = re.compile(rb"[0-9]{1,2} size=([0-9]{1,16})\n")


class TarWriter:
    """`add` what is in memory; or `begin` a file, `write` its bytes, and `end` it. `done` counts what was written."""

    def __init__(self, out: BinaryIO) -> None:
        self.done = 0
        self._out = out
        self._size = 0

    def add(self, name: str, content: bytes) -> None:
        self.begin(name, len(content))
        self.write(content)
        self.end()

    def begin(self, name: str, size: int) -> None:
        member = tarfile.TarInfo(name)
        member.size = self._size = size
        member.mode = 0o644
        self.write(member.tobuf(tarfile.PAX_FORMAT))

    def write(self, data: bytes | memoryview) -> None:
        self._out.write(data)
        self.done += len(data)

    def end(self) -> None:
        self.write(bytes(-self._size % BLOCK))

    def finish(self) -> None:
        self.write(bytes(2 * BLOCK))


class Member(io.RawIOBase):
    """One file of the stream. Whatever of it is not read is passed over when the next one is asked for."""

    def __init__(self, source: _Source, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self._source = source
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._source.some(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def whole(self, most: int) -> bytes:
        self.check_size(most)
        return b"".join(iter(lambda: self.read(_CHUNK), b""))

    def lines(self, most: int, longest: int) -> Iterator[bytes]:
        """One after the other, without their ends."""
        self.check_size(most)
        buffered = io.BufferedReader(self, _CHUNK)
        while line := buffered.readline(longest + 1):
            if len(line) > longest:
                raise self._source.refusal(f"{self.name} has a line of more than {longest} bytes")
            yield line.removesuffix(b"\n")
        buffered.detach()

    def check_size(self, most: int) -> None:
        if self.size > most:
            raise self._source.refusal(f"{plain(self.name, 100)} has {self.size} bytes; {most} are the most")

    def pass_over(self) -> None:
        while self.read(_CHUNK):
            pass
        self._source.exactly(-self.size % BLOCK)


class TarReader:
    """`source` is read once, from where it is; `name` stands in refusals."""

    def __init__(self, source: BinaryIO, name: str) -> None:
        self._source = _Source(source, name)
        self._member: Member | None = None

    @property
    def done(self) -> int:
        """How many bytes of the stream have been read."""
        return self._source.done

    def refusal(self, problem: str) -> InvalidInputError:
        return self._source.refusal(problem)

    def next(self) -> Member | None:
        if self._member is not None:
            self._member.pass_over()
        header = self._header()
        if header is None:
            return None
        size = header.size
        if header.type == tarfile.XHDTYPE:
            size = self._large_size(header)
            header = self._header()
            if header is None:
                raise self.refusal("it ends after a header")
        if header.type not in _PLAIN:
            raise self.refusal(f"{plain(header.name, 100)!r} is no plain file, and no export writes such a thing")
        self._member = Member(self._source, header.name, size)
        return self._member

    def _header(self) -> tarfile.TarInfo | None:
        block = self._source.exactly(BLOCK)
        if block == bytes(BLOCK):
            return None
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.TarError, ValueError) as error:
            raise self.refusal(f"a tar header cannot be read ({plain(str(error), 100)})") from None
        if header.size < 0:
            raise self.refusal("a tar header gives a negative size")
        return header

    def _large_size(self, header: tarfile.TarInfo) -> int:
        if header.size > BLOCK:
            raise self.refusal("a tar header is longer than any that an export writes")
        found = _SIZE.fullmatch(self._source.exactly(header.size))
        self._source.exactly(-header.size % BLOCK)
        if found is None:
            raise self.refusal("a tar header says more than a size")
        return int(found[1])


class _Source:
    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.done = 0
        self._stream = stream
        self._name = name

    def refusal(self, problem: str) -> InvalidInputError:
        return InvalidInputError(f"{self._name} is not an archive of `pedigree export`: {problem}.")

    def some(self, count: int) -> bytes:
        data = self._stream.read(count) if count else b""
        if count and not data:
            raise self.refusal(f"it is cut off after {self.done} bytes" if self.done else "it is empty")
        self.done += len(data)
        return data

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += self.some(count - len(data))
        return data
