"""A model card as Markdown and as a page of HTML. Pure; nothing of what people wrote is taken as markup."""

from __future__ import annotations

from tfx_pedigree.html import Markup, el
from tfx_pedigree.integrations.card import Card, Part
from tfx_pedigree.integrations.markdown import escaped, table

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328;"
    "background:#fff}table{border-collapse:collapse;display:block;overflow-x:auto}th,td{text-align:left;"
    "vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #d1d9e0}h2{margin-top:2rem}"
    "td{overflow-wrap:anywhere}@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,td{"
    "border-color:#30363d}}"
)


def card_as_markdown(card: Card) -> str:
    lines = [f"# {escaped(card.model)} {escaped(card.version)}", ""]
    for part in card.parts:
        lines += [f"## {part.title}", "", *(f"- {escaped(sentence)}" for sentence in part.sentences)]
        if len(part.table) > 1:
            head, *rows = ([escaped(cell) for cell in row] for row in part.table)
            lines += ([""] if part.sentences else []) + table(head, rows)
        lines.append("")
    return "\n".join(lines)


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
