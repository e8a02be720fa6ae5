"""Text from elsewhere in Markdown: never markup, never a link or a mention for the page that shows it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tfx_pedigree.text import plain

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~])")
# GitHub and GitLab make mentions, references and links of plain text, also where a backslash stands before.
_TRIGGERS = re.compile(r"(?<=[@#!%$&])(?=\w)|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
_LONGEST = 300


def escaped(text: str) -> str:
    """On one line, and with every mark of Markdown escaped."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def sentence(text: str) -> str:
    """For a comment: bounded, without control characters, and nobody is called by it."""
    parts = _TRIGGERS.split(plain(" ".join(text.split()), _LONGEST))
    return "<!-- -->".join(escaped(part) for part in parts)


def code(text: str) -> str:
    """As code, also in a table: nothing in it is markup."""
    shown = plain(" ".join(text.split()), _LONGEST).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest or not shown else ""
    return f"{fence}{space}{shown}{space}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Of cells that are Markdown already."""
    return [_row(head), _row(["---"] * len(head)), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
