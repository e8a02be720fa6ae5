"""Columns and the order in them, as Sugiyama and others draw directed graphs: what came later stands further right,
and neighbours stand near each other. Pure, and the same for the same graph.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)
# A pair (later, earlier), as the edges of the graph lead.
Link = tuple[T, T]

_SWEEPS = 8


def columns(items: Sequence[T], links: Iterable[Link[T]]) -> list[list[T]]:
    """Every item once. An item stands right of all that it came from, except along the one link of a circle that had to
    be turned around."""
    known = set(items)
    pairs = list(dict.fromkeys((late, early) for late, early in links if late != early and {late, early} <= known))
    ordered = _without_circles(items, pairs)
    level = _levels(items, ordered)
    found: list[list[T]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for item in items:
        found[level[item]].append(item)
    return _untangled([column for column in found if column], pairs)


def _without_circles(items: Sequence[T], links: Sequence[Link[T]]) -> list[Link[T]]:
    """Leaves out each link that leads back to where the search for it came from."""
    leads = defaultdict(list)
    for late, early in links:
        leads[late].append(early)
    kept: list[Link[T]] = []
    open_, done = set(), set()
    for start in items:
        if start in done:
            continue
        open_.add(start)
        stack = [(start, iter(leads[start]))]
        while stack:
            item, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                open_.discard(item)
                done.add(item)
            elif following not in open_:
                kept.append((item, following))
                if following not in done:
                    open_.add(following)
                    stack.append((following, iter(leads[following])))
    return kept


def _levels(items: Sequence[T], links: Sequence[Link[T]]) -> dict[T, int]:
    """The longest way from a beginning; what begins by itself stands right before what first needed it."""
    needs, needed = defaultdict(list), defaultdict(list)
    for late, early in links:
        needs[late].append(early)
        needed[early].append(late)
    waiting = {item: len(needs[item]) for item in items}
    level = dict.fromkeys(items, 0)
    ready = [item for item in items if not waiting[item]]
    for item in ready:  # grows while it is gone through
        for later in needed[item]:
            level[later] = max(level[later], level[item] + 1)
            waiting[later] -= 1
            if not waiting[later]:
                ready.append(later)
    for item in items:
        if not needs[item] and needed[item]:
            level[item] = min(level[later] for later in needed[item]) - 1
    return level


def _untangled(found: list[list[T]], links: Sequence[Link[T]]) -> list[list[T]]:
    """Each item goes to the middle of its neighbours, column by column, there and back."""
    neighbours = defaultdict(list)
    for late, early in links:
        neighbours[late].append(early)
        neighbours[early].append(late)
    place = {item: _share(row, column) for column in found for row, item in enumerate(column)}
    for sweep in range(_SWEEPS):
        for column in found if sweep % 2 == 0 else reversed(found):
            column.sort(key=lambda item: _middle([place[one] for one in neighbours[item]], place[item]))
            for row, item in enumerate(column):
                place[item] = _share(row, column)
    return found


def _share(row: int, column: Sequence[T]) -> float:
    return (row + 0.5) / len(column)


def _middle(places: Sequence[float], own: float) -> float:
    return sum(places) / len(places) if places else own
