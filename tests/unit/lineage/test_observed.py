"""Whoever sees the same thing makes the same node, in whatever order and with whatever else was seen of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedigree_testing import digest
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.lineage import node_factory
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node, NodeKind

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(TEXTS, VALUES, max_size=5)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(TABLES, TABLES)
def test_parameters_have_one_key_in_whatever_order_they_come(parameters: dict[str, Any], training: Any) -> None:
    one = node_factory.parameters_node(parameters, training)
    other = node_factory.parameters_node(reordered(parameters), reordered(training))
    assert (one.key, one.facts) == (other.key, other.facts)


@given(st.lists(TEXTS, max_size=4), st.randoms())
def test_a_run_and_an_evaluation_mind_no_order_of_their_data(keys: list[str], chance: Any) -> None:
    shuffled = [*keys, *keys]
    chance.shuffle(shuffled)
    for make in (
        lambda data: node_factory.run_node(model="flight-delay", version=digest(1), data=data),
        lambda data: node_factory.evaluation_node(of=digest(1), data=data),
    ):
        assert make(keys).key == make(shuffled).key


def test_the_same_rows_are_the_same_data_wherever_and_as_whatever_they_lie() -> None:
    january = node_factory.data_node(fingerprint=digest("rows"), span="1", split="eval", uri="/one", rows=7)
    again = node_factory.data_node(fingerprint=digest("rows"), span="2", split="train", uri="gs://other", bytes=9)
    assert january.key == again.key
    (both,) = node_factory.joined([january, again]).nodes
    assert both.facts["part"] == ("1/eval", "2/train")
    assert both.facts["uri"] == ("/one", "gs://other")
    assert both.facts["rows"] == ("7",)


def test_data_whose_rows_nobody_read_are_the_files_that_were_read_else_a_place() -> None:
    files = {"input_fingerprint": "split:train,num_files:1", "split": "train"}
    assert node_factory.data_node(**files, uri="/a").key == node_factory.data_node(**files, uri="/b").key
    assert node_factory.data_node(**files).key != node_factory.data_node(**{**files, "split": "eval"}).key
    assert node_factory.data_node(**files).fact("identity") is None
    place = node_factory.data_node(uri="/a", split="train")
    assert place.fact("identity") == node_factory.WEAK
    assert place.key != node_factory.data_node(uri="/b", split="train").key


@pytest.mark.parametrize(
    "nameless",
    [
        lambda: node_factory.data_node(split="train"),
        lambda: node_factory.evaluation_node(data=["data:1"]),
        lambda: node_factory.run_node(pipeline="flights"),
    ],
)
def test_what_nothing_tells_from_others_of_its_kind_is_refused(nameless: Any) -> None:
    with pytest.raises(InvalidInputError, match="Nothing says which"):
        nameless()


def every_node() -> dict[NodeKind, Node]:
    """Each with as little as it can be made of."""
    return {
        NodeKind.DATA: node_factory.data_node(fingerprint=digest(1)),
        NodeKind.CODE: node_factory.code_node({"commit": "c" * 40}),
        NodeKind.MODULE: node_factory.module_node(None, digest(2)),
        NodeKind.SCHEMA: node_factory.schema_node(digest(3)),
        NodeKind.TRANSFORM: node_factory.transform_node(digest(4)),
        NodeKind.ENVIRONMENT: node_factory.environment_node({"python": "3.10.1"}),
        NodeKind.PARAMETERS: node_factory.parameters_node({}),
        NodeKind.VERSION: node_factory.version_node("flight-delay", digest(5)),
        NodeKind.EVALUATION: node_factory.evaluation_node(of=digest(5)),
        NodeKind.COMPARISON: node_factory.comparison_node(digest(6)),
        NodeKind.DECISION: node_factory.decision_node("flight-delay", digest(7)),
        NodeKind.DEPLOYMENT: node_factory.deployment_node("flight-delay", digest(5), "/serving"),
        NodeKind.RUN: node_factory.run_node(model="flight-delay", version=digest(5)),
        NodeKind.ARTIFACT: node_factory.artifact_node("Anomalies", store="s", id=4),
        NodeKind.EXECUTION: node_factory.execution_node("Trainer", store="s", id=4),
    }


@pytest.mark.parametrize("kind", [kind for kind in NodeKind if kind is not NodeKind.PROMOTION])
def test_what_is_not_known_is_left_out(kind: NodeKind) -> None:
    node = every_node()[kind]
    assert node.kind is kind
    # A commit on which nothing lay is not the same as one of which that is unknown, and is told by a null.
    assert all(value is not None for name, value in node.content.items() if name != "diff_digest")
    assert all(values and all(values) for values in node.facts.values())


def test_two_things_are_never_one_node() -> None:
    keys = [node.key for node in every_node().values()]
    assert len(set(keys)) == len(keys)


@given(TABLES)
def test_any_environment_that_a_record_holds_becomes_a_node(found: dict[str, Any]) -> None:
    one = node_factory.environment_node({**found, "packages": {"tfx": "1.16.0", "numpy": None}})
    assert one.content["packages"] == {"tfx": "1.16.0"}
    assert one.key == node_factory.environment_node({**found, "packages": {"tfx": "1.16.0"}}).key


def test_the_digest_of_packages_is_what_sha256sum_prints_of_their_list() -> None:
    """printf 'numpy==1.26.4\\ntfx==1.16.0\\n' | sha256sum"""
    found = node_factory.packages_digest({"tfx": "1.16.0", "numpy": "1.26.4", "gone": None})
    assert found == "sha256:80e42af200bdca47909e9593526983f6159c9e189fb2eb21f22b67c0996bf26c"


def test_seeds_can_be_searched_for_wherever_they_stand() -> None:
    parameters = {"model.seed": 7, "units": 4, "seed": True}
    training = {"custom_config": {"options": {"random_seed": 2**60}, "list": [1]}}
    assert node_factory.parameters_node(parameters, training).facts["seed"] == (str(2**60), "7")


def test_a_long_reason_is_cut_where_the_graph_can_search() -> None:
    found = node_factory.decision_node("flight-delay", digest(1), reason="because " * 200).fact("reason")
    assert found is not None
    assert len(found) == node_factory.LONGEST_FACT
    assert found.endswith("…")


def test_what_was_read_in_the_end_makes_a_run_complete() -> None:
    gone = node_factory.run_node(model="m", version=digest(1), incomplete="the store was gone")
    whole = node_factory.run_node(model="m", version=digest(1), complete=True)
    assert gone.key == whole.key
    assert node_factory.is_incomplete(gone) == "the store was gone"
    assert node_factory.is_incomplete(node_factory.joined([gone, whole]).nodes[0]) is None


@given(st.lists(st.sampled_from(list(every_node().values())), max_size=8), st.randoms())
def test_joining_minds_no_order_and_doubles_nothing(nodes: list[Node], chance: Any) -> None:
    edges = [
        Edge(a.key, EdgeKind.USED, b.key, run) for a, b, run in zip(nodes, nodes[1:], ["r1", None, "r0"], strict=False)
    ]
    shuffled, mixed = [*nodes, *nodes], [*edges, *edges]
    chance.shuffle(shuffled)
    chance.shuffle(mixed)
    one, other = node_factory.joined(nodes, edges), node_factory.joined(shuffled, mixed)
    assert one == other
    assert [edge.run for edge in one.edges] == [edge.run for edge in other.edges]
    assert len({node.key for node in one.nodes}) == len(one.nodes)
