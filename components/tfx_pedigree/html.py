"""Building HTML so that escaping cannot be forgotten: text is escaped unless an element made it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"meta", "line", "rect", "circle", "path"})


class Markup(str):
    """HTML that is finished. Only `el` and `join` make it, and the constants of this package."""

    __slots__ = ()


Child = str | None | Iterable["Child"]
Attribute = str | float | bool | None


def el(tag: str, *children: Child, **attributes: Attribute) -> Markup:
    """`el("p", "1 < 2", class_="note")`. An attribute of None or False is left out; `_` in names becomes `-`."""
    opened = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{tag}{opened}{'' if tag == 'meta' else '/'}>")
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
