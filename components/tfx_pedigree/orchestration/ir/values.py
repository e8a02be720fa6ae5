"""What stands in a parameter, however it is wrapped: TFX puts messages and configurations into texts as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError


def leaves(value: Any, key: str = "", within: int = 4) -> Iterator[tuple[str, Any]]:
    """Each value that is no table and no list, with the name under which it stands; JSON in texts is looked into,
    `within` texts deep."""
    if isinstance(value, Mapping):
        for name, item in sorted(value.items()):
            yield from leaves(item, str(name), within)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item, key, within)
    else:
        inner = _json(value) if within else None
        if inner is None:
            yield key, value
        else:
            yield from leaves(inner, key, within - 1)


def texts_in(value: Any) -> Iterator[str]:
    for _, leaf in leaves(value):
        if isinstance(leaf, str):
            yield leaf


def _json(value: Any) -> Any:
    """The table or list that a text is; None for other texts."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[", '"')):
        return None
    try:
        found = parse_json(value, "the parameter", words=True)
    except InvalidInputError:
        return None
    return found if isinstance(found, dict | list) or (isinstance(found, str) and found != value) else None
