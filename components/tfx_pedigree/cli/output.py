"""How answers look: JSON for programs, tables for people. An answer goes to stdout, all that is said of it to stderr.

Rich is imported when something is printed with it. A terminal's width is used in full, and a table that does not fit is
printed row by row. Where there is no terminal, nothing is cut, so that `| grep` finds what is there.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

from tfx_pedigree.cli.app import asked
from tfx_pedigree.digest import plain_json
from tfx_pedigree.text import format_minute, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.style import StyleType
    from rich.table import Column, Table

T = TypeVar("T")
P = ParamSpec("P")
_ENDLESS = 1000
_NARROWEST = 20
_LONG_WORD = 16
# A word with the blanks before it; what stands between backticks is one.
_PIECES = re.compile(r"\s*(?:`[^`]*`|\S)+")
NOTHING = "–"


# For programs


def answer(found: T, tell: Callable[Concatenate[T, P], None], *arguments: P.args, **named: P.kwargs) -> None:
    """As JSON where that was asked for; else `tell` says it to people."""
    if asked().json:
        from tfx_pedigree.json_form import to_json

        emit(to_json(found))
    else:
        tell(found, *arguments, **named)


def emit(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


# For people


def say(text: str, *, indent: int = 0) -> None:
    """A sentence that is the answer. An indented one stays indented where it is broken into lines, and what stands
    between backticks, such as a command, is never broken."""
    width = console().width
    for line in visible(text).splitlines() or [""]:
        for part in _parts(line, width - indent) if width < _ENDLESS else [line]:
            click.echo(f"{' ' * indent}{part}".rstrip())


def _parts(line: str, width: int) -> Iterator[str]:
    from rich.cells import cell_len, chop_cells

    part = ""
    for piece in _PIECES.findall(line):
        if part and cell_len(part + piece) > width:
            yield part
            part = piece.lstrip()
        else:
            part += piece
        if "`" not in part and cell_len(part) > width:
            *full, part = chop_cells(part, width)
            yield from full
    yield part


def done(text: str, *, indent: int = 0) -> None:
    """What a command has done, for people. Nothing with --quiet: the exit code says that it went well."""
    if not (asked().quiet or asked().json):
        say(text, indent=indent)


def note(text: str) -> None:
    """What is good to know beside the answer, such as the next command. On stderr: it is no part of the answer."""
    if asked().quiet:
        return
    colour = False if os.environ.get("NO_COLOR") else None
    click.echo(click.style(visible(text), dim=True), err=True, color=colour)


def next_step(*words: str, label: str = "Next") -> None:
    """A command to go on with. For people only: a program that reads JSON knows what it wants."""
    if not asked().json:
        note(f"{label}: {command(*words)}")


def command(*words: str) -> str:
    return shlex.join(("pedigree", *words))


def show(*renderables: RenderableType) -> None:
    out = console()
    with out.capture() as captured:
        for renderable in itertools.chain.from_iterable(_fitting(one, out.width) for one in renderables):
            out.print(renderable, soft_wrap=isinstance(renderable, str) and out.width == _ENDLESS)
    # Rich fills the cells of a last column with blanks.
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    # In a log that holds both streams, what is said next, or by a pipeline that is started now, must come after it.
    sys.stdout.flush()


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        markup=False,
        highlight=False,
        emoji=False,
        width=_width(stream.isatty()),
        # Rich would keep bold and dim; who sets NO_COLOR wants plain text.
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )


def _width(at_terminal: bool) -> int | None:
    """None: as wide as the terminal is. A COLUMNS that is no width, as 0, counts as none."""
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and int(named) > 0:
        return max(_NARROWEST, int(named))
    if not at_terminal:
        return _ENDLESS
    return 80 if named else None


def is_wide() -> bool:
    return console().width >= 100


def table(*columns: str) -> Table:
    """Columns whose name ends in `>` are numbers; the cells of those that end in `…` may take several lines."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        name = column.rstrip(">…")
        justify: Any = "right" if column.endswith(">") else "left"
        made.add_column(name, justify=justify, no_wrap=not column.endswith("…"), overflow="fold")
    return made


def sheet(rows: Iterable[tuple[str, Any]], *, indent: int = 0, style: StyleType | None = None) -> Table:
    """Labels and what they stand for; a long text goes on below its own beginning."""
    from rich.table import Table
    from rich.text import Text

    lines = [(" " * indent + visible(label), cells([value])[0]) for label, value in rows]
    grid = Table.grid(padding=(0, 2, 0, 0))
    widest = max((len(label) for label, _ in lines), default=0)
    grid.add_column(no_wrap=widest <= min(40, console().width // 2), overflow="fold")
    grid.add_column(overflow="fold")
    for label, value in lines:
        grid.add_row(Text(label, style="cyan"), value, style=style)
    return grid


def _fitting(renderable: RenderableType, width: int) -> Iterator[RenderableType]:
    """A table as it is, or, where it does not fit, a sheet for each of its rows with an empty line between them."""
    from rich.table import Table

    if not (isinstance(renderable, Table) and renderable.show_header and _least_width(renderable) > width):
        yield renderable
        return
    headings = [str(column.header) for column in renderable.columns]
    for number, (row, *values) in enumerate(zip(renderable.rows, *(c.cells for c in renderable.columns), strict=True)):
        if number:
            yield ""
        # A mark stands before the row, in a column without a name.
        mark = "".join(f"{value} " for name, value in zip(headings, values, strict=True) if not name)
        named = [(name, value) for name, value in zip(headings, values, strict=True) if name]
        rest = [(name, value) for name, value in named[1:] if value not in ("", NOTHING)]
        yield sheet([(named[0][0], f"{mark.lstrip()}{named[0][1]}"), *rest], style=row.style)


def _least_width(table: Table) -> int:
    """Narrower than this, cells would be broken within their words."""
    from rich.cells import cell_len

    def least(column: Column) -> int:
        texts = [str(column.header), *map(str, column.cells)]
        if column.no_wrap:
            return max(map(cell_len, texts))
        return max(min(cell_len(word), _LONG_WORD) for text in texts for word in text.split() or [""])

    return sum(map(least, table.columns)) + 2 * (len(table.columns) - 1)


def cells(row: Iterable[Any]) -> list[str]:
    return [NOTHING if cell is None or cell == "" else visible(str(cell)) for cell in row]


# Words


def when(value: datetime | None) -> str | None:
    """For a column whose heading says that its times are UTC."""
    return None if value is None else format_minute(value).removesuffix(" UTC")


def number(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    value = plain_json(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
