"""The form of records as JSON Schema (2020-12), from the same annotations by which they are read."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from tfx_pedigree.json_form.layout import MEASURED_WORDS, Bounds, Layout, MeasuredMark, layout_of
from tfx_pedigree.json_form.reading import JsonForm
from tfx_pedigree.json_form.scalars import LARGEST_INTEGER
from tfx_pedigree.json_form.writing import to_json

Schema = dict[str, Any]
_SIMPLE: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer", "minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    datetime: {"type": "string", "format": "date-time"},
    Any: {},
    object: {},
}


class Schemas:
    """Collects the records that are met; each is described once, and referred to from then on."""

    def __init__(self, where: str) -> None:
        """`where` is what a reference begins with: `#/components/schemas/`."""
        self._where = where
        self.records: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:
        if kind in _SIMPLE:
            return dict(_SIMPLE[kind])
        origin, arguments = get_origin(kind), get_args(kind)
        for bases, make in self._generic():
            if origin in bases:
                return make(arguments)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return {"type": "string", "enum": [to_json(member) for member in kind]}
        return self._named(kind, origin, arguments)

    def _generic(self) -> tuple[tuple[tuple[Any, ...], Callable[[tuple[Any, ...]], Schema]], ...]:
        return (
            ((Annotated,), self._annotated),
            ((Union, types.UnionType), self._union),
            ((Literal,), lambda values: {"enum": list(values)}),
            ((tuple,), self._tuple),
            ((list, Sequence, Iterable, frozenset, set, AbstractSet), lambda of: self._items(of[0])),
            ((dict, Mapping), lambda of: {"type": "object", "additionalProperties": self.of(of[1])}),
        )

    def _annotated(self, arguments: tuple[Any, ...]) -> Schema:
        kind, *marks = arguments
        if any(isinstance(mark, MeasuredMark) for mark in marks):
            return {"anyOf": [{"type": "number"}, {"enum": list(MEASURED_WORDS)}]}
        found = self.of(kind)
        for bounds in (mark for mark in marks if isinstance(mark, Bounds)):
            given = {"minimum": bounds.least, "maximum": bounds.most, "maxLength": bounds.longest}
            found |= {key: value for key, value in given.items() if value is not None}
        return found

    def _union(self, arguments: tuple[Any, ...]) -> Schema:
        return {"anyOf": [self.of(kind) for kind in arguments]}

    def _items(self, kind: Any) -> Schema:
        return {"type": "array", "items": self.of(kind)}

    def _tuple(self, arguments: tuple[Any, ...]) -> Schema:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return self._items(arguments[0])
        many = len(arguments)
        return {"type": "array", "prefixItems": [self.of(one) for one in arguments], "minItems": many, "maxItems": many}

    def _named(self, kind: Any, origin: Any, arguments: tuple[Any, ...]) -> Schema:
        record = origin or kind
        held = "".join(f"Of{one.__name__}" for one in arguments if isinstance(one, type))
        name = f"{record.__name__}{held}".strip("_")
        if name not in self.records:
            self.records[name] = {}  # a record may hold itself
            parameters = dict(zip(getattr(record, "__parameters__", ()), arguments, strict=True)) if arguments else {}
            self.records[name] = self._record(record, parameters)
        return {"$ref": self._where + name}

    def _record(self, kind: type, parameters: Mapping[Any, Any]) -> Schema:
        described = {"description": " ".join((inspect.getdoc(kind) or "").split())}
        if _has_own_form(kind) or not dataclasses.is_dataclass(kind):
            return described
        properties, required = self._properties(kind, parameters)
        return {**described, "type": "object", "properties": properties, "required": required}

    def _properties(self, kind: type, parameters: Mapping[Any, Any]) -> tuple[Schema, list[str]]:
        layout, hints = layout_of(kind), get_type_hints(kind, include_extras=True)
        properties: Schema = {} if layout.format is None else {"format": {"const": layout.format}}
        required = list(properties)
        for field in dataclasses.fields(cast("Any", kind)):
            annotation = parameters.get(hints[field.name], hints[field.name])
            annotation = _filled(annotation, parameters)
            if field.name in layout.flat:
                inner, needed = self._properties(annotation, {})
                properties |= inner
                required += needed
            elif field.init:
                key = layout.names.get(field.name, field.name)
                properties[key] = self.of(annotation)
                if _is_required(field, key, layout):
                    required.append(key)
        return properties | {layout.names.get(name, name): {} for name in layout.also}, required


def _is_required(field: dataclasses.Field[Any], key: str, layout: Layout) -> bool:
    if layout.whole:
        return key not in layout.lacking
    return not layout.brief and field.default is field.default_factory is dataclasses.MISSING


def _has_own_form(kind: type) -> bool:
    own = getattr(kind, "from_json", None)
    return own is not None and getattr(own, "__func__", None) is not JsonForm.from_json.__func__  # type: ignore[attr-defined]


def _filled(annotation: Any, parameters: Mapping[Any, Any]) -> Any:
    """With the parameters of a generic record put in."""
    held = getattr(annotation, "__parameters__", ())
    return annotation[tuple(parameters.get(one, one) for one in held)] if held and parameters else annotation
