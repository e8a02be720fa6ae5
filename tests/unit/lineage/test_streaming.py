"""A streamed answer is the same as the one that is held whole, and takes no memory to speak of."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import pytest
from graph_testing import random_fragment, storied, thing

from pedigree_testing import candidate, lineage_of
from tfx_pedigree.errors import NotFoundError
from tfx_pedigree.lineage import storage
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment, Node, Way
from tfx_pedigree.registry import Registry

pytestmark = pytest.mark.conformance

ASK = {Way.UP: "get_upstream", Way.DOWN: "get_downstream", Way.BOTH: "get_lineage"}


def sorted_out(parts: Iterable[Node | Edge]) -> tuple[list[Node], list[tuple[Edge, str | None]]]:
    found = list(parts)
    nodes = [part for part in found if isinstance(part, Node)]
    edges = [(part, part.run) for part in found if isinstance(part, Edge)]
    return sorted(nodes, key=lambda node: node.key), sorted(edges)


@pytest.mark.parametrize("depth", [None, 0, 1, 2, 4])
@pytest.mark.parametrize("way", list(Way))
def test_streamed_answer_is_the_whole_answer(registry: Registry, way: Way, depth: int | None) -> None:
    versions = storied(registry, 4)
    lineage = lineage_of(registry)
    lineage.record(random_fragment(11, 30, 60, cycles=True))
    for text in (f"{versions[1].model}@1.0.1", "span:0", thing(7).key):
        start = lineage.find_all(text)[0].key
        whole = getattr(lineage, ASK[way])(start, depth)
        assert sorted_out(lineage.stream(start, way, depth)) == sorted_out((*whole.nodes.values(), *whole.edges))


def test_version_without_a_lineage_is_streamed_with_its_promotions(registry: Registry) -> None:
    registry.add("bare", candidate("a"))
    registry.promote("bare@1.0.0")
    lineage = lineage_of(registry)
    whole = lineage.get_lineage("bare@1.0.0")
    assert sorted_out(lineage.stream("bare@1.0.0")) == sorted_out((*whole.nodes.values(), *whole.edges))


def test_edges_follow_the_node_that_they_lead_from(registry: Registry) -> None:
    storied(registry, 3)
    at = ""
    for part in lineage_of(registry).stream("flight-delay@1.0.1", Way.UP):
        at = part.key if isinstance(part, Node) else at
        assert isinstance(part, Node) or part.source == at


def test_what_was_never_recorded_is_refused_at_the_first_piece(registry: Registry) -> None:
    with pytest.raises(NotFoundError):
        next(lineage_of(registry).stream(thing(1)))


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_memory_does_not_grow_with_the_answer(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the number of each node."""
    monkeypatch.setattr(storage, "BATCH", 100)
    lineage = lineage_of(registry)

    def peak(count: int) -> int:
        things = [Node(thing(n).kind, {**thing(n).content, "of": count, "text": "x" * 200}) for n in range(count)]
        edges = [Edge(things[n].key, EdgeKind.USED, things[n // 2].key) for n in range(1, count)]
        for first in range(0, count, 1000):
            lineage.record(Fragment(tuple(things[first : first + 1000]), tuple(edges[max(0, first - 1) : first + 999])))
        start = things[0].key
        sum(1 for _ in lineage.stream(start, Way.DOWN))
        tracemalloc.start()
        try:
            assert sum(isinstance(part, Node) for part in lineage.stream(start, Way.DOWN)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small = peak(1000)
    assert peak(10_000) < small + 10_000 * 64
