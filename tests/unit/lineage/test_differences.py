"""What changed between two versions is found by content, and what nobody recorded is not passed over."""

from __future__ import annotations

import pytest

from lineage_testing import MODEL, make_versions, record_story, version_json
from pedigree_testing import Clock, candidate, digest, lineage_of
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.run_graph import PipelineRun, fragment_of
from tfx_pedigree.registry import Facts, Registry
from tfx_pedigree.registry.differences import Row

pytestmark = pytest.mark.conformance


@pytest.fixture
def lineage(registry: Registry, clock: Clock) -> Lineage:
    make_versions(registry, clock)
    record_story(registry)
    return lineage_of(registry)


def changed(rows: tuple[Row, ...]) -> dict[str, tuple[object, object]]:
    return {row.name: (row.old, row.new) for row in rows if row.differs}


def test_retrained_version_differs_in_its_data_alone(lineage: Lineage) -> None:
    found = lineage.diff(f"{MODEL}@1.0.0", f"{MODEL}@1.0.1")
    assert [one.label for one in found.data.removed] == ["span 1 train"]
    assert [one.label for one in found.data.added] == ["span 2 train"]
    assert [one.label for one in found.judged_on.added] == ["span 3 eval"]
    same = (found.code, found.modules, found.parameters, found.training, found.environment, found.packages)
    assert [changed(rows) for rows in same] == [{}] * 6
    assert set(changed(found.making)) == {"transform graph"}
    assert set(changed(found.metrics)) == {"auc", "loss"}
    assert found.unknown == ()
    assert found.differs


def test_changed_code_parameters_and_packages_are_named_with_old_and_new(lineage: Lineage) -> None:
    found = lineage.diff(f"{MODEL}@1.0.1", f"{MODEL}@1.1.0")
    assert changed(found.code)["commit"] == ("4f1d2c3b" * 5, "9a8b7c6d" * 5)
    assert changed(found.code)["uncommitted"][0] is None
    assert set(changed(found.modules)) == {"flight_model.py"}
    assert changed(found.parameters) == {"learning_rate": (0.01, 0.003)}
    assert changed(found.packages) == {"numpy": ("1.26.4", "1.26.5")}
    assert found.bump == "minor"


def test_version_does_not_differ_from_itself(lineage: Lineage) -> None:
    found = lineage.diff(f"{MODEL}@1.0.1", f"{MODEL}@1.0.1")
    assert not found.differs
    assert [one.label for one in found.data.kept] == ["span 2 train"]


def test_versions_of_different_models_can_be_compared(lineage: Lineage) -> None:
    lineage.registry.add("other", candidate("elsewhere", features=5), facts=Facts({"auc": 0.7}))
    found = lineage.diff(f"{MODEL}@1.0.1", "other@1.0.0")
    assert found.bump == "major"
    assert changed(found.metrics)["auc"] == (0.918, 0.7)


def test_what_was_recorded_of_one_version_alone_cannot_be_compared_and_is_said(
    registry: Registry, clock: Clock
) -> None:
    make_versions(registry, clock)
    both = lineage_of(registry).diff(f"{MODEL}@1.0.0", f"{MODEL}@1.0.1").unknown
    assert len(both) == 2
    registry.add("other", candidate("elsewhere"))
    record_story(registry)
    one = lineage_of(registry).diff(f"{MODEL}@1.0.1", "other@1.0.0").unknown
    assert one == ("No lineage was recorded of other 1.0.0: its data, code and environment cannot be compared.",)


def test_commit_of_the_tags_counts_where_no_lineage_was_recorded(registry: Registry) -> None:
    registry.add(MODEL, candidate("a"), facts=Facts(tags={"commit": "a" * 40}))
    registry.add(MODEL, candidate("b"), facts=Facts(tags={"commit": "b" * 40 + "+dirty"}))
    found = lineage_of(registry).diff(f"{MODEL}@1.0.0", f"{MODEL}@1.0.1")
    assert changed(found.code) == {"commit": ("a" * 40, "b" * 40), "uncommitted": (None, "yes")}


def test_json_holds_every_part(lineage: Lineage) -> None:
    found = lineage.diff(f"{MODEL}@1.0.1", f"{MODEL}@1.1.0").to_json()
    assert found["old"]["version"] == "1.0.1"
    assert [one["span"] for one in found["data"]["added"]] == [["3"]]
    assert {"name": "learning_rate", "old": 0.01, "new": 0.003, "change": pytest.approx(-0.007)} in found["parameters"]
    assert {"code", "modules", "making", "environment", "packages", "interface", "metrics", "unknown"} <= set(found)


def test_version_that_was_made_twice_is_compared_by_the_making_that_is_most_alike(lineage: Lineage) -> None:
    """Equal bytes were made again by changed code and other packages: that is no difference to what came before."""
    second = lineage.registry.get(f"{MODEL}@1.0.1")
    again = version_json(second, 2)
    again["code"] |= {"commit": "00c0ffee" * 5}
    again["environment"]["packages"] |= {"numpy": "2.0.0", "tensorflow": "2.17.0"}
    lineage.record(fragment_of(again, run=PipelineRun(id="again")), model=MODEL)
    found = lineage.diff(f"{MODEL}@1.0.0", f"{MODEL}@1.0.1")
    assert changed(found.code) == {}
    assert changed(found.packages) == {}
    assert found.unknown == (
        f"{MODEL} 1.0.1 was made more than once, from 2 commits: the one that is most alike is compared.",
        f"{MODEL} 1.0.1 was made more than once, from 2 environments: the one that is most alike is compared.",
    )
    told = {section.name: " ".join(section.sentences) for section in lineage.explain(f"{MODEL}@1.0.1").sections}
    assert told["code"].count("It was also built from commit") == 1
    assert told["environment"].count("It was also made with") == 1


def test_module_file_of_a_name_is_compared_with_the_one_that_is_alike_and_others_are_told_of(lineage: Lineage) -> None:
    """1.0.1 was made by other files of the same name as well: no change from 1.0.0 is claimed, and none is lost."""
    second = lineage.registry.get(f"{MODEL}@1.0.1")
    for number in range(4):
        again = version_json(second, 2)
        again["modules"] |= {"flight_model.py": digest(("again", number))}
        again["training"] |= {"seed": number}
        lineage.record(fragment_of(again, run=PipelineRun(id=f"again-{number}")), model=MODEL)
    found = lineage.diff(f"{MODEL}@1.0.0", f"{MODEL}@1.0.1")
    assert changed(found.modules) == {}
    made = f"{MODEL} 1.0.1 was made more than once, from 5"
    assert found.unknown == (
        f"{made} sets of parameters: the one that is most alike is compared.",
        f"{made} files flight_model.py: the one that is most alike is compared.",
    )
    changes = changed(lineage.diff(f"{MODEL}@1.0.1", f"{MODEL}@1.1.0").modules)
    assert changes["flight_model.py"][1] == digest("wider model")
