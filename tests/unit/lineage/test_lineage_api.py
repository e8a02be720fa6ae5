"""`LineageApi` can be spoken over a wire: what goes in and what comes out has a JSON form, and comes back the same."""

from __future__ import annotations

import inspect
from typing import Any, cast, get_type_hints

import pytest

from json_wire_testing import OverJson, methods, through_json
from lineage_testing import MODEL, make_versions, record_story
from pedigree_testing import Clock, lineage_of
from tfx_pedigree.lineage.api import LineageApi
from tfx_pedigree.lineage.graph import Edge, Fragment, Way
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.registry import Registry

pytestmark = pytest.mark.conformance

METHODS = methods(LineageApi)
FIRST, SECOND = f"{MODEL}@1.0.0", f"{MODEL}@1.0.1"


@pytest.fixture
def lineage(registry: Registry, clock: Clock) -> Lineage:
    make_versions(registry, clock)
    record_story(registry)
    return lineage_of(registry)


def test_all_that_crosses_the_interface_has_a_json_form(lineage: Lineage) -> None:
    wire = OverJson(LineageApi, lineage)
    api = cast("LineageApi", wire)
    node = api.find(SECOND)
    assert api.find_all("span:3")
    graph = api.get_upstream(node)
    assert api.get_downstream(FIRST, 2).nodes
    assert api.get_lineage(SECOND, 1).edges
    assert api.path(SECOND, node)
    assert api.impact("span:3") == api.impact(api.find_all("span:3"))
    assert api.standing(FIRST) is not None
    assert api.around(node).edges
    assert api.explain(node).sections
    assert api.diff(FIRST, node).data.differs
    assert not api.record(Fragment(tuple(graph.nodes.values()), graph.edges), model=MODEL).anything
    assert api.verify().ok
    for way in Way:
        assert len(list(api.stream(node, way, 2))) > 1
    assert wire.called == set(methods(LineageApi))


def test_what_is_recorded_comes_over_the_wire_as_it_was(lineage: Lineage) -> None:
    graph = lineage.get_upstream(SECOND)
    fragment = Fragment(tuple(graph.nodes.values()), graph.edges)
    again = through_json(Fragment, fragment, "the fragment")
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
