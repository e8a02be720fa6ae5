"""The one reader of JSON, YAML and TOML that somebody else wrote, within limits of size, depth and number.

In comes text or bytes, and what to call it in a refusal; out come plain values. It never runs for longer or takes
more memory than the limits below allow, whatever the text is, and refuses what two readers could take for two
different things: keys that stand there twice, NaN and the infinities, halves of characters.
"""

from __future__ import annotations

import collections
import errno
import functools
import json
import math
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import plain

if TYPE_CHECKING:
    import yaml

# Stated in docs/limits.md.
LARGEST_JSON = 32 << 20
LARGEST_YAML = 2 << 20
LARGEST_TOML = 1 << 20
MOST_VALUES = 1_000_000
MOST_YAML_VALUES = 50_000
DEEPEST = 64
LONGEST_NUMBER = 400

# From here on JSON's numbers are no longer exact (RFC 8785 stops at the same place).
_EXACT = 2**53
_STRING = r'"(?:[^"\\]|\\.)*"'
_TOKENS = re.compile(rf"{_STRING}|[\[\]{{}},]", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = re.compile(rf"{_HIGH}(?!{_LOW})|(?<!\\u[dD][89abAB][0-9a-fA-F][0-9a-fA-F]){_LOW}")
# What PyYAML lets out where its own grammar did not foresee a text, such as the escape \UFFFFFFFF or `!!bool perhaps`.
_LEAKED = (ValueError, OverflowError, TypeError, LookupError, AttributeError)
_DOTTED = re.compile(r"(?:[\w\"'-]+[ \t]*\.[ \t]*){64}")


# JSON


def parse_json(
    text: str | bytes, source: str, *, largest: int = LARGEST_JSON, words: bool = False, canonical: bool = False
) -> Any:
    """The value, or a refusal that says where in `source` it is wrong.

    `words` lets the bare words NaN, Infinity and -Infinity pass, which Python's own writer writes. `canonical` gives
    whole numbers that are too large to be exact as floats, as canonical JSON means them.
    """
    whole = _decoded(text, source, largest, "JSON")
    if whole.count(",") + whole.count("[") + whole.count("{") >= MOST_VALUES:
        _check_count(whole, source)
    try:
        value = _decoder(words, canonical).decode(whole)
    except json.JSONDecodeError as error:
        if (deep := _beyond_the_depth(whole)) is not None and deep < error.pos:  # newer Pythons go on reading
            raise _too_deep(source, whole) from None
        raise _refusal(source, error.lineno, f"this is not JSON: {_lowered(error.msg)}") from None
    except _UnusableError as error:
        raise _refusal(source, _line_of(whole, error.text), str(error)) from None
    except RecursionError:
        raise _too_deep(source, whole) from None
    if _lies_too_deep(value):
        raise _too_deep(source, whole)
    if _ESCAPED_SURROGATE.search(whole) and _holds_half(value):
        found = _HALF.search(whole)
        raise _half(source, whole.count("\n", 0, found.start()) + 1 if found else None)
    return value


class _UnusableError(Exception):
    """Right by JSON's grammar, and not to be used all the same. `text` is how it is written."""

    def __init__(self, problem: str, text: str) -> None:
        super().__init__(problem)
        self.text = text


@functools.cache
def _decoder(words: bool, canonical: bool) -> json.JSONDecoder:
    constant = None if words else _refuse_word
    whole = functools.partial(_whole_number, canonical)
    return json.JSONDecoder(object_pairs_hook=_table, parse_int=whole, parse_float=_fraction, parse_constant=constant)


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = collections.Counter(key for key, _ in pairs)
    key = next(key for key, count in counts.items() if count > 1)
    raise _UnusableError(f"the key `{plain(key)}` stands there twice", json.dumps(key))


def _whole_number(canonical: bool, text: str) -> int | float:
    if len(text) > LONGEST_NUMBER:
        raise _UnusableError(f"a number has {len(text)} digits; {LONGEST_NUMBER} are read at the most", text)
    value = int(text)
    return value if not canonical or abs(value) < _EXACT else _fraction(text)


def _fraction(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _UnusableError(f"the number {plain(text, 40)} is larger than a number can be", text)
    return value


def _refuse_word(word: str) -> NoReturn:
    raise _UnusableError(f"{word} is no number in JSON", word)


def _check_count(text: str, source: str) -> None:
    """Commas and brackets within texts do not count."""
    count = 1
    for found in _TOKENS.finditer(text):
        count += found.group() in ("[", "{", ",")
        if count > MOST_VALUES:
            line = text.count("\n", 0, found.start()) + 1
            raise _refusal(source, line, f"it holds more than {MOST_VALUES:,} values, and more are not read")


def _lies_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for one in level
            if type(one) is dict or type(one) is list
            for inner in (one.values() if type(one) is dict else one)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


def _beyond_the_depth(text: str) -> int | None:
    """Where the text is nested too deep; None if it is not."""
    depth = 0
    for found in _TOKENS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found.group(), 0)
        if depth > DEEPEST:
            return found.start()
    return None


def _too_deep(source: str, text: str) -> InvalidInputError:
    at = _beyond_the_depth(text)
    line = text.count("\n", 0, len(text) if at is None else at) + 1
    return _refusal(source, line, f"it is nested more than {DEEPEST} deep")


def _holds_half(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _line_of(text: str, written: str) -> int | None:
    """Of the last place: what is refused is mostly there once, and of what stands there twice, it is the second."""
    at = text.rfind(written)
    return None if at < 0 else text.count("\n", 0, at) + 1


# YAML


def parse_yaml(text: str | bytes, source: str, *, largest: int = LARGEST_YAML) -> Any:
    """The value of one document; None where there is nothing in it."""
    return _in_yaml(text, source, largest, lambda loader: loader.get_single_data())


def parse_yaml_documents(text: str | bytes, source: str, *, largest: int = LARGEST_YAML) -> list[Any]:
    def documents(loader: Any) -> list[Any]:
        return list(iter(lambda: loader.get_data() if loader.check_data() else documents, documents))

    found: list[Any] = _in_yaml(text, source, largest, documents)
    return found


def compose_yaml(text: str | bytes, source: str, *, largest: int = LARGEST_YAML) -> yaml.Node | None:
    """The nodes of one document, each with its line. `yaml_scalar` gives a leaf's value."""
    found: yaml.Node | None = _in_yaml(text, source, largest, lambda loader: loader.get_single_node())
    return found


def yaml_scalar(node: yaml.Node, source: str) -> Any:
    """The value of a leaf; NaN and the infinities pass, for formats that take them."""
    loader = _loader_class()("", source)
    return _within_yaml(source, lambda: loader.construct_scalar_value(node))


def _in_yaml(text: str | bytes, source: str, largest: int, read: Callable[[Any], Any]) -> Any:
    whole = _decoded(text, source, largest, "YAML")
    return _within_yaml(source, lambda: read(_loader_class()(whole, source)))


def _within_yaml(source: str, work: Callable[[], Any]) -> Any:
    import yaml  # noqa: PLC0415  only who reads YAML needs it

    try:
        return work()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "it cannot be read"
        raise _refusal(source, mark.line + 1 if mark else None, f"this is not YAML: {_lowered(problem)}") from None
    except yaml.reader.ReaderError as error:
        problem = f"the character U+{error.character:04X} may not stand in YAML"
        raise _refusal(source, None, problem) from None
    except _LEAKED as error:
        raise _refusal(source, None, f"this is not YAML: {_lowered(str(error))}") from None


@functools.cache
def _loader_class() -> Any:
    import yaml  # noqa: PLC0415  only who reads YAML needs it

    class Loader(yaml.SafeLoader):
        """PyYAML's safe loader, which counts while it composes: an alias counts as often as what it stands for."""

        def __init__(self, text: str, source: str) -> None:
            super().__init__(text)
            self._source = source
            self._count = self._depth = 0
            self._whole: dict[str, tuple[int, int]] = {}

        def compose_node(self, parent: Any, index: Any) -> Any:
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent):
                name = str(event.anchor)
                if name in self.anchors and name not in self._whole:
                    raise _refusal(self._source, line, f"`*{plain(name)}` stands within what it names")
                self._take(*self._whole.get(name, (1, 0)), line)
                return super().compose_node(parent, index)
            before = self._count
            self._take(1, 0, line)
            self._depth += 1
            node: Any = super().compose_node(parent, index)
            self._depth -= 1
            node.height = 1 + max((inner.height for inner in _inner(node)), default=0)
            if event.anchor is not None:
                self._whole[event.anchor] = (self._count - before, node.height)
            return node

        def _take(self, count: int, height: int, line: int) -> None:
            self._count += count
            if self._count > MOST_YAML_VALUES:
                problem = f"it holds more than {MOST_YAML_VALUES:,} values, aliases counted as what they stand for"
                raise _refusal(self._source, line, problem)
            if self._depth + height > DEEPEST:
                raise _refusal(self._source, line, f"it is nested more than {DEEPEST} deep")

        def compose_scalar_node(self, anchor: Any) -> Any:
            node = super().compose_scalar_node(anchor)
            line = node.start_mark.line + 1
            if _SURROGATE.search(node.value):
                # JSON writes what lies beyond 16 bits as two halves, and YAML reads each by itself.
                try:
                    node.value = node.value.encode("utf-16", "surrogatepass").decode("utf-16")
                except UnicodeDecodeError:
                    raise _half(self._source, line) from None
            return node

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            seen = set()
            for key, _ in node.value:
                name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
                if name in seen:
                    line = key.start_mark.line + 1
                    raise _refusal(self._source, line, f"the key `{plain(key.value)}` stands there twice")
                if name is not None:
                    seen.add(name)
            return node

        def construct_scalar_value(self, node: Any) -> Any:
            kind = node.tag.rpartition(":")[2]
            line = node.start_mark.line + 1
            if kind in ("int", "float") and len(node.value) > LONGEST_NUMBER:
                problem = f"a number has {len(node.value)} digits; {LONGEST_NUMBER} are read at the most"
                raise _refusal(self._source, line, problem)
            try:
                value = super().construct_object(node)
            except _LEAKED:
                raise _refusal(self._source, line, f"{plain(node.value, 40)!r} is no {kind}") from None
            if isinstance(value, float) and math.isinf(value) and any(map(str.isdigit, node.value)):
                raise _refusal(self._source, line, f"{plain(node.value, 40)} is larger than a number can be")
            return value

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            if not isinstance(node, yaml.ScalarNode):
                return super().construct_object(node, deep)
            value = self.construct_scalar_value(node)
            if isinstance(value, float) and not math.isfinite(value):
                line = node.start_mark.line + 1
                raise _refusal(self._source, line, f"{node.value} is no number that can be used here")
            return value

    return Loader


def _inner(node: Any) -> Iterator[Any]:
    if isinstance(node.value, list):
        for one in node.value:
            yield from one if isinstance(one, tuple) else (one,)


# TOML


def parse_toml(text: str | bytes, source: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib as toml  # noqa: PLC0415  only who reads TOML needs it
    else:
        import tomli as toml  # noqa: PLC0415
    whole = _decoded(text, source, LARGEST_TOML, "TOML")
    long = _DOTTED.search(whole)
    if long:  # the time for a dotted key grows with the square of its parts
        line = whole.count("\n", 0, long.start()) + 1
        raise _refusal(source, line, "a name with more than 64 dots is not read")
    try:
        found: dict[str, Any] = toml.loads(whole)
    except toml.TOMLDecodeError as error:
        raise _refusal(source, None, f"this is not TOML: {_lowered(str(error))}") from None
    except (ValueError, RecursionError):
        raise _refusal(source, None, f"it is nested more than {DEEPEST} deep, or a number is too long") from None
    return found


# All


def read_bounded(file: Path, largest: int = LARGEST_JSON) -> bytes:
    """A file's bytes, and of one that is too large only so many that the parser refuses it for its size. OSError where
    it cannot be read, also where its name is none that a file could have."""
    if "\0" in str(file):
        raise FileNotFoundError(errno.ENOENT, "no file has a name with the character zero in it", str(file))
    with file.open("rb") as opened:
        return opened.read(largest + 1)


def open_regular(file: Path) -> BinaryIO:
    """A file, and nothing that would keep its reader waiting or never end, as a pipe or a device does. OSError where
    it is none."""
    if "\0" in str(file):
        raise FileNotFoundError(errno.ENOENT, "no file has a name with the character zero in it", str(file))
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file", str(file))
    return os.fdopen(descriptor, "rb")


def _decoded(text: str | bytes, source: str, largest: int, form: str) -> str:
    if len(text) > largest:
        size = f"{largest >> 20} MiB" if largest >= 1 << 20 else f"{largest:,} bytes"
        raise _refusal(source, None, f"it is larger than {size}, and larger {form} is not read")
    if isinstance(text, str):
        found = _SURROGATE.search(text) if not text.isascii() else None
        if found:
            raise _half(source, text.count("\n", 0, found.start()) + 1)
        return text
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refusal(source, text.count(b"\n", 0, error.start) + 1, "this is not UTF-8 text") from None


def _half(source: str, line: int | None) -> InvalidInputError:
    return _refusal(source, line, "it holds half of a character (a lone surrogate), which no file can hold")


def _lowered(message: str) -> str:
    return plain(message[:1].lower() + message[1:].rstrip("."), 200)


def _refusal(source: str, line: int | None, problem: str) -> InvalidInputError:
    return InvalidInputError(f"{source}{f', line {line}' if line else ''}: {problem}.")
