"""One operation: a method of a Protocol, and where it is over HTTP. The rest is read off the method's signature."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from tfx_pedigree.registry import Reference, Role

_FIELD = re.compile(r"\{(\w+)\}")
REFERENCE = "reference"
# Of a change: with the same key it is carried out once, however often it is sent.
KEY_HEADER = "idempotency-key"
REQUIRED = inspect.Parameter.empty
_LOCAL = ("self", "progress")  # what a caller keeps to himself


class Kind(Enum):
    """QUESTION changes nothing and may be asked again; CHANGE is one transaction; STREAM answers line by line."""

    QUESTION = "question"
    CHANGE = "change"
    STREAM = "stream"


class Place(Enum):
    PATH = "path"
    QUERY = "query"
    BODY = "body"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Parameter:
    """`name` is the one on the wire, `kind` the annotation by which a value is read."""

    name: str
    kind: Any
    place: Place
    default: Any

    @property
    def required(self) -> bool:
        return self.default is REQUIRED and not self.is_list and type(None) not in kinds_in(self.kind)

    @property
    def is_list(self) -> bool:
        """Whether a query repeats it."""
        return self.place is Place.QUERY and get_origin(self.kind) is Sequence


@dataclass(frozen=True)
class Operation:
    """`name` is the Protocol's method. `role` is the least that the registry asks for; it decides, not the server.

    A reference to a version is two fields, `model` and `selector`, in the path or in the body.
    """

    api: type
    name: str
    method: str
    path: str
    role: Role
    kind: Kind

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(self._parameters())

    @functools.cached_property
    def result(self) -> Any:
        """The annotation by which the answer is read; of a stream, that of one line."""
        found = self._hints["return"]
        return get_args(found)[0] if self.kind is Kind.STREAM else found

    @functools.cached_property
    def has_body(self) -> bool:
        return any(one.place is Place.BODY for one in self.parameters)

    @property
    def summary(self) -> str:
        """The first sentence of what the Protocol says of it."""
        first = " ".join(self.description.split("\n\n")[0].split())
        return re.split(r"(?<=[.;:]) ", first)[0].rstrip(".;:")

    @property
    def description(self) -> str:
        return inspect.getdoc(getattr(self.api, self.name)) or ""

    @functools.cached_property
    def _hints(self) -> dict[str, Any]:
        return get_type_hints(getattr(self.api, self.name), include_extras=True)

    def _parameters(self) -> Iterator[Parameter]:
        in_path = _FIELD.findall(self.path)
        otherwise = Place.QUERY if self.method in ("GET", "DELETE") else Place.BODY
        for name, parameter in inspect.signature(getattr(self.api, self.name)).parameters.items():
            if name in _LOCAL:
                continue
            fields = ("model", "selector") if name == REFERENCE else (name,)
            for field in fields:
                kind = str if name == REFERENCE else self._hints[name]
                place = Place.PATH if field in in_path else otherwise
                yield Parameter(field, kind, place, parameter.default)


def kinds_in(kind: Any) -> tuple[Any, ...]:
    """What a value may be, without its bounds."""
    if get_origin(kind) is Annotated:
        return kinds_in(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return tuple(each for one in get_args(kind) for each in kinds_in(one))
    return (kind,)


def without_references(kind: Any) -> Any:
    """A reference travels as its text."""
    return str if Reference in kinds_in(kind) else kind
