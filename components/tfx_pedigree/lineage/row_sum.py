"""A digest of a set of rows, in whatever order they come and in however many parts they were added.

Each row's hash (SHAKE-256, 2,048 bits) is a number, and the sum of all of them modulo 2^2048 is the digest. What the
events of the log tell of adds up to the digest of all rows, whichever of two recorders added which of them. The width
makes it hopeless to look for other rows with the same sum: Wagner's attack takes about 2^90 steps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tfx_pedigree.text import format_timestamp

_BYTES = 256
_MODULUS = 1 << (8 * _BYTES)
_LENGTH = 2 * _BYTES


def row_sum(lines: Iterable[str], start: int = 0) -> int:
    for line in lines:
        start += int.from_bytes(hashlib.shake_256(line.encode("utf-8", "surrogatepass")).digest(_BYTES), "big")
    return start % _MODULUS


def to_text(total: int) -> str:
    return f"{total % _MODULUS:0{_LENGTH}x}"


def from_text(text: object) -> int | None:
    """None for what `to_text` did not write."""
    if not isinstance(text, str) or len(text) != _LENGTH or set(text) - set("0123456789abcdef"):
        return None
    return int(text, 16)


# One line a row. A cell may hold anything when it is read again: it is told apart by its JSON form.


def node_line(key: str, recorded_at: datetime | str, recorded_by: str) -> str:
    at = format_timestamp(recorded_at) if isinstance(recorded_at, datetime) else recorded_at
    return _line("node", key, at, recorded_by)


def fact_line(key: str, name: str, value: str) -> str:
    return _line("fact", key, name, value)


def edge_line(source: str, kind: str, target: str, run: str | None) -> str:
    return _line("edge", source, kind, target, run)


def _line(*cells: Any) -> str:
    return json.dumps(cells, default=repr)
