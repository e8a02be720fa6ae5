"""Digests and the one JSON form that is hashed.

A digest is written `sha256:` and 64 hexadecimal digits. What is hashed is either a file as it is, so that
`sha256sum` prints the same number, or canonical JSON (RFC 8785), so that any language can check ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

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
    if _same_in_any_form(value):
        with contextlib.suppress(UnicodeEncodeError):
            return _ENCODER.encode(value).encode()
    import rfc8785  # noqa: PLC0415  hardly any value needs it

    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise InvalidInputError(f"A value cannot be written as canonical JSON: {error}.") from error


# For what it writes as RFC 8785 wants it, and in a tenth of the time: a lineage is millions of small values.
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


_ALIKE = frozenset({str, bool, type(None)})


def _same_in_any_form(value: Any) -> bool:
    """Texts and numbers under names in ASCII: only the order of other names and very large, very small or whole
    fractions have special rules (Python writes 1e-05 and 1.0, where RFC 8785 wants 0.00001 and 1)."""
    kind = type(value)
    if kind is dict:
        return _are_ascii(value) and _all_same(value.values())
    if kind is list or kind is tuple:
        return _all_same(value)
    if kind is float:
        return 1e-4 <= abs(value) < 1e15 and not bool(value.is_integer())
    return kind in _ALIKE or (kind is int and -_EXACT < value < _EXACT)


def _all_same(values: Iterable[Any]) -> bool:
    for value in values:  # noqa: SIM110  a generator would take twice as long, and everything that is hashed passes here
        if type(value) not in _ALIKE and not _same_in_any_form(value):
            return False
    return True


def _are_ascii(names: Iterable[Any]) -> bool:
    try:
        return "".join(names).isascii()
    except TypeError:
        return False


def parse_json(text: str | bytes) -> Any:
    """Reads what `canonical_json` wrote, or a database kept. Whole numbers too large to be exact were floats."""
    return _DECODER.decode(text) if isinstance(text, str) else json.loads(text, parse_int=_number)


def _number(text: str) -> int | float:
    value = int(text)
    return value if abs(value) < _EXACT else float(text)


# Made once: `json.loads` makes one for every call that asks for anything special.
_DECODER = json.JSONDecoder(parse_int=_number)


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
