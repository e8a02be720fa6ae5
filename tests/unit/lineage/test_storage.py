"""What is recorded: once, whole, by content, cleaned, logged, and only by those who may."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from graph_testing import MODEL, counted, data, making, node_of, random_fragment, storied, thing

from pedigree_testing import candidate, digest, lineage_of
from tfx_pedigree.db import schema
from tfx_pedigree.errors import DamagedError, ForbiddenError, InvalidInputError, NotFoundError
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment, Node, NodeKind
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.node_factory import decision_node
from tfx_pedigree.lineage.recording import IMPORT_BATCH, Recorded
from tfx_pedigree.registry import Registry, Role

pytestmark = pytest.mark.conformance


@pytest.fixture
def lineage(registry: Registry) -> Lineage:
    return lineage_of(registry)


@pytest.mark.database
def test_recording_again_adds_nothing_and_logs_nothing(lineage: Lineage, registry: Registry) -> None:
    version = registry.add(MODEL, candidate("a")).version
    fragment = making(version, 3)
    first = lineage.record(fragment, model=MODEL)
    assert (first.nodes, first.edges) == (len(fragment.nodes), len(fragment.edges))
    rows, log = counted(registry), registry.history(MODEL).items
    again = lineage.record(fragment, model=MODEL)
    assert not again.anything
    assert (counted(registry), registry.history(MODEL).items) == (rows, log)


def test_who_recorded_what_is_in_the_models_log_and_the_audit_accepts_it(
    lineage: Lineage, registry: Registry, open_as: Callable[[str], Registry]
) -> None:
    version = registry.add(MODEL, candidate("a")).version
    registry.grant("bob", Role.CONTRIBUTOR, scope=MODEL)
    recorded = lineage_of(open_as("bob")).record(making(version, 3), model=MODEL)
    event = registry.history(MODEL, limit=1).items[0]
    assert (event.actor, event.action) == ("bob", "record-lineage")
    assert {name: event.details[name] for name in ("nodes", "edges", "facts")} == {
        "nodes": recorded.nodes,
        "edges": recorded.edges,
        "facts": recorded.facts,
    }
    assert event.details["fragment"].startswith("sha256:")
    assert registry.verify_audit().problems == ()


def test_same_thing_seen_by_two_models_is_one_node_with_the_facts_of_both(lineage: Lineage) -> None:
    lineage.record(Fragment((data(3),)))
    more = Node(NodeKind.DATA, data(3).content, {"uri": ("gs://b/3",), "span": ("3", "2026-03")})
    assert lineage.record(Fragment((more,))) == Recorded(nodes=0, edges=0, facts=2)
    found = lineage.find(data(3).key)
    assert found.facts["span"] == ("2026-03", "3")
    assert found.facts["uri"] == ("gs://b/3",)
    assert found.facts["split"] == ("train",)


@pytest.mark.database
def test_edge_to_a_node_that_is_nowhere_is_refused_and_nothing_is_written(lineage: Lineage, registry: Registry) -> None:
    lost = Fragment((thing(1),), (Edge(thing(1).key, EdgeKind.USED, thing(2).key),))
    with pytest.raises(InvalidInputError, match=f"names the node {thing(2).key}, which is neither among the nodes"):
        lineage.record(lost)
    with pytest.raises(InvalidInputError, match="neither among"):
        lineage.record(Fragment((*lost.nodes, thing(2)), (Edge(*_ends(lost.edges[0]), run=thing(3).key),)))
    assert counted(registry) == (0, 0, 0)
    lineage.record(Fragment((thing(2),)))
    assert lineage.record(lost).edges == 1, "the node is in the graph now"


@pytest.mark.database
def test_edge_from_a_node_to_itself_is_refused(lineage: Lineage, registry: Registry) -> None:
    with pytest.raises(InvalidInputError, match="to itself"):
        lineage.record(Fragment((thing(1),), (Edge(thing(1).key, EdgeKind.USED, thing(1).key),)))
    assert counted(registry) == (0, 0, 0)


def test_promotions_are_not_recorded(lineage: Lineage) -> None:
    with pytest.raises(InvalidInputError, match="the registry's own log tells of it"):
        lineage.record(Fragment((Node(NodeKind.PROMOTION, {"model": MODEL, "event": 1}),)))


def test_key_that_a_node_was_given_is_not_believed(lineage: Lineage) -> None:
    forged = Node(NodeKind.DATA, {"fingerprint": digest("mine")})
    forged.__dict__["key"] = data(3).key
    lineage.record(Fragment((data(3),)))
    lineage.record(Fragment((forged,)))
    assert lineage.find(data(3).key).content == data(3).content
    assert lineage.find(Node(NodeKind.DATA, forged.content).key).content == forged.content


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (Node(NodeKind.RUN, {"id": float("nan")}), "canonical JSON"),
        (Node(NodeKind.RUN, {"id": "\ud800"}), "canonical JSON: input contains non-UTF-8"),
        (Node(NodeKind.RUN, {"id": "x" * (1 << 20)}), "1048576 are the most"),
        (Node(NodeKind.RUN, {"id": "a\x00b"}), r"The content of .* \(run:[0-9a-f]{12}\) holds the character zero"),
        (Node(NodeKind.RUN, {"id": [{"a\x00b": 1}]}), "holds the character zero"),
        (Node(NodeKind.RUN, {"id": 1}, {"Bad Name": ("x",)}), "'Bad Name' cannot name a fact"),
        (Node(NodeKind.RUN, {"id": 1}, {"x" * 65: ("x",)}), "up to 64"),
    ],
)
@pytest.mark.database
def test_node_that_cannot_be_kept_is_refused(lineage: Lineage, registry: Registry, node: Node, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        lineage.record(Fragment((node,)))
    assert counted(registry) == (0, 0, 0)


def test_text_that_only_spells_the_character_zero_is_kept(lineage: Lineage) -> None:
    node = Node(NodeKind.RUN, {"id": "\\u0000"})
    lineage.record(Fragment((node,)))
    assert Node(NodeKind.RUN, lineage.find(node.key).content) == node


def test_content_nested_without_end_is_refused(lineage: Lineage) -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"x": deep}
    with pytest.raises(InvalidInputError, match="JSON"):
        lineage.record(Fragment((Node(NodeKind.RUN, deep),)))


def test_long_facts_are_cut_and_odd_characters_are_replaced(lineage: Lineage) -> None:
    node = Node(NodeKind.RUN, {"id": 1}, {"reason": ("é" * 600,), "note": ("a\x00b\ud800c", ""), "exact": ("x" * 512,)})
    lineage.record(Fragment((node,)))
    facts = lineage.find(node.key).facts
    assert facts["reason"] == ("é" * 511 + "…",)
    assert facts["note"] == ("a\ufffdb\ufffdc",)
    assert facts["exact"] == ("x" * 512,)


def test_every_digest_of_a_nodes_content_can_be_searched_by(lineage: Lineage) -> None:
    node = Node(NodeKind.COMPARISON, {"digest": digest("c"), "commit": "ab" * 20})
    lineage.record(Fragment((node,)))
    assert lineage.find(digest("c")) == lineage.find("commit:ababab") == lineage.find(node.key)


@pytest.mark.database
def test_strangers_may_ask_and_not_record(lineage: Lineage, open_as: Callable[[str], Registry]) -> None:
    version = lineage.registry.add(MODEL, candidate("a")).version
    stranger = lineage_of(open_as("stranger"))
    with pytest.raises(ForbiddenError, match="stranger may not record lineage on flight-delay.*needs contributor"):
        stranger.record(making(version, 1), model=MODEL)
    with pytest.raises(ForbiddenError, match="may not import"), stranger.importing("elsewhere") as importer:
        importer.add(making(version, 1))
    assert counted(lineage.registry) == (0, 0, 0)
    assert stranger.get_upstream(f"{MODEL}@1.0.0").nodes.keys() == {node_of(version).key}


def test_role_on_one_model_records_no_origin_of_anothers_versions(
    lineage: Lineage, open_as: Callable[[str], Registry]
) -> None:
    registry = lineage.registry
    mine, theirs = registry.add("mine", candidate("a")).version, registry.add("theirs", candidate("b")).version
    registry.grant("bob", Role.CONTRIBUTOR, scope="mine")
    bob = lineage_of(open_as("bob"))
    assert bob.record(making(mine, 1, theirs), model="mine").anything, "comparing with another's version is fine"
    with pytest.raises(ForbiddenError, match="bob may not record lineage on theirs"):
        bob.record(making(theirs, 1), model="mine")
    bare = Fragment((data(9),), (Edge(node_of(theirs).key, EdgeKind.TRAINED_ON, data(9).key),))
    with pytest.raises(ForbiddenError, match="on theirs"):
        bob.record(bare, model="mine")
    assert bob.get_upstream("theirs@1.0.0").edges == ()
    assert registry.verify_audit().problems == ()


@pytest.mark.database
def test_role_on_one_model_says_nothing_of_anothers_versions(
    lineage: Lineage, open_as: Callable[[str], Registry]
) -> None:
    registry = lineage.registry
    mine, theirs = registry.add("mine", candidate("a")).version, registry.add("theirs", candidate("b")).version
    registry.grant("bob", Role.CONTRIBUTOR, scope="mine")
    bob = lineage_of(open_as("bob"))
    node = node_of(theirs)
    for facts in ({"version": ("9.9.9",)}, {"verdict": ("PASS",)}, {**node.facts, "seed": ("17",)}):
        with pytest.raises(ForbiddenError, match="bob may not record lineage on theirs"):
            bob.record(Fragment((Node(node.kind, node.content, facts),)), model="mine")
    decision = decision_node("theirs", digest("evidence"), verdict="PASS")
    with pytest.raises(ForbiddenError, match="on theirs"):
        bob.record(Fragment((decision,)), model="mine")
    assert counted(registry) == (0, 0, 0)
    lineage.record(Fragment((decision,)), model="theirs")
    edge = Edge(node_of(mine).key, EdgeKind.DERIVED_FROM, node.key)
    assert bob.record(Fragment((decision, node_of(mine), node), (edge,)), model="mine").edges == 1, (
        "nothing new is said"
    )


def test_recording_for_a_model_that_does_not_exist_is_refused(lineage: Lineage) -> None:
    with pytest.raises(NotFoundError, match="There is no model 'nothing'"):
        lineage.record(Fragment((data(1),)), model="nothing")


@pytest.mark.database
def test_import_in_any_order_and_many_batches_is_whole_and_logged_in_the_registrys_chain(
    lineage: Lineage, registry: Registry
) -> None:
    count = 2 * IMPORT_BATCH + 10
    things = [thing(number) for number in range(count)]
    edges = [Edge(a.key, EdgeKind.USED, b.key) for a, b in itertools.pairwise(things)]
    with lineage.importing("mysql://root:hunter2@db.example.org/mlmd") as importer:
        importer.add(Fragment((), tuple(edges)))
        for node in things:
            importer.add(Fragment((node,)))
    assert (importer.recorded.nodes, importer.recorded.edges) == (count, count - 1)
    assert counted(registry) == (count, count, count - 1)
    events = [e for e in registry.history(None, limit=50).items if e.action == "record-lineage"]
    assert len(events) == 3
    assert sum(e.details["nodes"] for e in events) == count
    assert {e.details["source"] for e in events} == {"mysql://db.example.org/mlmd"}
    assert registry.verify_audit().problems == ()
    with lineage.importing("the same") as again:
        again.add(Fragment(tuple(things), tuple(edges)))
    assert not again.recorded.anything


@pytest.mark.database
def test_import_whose_edges_lead_nowhere_says_so_at_the_end(lineage: Lineage) -> None:
    with pytest.raises(InvalidInputError, match="neither among"), lineage.importing("elsewhere") as importer:
        importer.add(Fragment((thing(1),), (Edge(thing(1).key, EdgeKind.USED, thing(2).key),)))


@pytest.mark.database
def test_import_that_is_broken_off_keeps_whole_batches_and_goes_on_when_repeated(
    lineage: Lineage, registry: Registry
) -> None:
    fragment = random_fragment(1, IMPORT_BATCH + 500, 8000)
    with pytest.raises(ConnectionError), lineage.importing("elsewhere") as importer:
        importer.add(fragment)
        importer.add(Fragment((thing(-1),)))
        raise ConnectionError
    assert counted(registry)[0] == len(fragment.nodes)
    with lineage.importing("elsewhere") as importer:
        importer.add(fragment)
        importer.add(Fragment((thing(-1),)))
    assert importer.recorded.nodes == 1
    assert counted(registry)[2] == len(fragment.edges)


@pytest.mark.database
def test_altered_row_is_noticed_when_it_is_read(lineage: Lineage, registry: Registry) -> None:
    storied(registry, 1)
    with registry._database.writing() as connection:
        nodes = schema.lineage_nodes
        connection.execute(
            nodes.update().where(nodes.c.key == data(0).key).values(content=sa.literal('{"fingerprint":"other"}'))
        )
    with pytest.raises(DamagedError, match="was altered"):
        lineage.get_upstream(f"{MODEL}@1.0.0")


def _ends(edge: Edge) -> tuple[str, EdgeKind, str]:
    return edge.source, edge.kind, edge.target
