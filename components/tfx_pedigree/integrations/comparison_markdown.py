"""Two versions side by side as Markdown, for a comment on a pull request. Pure; the same text each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tfx_pedigree.integrations.markdown import code, sentence, table
from tfx_pedigree.registry import Evidence, Row, VersionDiff
from tfx_pedigree.text import plural

# A comment holds 65,536 characters at the most.
MOST_ROWS = 40
_MARKS = {"PASS": "✅", "FAIL": "❌", "INSUFFICIENT": "⚠️"}


def comparison_as_markdown(comparison: VersionDiff, evidence: Evidence | None) -> str:
    """`evidence` is the new version's newest. Its verdict counts only where it was compared with the old version."""
    old, new = comparison.old, comparison.new
    left, right = (old.version, new.version) if old.model == new.model else (old.name, new.name)
    heads = ["", code(left), code(right)]
    lines = [f"### {code(new.model)}: {code(left)} → {code(right)}", "", *_verdict(comparison, evidence), ""]
    if comparison.reasons:
        bump = f"**{comparison.bump.upper()}**: " if comparison.bump else ""
        lines += [f"- {bump if not at else ''}{sentence(one)}" for at, one in enumerate(comparison.reasons[:MOST_ROWS])]
        lines += [*_more(len(comparison.reasons), old.name, new.name), ""]
    if comparison.metrics:
        rows = [[*_cells(row), _change(row)] for row in comparison.metrics[:MOST_ROWS]]
        lines += [*table([*heads, "change"], rows), *_more(len(comparison.metrics), old.name, new.name), ""]
        lines += [sentence(comparison.metrics_note), ""] if comparison.metrics_note else []
    for title, rows_of in (("Parameters", comparison.parameters), ("Interface", comparison.interface)):
        lines += _differences(title, rows_of, heads, (old.name, new.name))
    asked = f"pedigree diff {old.model}@{old.version} {new.model}@{new.version}"
    return "\n".join([*lines, f"Data, code and environment: {code(asked)}", ""])


def _verdict(comparison: VersionDiff, evidence: Evidence | None) -> Iterator[str]:
    if evidence is None:
        yield f"The gate has not judged {code(comparison.new.version)}."
    elif evidence.champion != comparison.old.digest:
        yield f"The gate judged {code(comparison.new.version)} against another version."
    else:
        word = evidence.verdict.value
        yield f"{_MARKS.get(word, '')} The gate says **{word}**: {sentence(evidence.reason)}"


def _differences(title: str, rows: Sequence[Row], heads: list[str], names: tuple[str, str]) -> list[str]:
    shown = [row for row in rows if row.differs]
    if not rows:
        return []
    if not shown:
        return [f"{title}: all {len(rows)} the same.", ""]
    same = len(rows) - len(shown)
    found = [*table([title, *heads[1:]], [_cells(row) for row in shown[:MOST_ROWS]]), *_more(len(shown), *names), ""]
    return [*found, f"{same} the same.", ""] if same else found


def _more(count: int, old: str, new: str) -> list[str]:
    """What is not shown is said."""
    left = count - MOST_ROWS
    asked = f"pedigree compare {old.replace(' ', '@')} {new.replace(' ', '@')} --all"
    return ["", f"{plural(left, 'more row')}: {code(asked)}"] if left > 0 else []


def _cells(row: Row) -> list[str]:
    name = code(row.name)
    return [f"**{name}**" if row.differs else name, _value(row.old), _value(row.new)]


def _value(value: Any) -> str:
    return "–" if value is None else code(_shown(value))


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _change(row: Row) -> str:
    if row.change is None or not row.differs:
        return ""
    share = f" ({row.change / abs(row.old):+.2%})" if row.old else ""
    return code(f"{row.change:+.6g}{share}")
