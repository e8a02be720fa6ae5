"""What stands in a parameter, however it is wrapped: TFX puts messages and configurations into texts as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that is no table and no list, with the name under which it stands; JSON in texts is looked into."""
    if isinstance(value, Mapping):
        for name, item in sorted(value.items()):
            yield from leaves(item, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item, key)
    else:
        inner = _json(value)
        if inner is None:
            yield key, value
        else:
            yield from leaves(inner, key)


def texts_in(value: Any) -> Iterator[str]:
    for _, leaf in leaves(value):
        if isinstance(leaf, str):
            yield leaf


def _json(value: Any) -> Any:
    """The table or list that a text is; None for other texts."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[", '"')):
        return None
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return found if isinstance(found, dict | list) or (isinstance(found, str) and found != value) else None
