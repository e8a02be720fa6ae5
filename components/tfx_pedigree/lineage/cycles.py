"""Finding ways that lead back to where they began, without walking any edge more often than once a finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tfx_pedigree.lineage.graph import Edge

MOST = 10


def find_cycles(keys: Iterable[str], edges: Iterable[Edge]) -> Iterator[tuple[str, ...]]:
    """Cycles that share no node, ten at the most; each begins and ends with its smallest key. None if there is none."""
    targets: dict[str, set[str]] = {key: set() for key in keys}
    sources: dict[str, set[str]] = {key: set() for key in targets}
    for edge in edges:
        targets[edge.source].add(edge.target)
        sources[edge.target].add(edge.source)
    for _ in range(MOST):
        _peel(targets, sources)
        _peel(sources, targets)
        if not targets:
            return
        cycle = _follow(targets)
        yield cycle
        for key in cycle[1:]:
            _remove(key, targets, sources)


def _peel(ahead: dict[str, set[str]], behind: dict[str, set[str]]) -> None:
    """Takes away all that leads nowhere, again and again: what is left has a way on from everywhere."""
    ends = [key for key, nexts in ahead.items() if not nexts]
    while ends:
        key = ends.pop()
        before = behind[key]
        _remove(key, ahead, behind)
        ends += [each for each in before if not ahead[each]]


def _remove(key: str, ahead: dict[str, set[str]], behind: dict[str, set[str]]) -> None:
    for each in behind.pop(key):
        if each != key:
            ahead[each].discard(key)
    for each in ahead.pop(key):
        if each != key:
            behind[each].discard(key)


def _follow(targets: dict[str, set[str]]) -> tuple[str, ...]:
    key = min(targets)
    way: dict[str, None] = {}
    while key not in way:
        way[key] = None
        key = min(targets[key])
    steps = list(way)
    cycle = steps[steps.index(key) :]
    first = cycle.index(min(cycle))
    return (*cycle[first:], *cycle[:first], cycle[first])
