"""An operation with its arguments as a request, and back again.

The server takes nothing for granted: a parameter that is missing, unknown, repeated or of another type is refused with
its name. `call_of` and `arguments_of` are inverse to each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import read, to_json
from tfx_pedigree.lineage.graph import Node
from tfx_pedigree.registry import Reference, parse_time
from tfx_pedigree.text import listed, plain
from tfx_pedigree.wire.operation import (
    REFERENCE,
    REQUIRED,
    Operation,
    Parameter,
    Place,
    kinds_in,
    without_references,
)

# Descriptions of models and pieces of lineage are the largest of what is sent as JSON.
LARGEST_BODY = 32 << 20
_MOST_PARAMETERS = 1000


@dataclass(frozen=True)
class Call:
    """A request without its server: the path as it is sent, with its query, and the body, if there is one."""

    method: str
    path: str
    body: bytes | None


def call_of(operation: Operation, arguments: Mapping[str, Any]) -> Call:
    """`arguments` by the names that the method gives them."""
    values = _fields(arguments)
    path, body = operation.path, dict[str, Any]()
    query: list[tuple[str, str]] = []
    for parameter in operation.parameters:
        value = values.get(parameter.name)
        if parameter.place is Place.BODY:
            if value is not None:
                body[parameter.name] = _in_body(value)
        elif parameter.place is Place.PATH:
            path = path.replace(f"{{{parameter.name}}}", _segment(_in_query(value)))
        elif value is not None:
            many = value if parameter.is_list else [value]
            query += [(parameter.name, _in_query(one)) for one in many]
    sent = json.dumps(body, ensure_ascii=False).encode() if operation.has_body else None
    return Call(operation.method, f"{path}?{urlencode(query)}" if query else path, sent)


def _fields(arguments: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(arguments)
    if REFERENCE in values:
        reference = Reference.of(values.pop(REFERENCE))
        values |= {"model": reference.model, "selector": reference.selector}
    return values


def _segment(text: str) -> str:
    """A dot or two would be taken for a place in the path, however they are written."""
    return quote(text, safe="") if text.strip(".") else quote(text, safe="").replace(".", "%2E")


def _in_query(value: Any) -> str:
    if isinstance(value, Node):
        return json.dumps(to_json(value), ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    return str(to_json(value) if isinstance(value, Enum | datetime) else value)


def _in_body(value: Any) -> Any:
    return str(value) if isinstance(value, Reference) else to_json(value)


def arguments_of(operation: Operation, segments: Mapping[str, str], query: bytes, body: bytes | None) -> dict[str, Any]:
    """What to call the method with. `segments` are the parts of the path that the operation names, as they came."""
    where: dict[Place, Mapping[str, Any]] = {
        Place.PATH: _segments(segments),
        Place.QUERY: _query(operation, query),
        Place.BODY: _body(operation, body),
    }
    values = {one.name: _value(operation, one, where[one.place]) for one in operation.parameters}
    if "selector" in values:
        values[REFERENCE] = Reference.parse(f"{values.pop('model')}@{values.pop('selector')}")
    return values


def _value(operation: Operation, parameter: Parameter, given: Mapping[str, Any]) -> Any:
    if parameter.name in given:
        what = f"`{parameter.name}` of the request for {operation.path}"
        found = given[parameter.name]
        if parameter.place is Place.QUERY:
            found = _from_texts(parameter, found, what)
        elif parameter.place is Place.PATH:
            found = _from_text(parameter.kind, found, what)
        return found if isinstance(found, datetime) else read(without_references(parameter.kind), found, what)
    if parameter.required:
        raise InvalidInputError(f"The request for {operation.path} lacks `{parameter.name}` in its {parameter.place}.")
    return () if parameter.is_list else None if parameter.default is REQUIRED else parameter.default


def _segments(segments: Mapping[str, str]) -> dict[str, str]:
    return {name: _decoded(text) for name, text in segments.items()}


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise InvalidInputError(f"The path of the request holds {plain(text, 60)!r}, which is not UTF-8.") from None


def _query(operation: Operation, query: bytes) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:  # also of what is not UTF-8
        raise InvalidInputError(
            f"The query of the request for {operation.path} cannot be read: it is not UTF-8 in percent signs, or has "
            f"more than {_MOST_PARAMETERS} parameters."
        ) from None
    found: dict[str, list[str]] = {}
    for name, text in pairs:
        found.setdefault(name, []).append(text)
    _refuse_unknown(operation, Place.QUERY, found)
    return found


def _body(operation: Operation, body: bytes | None) -> Mapping[str, Any]:
    if not operation.has_body:
        if body:
            raise InvalidInputError(f"The request for {operation.path} takes no body. Send it without one.")
        return {}
    found = parse_json(body, "the body of the request", largest=LARGEST_BODY) if body else {}
    if not isinstance(found, Mapping):
        raise InvalidInputError(f"The body of the request for {operation.path} must be a JSON object.")
    _refuse_unknown(operation, Place.BODY, found)
    return found


def _refuse_unknown(operation: Operation, place: Place, given: Mapping[str, Any]) -> None:
    known = [one.name for one in operation.parameters if one.place is place]
    unknown = [name for name in given if name not in known]
    if unknown:
        takes = f"It takes {listed([f'`{name}`' for name in known])} there." if known else "It takes none."
        raise InvalidInputError(
            f"The request for {operation.path} has `{plain(unknown[0], 60)}` in its {place}. {takes}"
        )


def _from_texts(parameter: Parameter, texts: Sequence[str], what: str) -> Any:
    if parameter.is_list:
        return list(texts)
    if len(texts) > 1:
        raise InvalidInputError(f"There is more than one {what}. Give one.")
    return _from_text(parameter.kind, texts[0], what)


def _from_text(kind: Any, text: str, what: str) -> Any:
    kinds = kinds_in(kind)
    if datetime in kinds:
        return parse_time(text)
    if Node in kinds and text.startswith("{"):
        return parse_json(text, what)
    if bool in kinds and text in ("true", "false"):
        return text == "true"
    if int in kinds and re.fullmatch(r"-?[0-9]{1,15}", text):
        return int(text)
    if bool in kinds and text in ("true", "false"):
        return text == "true"
    return text
