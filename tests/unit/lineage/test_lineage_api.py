"""`LineageApi` can be spoken over a wire: what goes in and what comes out has a JSON form, and comes back the same."""

from __future__ import annotations

import inspect
import json
from typing import Any, get_type_hints

import pytest

from lineage_testing import MODEL, make_versions, record_story
from pedigree_testing import Clock
from tfx_pedigree.json_form import read, to_json
from tfx_pedigree.lineage.api import LineageApi
from tfx_pedigree.lineage.differences import LineageDiff
from tfx_pedigree.lineage.explain import Explanation
from tfx_pedigree.lineage.graph import Edge, Fragment, Node
from tfx_pedigree.lineage.impact import Impact
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.recording import Recorded
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.lineage.verifying import GraphReport
from tfx_pedigree.lineage.version_status import VersionStatus
from tfx_pedigree.registry import Registry

METHODS = {name: member for name, member in vars(LineageApi).items() if inspect.isfunction(member) and name[0] != "_"}
FIRST, SECOND = f"{MODEL}@1.0.0", f"{MODEL}@1.0.1"


@pytest.fixture
def lineage(registry: Registry, clock: Clock) -> Lineage:
    make_versions(registry, clock)
    record_story(registry)
    return Lineage(registry)


def through_json(kind: Any, value: Any) -> Any:
    return read(kind, json.loads(json.dumps(to_json(value))), "the answer")


def test_every_result_comes_back_the_same(lineage: Lineage) -> None:
    answers: list[tuple[Any, Any]] = [
        (Node, lineage.find(SECOND)),
        (tuple[Node, ...], lineage.find_all("span:3")),
        (Subgraph, lineage.get_upstream(SECOND)),
        (Subgraph, lineage.get_downstream(FIRST)),
        (Subgraph, lineage.get_lineage(SECOND, 1)),
        (Subgraph, lineage.path(SECOND, FIRST)),
        (Impact, lineage.impact("span:3")),
        (VersionStatus, lineage.standing(FIRST)),
        (Explanation, lineage.explain(SECOND)),
        (LineageDiff, lineage.diff(FIRST, SECOND)),
        (GraphReport, lineage.verify()),
        (Recorded, lineage.record(Fragment((lineage.find(FIRST),)))),
    ]
    for kind, answer in answers:
        assert answer is not None
        assert through_json(kind, answer) == answer
    for part in lineage.stream(SECOND):
        assert through_json(type(part), part) == part


def test_what_is_recorded_comes_over_the_wire_as_it_was(lineage: Lineage) -> None:
    graph = lineage.get_upstream(SECOND)
    fragment = Fragment(tuple(graph.nodes.values()), graph.edges)
    again = through_json(Fragment, fragment)
    assert again == fragment
    assert [edge.run for edge in again.edges] == [edge.run for edge in fragment.edges]
    assert not lineage.record(again).anything


def test_api_is_small_and_says_what_each_method_does() -> None:
    assert 10 < len(METHODS) <= 15
    assert [name for name, member in METHODS.items() if not inspect.getdoc(member)] == []
    assert [name for name in METHODS if not inspect.getdoc(getattr(Lineage, name))] == []


def test_nothing_of_a_database_crosses_the_api() -> None:
    hints = [hint for member in METHODS.values() for hint in get_type_hints(member).values()]
    assert not [hint for hint in hints if "sqlalchemy" in repr(hint)]
    assert Edge in {one for hint in hints for one in _parts(hint)}


def _parts(hint: Any) -> set[Any]:
    return {hint, *(part for one in getattr(hint, "__args__", ()) for part in _parts(one))}
