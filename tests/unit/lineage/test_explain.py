"""An explanation says what was recorded in plain sentences, and what was not as plainly."""

from __future__ import annotations

import pytest

from lineage_testing import MODEL, make_versions, record_story, version_json
from pedigree_testing import Clock, candidate, digest, lineage_of
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.lineage import node_factory
from tfx_pedigree.lineage.explain import Explanation, explanation
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.run_graph import PipelineRun, fragment_of
from tfx_pedigree.lineage.version_context import ExplanationInput
from tfx_pedigree.registry import Facts, PromotionRequest, Registry

pytestmark = pytest.mark.conformance


def said(found: Explanation, name: str) -> str:
    sections = {section.name: " ".join(section.sentences) for section in found.sections}
    return sections[name]


@pytest.fixture
def lineage(registry: Registry, clock: Clock) -> Lineage:
    make_versions(registry, clock)
    record_story(registry)
    return lineage_of(registry)


def test_version_is_explained_from_its_data_to_its_use(lineage: Lineage) -> None:
    found = lineage.explain(f"{MODEL}@1.0.1")
    assert found.recorded
    assert "It was trained on span 2 train (18,002 rows, fingerprint " in said(found, "data")
    assert "derived from span 2 train." in said(found, "data")
    assert "of https://git.example.org/flights.git, branch main." in said(found, "code")
    assert "flight_model.py" in said(found, "code")
    assert "Python 3.10.14, tfx 1.16.0, tensorflow 2.16.2 and 1 more package" in said(found, "environment")
    assert "TF_DETERMINISTIC_OPS 1" in said(found, "environment")
    assert "learning_rate 0.01" in said(found, "parameters")
    assert "seed 17, train_args.num_steps 2000" in said(found, "parameters")
    assert "run 2026-11-22T02:00 of the pipeline flights" in said(found, "run")
    assert "It was measured on span 3 eval (2,003 rows" in said(found, "judgement")
    assert f"compared with {MODEL} 1.0.0" in said(found, "judgement")
    assert "The gate said PASS: auc is 2 % better." in said(found, "judgement")
    assert "auc 0.918 (1.0.0: 0.9)" in said(found, "judgement")
    assert "ada promoted it to production: auc is 2 % better." in said(found, "use")
    assert "It is champion now. It was deployed to serving/flight-delay/2." in said(found, "use")
    assert f"After it came {MODEL} 1.1.0." in said(found, "use")


def test_replaced_version_says_by_which_and_why(lineage: Lineage) -> None:
    used = said(lineage.explain(f"{MODEL}@1.0.0"), "use")
    assert "ada promoted it to production: first model." in used
    assert "ada replaced it by 1.0.1: auc is 2 % better." in used
    assert "It was champion once, and is not now: its state is archived." in used


def test_rollback_is_told_of_both_versions_with_its_reason(lineage: Lineage, clock: Clock) -> None:
    clock.advance(hours=1)
    lineage.registry.rollback(MODEL, reason="latency doubled")
    away, back = (said(lineage.explain(f"{MODEL}@{number}"), "use") for number in ("1.0.1", "1.0.0"))
    assert "ada rolled back from it to 1.0.0: latency doubled." in away
    assert "ada brought it back to production: latency doubled." in back


def test_refused_version_says_why_it_is_kept_out(lineage: Lineage) -> None:
    found = lineage.explain(f"{MODEL}@1.1.0")
    assert "The gate said FAIL: auc fell by 2 %, more than the 1 % allowed." in said(found, "judgement")
    assert "It never was champion: its state is development." in said(found, "use")


def test_version_that_is_champion_against_the_gate_is_not_said_to_be_kept_out(lineage: Lineage) -> None:
    request = PromotionRequest(override=True, reason="the only one that loads")
    lineage.registry.promote(f"{MODEL}@1.1.0", request)
    (use,) = (section for section in lineage.explain(f"{MODEL}@1.1.0").sections if section.name == "use")
    assert "It is champion now." in use.sentences
    assert not [said for said in use.sentences if "keeps it out" in said]
    assert use.sentences[-1].startswith("The gate is against it, though it is in production: FAIL: auc fell by 2 %")


def test_uncommitted_changes_are_a_warning(lineage: Lineage) -> None:
    code = said(lineage.explain(f"{MODEL}@1.1.0"), "code")
    assert "the commit alone does not build it again" in code
    assert "does not build it again" not in said(lineage.explain(f"{MODEL}@1.0.1"), "code")


def test_version_of_the_command_line_is_explained_without_any_recorder(registry: Registry, clock: Clock) -> None:
    make_versions(registry, clock)
    found = lineage_of(registry).explain(f"{MODEL}@1.0.1")
    assert not found.recorded
    making = said(found, "making")
    assert making.startswith(f"No lineage was recorded of {MODEL} 1.0.1:")
    assert "LineageRecorder" in making
    assert "Parameters: learning_rate 0.01." in making
    assert "The gate said PASS" in said(found, "judgement")
    assert "It is champion now." in said(found, "use")


