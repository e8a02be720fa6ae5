"""A registry or a lineage behind a wire of JSON: whoever calls it gets what a caller far away would get."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin, get_type_hints

from tfx_pedigree.json_form import read, to_json

# What stays with the caller: how far the work is.
LOCAL = {"progress"}


def methods(protocol: type) -> dict[str, Callable[..., Any]]:
    """Every method of a Protocol, those of the Protocols that it is made of as well."""
    return {
        name: member
        for base in reversed(protocol.__mro__)
        for name, member in vars(base).items()
        if inspect.isfunction(member) and not name.startswith("_") and base.__module__.startswith("tfx_pedigree.")
    }


def through_json(hint: Any, value: Any, what: str) -> Any:
    """The value as it arrives; it must be the one that was sent."""
    arrived = read(hint, json.loads(json.dumps(to_json(value), allow_nan=False)), what)
    assert arrived == value, what
    assert to_json(arrived) == to_json(value), what
    return arrived


class OverJson:
    """Calls the methods of `protocol` on `target`, each argument and each answer sent as JSON. `called` has their
    names."""

    def __init__(self, protocol: type, target: Any) -> None:
        self._methods = methods(protocol)
        self._target = target
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if name not in self._methods:
            raise AttributeError(name)
        return functools.partial(self._call, name)

    def _call(self, name: str, *arguments: Any, **named: Any) -> Any:
        self.called.add(name)
        method = self._methods[name]
        hints = get_type_hints(method, include_extras=True)
        given = inspect.signature(method).bind(self, *arguments, **named).arguments
        sent = {
            key: value if key in LOCAL else through_json(hints[key], value, f"{name}({key})")
            for key, value in given.items()
            if key != "self"
        }
        answer = getattr(self._target, name)(**sent)
        if get_origin(hints["return"]) is Iterator:
            return self._streamed(get_args(hints["return"])[0], answer, name)
        return through_json(hints["return"], answer, f"{name}'s answer")

    def _streamed(self, hint: Any, parts: Iterator[Any], name: str) -> Iterator[Any]:
        for part in parts:
            yield through_json(hint, part, f"a part of {name}'s answer")
