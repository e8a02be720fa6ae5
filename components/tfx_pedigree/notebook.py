"""What a notebook shows of a record, and records as a DataFrame.

In: a record (a frozen dataclass) or several. Out: HTML without a script, a colour or a link, so that it can be read on
light and dark pages alike; every text in it is escaped. Never: asks the registry, or loads pandas but for a DataFrame.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.html import Markup, el
from tfx_pedigree.text import format_minute, short_digest

if TYPE_CHECKING:
    import pandas

_LEFT = "text-align: left; vertical-align: top"
# More of a long answer is asked for page by page.
MOST_ROWS = 100


def html_of(record: Any) -> str:
    """The record's fields below each other; what is empty is left out."""
    if [one.name for one in dataclasses.fields(record)] == ["items", "next"]:
        return _page(record)
    return sheet(_heading(record), _fields(record))


def sheet(heading: str, fields: Mapping[str, Any]) -> str:
    """Lines with a title and a value; records that are many become tables below them. What is empty is left out."""
    fields = {name: value for name, value in fields.items() if not _is_empty(value)}
    tables = {name: value for name, value in fields.items() if _are_records(value)}
    rows = [
        el("tr", el("th", _title(name), style=_LEFT, scope="row"), el("td", _cell(name, value), style=_LEFT))
        for name, value in fields.items()
        if name not in tables
    ]
    sections = [el("div", el("strong", _title(name)), _table(value)) for name, value in tables.items()]
    return el("div", el("strong", heading), el("table", el("tbody", rows)), sections)


def to_dataframe(records: Iterable[Any]) -> pandas.DataFrame:
    """A row a record, a column a field; `metrics`, `parameters` and `tags` become columns such as `metrics.auc`."""
    try:
        import pandas  # noqa: PLC0415  an optional package, and slow to import
    except ImportError as error:
        raise UnavailableError("A DataFrame needs pandas, which is not installed: pip install pandas.") from error
    return pandas.DataFrame([dict(_flat(record)) for record in records])


def _page(page: Any) -> str:
    more = el("p", "There are more: ask for the page after this one.") if page.next is not None else None
    return el("div", _table(page.items) if page.items else el("p", "Nothing."), more)


def _table(records: Sequence[Any]) -> Markup:
    """A column a field that any of them has; only those that the class names, where it does."""
    shown = [_fields(record) for record in records[:MOST_ROWS]]
    has = dict.fromkeys(name for row in shown for name in row)
    chosen = [name for name in getattr(records[0], "TABLE", has) if name in has]
    head = el("tr", [el("th", _title(name), style=_LEFT, scope="col") for name in chosen])
    body = [el("tr", [el("td", _cell(name, row.get(name)), style=_LEFT) for name in chosen]) for row in shown]
    rest = len(records) - len(shown)
    return el("div", el("table", el("thead", head), el("tbody", body)), el("p", f"and {rest:,} more") if rest else None)


def _heading(record: Any) -> str:
    name = getattr(record, "name", None)
    kind = type(record).__name__
    return f"{kind} {name}" if isinstance(name, str) else kind


def _fields(record: Any) -> dict[str, Any]:
    found = {one.name: getattr(record, one.name) for one in dataclasses.fields(record)}
    return {name: value for name, value in found.items() if not _is_empty(value)}


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | tuple | list | Mapping) and not value)


def _are_records(value: Any) -> bool:
    return isinstance(value, tuple | list) and all(map(dataclasses.is_dataclass, value))


def _title(name: str) -> str:
    return name.replace("_", " ")


def _cell(name: str, value: Any) -> str | Markup:
    """A value as one text. What the sheet of a record shows in lines stands in a cell side by side."""
    if dataclasses.is_dataclass(value):
        named = getattr(value, "name", None)
        if isinstance(named, str):
            return named
        return str(value) if type(value).__str__ is not object.__str__ else _cell(name, _fields(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_cell(str(key), one)}" for key, one in value.items())
    if isinstance(value, tuple | list | frozenset):
        return ", ".join(str(_cell(name, one)) for one in value)
    if name.endswith("digest") and isinstance(value, str):
        return el("code", short_digest(value), title=value)
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return format_minute(value)
    return _word(value) if isinstance(value, Enum) else str(value)


def _word(member: Enum) -> str:
    return str(member.value if isinstance(member, str) else member)


def _flat(record: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    for field in dataclasses.fields(record):
        name, value = prefix + field.name, getattr(record, field.name)
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", one) for key, one in value.items())
        elif dataclasses.is_dataclass(value):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, tuple):
            yield name, list(value)
        else:
            yield name, _word(value) if isinstance(value, Enum) else value
