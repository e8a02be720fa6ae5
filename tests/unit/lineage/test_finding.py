"""From what people write to nodes: every form of a name, candidates where several fit, near matches where none does."""

from __future__ import annotations

import contextlib

import pytest
from graph_costs import cost, same
from graph_testing import MODEL, code, data, making, node_of, storied, thing

from pedigree_testing import candidate, digest, lineage_of
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.lineage.graph import Fragment, Node, NodeKind
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.node_factory import module_node
from tfx_pedigree.registry import Registry

pytestmark = pytest.mark.conformance


@pytest.fixture
def lineage(registry: Registry) -> Lineage:
    storied(registry, 3)
    registry.set_alias("canary", f"{MODEL}@1.0.2")
    return lineage_of(registry)


@pytest.mark.parametrize(
    "text",
    [
        f"{MODEL}@1.0.1",
        f"{MODEL}@v1.0.1",
        f"{MODEL}@champion",
        f"{MODEL}@2",
        f"{MODEL}@{candidate((MODEL, 1)).digest}",
        "version:1.0.1",
        "version:version=1.0.1",
        candidate((MODEL, 1)).digest,
        candidate((MODEL, 1)).digest[:19],
    ],
)
def test_version_is_found_by_all_that_the_registry_understands(lineage: Lineage, text: str) -> None:
    found = lineage.find(f" {text} ")
    assert found.key == node_of(lineage.registry.get(f"{MODEL}@1.0.1")).key
    assert found.fact("version") == "1.0.1"


def test_model_alone_is_its_latest_version(lineage: Lineage) -> None:
    assert lineage.find(MODEL) == lineage.find(f"{MODEL}@canary") == lineage.find(f"{MODEL}@latest")


def test_node_is_found_by_its_key_and_by_the_beginning_of_it(lineage: Lineage) -> None:
    key = data(1).key
    assert lineage.find(key).key == lineage.find(key[:20]).key == lineage.find(key[: len("data:") + 8]).key == key


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("commit:" + "01" * 20, code(1)),
        ("commit:0101", code(1)),
        ("code:01010101", code(1)),
        ("code:commit=010101", code(1)),
        ("module:trainer.py", module_node("trainer.py", digest("m"))),
        ("name:trainer.py", module_node("trainer.py", digest("m"))),
        (f"fingerprint:{digest((1, 'eval'))}", data(1, "eval")),
        (f"data:{digest((1, 'eval'))[:17]}", data(1, "eval")),
        (digest((1, "eval")), data(1, "eval")),
        ("data:rows=1001", None),
    ],
)
def test_node_is_found_by_what_was_seen_of_it(lineage: Lineage, text: str, node: Node | None) -> None:
    found = lineage.find_all(text)
    assert {each.key for each in found} == ({node.key} if node else {data(1).key, data(1, "eval").key})


def test_runs_are_found_by_the_name_that_the_runner_gave_them(lineage: Lineage) -> None:
    assert lineage.find("run:run-2").kind is NodeKind.RUN
    assert len(lineage.find_all("run:flights")) == 3, "all of the pipeline"


def test_span_means_all_its_splits_and_a_question_about_one_node_lists_them(lineage: Lineage) -> None:
    assert {node.key for node in lineage.find_all("span:1")} == {data(1).key, data(1, "eval").key}
    with pytest.raises(InvalidInputError, match="'span:1' fits 2 nodes") as refused:
        lineage.find("span:1")
    for node in (data(1), data(1, "eval")):
        assert node.key[: len("data:") + 12] in str(refused.value)
    assert "split=eval" in str(refused.value)
    with pytest.raises(InvalidInputError, match="fits 2 nodes"):
        lineage.get_upstream("span:1")


def test_short_number_is_a_span_and_no_beginning_of_a_key(lineage: Lineage) -> None:
    lineage.record(Fragment(tuple(data(number) for number in range(3, 40))))
    assert {node.fact("span") for node in lineage.find_all("data:2")} == {"2"}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("module:trainr.py", "Did you mean module:trainer.py"),
        ("module:name=trainr.py", "Did you mean module:name=trainer.py"),
        ("name:trainers.py", "Did you mean name:trainer.py"),
        ("run:run-9", "run:run-1"),
        ("modul:trainer.py", "There is no kind of node and no fact called 'modul'. Did you mean module:trainer.py"),
        ("comit:0101", "Did you mean commit:0101"),
        ("flight-dely@1.0.1", "Did you mean flight-delay"),
        (f"{MODEL}@9.0.0", "has no version or alias '9.0.0'"),
        ("image:nothing", "no lineage in this registry names a image yet. A pipeline with LineageRecorder"),
        ("what:ever", "Write MODEL@VERSION"),
        ("sha256:00000000", "nothing near it"),
        (data(1).key[:-3] + "xyz", "There is no node"),
    ],
)
def test_what_is_not_there_is_told_with_what_is_near(lineage: Lineage, text: str, hint: str) -> None:
    with pytest.raises(NotFoundError) as refused:
        lineage.find(text)
    assert hint in str(refused.value)


def test_mistyped_digit_of_a_key_is_told_with_the_right_key(lineage: Lineage) -> None:
    key = data(1).key
    wrong = key[:15] + ("0" if key[15] != "0" else "1") + key[16:20]
    with pytest.raises(NotFoundError, match=f"Did you mean {key[:20]}"):
        lineage.find(wrong)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data:", "names nothing after the colon"),
        ("sha256:xyz", "is no digest"),
        ("promotion:1234", "is no node to begin from"),
        ("Data!:3", "names no node"),
        ("", "cannot name a model"),
        ("flight delay", "cannot name a model"),
    ],
)
def test_what_cannot_be_a_name_is_refused(lineage: Lineage, text: str, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        lineage.find(text)


def test_version_that_nobody_recorded_is_found_by_its_number_and_its_digest(lineage: Lineage) -> None:
    version = lineage.registry.add("other", candidate("bare")).version
    assert lineage.find("other@1.0.0").key == lineage.find(version.digest[:16]).key == node_of(version).key


@pytest.mark.system
@pytest.mark.database
def test_looking_for_something_in_a_large_graph_reads_no_more_than_in_a_small_one(
    lineage: Lineage, registry: Registry
) -> None:
    names = ("run:run-2", "span:1", "commit:0101", data(1).key[:12], f"{MODEL}@1.0.1", "module:trainr.py")
    before = {name: cost(registry, lambda name=name: _look(lineage, name)) for name in names}
    lineage.record(Fragment(tuple(thing(number) for number in range(20_000))))
    lineage.record(making(registry.add(MODEL, candidate("more")).version, 1))
    for name in names:
        assert same(before[name], cost(registry, lambda name=name: _look(lineage, name))), name


def _look(lineage: Lineage, name: str) -> None:
    with contextlib.suppress(NotFoundError):
        lineage.find_all(name)
