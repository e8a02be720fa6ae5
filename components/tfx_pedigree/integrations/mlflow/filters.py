"""MLflow's filter strings and orders, parsed strictly: what is not understood is refused, never passed over."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import listed, plain

_MOST_CLAUSES, _LONGEST, _LONGEST_PATTERN = 20, 10_000, 250
# A name, or `tag.KEY` with the key bare, in backticks or in double quotes; an operator; a text, a number or a list.
_CLAUSE = re.compile(
    r"""\s*(?:(?:attributes?|(?P<tag>tags?))\.)?
    (?:`(?P<ticks>[^`]{1,250})`|"(?P<quotes>[^"]{1,250})"|(?P<bare>[A-Za-z_][\w./-]{0,249}))
    \s*(?P<op>!=|<=|>=|=|<|>|(?:NOT\s+)?IN\b|I?LIKE\b)
    \s*(?P<value>'[^']*'|"[^"]*"|[0-9]{1,15}\b|\(\s*(?:'[^']*'|"[^"]*")(?:\s*,\s*(?:'[^']*'|"[^"]*"))*\s*\))\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_AND = re.compile(r"AND\b", re.IGNORECASE)
_TEXT = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_ORDER = re.compile(r"\s*(?:attributes?\.)?[`\"]?(\w+)[`\"]?(?:\s+(ASC|DESC))?\s*", re.IGNORECASE)
IS_PROMPT = "mlflow.prompt.is_prompt"
_OF_TEXTS = ("=", "!=", "LIKE", "ILIKE")
_OF_LISTS = (*_OF_TEXTS, "IN", "NOT IN")
_OF_NUMBERS = ("=", "!=", "<", "<=", ">", ">=")
# What may be compared, and how.
OF_MODELS: dict[str, tuple[str, ...]] = {"name": _OF_TEXTS}
OF_VERSIONS: dict[str, tuple[str, ...]] = {
    "name": _OF_LISTS,
    "run_id": _OF_LISTS,
    "version_number": _OF_NUMBERS,
    "source_path": _OF_TEXTS,
}


@dataclass(frozen=True)
class Clause:
    """One comparison. `values` are the texts of a list, else one."""

    key: str
    is_tag: bool
    op: str
    values: tuple[str, ...]

    def holds(self, value: str | int | None) -> bool:
        """Of a field, or of a tag, which is None where there is none: MLflow finds nothing then, whatever is asked."""
        if self.is_tag and self.key == IS_PROMPT and value is None:
            return (self.op, self.values[0]) in (("!=", "true"), ("=", "false"))
        if value is None:
            return False
        if isinstance(value, int):
            return _NUMBERS[self.op](value, int(self.values[0]))
        return self._of_text(value)

    def _of_text(self, value: str) -> bool:
        wanted = self.values[0]
        if self.op in ("IN", "NOT IN"):
            return (value in self.values) is (self.op == "IN")
        if self.op in ("LIKE", "ILIKE"):
            return _like(wanted, self.op == "ILIKE").fits(value)
        return (value == wanted) is (self.op == "=")


_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@functools.lru_cache(256)
def _like(pattern: str, any_case: bool) -> Like:
    flags = re.DOTALL | (re.IGNORECASE if any_case else 0)
    parts = re.split("%+", pattern)
    signs = ["".join("." if sign == "_" else re.escape(sign) for sign in part) for part in parts]
    return Like(tuple(re.compile(one, flags) for one in signs), len(parts[-1]))


@dataclass(frozen=True)
class Like:
    """What stands between the `%` of a pattern. Each is looked for where the one before ends: that takes one walk along
    the text, where a regular expression of the whole would go back and forth."""

    parts: tuple[re.Pattern[str], ...]
    last: int

    def fits(self, text: str) -> bool:
        first, *between = self.parts
        if not between:
            return first.fullmatch(text) is not None
        found = first.match(text)
        for part in between[:-1]:
            found = found and part.search(text, found.end())
        return bool(found and len(text) - self.last >= found.end() and between[-1].match(text, len(text) - self.last))


def parse_filter(text: str, known: dict[str, tuple[str, ...]]) -> tuple[Clause, ...]:
    """All clauses must hold."""
    if len(text) > _LONGEST:
        raise _refused(text, f"It is longer than {_LONGEST:,} characters.")
    found: list[Clause] = []
    at = 0
    while text[at:].strip():
        if found:
            joined = _AND.match(text, at)
            if joined is None or len(found) >= _MOST_CLAUSES:
                raise _refused(text[at:], f"At most {_MOST_CLAUSES} comparisons are joined, by AND.")
            at = joined.end()
        match = _CLAUSE.match(text, at)
        if match is None:
            raise _refused(text[at:], "Write comparisons such as name = 'flight-delay' or tag.team = 'ops'.")
        found.append(_clause(match, known))
        at = match.end()
    return tuple(found)


def _clause(match: re.Match[str], known: dict[str, tuple[str, ...]]) -> Clause:
    key = match["ticks"] or match["quotes"] or match["bare"]
    op, is_tag = " ".join(match["op"].upper().split()), match["tag"] is not None
    allowed = _OF_TEXTS if is_tag else known.get(key)
    if allowed is None:
        raise _refused(match[0], f"What can be compared are tags, as tag.KEY, and {listed(known)}.")
    if op not in allowed:
        raise _refused(match[0], f"`{key}` takes {' '.join(allowed)}.")
    value = match["value"]
    if value.isdigit():
        if allowed is not _OF_NUMBERS:
            raise _refused(match[0], f"`{key}` is compared with a text in quotes.")
        return Clause(key, is_tag, op, (value,))
    texts = tuple(one or other for one, other in _TEXT.findall(value))
    number = allowed is _OF_NUMBERS
    if (op in ("IN", "NOT IN")) is not value.startswith("(") or (number and not re.fullmatch("[0-9]{1,15}", texts[0])):
        raise _refused(match[0], f"`{key}` is not compared with such a value.")
    if op.endswith("LIKE") and len(texts[0]) > _LONGEST_PATTERN:
        raise _refused(match[0], f"A pattern has at most {_LONGEST_PATTERN} characters.")
    return Clause(key, is_tag, op, texts)


def _refused(part: str, help_text: str) -> InvalidInputError:
    return InvalidInputError(f"The filter cannot be read at {plain(part.strip(), 60)!r}. {help_text}")


def check_order(asked: Sequence[str], natural: dict[str, str], otherwise: str) -> None:
    """`natural` is the order in which answers come; any other one is refused."""
    for one in asked:
        match = _ORDER.fullmatch(one)
        if match is None or natural.get(match[1]) != (match[2] or "ASC").upper():
            raise InvalidInputError(f"The order {plain(one, 60)!r} cannot be had here: {otherwise}")
