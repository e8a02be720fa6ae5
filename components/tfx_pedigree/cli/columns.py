"""Lists as tables whose columns can be chosen: `--columns version,metric.auc,by`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from tfx_pedigree.cli import output
from tfx_pedigree.text import did_you_mean, visible

if TYPE_CHECKING:
    from rich.table import Table

    from tfx_pedigree.registry import Page

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Shown(Enum):
    """When a column is there although nobody asked for it."""

    ALWAYS = "always"
    FILLED = "where an item has it"
    WIDE = "on a wide terminal"
    ASKED = "never"


@dataclass(frozen=True)
class Column(Generic[T]):
    """`heading` is the column's name where it is empty; its marks are those of `output.table`."""

    cell: Callable[[T], Any]
    heading: str = ""
    shown: Shown = Shown.ALWAYS


@dataclass(frozen=True)
class Columns(Generic[T]):
    """All columns of one kind of list, by name. A family such as `metric` has a column for each name that an item holds
    (`metric.auc`); `families` says how to get these values from an item."""

    known: Mapping[str, Column[T]]
    families: Mapping[str, Callable[[T], Mapping[str, Any]]] = field(default_factory=dict)
    style: Callable[[T], str | None] = lambda item: None

    def option(self, command: F) -> F:
        text = f"Show these columns, in this order: {self._names()}."
        return click.option("--columns", metavar="NAMES", callback=self._parsed, help=text)(command)

    def answer(self, page: Page[T], chosen: Sequence[str] | None, *, words: Sequence[str], nothing: str) -> None:
        """The page as JSON or as a table. `words` are those of the command, which is told again for the next page."""
        output.answer(page, self._tell, chosen, words, nothing)

    def answer_all(
        self, items: Sequence[T], chosen: Sequence[str] | None, *, nothing: str, then: Sequence[str] = ()
    ) -> None:
        """A list that has no pages; `then` are the words of the command to go on with where it is empty."""
        output.answer({"items": items, "next": None}, lambda _: self._tell_all(items, chosen, nothing, then))

    def _tell(self, page: Page[T], chosen: Sequence[str] | None, words: Sequence[str], nothing: str) -> None:
        self._tell_all(page.items, chosen, nothing, ())
        if page.next is not None:
            picked = ["--columns", ",".join(chosen)] if chosen else []
            output.note(f"There are more: {output.command(*words, *picked, '--after', page.next)}")

    def _tell_all(self, items: Sequence[T], chosen: Sequence[str] | None, nothing: str, then: Sequence[str]) -> None:
        if items:
            output.show(self.table(items, chosen))
            return
        output.say(nothing)
        if then:
            output.next_step(*then)

    def table(self, items: Sequence[T], chosen: Sequence[str] | None) -> Table:
        columns = [(name, self._column(name)) for name in chosen or self._usual(items)]
        made = output.table(*(visible(column.heading or name) for name, column in columns))
        for item in items:
            made.add_row(*output.cells(column.cell(item) for _, column in columns), style=self.style(item))
        return made

    def _usual(self, items: Sequence[T]) -> list[str]:
        wide = output.is_wide()
        return [
            name
            for name, column in self.known.items()
            if column.shown is Shown.ALWAYS
            or (column.shown is Shown.WIDE and wide)
            or (column.shown is Shown.FILLED and any(column.cell(item) for item in items))
        ]

    def _column(self, name: str) -> Column[T]:
        if name in self.known:
            return self.known[name]
        family, _, key = name.partition(".")
        values = self.families[family]
        return Column(lambda item: _value(values(item).get(key)), f"{name}…")

    def _parsed(self, ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
        if value is None:
            return None
        names = [name.strip() for name in value.split(",")]
        for name in names:
            family, dot, key = name.partition(".")
            if name not in self.known and not (dot and key and family in self.families):
                hint = " ".join(filter(None, (did_you_mean(name, [*self.known]), f"The columns are {self._names()}.")))
                raise click.BadParameter(f"there is no column {name!r}. {hint}", ctx=ctx, param=param)
        return names

    def _names(self) -> str:
        return ", ".join([*self.known, *(f"{family}.NAME" for family in self.families)])


def _value(value: Any) -> str | None:
    return None if value is None else output.number(value)
