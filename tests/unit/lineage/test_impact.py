"""Impact: which versions have bad data or code in them, how it came there, and when they served."""

from __future__ import annotations

from datetime import timedelta

import pytest
from graph_testing import MODEL, code, data, making, node_of, storied, thing

from pedigree_testing import Clock, candidate, digest, lineage_of
from tfx_pedigree.errors import NotFoundError
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment
from tfx_pedigree.lineage.impact import LONGEST_PATH
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.node_factory import deployment_node, transform_node, version_node
from tfx_pedigree.registry import PromotionRequest, Registry, State

pytestmark = pytest.mark.conformance


@pytest.fixture
def lineage(registry: Registry) -> Lineage:
    return lineage_of(registry)


def told(lineage: Lineage, node: object) -> list[tuple[str, str]]:
    found = lineage.impact(node)  # type: ignore[arg-type]
    return [(each.standing.version if each.standing else "", each.how) for each in found.versions]


def test_versions_are_told_with_how_the_data_reached_them(lineage: Lineage, registry: Registry) -> None:
    storied(registry, 3)
    assert told(lineage, data(1)) == [("1.0.1", "trained on")]
    assert told(lineage, data(1, "eval")) == [("1.0.1", "evaluated on")]
    assert told(lineage, "span:1") == [("1.0.1", "trained on")], "both splits of the span"


def test_successor_and_rival_of_a_version_have_none_of_its_data(lineage: Lineage, registry: Registry) -> None:
    storied(registry, 3)
    assert told(lineage, data(0)) == [("1.0.0", "trained on")]
    assert told(lineage, f"{MODEL}@1.0.0") == [("1.0.0", "itself")]


def test_order_is_production_then_former_champions_then_the_rest_each_newest_first(
    lineage: Lineage, registry: Registry
) -> None:
    storied(registry, 6, promoted=(0, 2, 3))
    registry.rollback(MODEL, reason="slow")
    found = lineage.impact("module:trainer.py")
    assert [e.standing.version for e in found.versions if e.standing] == [
        "1.0.2",
        "1.0.3",
        "1.0.0",
        "1.0.5",
        "1.0.4",
        "1.0.1",
    ]
    assert [e.standing.version for e in found.in_production if e.standing] == ["1.0.2"]
    assert len(found.ever_in_production) == 3


def test_times_in_production_are_those_of_the_registry(lineage: Lineage, registry: Registry, clock: Clock) -> None:
    storied(registry, 1, promoted=())
    registry.add(MODEL, candidate("other"))
    began = clock.advance(hours=1)
    registry.promote(f"{MODEL}@1.0.0")
    clock.advance(hours=2)
    registry.promote(f"{MODEL}@1.0.1", PromotionRequest(expect="1.0.0"))
    clock.advance(hours=3)
    registry.rollback(MODEL, reason="slow")
    (affected,) = lineage.impact(data(0)).versions
    assert affected.standing is not None
    assert affected.standing.state is State.PRODUCTION
    assert affected.standing.reigns == registry.reigns(MODEL, "1.0.0")
    again, first = affected.standing.reigns
    assert (first.began_at, again.ended_at) == (began, None)
    assert first.ended_at is not None
    assert timedelta(hours=2) <= first.ended_at - began < timedelta(hours=2, seconds=1)


def test_what_reaches_a_version_in_steps_is_told_in_steps(lineage: Lineage, registry: Registry) -> None:
    version = registry.add(MODEL, candidate("a")).version
    made, transform, train = node_of(version), transform_node(digest("t")), data(5)
    deployment = deployment_node(MODEL, version.digest, "serving/models")
    lineage.record(
        Fragment(
            (made, transform, train, deployment),
            (
                Edge(made.key, EdgeKind.TRANSFORMED_BY, transform.key),
                Edge(transform.key, EdgeKind.DERIVED_FROM, train.key),
                Edge(deployment.key, EdgeKind.DEPLOYS, made.key),
            ),
        )
    )
    found = lineage.impact(train)
    (affected,) = found.versions
    assert affected.how == "transformed by, derived from"
    assert [(e.source, e.target) for e in affected.path] == [(made.key, transform.key), (transform.key, train.key)]
    assert [node.key for node in found.deployments] == [deployment.key]


def test_run_that_used_the_data_counts_where_nothing_says_more(lineage: Lineage, registry: Registry) -> None:
    version = registry.add(MODEL, candidate("a")).version
    whole = making(version, 1)
    silent = Fragment(whole.nodes, tuple(e for e in whole.edges if e.kind in (EdgeKind.PRODUCED_BY, EdgeKind.USED)))
    lineage.record(silent, model=MODEL)
    assert told(lineage, data(1, "eval")) == [("1.0.0", "produced by, used")]
    lineage.record(whole, model=MODEL)
    assert told(lineage, data(1, "eval")) == [("1.0.0", "evaluated on")]


def test_version_of_another_registry_is_told_without_a_standing(lineage: Lineage) -> None:
    foreign = version_node("elsewhere", digest("f"), version="2.0.0")
    lineage.record(Fragment((foreign, data(1)), (Edge(foreign.key, EdgeKind.TRAINED_ON, data(1).key),)))
    (affected,) = lineage.impact(data(1)).versions
    assert (affected.node.fact("version"), affected.standing) == ("2.0.0", None)


def test_way_of_thousands_of_steps_is_counted_and_told_in_short(lineage: Lineage) -> None:
    version = version_node("elsewhere", digest("f"))
    things = [thing(number) for number in range(2000)]
    edges = [Edge(version.key, EdgeKind.DERIVED_FROM, things[-1].key)]
    edges += [Edge(things[n + 1].key, EdgeKind.DERIVED_FROM, things[n].key) for n in range(1999)]
    lineage.record(Fragment((version, *things), tuple(edges)))
    (affected,) = lineage.impact(things[0]).versions
    assert affected.steps == 2000
    assert len(affected.path) == LONGEST_PATH
    assert affected.how == "derived from, derived from, derived from, … (2000 steps)"


def test_thousand_versions_on_one_commit_are_all_counted(lineage: Lineage, registry: Registry) -> None:
    versions = [registry.add(MODEL, candidate(number)).version for number in range(30)]
    foreign = [version_node("elsewhere", digest(number)) for number in range(1200)]
    nodes = [*(node_of(version) for version in versions), *foreign]
    lineage.record(Fragment((code(1), *nodes), tuple(Edge(node.key, EdgeKind.BUILT_BY, code(1).key) for node in nodes)))
    found = lineage.impact("commit:010101")
    assert len(found.versions) == 1230
    assert [e.standing.sequence for e in found.versions if e.standing] == list(range(30, 0, -1))


def test_unknown_data_is_an_error_and_not_an_empty_answer(lineage: Lineage, registry: Registry) -> None:
    storied(registry, 1)
    with pytest.raises(NotFoundError):
        lineage.impact("span:77")
