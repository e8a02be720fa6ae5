"""A bar on stderr for work that takes time, only where a person sits before a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from tfx_pedigree.cli.app import asked
from tfx_pedigree.cli.output import console
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.text import visible


@contextlib.contextmanager
def bar(label: str, *, unit: str = "bytes") -> Iterator[Progress]:
    """The bar vanishes when the work ends: what remains on the screen is the answer."""
    if not sys.stderr.isatty() or asked().quiet:
        yield silent
        return
    from rich import progress as rich

    counter: Any = rich.DownloadColumn() if unit == "bytes" else rich.MofNCompleteColumn()
    columns = (rich.TextColumn("{task.description}"), rich.BarColumn(), counter, rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=console(stderr=True), transient=True) as shown:
        task = shown.add_task(visible(label), total=None)

        def tell(done: int, total: int, what: str) -> None:
            shown.update(task, completed=done, total=total)

        yield tell


@contextlib.contextmanager
def waiting(label: str) -> Iterator[None]:
    """For work whose size is not known."""
    if not sys.stderr.isatty() or asked().quiet:
        yield
        return
    with console(stderr=True).status(visible(label)):
        yield
