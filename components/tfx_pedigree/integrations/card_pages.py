"""A model card as Markdown and as a page of HTML. Pure; nothing of what people wrote is taken as markup."""

from __future__ import annotations

import re

from tfx_pedigree.html import Markup, el
from tfx_pedigree.integrations.card import Card, Part

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~])")
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328;"
    "background:#fff}table{border-collapse:collapse;display:block;overflow-x:auto}th,td{text-align:left;"
    "vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #d1d9e0}h2{margin-top:2rem}"
    "td{overflow-wrap:anywhere}@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,td{"
    "border-color:#30363d}}"
)


def card_as_markdown(card: Card) -> str:
    lines = [f"# {_text(card.model)} {_text(card.version)}", ""]
    for part in card.parts:
        lines += [f"## {part.title}", "", *(f"- {_text(sentence)}" for sentence in part.sentences)]
        if len(part.table) > 1:
            lines += ([""] if part.sentences else []) + list(_table(part))
        lines.append("")
    return "\n".join(lines)


def _table(part: Part) -> list[str]:
    head, *rows = part.table
    return [_row(head), _row(("---",) * len(head), plain=True), *map(_row, rows)]


def _row(cells: tuple[str, ...], *, plain: bool = False) -> str:
    return f"| {' | '.join(cell if plain else _text(cell) for cell in cells)} |"


def _text(text: str) -> str:
    """On one line, and with every mark of Markdown escaped."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def card_as_html(card: Card) -> str:
    name = f"{card.model} {card.version}"
    head = (el("meta", charset="utf-8"), el("meta", name="viewport", content="width=device-width"), el("title", name))
    body = [el("h1", name), *(_part(part) for part in card.parts)]
    page = el("html", el("head", *head, el("style", Markup(_STYLE))), el("body", el("main", *body)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _part(part: Part) -> Markup:
    sentences = el("ul", *(el("li", sentence) for sentence in part.sentences)) if part.sentences else None
    return el("section", el("h2", part.title), sentences, _html_table(part), id=part.name)


def _html_table(part: Part) -> Markup | None:
    if len(part.table) < 2:
        return None
    head, *rows = part.table
    heads = el("tr", *(el("th", cell, scope="col") for cell in head))
    return el(
        "table",
        el("thead", heads),
        el("tbody", *(el("tr", *(el("td", cell) for cell in row)) for row in rows)),
        tabindex="0",
        aria_label=part.title,
    )