def test_tags_of_an_older_release_are_told_where_no_lineage_was_recorded(registry: Registry) -> None:
    tags = {"span": "4", "data": digest("rows"), "commit": "1a2b3c4d" * 5 + "+dirty"}
    registry.add(MODEL, candidate("tagged"), facts=Facts(tags=tags))
    making = said(lineage_of(registry).explain(MODEL), "making")
    assert "trained on span 4 with the fingerprint" in making
    assert "built from commit 1a2b3c4 with uncommitted changes" in making


def test_what_a_recorder_did_not_see_is_said(registry: Registry) -> None:
    version = registry.add(MODEL, candidate("bare")).version
    record = version_json(version, 1, code=None, modules=None, environment=None, data={}, training={}, parameters={})
    run = PipelineRun(id="night-1", incomplete="ML Metadata did not answer")
    lineage = lineage_of(registry)
    node = node_factory.version_node(MODEL, version.digest)
    schema = node_factory.schema_node(digest("schema"))
    lineage.record(fragment_of(record, run=run), model=MODEL)
    lineage.record(Fragment((node, schema), (Edge(node.key, EdgeKind.CONFORMS_TO, schema.key),)), model=MODEL)
    found = lineage.explain(f"{MODEL}@1.0.0")
    assert f"It was not recorded which data {MODEL} 1.0.0 was trained on." in said(found, "data")
    assert "No commit was recorded" in said(found, "code")
    assert "It was not recorded in which environment it was made." in said(found, "environment")
    assert "No hyperparameters were recorded." in said(found, "parameters")
    assert "is incomplete: ML Metadata did not answer." in said(found, "run")


def test_what_another_release_or_system_left_in_other_forms_is_told_all_the_same(registry: Registry) -> None:
    version = registry.add(MODEL, candidate("odd")).version
    environment = {"cpu": {"count": 8, "model": "x86"}, "accelerators": ["T4", "T4"], "image": "train@sha256:1"}
    training = {"seed": 17, "empty": [], "nothing": {}, "args": {"learning_rate": 0.01, "steps": [1, 2]}}
    changed = {"environment": environment, "training": training, "parameters": {"learning_rate": 0.01}}
    lineage_of(registry).record(fragment_of(version_json(version, 1, **changed)), model=MODEL)
    found = lineage_of(registry).explain(MODEL)
    assert "a Python that was not noted" in said(found, "environment")
    assert "The image was train@sha256:1. The processor was x86 (8 cores)." in said(found, "environment")
    assert "Accelerators: T4 and T4." in said(found, "environment")
    assert "args.steps 1 and 2, empty [], nothing {} and seed 17." in said(found, "parameters")
    assert said(found, "parameters").count("learning_rate") == 1


def test_weak_identity_of_data_is_a_warning(registry: Registry) -> None:
    version = registry.add(MODEL, candidate("weak")).version
    node = node_factory.version_node(MODEL, version.digest, version="1.0.0")
    data = node_factory.data_node(uri="gs://flights/2013", split="train")
    lineage_of(registry).record(Fragment((node, data), (Edge(node.key, EdgeKind.TRAINED_ON, data.key),)), model=MODEL)
    told = said(lineage_of(registry).explain(MODEL), "data")
    assert "is known, not its content" in told


def test_explanation_of_what_is_no_version_names_the_question_to_ask(lineage: Lineage) -> None:
    with pytest.raises(InvalidInputError, match=r"span 2 train is no version of a model.*`pedigree impact data:"):
        lineage.explain("data:span=2")


def test_explanation_of_an_unknown_version_lists_near_ones(lineage: Lineage) -> None:
    with pytest.raises(NotFoundError, match="has no version"):
        lineage.explain(f"{MODEL}@7.0.0")


def test_version_is_explained_by_the_key_of_its_node_too(lineage: Lineage) -> None:
    node = lineage.find(f"{MODEL}@1.0.1")
    assert lineage.explain(node.key) == lineage.explain(node) == lineage.explain(f"{MODEL}@1.0.1")


def test_json_names_the_nodes_that_a_section_rests_on(lineage: Lineage) -> None:
    found = lineage.explain(f"{MODEL}@1.0.1").to_json()
    sections = {section["name"]: section for section in found["sections"]}
    assert found["version"]["version"] == "1.0.1"
    assert lineage.find("data:span=2").key in sections["data"]["nodes"]
    assert lineage.find("part:3/eval").key in sections["judgement"]["nodes"]


def test_explanation_is_the_same_for_the_same_knowledge(registry: Registry, clock: Clock) -> None:
    make_versions(registry, clock)
    known = ExplanationInput(registry.get(f"{MODEL}@1.0.1"))
    assert explanation(known) == explanation(known)
    assert not explanation(known).recorded
