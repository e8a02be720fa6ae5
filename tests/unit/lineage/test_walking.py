"""Walking: as far as asked and no further, all of it or said so, the same as networkx finds, on both databases."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest
from graph_costs import analyze, analyzed_while_edges_are_written, cost, same
from graph_testing import MODEL, as_networkx, code, data, node_of, random_fragment, storied, thing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pedigree_testing import candidate, lineage_of
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment, NodeKind
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.registry import Registry

pytestmark = pytest.mark.conformance


@pytest.fixture
def lineage(registry: Registry) -> Lineage:
    return lineage_of(registry)


def chain(count: int) -> Fragment:
    things = tuple(thing(number) for number in range(count))
    edges = (Edge(things[n + 1].key, EdgeKind.USED, things[n].key) for n in range(count - 1))
    return Fragment(things, tuple(edges))


def expected(graph: nx.DiGraph, start: str, way: str, depth: int | None) -> dict[str, int]:
    """What is reached and after how many steps, as networkx says."""
    ways = {"up": [graph], "down": [graph.reverse()], "both": [graph, graph.reverse()]}[way]
    found: dict[str, int] = {}
    for each in ways:
        for key, steps in nx.single_source_shortest_path_length(each, start, cutoff=depth).items():
            found[key] = min(steps, found.get(key, steps))
    return found


def check(lineage: Lineage, fragment: Fragment, start: str, depth: int | None) -> None:
    graph = as_networkx(fragment)
    for way, ask in {
        "up": lineage.get_upstream,
        "down": lineage.get_downstream,
        "both": lineage.get_lineage,
    }.items():
        answer = ask(start, depth)
        reached = expected(graph, start, way, depth)
        assert answer.depth == reached
        assert answer.nodes.keys() == reached.keys()
        assert set(answer.edges) == {e for e in fragment.edges if {e.source, e.target} <= reached.keys()}
        assert answer.complete == (reached.keys() == expected(graph, start, way, None).keys())
        inside = graph.subgraph(reached)
        assert bool(answer.cycles) == (not nx.is_directed_acyclic_graph(inside))
        for cycle in answer.cycles:
            assert cycle[0] == cycle[-1]
            assert nx.is_path(inside, list(cycle))


@pytest.fixture(scope="module")
def many_graphs() -> Iterator[Lineage]:
    """A registry for all examples of a property: each has nodes of its own in it."""
    with tempfile.TemporaryDirectory() as folder:
        Registry.create(Path(folder) / "registry", actor="ada").close()
        with Registry.open(Path(folder) / "registry", actor="ada") as registry:
            yield lineage_of(registry)


@pytest.mark.system
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(0, 10**9), st.integers(2, 25), st.integers(0, 60), st.booleans()),
    depth=st.none() | st.integers(0, 6),
)
def test_walks_agree_with_networkx_on_any_graph(
    many_graphs: Lineage, shape: tuple[int, int, int, bool], depth: int | None
) -> None:
    seed, nodes, edges, cycles = shape
    fragment = renamed(random_fragment(seed, nodes, edges, cycles=cycles), shape)
    many_graphs.record(fragment)
    check(many_graphs, fragment, fragment.nodes[seed % nodes].key, depth)
    a, b = fragment.nodes[0].key, fragment.nodes[-1].key
    graph = as_networkx(fragment)
    lengths = [nx.shortest_path_length(graph, *ends) for ends in ((a, b), (b, a)) if nx.has_path(graph, *ends)]
    path = many_graphs.path(a, b)
    assert (path is None) == (not lengths)
    if path:
        assert len(path.edges) == min(lengths)
        assert nx.is_path(graph, list(path.nodes))
        assert [path.nodes[edge.target] for edge in path.edges] == list(path.nodes.values())[1:]
        assert {path.start[0], [*path.nodes][-1]} == {a, b}


def renamed(fragment: Fragment, example: object) -> Fragment:
    """The same graph with nodes that no other example has."""
    nodes = {node.key: type(node)(node.kind, {**node.content, "store": repr(example)}) for node in fragment.nodes}
    edges = (Edge(nodes[e.source].key, e.kind, nodes[e.target].key) for e in fragment.edges)
    return Fragment(tuple(nodes.values()), tuple(edges))


@pytest.mark.parametrize("cycles", [False, True])
def test_walks_agree_with_networkx_on_both_databases(lineage: Lineage, cycles: bool) -> None:
    fragment = random_fragment(7, 60, 150, cycles=cycles)
    lineage.record(fragment)
    for number in (0, 17, 59):
        for depth in (None, 0, 1, 3):
            check(lineage, fragment, thing(number).key, depth)


def test_ring_that_is_longer_than_the_limit_hides_nothing_that_lies_behind_it(lineage: Lineage) -> None:
    """Both ways meet on the far side of the ring, from where one more step leads out of the answer."""
    ring = chain(7)
    closing = Edge(thing(0).key, EdgeKind.USED, thing(6).key)
    behind = Edge(thing(2).key, EdgeKind.USED, thing(99).key)
    lineage.record(Fragment((*ring.nodes, thing(99)), (*ring.edges, closing, behind)))
    answer = lineage.get_lineage(thing(6).key, 3)
    assert len(answer.nodes) == 7
    assert not answer.complete
    assert lineage.get_lineage(thing(6).key, 6).complete


def test_depth_really_limits_and_says_that_there_is_more(lineage: Lineage) -> None:
    lineage.record(chain(10))
    answer = lineage.get_upstream(thing(9).key, depth=4)
    assert [node.content["id"] for node in answer.nodes.values()] == [9, 8, 7, 6, 5]
    assert list(answer.depth.values()) == [0, 1, 2, 3, 4]
    assert not answer.complete
    assert lineage.get_upstream(thing(9).key, depth=9).complete
    assert lineage.get_upstream(thing(9).key, depth=0).nodes.keys() == {thing(9).key}
    with pytest.raises(InvalidInputError, match="A depth of -1 reaches nothing"):
        lineage.get_upstream(thing(9).key, depth=-1)


def test_history_of_a_thousand_steps_is_walked_to_its_end(lineage: Lineage) -> None:
    """Further than the hundred steps at which ML Metadata stops without a word."""
    lineage.record(chain(1000))
    answer = lineage.get_upstream(thing(999).key)
    assert len(answer.nodes) == 1000
    assert answer.depth[thing(0).key] == 999
    assert answer.complete
    path = lineage.path(thing(0).key, thing(999).key)
    assert path is not None
    assert len(path.edges) == 999


def test_cycle_is_reported_and_every_question_ends(lineage: Lineage) -> None:
    ring = chain(5)
    closing = Edge(thing(0).key, EdgeKind.PRODUCED_BY, thing(4).key)
    lineage.record(Fragment(ring.nodes, (*ring.edges, closing)))
    answer = lineage.get_lineage(thing(2).key)
    assert len(answer.nodes) == 5
    ((first, *rest),) = answer.cycles
    assert (rest[-1], len(rest)) == (first, 5)
    assert lineage.get_upstream(thing(2).key, depth=2).cycles == ()
    assert lineage.impact(thing(2).key).versions == ()
    path = lineage.path(thing(0).key, thing(1).key)
    assert path is not None
    assert len(path.edges) == 1, "the shorter of both ways round"


def test_shortest_way_of_several_is_found_and_carries_where_two_edges_are_alike(lineage: Lineage) -> None:
    a, b, c, d = (thing(number) for number in range(4))
    edges = [(d, c), (c, b), (b, a), (d, a)]
    kinds = [EdgeKind.SUPERSEDES, EdgeKind.USED]
    lineage.record(Fragment((a, b, c, d), tuple(Edge(s.key, kind, t.key) for s, t in edges for kind in kinds)))
    for found in (lineage.path(d.key, a.key), lineage.path(a.key, d.key)):
        assert found is not None
        assert found.edges == (Edge(d.key, EdgeKind.USED, a.key),)
    itself = lineage.path(a.key, a.key)
    assert itself is not None
    assert (list(itself.nodes), itself.edges) == ([a.key], ())


def test_things_that_only_have_an_ancestor_in_common_have_no_way_between_them(lineage: Lineage) -> None:
    a, b, c = (thing(number) for number in range(3))
    lineage.record(Fragment((a, b, c), (Edge(b.key, EdgeKind.USED, a.key), Edge(c.key, EdgeKind.USED, a.key))))
    assert lineage.path(b.key, c.key) is None


def test_what_a_version_came_from_and_what_came_of_data(lineage: Lineage, registry: Registry) -> None:
    first, second, third = storied(registry, 3)
    up = lineage.get_upstream(f"{MODEL}@{second.version}")
    assert {node_of(first).key, data(0).key, data(1).key, code(0).key, code(1).key} <= up.nodes.keys()
    assert node_of(third).key not in up.nodes
    assert {node.kind for node in up.nodes.values()}.isdisjoint(
        {NodeKind.EVALUATION, NodeKind.DECISION, NodeKind.PROMOTION}
    )
    made = {e for e in up.edges if e.source == node_of(second).key}
    run = next(node for node in up.nodes.values() if node.fact("id") == "run-2")
    assert {edge.run for edge in made} == {run.key}
    down = lineage.get_downstream(data(1))
    assert {node_of(second).key, node_of(third).key} <= down.nodes.keys()
    assert node_of(first).key not in down.nodes
    both = lineage.get_lineage(f"{MODEL}@1.0.1")
    assert up.nodes.keys() | down.nodes.keys() - {data(1).key} <= both.nodes.keys()


@pytest.mark.database
def test_promotions_stand_in_the_answer_as_the_registry_tells_of_them_now(lineage: Lineage, registry: Registry) -> None:
    first, second = storied(registry, 2, promoted=(0, 1))
    registry.rollback(MODEL, reason="slow")
    answer = lineage.get_lineage(f"{MODEL}@1.0.0")
    told = promotions(answer, node_of(first).key)
    assert [(p["action"], p["by"], p["reason"]) for p in told] == [
        ("promote", "ada", "better"),
        ("rollback", "ada", "slow"),
    ]
    assert "until" in told[0]
    assert "until" not in told[1], "it reigns still"
    decided = [e for e in answer.edges if e.kind is EdgeKind.DECIDED_BY]
    assert {answer.nodes[e.target].kind for e in decided} == {NodeKind.DECISION}
    assert len(decided) == 2, "a rollback rests on no decision"
    assert len(promotions(answer, node_of(second).key)) == 1
    assert all(node.kind is not NodeKind.PROMOTION for node in lineage.get_upstream(f"{MODEL}@1.0.0").nodes.values())
    near = lineage.get_downstream(f"{MODEL}@1.0.0", depth=0)
    assert (len(near.nodes), near.complete) == (1, False)
    with registry.transactions.reading(None):
        assert registry.verify_audit().problems == ()


def promotions(answer: Subgraph, version: str) -> list[dict[str, str]]:
    keys = [e.source for e in answer.edges if e.kind is EdgeKind.PROMOTES and e.target == version]
    nodes = sorted((answer.nodes[key] for key in keys), key=lambda node: int(node.content["event"]))
    return [{name: values[0] for name, values in node.facts.items()} for node in nodes]


def test_version_without_a_lineage_still_has_an_answer_and_its_promotions(lineage: Lineage, registry: Registry) -> None:
    registry.add(MODEL, candidate("a"))
    registry.promote(f"{MODEL}@1.0.0")
    answer = lineage.get_lineage(f"{MODEL}@champion")
    assert [node.kind for node in answer.nodes.values()] == [NodeKind.VERSION, NodeKind.PROMOTION]
    assert answer.nodes[answer.start[0]].fact("version") == "1.0.0"
    with pytest.raises(NotFoundError, match="was never recorded"):
        lineage.get_upstream(data(1))


def test_answer_becomes_a_networkx_graph(lineage: Lineage, registry: Registry) -> None:
    storied(registry, 2)
    answer = lineage.get_lineage(f"{MODEL}@1.0.1")
    graph = answer.to_networkx()
    assert set(graph.nodes) == answer.nodes.keys()
    assert graph.number_of_edges() == len(answer.edges)
    assert graph.nodes[data(1).key]["facts"]["span"] == ("1",)


@pytest.mark.system
@pytest.mark.database
def test_question_reads_as_much_in_a_large_graph_as_in_a_small_one(lineage: Lineage, registry: Registry) -> None:
    """Also on PostgreSQL while it believes the tables to be small, and beside a hub that thousands lead to."""
    costs = Costs(lineage)
    analyze(registry)
    lineage.record(hub())
    costs.check()
    analyze(registry)
    costs.check()
    all_of_it = cost(registry, lambda: lineage.get_downstream(code(0), 1))
    assert all_of_it > 10 * max(costs.before.values()), "what it costs to read all of it"


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_what_a_database_learned_in_the_middle_of_a_recording_misleads_no_question(
    lineage: Lineage, registry: Registry
) -> None:
    """Nor that it knew nothing when the recording began."""
    costs = Costs(lineage)
    with analyzed_while_edges_are_written(registry):
        lineage.record(hub())
    costs.check()


def hub() -> Fragment:
    things = tuple(thing(number) for number in range(10_000))
    return Fragment((*things, code(0)), tuple(Edge(each.key, EdgeKind.BUILT_BY, code(0).key) for each in things))


class Costs:
    """What each question costs, before the graph has grown and after."""

    def __init__(self, lineage: Lineage) -> None:
        storied(lineage.registry, 5)
        late = f"{MODEL}@1.0.4"
        self._registry = lineage.registry
        self._questions = {
            "find": lambda: lineage.find_all("span:3"),
            "up": lambda: lineage.get_upstream(late),
            "up, limited": lambda: lineage.get_upstream(late, 3),
            "down": lambda: lineage.get_downstream(data(4)),
            "down, limited": lambda: lineage.get_downstream(data(1), 1),
            "both": lambda: lineage.get_lineage(late, 2),
            "impact": lambda: lineage.impact("span:2"),
            "path": lambda: lineage.path(data(0), late),
        }
        self.before = self._now()
        assert min(self.before.values()) > 5

    def check(self) -> None:
        now = self._now()
        assert [name for name in now if not same(self.before[name], now[name])] == [], (self.before, now)

    def _now(self) -> dict[str, int]:
        return {name: cost(self._registry, question) for name, question in self._questions.items()}
