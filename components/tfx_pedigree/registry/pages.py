"""All of a long answer, page by page: for work that needs every item, but not all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from tfx_pedigree.registry.records import Page

T = TypeVar("T")
LARGEST_PAGE = 500


def every(ask: Callable[[str | None], Page[T]]) -> Iterator[T]:
    """`ask` gets the `next` of the page before; None for the first page.

    `every(lambda after: registry.versions(model, limit=LARGEST_PAGE, after=after))`
    """
    after = None
    while True:
        page = ask(after)
        yield from page.items
        if page.next is None:
            return
        after = page.next
