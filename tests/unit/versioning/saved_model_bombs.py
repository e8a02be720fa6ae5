"""Reads models of eight megabytes that are made to hurt, each of another kind; tells seconds and the peak of memory."""

from __future__ import annotations

import io
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.versioning import describe_files


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


EIGHT_MB = 8 << 20


def _field(number: int, content: bytes) -> bytes:
    return _number(number << 3 | 2) + _number(len(content)) + content


def _filled(unit: bytes) -> bytes:
    return unit * (EIGHT_MB // len(unit))


def _numbered(number: int, inner: Callable[[bytes], bytes], count: int) -> bytes:
    """Many fields, each with a name of its own in four bytes."""
    return b"".join(_field(number, inner(f"{index:04x}".encode())) for index in range(count))


SIGNATURE = _field(5, _field(1, b"s") + _field(2, _field(2, _field(1, b"y") + _field(2, _field(1, b"n:0")))))
OUTPUTS = _field(2, _numbered(2, lambda name: _field(1, name), 900))
BOMBS = {
    "graphs": _filled(b"\x12\x00"),
    "fields that nobody knows": _filled(b"\x78\x00"),
    "fields of one graph": _field(2, _filled(b"\x78\x00")),
    "tags": _field(2, _field(1, _filled(b"\x22\x00"))),
    "signatures": _field(2, _filled(b"\x2a\x00")),
    "inputs": _field(2, _field(5, _field(1, b"s") + _field(2, _filled(b"\x0a\x00")))),
    "outputs of many signatures": _field(2, _numbered(5, lambda name: _field(1, name) + OUTPUTS, 900)),
    "components of an output": _field(2, _field(5, _field(2, _field(2, _field(2, _field(5, _filled(b"\x12\x00"))))))),
    "nodes": _field(2, _field(2, _filled(b"\x0a\x00"))),
    "nodes with names": _field(2, SIGNATURE + _field(2, _numbered(1, lambda x: _field(1, x), 800_000))),
    "inputs of a node": _field(2, SIGNATURE + _field(2, _field(1, _field(1, b"n") + _filled(b"\x1a\x00")))),
    "functions": _field(2, _field(2, _field(2, _filled(b"\x0a\x00")))),
    "functions with names": _field(
        2, _field(2, _field(2, _numbered(1, lambda x: _field(1, _field(1, x)), 500_000)))
    ),
    "operations of different names": _field(2, _field(2, _numbered(1, lambda x: _field(2, x), 800_000))),
    "numbers of an attribute": _field(
        2, _field(2, _field(1, _field(5, _field(1, b"strides") + _field(2, _field(1, _field(3, bytes(EIGHT_MB)))))))
    ),
}  # fmt: skip


def _seconds(data: bytes) -> float:
    began = time.process_time()
    try:
        describe_files(lambda _: io.BytesIO(data), ["saved_model.pb"])
    except InvalidInputError:
        return time.process_time() - began
    raise AssertionError("it was read")


if __name__ == "__main__":
    seconds = {}
    for kind, data in BOMBS.items():
        try:
            seconds[kind] = _seconds(data)
        except AssertionError:
            sys.exit(f"{kind} was not refused")
    # Of this program alone: what getrusage tells begins with the size of the process that started it.
    (highest,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    peak = int(highest) * 1024 - sum(map(len, BOMBS.values()))
    sys.stdout.write(json.dumps({"seconds": seconds, "peak": peak}))
