"""Everything, page by page, for the commands that need all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfx_pedigree.registry import Registry, Version

_PAGE = 500


def versions_of(registry: Registry, model: str) -> Iterator[Version]:
    """All versions of a model, the reserved and archived ones too."""
    after = None
    while True:
        page = registry.versions(model, limit=_PAGE, after=after)
        yield from page.items
        if page.next is None:
            return
        after = page.next


def all_versions(registry: Registry) -> Iterator[Version]:
    after = None
    while True:
        page = registry.models(limit=_PAGE, after=after)
        for model in page.items:
            yield from versions_of(registry, model.name)
        if page.next is None:
            return
        after = page.next
