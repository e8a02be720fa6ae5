"""Reading YAML and JSON that people wrote: every value knows where it stands, so that a refusal can point at it.

Law: `from_yaml(json_text)` and `from_data(json.loads(json_text))` read alike; only the first knows the lines.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import yaml

from tfx_pedigree.bounded_parse import compose_yaml, yaml_scalar
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm

T = TypeVar("T")
E = TypeVar("E", bound=Enum)
R = TypeVar("R", bound=JsonForm)
_DEEPEST = 30
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class ConfigNode:
    """`value` is a dictionary of places, a list of places or a scalar; `raw` is the scalar as it was typed."""

    value: Any
    path: str
    source: str
    line: int | None = None
    raw: str | None = None

    def wrong(self, problem: str) -> InvalidInputError:
        """The refusal, which begins with where to look. `problem` is the rest of the sentence."""
        at = self.source if self.line is None else f"{self.source}, line {self.line}"
        return InvalidInputError(f"{at}: {f'`{self.path}`' if self.path else 'it'} {problem}")

    def must_be(self, wanted: str) -> InvalidInputError:
        return self.wrong(f"is {self._shown()}, but must be {wanted}.")

    def fields(self, known: Collection[str], required: Collection[str] = ()) -> Fields:
        """The fields that are given. One too many is refused, or a typing error would be lost silently."""
        if not isinstance(self.value, dict):
            raise self.must_be("a table of " + ", ".join(known))
        for key, place in self.value.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"Did you mean `{near[0]}`?" if near else f"Known here: {', '.join(known)}."
                raise place.wrong(f"is not known. {hint}")
        for key in required:
            if key not in self.value:
                raise self.wrong(f"lacks `{key}`.")
        return Fields(self, {key: place for key, place in self.value.items() if not place.is_null})

    def inside(self, path: str) -> ConfigNode:
        """The place at `guardrails[2].at_least`; the nearest around it where that is not written."""
        here = self
        for step in path.replace("[", ".").replace("]", "").split("."):
            inner: ConfigNode | None = None
            if isinstance(here.value, dict):
                inner = here.value.get(step)
            elif isinstance(here.value, list) and step.isdigit() and int(step) < len(here.value):
                inner = here.value[int(step)]
            if inner is None:
                break
            here = inner
        return here

    @property
    def is_null(self) -> bool:
        return self.value is None

    def table(self) -> dict[str, ConfigNode]:
        if not isinstance(self.value, dict):
            raise self.must_be("a table")
        return dict(self.value)

    def items(self) -> list[ConfigNode]:
        if not isinstance(self.value, list):
            raise self.must_be("a list")
        return list(self.value)

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value:
            raise self.must_be("a text")
        return self.value

    def any_text(self) -> str:
        """A scalar as it was typed: `NO` stays NO and does not become false, `007` stays 007."""
        if self.raw is None:
            raise self.must_be("a text")
        return self.raw

    def truth(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.must_be("true or false")
        return self.value

    def whole(self) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not 0 <= self.value < 2**53:
            raise self.must_be("a whole number from 0 on")
        return self.value

    def number(self) -> float:
        """A finite number."""
        found = self._float()
        if found is None or not math.isfinite(found):
            raise self.must_be("a number")
        return found

    def measured(self) -> float:
        """A number that was measured: NaN and the infinities stand as the texts that TFMA writes for them."""
        if isinstance(self.value, str) and self.value in _SPECIAL:
            return _SPECIAL[self.value]
        found = self._float()
        if found is None:
            raise self.must_be('a number, "NaN", "Infinity" or "-Infinity"')
        return found

    def choice(self, kind: type[E]) -> E:
        words = [str(one.value) for one in kind]
        if not isinstance(self.value, str) or self.value not in words:
            near = difflib.get_close_matches(str(self.value), words, 1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            raise self.wrong(f"is {self._shown()}, but must be {' or '.join(words)}.{hint}")
        return kind(self.value)

    def each(self, read: Callable[[ConfigNode], T]) -> tuple[T, ...]:
        return tuple(read(item) for item in self.items())

    def record(self, kind: type[R]) -> R:
        """By its JSON form, which knows no lines."""
        return kind.from_json(plain_value(self), f"{self.source}: {self.path}" if self.path else self.source)

    def _float(self) -> float | None:
        if isinstance(self.value, bool):
            return None
        if isinstance(self.value, int | float):
            try:
                return float(self.value)
            except OverflowError:
                return None
        if isinstance(self.value, str) and self.line is not None and self.value not in _SPECIAL:
            try:
                return float(self.value)  # YAML 1.1 takes `1e-3` for a text
            except ValueError:
                return None
        return None

    def _shown(self) -> str:
        if isinstance(self.value, dict | list):
            return "a table" if isinstance(self.value, dict) else "a list"
        if self.value is None:
            return "empty"
        shown = repr(self.value)
        return shown if len(shown) <= 60 else shown[:57] + "..."


class Fields(dict[str, ConfigNode]):
    """The fields of a table that are not empty. One that is needed and is not among them is refused when it is read."""

    def __init__(self, owner: ConfigNode, found: dict[str, ConfigNode]) -> None:
        super().__init__(found)
        self._owner = owner

    def __missing__(self, key: str) -> ConfigNode:
        raise self._owner.wrong(f"lacks `{key}`.")


def optional(found: Mapping[str, ConfigNode], key: str, read: Callable[[ConfigNode], T]) -> T | None:
    place = found.get(key)
    return None if place is None or place.is_null else read(place)


def plain_value(place: ConfigNode) -> Any:
    """The value without its places, as JSON has it."""
    if isinstance(place.value, dict):
        return {key: plain_value(one) for key, one in place.value.items()}
    if isinstance(place.value, list):
        return [plain_value(one) for one in place.value]
    return place.value


def from_data(data: Any, source: str) -> ConfigNode:
    """Over what `json.loads` gives."""
    return _of_data(data, "", source, 0)


def from_yaml(text: str, source: str) -> ConfigNode:
    """Over a YAML document, which a JSON document is as well."""
    node = compose_yaml(text, source)
    if node is None:
        return ConfigNode({}, "", source, 1)
    return _of_node(node, "", source, 0)


def _of_data(data: Any, path: str, source: str, depth: int) -> ConfigNode:
    if depth > _DEEPEST:
        raise InvalidInputError(f"{source}: `{path}` lies too deep.")
    if isinstance(data, Mapping):
        for key in data:
            if not isinstance(key, str):
                raise InvalidInputError(f"{source}: the key {key!r} of `{path}` is no text.")
        inner = {key: _of_data(value, _join(path, key), source, depth + 1) for key, value in data.items()}
        return ConfigNode(inner, path, source)
    if isinstance(data, list | tuple):
        items = [_of_data(one, f"{path}[{index}]", source, depth + 1) for index, one in enumerate(data)]
        return ConfigNode(items, path, source)
    return ConfigNode(data, path, source, raw=data if isinstance(data, str) else None)


def _of_node(node: yaml.Node, path: str, source: str, depth: int) -> ConfigNode:
    line = node.start_mark.line + 1
    here = ConfigNode(None, path, source, line)
    if depth > _DEEPEST:
        raise here.wrong("lies too deep.")
    if isinstance(node, yaml.MappingNode):
        return ConfigNode(_of_mapping(node, here, depth), path, source, line)
    if isinstance(node, yaml.SequenceNode):
        items = [_of_node(one, f"{path}[{index}]", source, depth + 1) for index, one in enumerate(node.value)]
        return ConfigNode(items, path, source, line)
    return ConfigNode(yaml_scalar(node, source), path, source, line, node.value)


def _of_mapping(node: yaml.MappingNode, here: ConfigNode, depth: int) -> dict[str, ConfigNode]:
    inner: dict[str, ConfigNode] = {}
    for key_node, value_node in node.value:
        key = key_node.value
        place = ConfigNode(None, _join(here.path, str(key)), here.source, key_node.start_mark.line + 1)
        if not isinstance(key_node, yaml.ScalarNode):
            raise here.wrong("has a key that is no text.")
        found = _of_node(value_node, place.path, here.source, depth + 1)
        # An error is looked for where its key stands, also if the value begins on the next line.
        inner[key] = ConfigNode(found.value, found.path, found.source, place.line, found.raw)
    return inner


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
