"""Where boxes stand in the picture, and what is folded into which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage_testing import drawn
from pedigree_testing import digest
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.exports.palette import PAINT
from tfx_pedigree.lineage.exports.picture.folding import fold
from tfx_pedigree.lineage.exports.picture.layers import columns
from tfx_pedigree.lineage.exports.picture.scene import OPEN_UNTIL, scene
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node, NodeKind
from tfx_pedigree.lineage.node_factory import data_node, run_node, version_node
from tfx_pedigree.lineage.subgraph import Subgraph

LINKS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40)


def column_of(found: list[list[int]]) -> dict[int, int]:
    return {item: index for index, column in enumerate(found) for item in column}


@given(links=LINKS)
def test_every_item_stands_in_one_column_whatever_the_links(links: list[tuple[int, int]]) -> None:
    found = columns(range(13), links)
    assert sorted(item for column in found for item in column) == list(range(13))
    assert all(found)


@given(links=LINKS)
def test_what_came_later_stands_further_right(links: list[tuple[int, int]]) -> None:
    forward = [(max(a, b), min(a, b)) for a, b in links if a != b]
    place = column_of(columns(range(13), forward))
    assert [(late, early) for late, early in forward if place[late] <= place[early]] == []


def test_circle_is_drawn_with_one_link_turned_around() -> None:
    place = column_of(columns([1, 2, 3], [(2, 1), (3, 2), (1, 3)]))
    right = [(late, early) for late, early in [(2, 1), (3, 2), (1, 3)] if place[late] > place[early]]
    assert len(right) == 2


def test_beginning_stands_next_to_what_first_needed_it() -> None:
    place = column_of(columns([1, 2, 3, 4, 5], [(2, 1), (3, 2), (4, 3), (4, 5)]))
    assert place[4] - place[5] == 1


def test_neighbours_stand_in_the_same_order_so_that_lines_do_not_cross() -> None:
    crossed = [(4, 3), (5, 2), (6, 1)]
    first, second = columns([1, 2, 3, 4, 5, 6], crossed)
    assert [dict(crossed)[item] for item in second] == first


@given(links=LINKS)
def test_places_are_the_same_for_the_same_graph(links: list[tuple[int, int]]) -> None:
    assert columns(range(13), links) == columns(range(13), links)


def test_run_is_folded_with_what_it_made_and_what_only_it_used() -> None:
    graph = drawn()
    labels = {key: wording.label(node) for key, node in graph.nodes.items()}
    homes = {labels[key]: labels[run] for key, run in fold(graph).items()}
    first = {label for label, run in homes.items() if run == "run night-1"}
    assert {"flight-delay 1.0.0", "span 1 train", "run night-1"} <= first
    assert any(label.startswith("decision PASS") for label in first)


def test_what_runs_share_stays_outside_of_their_boxes() -> None:
    graph = drawn()
    code = next(key for key, node in graph.nodes.items() if node.kind is NodeKind.CODE)
    assert code not in fold(graph)


def test_node_that_was_asked_about_is_not_hidden_in_the_box_of_who_used_it() -> None:
    graph = drawn()
    data = next(key for key, node in graph.nodes.items() if wording.label(node) == "span 1 train")
    asked = Subgraph((data,), graph.nodes, graph.edges)
    assert data in fold(graph)
    assert data not in fold(asked)


def history(runs: int) -> Subgraph:
    nodes: list[Node] = []
    edges: list[Edge] = []
    before: Node | None = None
    for number in range(runs):
        version = version_node("m", digest(number), version=f"1.0.{number}")
        data = [data_node(fingerprint=digest((number, part)), span=f"{number}", split=f"s{part}") for part in range(16)]
        run = run_node(model="m", version=digest(number), data=[one.key for one in data])
        nodes += [version, run, *data]
        edges += [Edge(version.key, EdgeKind.TRAINED_ON, one.key, run.key) for one in data]
        edges.append(Edge(version.key, EdgeKind.PRODUCED_BY, run.key, run.key))
        if before is not None:
            edges.append(Edge(version.key, EdgeKind.SUPERSEDES, before.key, run.key))
        before = version
    assert before is not None
    return Subgraph((before.key,), {node.key: node for node in nodes}, tuple(edges))


def test_long_history_opens_folded_with_a_box_a_run() -> None:
    graph = history(110)
    made = scene(graph)
    assert len(graph.nodes) == 1980
    assert made["folded"]
    assert len(made["boxes"]) == 110
    assert sum(len(column) for column in made["columns"]) == 110
    assert not scene(drawn())["folded"]
    assert OPEN_UNTIL < 1980


def test_each_box_knows_where_its_nodes_stand() -> None:
    made = scene(drawn())
    for number, box in enumerate(made["boxes"]):
        assert sorted(one for column in box["columns"] for one in column) == sorted(box["members"])
        assert {made["nodes"][one]["box"] for one in box["members"]} == {f"g{number}"}
    assert [box["label"] for box in made["boxes"]] == ["flight-delay 1.0.0", "flight-delay 1.0.1"]


def _luminance(colour: str) -> float:
    parts = (int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("kind", NodeKind)
def test_label_can_be_read_on_its_colour_in_light_and_dark(kind: NodeKind) -> None:
    paint = PAINT[kind]
    for ink, ground in ((paint.ink, paint.ground), (paint.dark_ink, paint.dark_ground)):
        dark, light = sorted((_luminance(ink), _luminance(ground)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5
