"""Labels are short, tell things apart, and hold nothing that a terminal would obey."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage_testing import HOSTILE
from pedigree_testing import digest
from tfx_pedigree.lineage import node_factory, wording
from tfx_pedigree.lineage.graph import EdgeKind, Node, NodeKind

PRINT = digest("rows")
HEX = PRINT.removeprefix("sha256:")[:8]
COMMIT = "1a2b3c4d" * 5


@pytest.mark.parametrize(
    ("node", "label"),
    [
        (node_factory.data_node(fingerprint=PRINT, span="3", split="train"), "span 3 train"),
        (node_factory.data_node(fingerprint=PRINT, span=["9", "10"], split="eval"), "span 9 eval = span 10 eval"),
        (node_factory.data_node(fingerprint=PRINT), f"data {HEX}…"),
        (node_factory.data_node(uri="gs://flights/2013", split="train"), "data train gs://flights/2013"),
        (node_factory.code_node({"commit": COMMIT, "diff_digest": None}), "commit 1a2b3c4"),
        (
            node_factory.code_node({"commit": COMMIT, "diff_digest": digest("diff")}),
            f"commit 1a2b3c4 (with uncommitted changes {digest('diff')[7:15]}…)",
        ),
        (node_factory.module_node("flight_model.py", PRINT), f"flight_model.py {HEX}…"),
        (node_factory.schema_node(PRINT), f"schema {HEX}…"),
        (
            node_factory.environment_node({"python": "3.10.14", "packages": {"tfx": "1.16.0"}}),
            "Python 3.10.14, tfx 1.16.0",
        ),
        (node_factory.parameters_node({"units": 32, "rate": 0.01}), "parameters rate=0.01, units=32"),
        (node_factory.version_node("flight-delay", PRINT, version="1.1.0"), "flight-delay 1.1.0"),
        (node_factory.version_node("flight-delay", PRINT), f"flight-delay {HEX}…"),
        (node_factory.decision_node("flight-delay", PRINT, verdict="PASS"), f"decision PASS {HEX}…"),
        (node_factory.deployment_node("flight-delay", PRINT, "serving/2"), "flight-delay at serving/2"),
        (node_factory.run_node(id="night-7", pipeline="flights"), "run night-7"),
        (node_factory.execution_node("Trainer", store="s", id=7), "Trainer 7"),
        (
            Node(NodeKind.PROMOTION, {"event": 3}, {"at": ("2026-11-20T14:07:00.000000Z",)}),
            "promotion of 2026-11-20 14:07 UTC",
        ),
    ],
)
def test_label_tells_what_a_node_is(node: Node, label: str) -> None:
    assert wording.label(node) == label


def test_edge_reads_as_a_sentence() -> None:
    version = node_factory.version_node("flight-delay", PRINT, version="1.1.0")
    data = node_factory.data_node(fingerprint=PRINT, span="3", split="train")
    assert wording.sentence(version, EdgeKind.TRAINED_ON, data) == "flight-delay 1.1.0 was trained on span 3 train."


def test_every_kind_of_node_and_edge_has_words() -> None:
    """Also where another system left out what Pedigree would have recorded."""
    assert set(wording.VERBS) == set(EdgeKind)
    for kind in NodeKind:
        assert wording.label(Node(kind, {}))
        assert wording.label(Node(kind, {"packages": "none", "parameters": 3, "commit": None}))


NUMBERS = st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(st.none() | NUMBERS | st.text(), st.lists, max_leaves=4)


@given(kind=st.sampled_from(NodeKind), content=st.dictionaries(st.text(max_size=8), VALUES, max_size=3), fact=st.text())
def test_label_of_whatever_comes_from_outside_is_one_short_printable_line(
    kind: NodeKind, content: dict[str, Any], fact: str
) -> None:
    names = ("span", "split", "part", "version", "name", "id", "type", "verdict", "at")
    node = Node(kind, content, dict.fromkeys(names, (fact, HOSTILE)))
    label = wording.label(node)
    assert label.isprintable()
    assert len(label) <= 80


def test_nodes_stand_in_the_order_in_which_people_count() -> None:
    nodes = [node_factory.data_node(fingerprint=digest(n), span=str(n), split="train") for n in (10, 9, 100)]
    nodes.append(node_factory.data_node(fingerprint=digest("more"), span=["9", "11"], split="train"))
    assert [wording.label(node) for node in sorted(nodes, key=wording.order)] == [
        "span 9 train",
        "span 9 train = span 11 train",
        "span 10 train",
        "span 100 train",
    ]


def test_handle_of_a_version_is_how_people_write_it() -> None:
    version = node_factory.version_node("flight-delay", PRINT, version="1.1.0")
    schema = node_factory.schema_node(PRINT)
    assert wording.handle(version) == "flight-delay@1.1.0"
    assert schema.key.startswith(wording.handle(schema))


def test_tables_in_parameters_are_taken_apart() -> None:
    nested = {"train_args": {"splits": ["train"], "num_steps": 2000}, "seed": 17, "warm": True}
    said = "seed 17, train_args.num_steps 2000, train_args.splits train and warm true"
    assert wording.pairs(nested, 8) == said
