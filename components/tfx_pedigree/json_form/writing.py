"""Records as JSON."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from enum import Enum
from typing import Any, cast

from tfx_pedigree.digest import plain_json
from tfx_pedigree.json_form.layout import layout_of
from tfx_pedigree.text import format_timestamp

Writer = Callable[[Any], Any]


def to_json(value: Any) -> Any:
    """The JSON form of a record, or of anything that records are made of."""
    kind = type(value)
    if kind is str or value is None or kind is bool or kind is int:
        return value
    if kind is float:
        return value if math.isfinite(value) else plain_json(value)
    return _writer(cast("Any", kind))(value)


def _enum(value: Enum) -> str:
    return str(value.value if isinstance(value, str) else value)


@functools.cache
def _writer(kind: type) -> Writer:
    own: Writer | None = getattr(kind, "to_json", None)
    if own is not None:
        return own
    if dataclasses.is_dataclass(kind):
        return record_writer(kind)
    return next((write for base, write in _WRITERS if issubclass(kind, base)), plain_json)


_WRITERS: tuple[tuple[type, Writer], ...] = (
    (Enum, _enum),
    (datetime, format_timestamp),
    (Mapping, lambda value: {str(key): to_json(item) for key, item in value.items()}),
    (AbstractSet, lambda value: sorted(to_json(item) for item in value)),
    (tuple, lambda value: [to_json(item) for item in value]),
    (list, lambda value: [to_json(item) for item in value]),
    (str, str),
)


@functools.cache
def record_writer(kind: type) -> Callable[[Any], dict[str, Any]]:
    """The function that writes records of this class, made once."""
    layout = layout_of(kind)
    keys = [(field.name, layout.names.get(field.name, field.name)) for field in dataclasses.fields(kind) if field.init]
    keys += [(name, layout.names.get(name, name)) for name in layout.also]
    flat = frozenset(layout.flat)

    def write(record: Any) -> dict[str, Any]:
        found: dict[str, Any] = {} if layout.format is None else {"format": layout.format}
        for name, key in keys:
            value = to_json(getattr(record, name))
            if name in flat:
                found.update(value or {})
            elif not (layout.brief and value in (None, [], {})):
                found[key] = value
        return found

    return write
