"""Building HTML so that escaping cannot be forgotten: text is escaped unless an element made it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

_VOID = frozenset({"meta", "wbr", "line", "rect", "circle", "path"})
_UNCLOSED = frozenset({"meta", "wbr"})
_TICKED = re.compile(r"`([^`]+)`")
_SPACES = re.compile(r"(\s+)")
_WHOLE = 40
_JOINTS = re.compile(r"([_@/,=:]+)")


class Markup(str):
    """HTML that is finished. Only `el` and `join` make it, and the constants of this package."""

    __slots__ = ()

    def __html__(self) -> str:
        """Templates ask for it before they escape."""
        return self


Child = str | None | Iterable["Child"]
Attribute = str | float | bool | None


def el(tag: str, *children: Child, **attributes: Attribute) -> Markup:
    """`el("p", "1 < 2", class_="note")`. An attribute of None or False is left out; `_` in names becomes `-`."""
    opened = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{tag}{opened}{'' if tag in _UNCLOSED else '/'}>")
    return Markup(f"<{tag}{opened}>{join(children)}</{tag}>")


def join(children: Child) -> Markup:
    if children is None:
        return Markup("")
    if isinstance(children, Markup):
        return children
    if isinstance(children, str):
        # A number and its sign for percent stay on one line.
        return Markup(escape(_visible(children.replace(" %", "\u00a0%"))))
    return Markup("".join(join(child) for child in children))


def ticked(text: str) -> list[Child]:
    """A sentence in which names stand between backticks: those become `code`. One backtick alone stays as it is."""
    parts = _TICKED.split(text)
    return [el("code", unbroken(part)) if at % 2 else part for at, part in enumerate(parts) if part]


def unbroken(command: str) -> list[Child]:
    """A command whose options stay whole where a line ends: a browser would break them after their hyphens."""
    words = _SPACES.split(command)
    return [el("span", one, class_="whole") if one.startswith("-") and len(one) <= _WHOLE else one for one in words]


def breakable(name: str) -> list[Child]:
    """A long name that may be broken where its words end, and not within them."""
    return [[part, el("wbr")] if at % 2 else part for at, part in enumerate(_JOINTS.split(name)) if part]


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{escape(_visible(value if isinstance(value, str) else _short(value)))}"'


def _short(value: float) -> str:
    return f"{value:.6g}"


def _visible(text: str) -> str:
    """Control and direction characters would hide or turn around what stands beside them."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in "\n\t\u00a0" else f"\\u{ord(letter):04x}" for letter in text
    )
