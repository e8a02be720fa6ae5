"""Digests and the one JSON form that is hashed.

A digest is written `sha256:` and 64 hexadecimal digits. What is hashed is either a file as it is, so that
`sha256sum` prints the same number, or canonical JSON (RFC 8785), so that any language can check ours.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import rfc8785

from tfx_pedigree.errors import InvalidInputError

PREFIX = "sha256:"
# From here on JSON's numbers are no longer exact (RFC 8785 stops at the same place).
_EXACT = 2**53
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


def check_digest(text: str) -> str:
    """Returns `text`, or refuses what is not a whole digest in lower case."""
    if not is_digest(text):
        raise InvalidInputError(
            f"{text!r} is not a digest: it must read 'sha256:' followed by 64 hexadecimal digits in lower case."
        )
    return text


def digest_of(data: bytes) -> str:
    return PREFIX + hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """The RFC 8785 form: equal values give equal bytes. Numbers that JSON cannot hold are refused."""
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise InvalidInputError(f"A value cannot be written as canonical JSON: {error}.") from error


def parse_json(text: str | bytes) -> Any:
    """Reads what `canonical_json` wrote, or a database kept. Whole numbers too large to be exact were floats."""
    return json.loads(text, parse_int=_number)


def _number(text: str) -> int | float:
    value = int(text)
    return value if abs(value) < _EXACT else float(text)


def plain_json(value: Any) -> Any:
    """`value` as JSON can hold it: NaN and infinities become the strings that TFMA writes for them, and whole numbers
    too large to be exact (seeds of 64 bits) become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, int) and abs(value) >= _EXACT:
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return value
