"""A compiled pipeline read from a file, written again, and its digest."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from ir_testing import by_tfx, fitted, in_task, parameter, spoilt

from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.orchestration.ir import SpecKind, fit, load_ir, parse_ir


@pytest.mark.parametrize("kind", list(SpecKind), ids=str)
@pytest.mark.parametrize("name", ["small", "reading"])
def test_what_was_written_is_read_again(name: str, kind: SpecKind, tmp_path: Path) -> None:
    compiled, _ = fitted(name, kind)
    file = tmp_path / f"pipeline{kind.suffix}"
    file.write_text(compiled.to_text())
    found = load_ir(file)
    assert found == compiled
    assert (found.kind, found.name, found.root) == (kind, name, f"gs://bucket/{name}")
    assert found.to_text() == compiled.to_text()
    assert found.digest == compiled.digest


def test_both_services_get_the_same_pipeline() -> None:
    """But for the way in which spans are found, which the small pipeline has not."""
    kubeflow, vertex = (fitted("small", kind)[0] for kind in SpecKind)
    assert kubeflow.digest == vertex.digest
    assert fitted("reading", SpecKind.KUBEFLOW)[0].digest != fitted("reading", SpecKind.VERTEX)[0].digest


def asking(value: str) -> dict[str, Any]:
    made = by_tfx("small")
    parameters = made["job"]["pipelineSpec"]["root"]["dag"]["tasks"]["Use"]["inputs"]["parameters"]
    parameters["asked"] = {"runtimeValue": {"constant": value}}
    job: dict[str, Any] = made["job"]
    return job


def test_digest_is_the_same_for_two_compilations_and_for_a_file_that_nobody_mended() -> None:
    first, second = (fit(asking(value), SpecKind.VERTEX)[0] for value in ("f00d", "beef"))
    assert first.to_text() == second.to_text()
    unmended = [parse_ir(json.dumps(asking(value))) for value in ("f00d", "beef")]
    assert unmended[0].digest == unmended[1].digest
    renamed = parse_ir(json.dumps({**asking("f00d"), "displayName": "another", "labels": {"run": "7"}}))
    assert renamed.digest == unmended[0].digest


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("deploymentSpec", "executors", "Use_executor", "container", "image"), "registry.example/small:2"),
        (in_task("Use", "cachingOptions"), {}),
        (parameter("Schema", "artifact_uri"), "/another"),
        (("defaultPipelineRoot",), "gs://another"),
        (("root", "inputDefinitions", "parameters", "rows", "defaultValue"), 8),
    ],
)
def test_digest_is_another_one_for_whatever_a_run_would_do_differently(path: tuple[str, ...], value: Any) -> None:
    compiled, _ = fitted("small", SpecKind.KUBEFLOW)
    assert spoilt(compiled, value, *path).digest != compiled.digest


def test_digest_knows_the_clusters_secrets_and_volumes() -> None:
    plain, mounted = (fitted("small", SpecKind.KUBEFLOW, volumes=one)[0] for one in ({}, {"/mnt": "models"}))
    assert plain.digest != mounted.digest


def test_tasks_of_a_graph_within_the_graph_are_tasks_too() -> None:
    """An exit handler puts everything else into a graph of its own."""
    compiled, _ = fitted("small", SpecKind.VERTEX)
    document = json.loads(compiled.to_text())
    spec = document["pipelineSpec"]
    spec["components"]["tfx-dag"] = {"dag": spec["root"]["dag"]}
    spec["root"]["dag"] = {"tasks": {"tfx-dag": {"componentRef": {"name": "tfx-dag"}}}}
    assert set(parse_ir(json.dumps(document)).tasks) == set(compiled.tasks)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is not a JSON object"),
        ("[1]", "it is not a JSON object"),
        ("{", "this is not JSON"),
        ("a: [", "this is not YAML"),
        ("a: 1", "it has no name"),
        ("pipelineInfo: {name: x}", "it has no tasks"),
        ('{"pipelineSpec": {"pipelineInfo": {"name": "x"}}}', "it has no tasks"),
        ("pipelineInfo: {name: x}\nroot: {dag: {tasks: {t: {componentRef: {name: c}}}}}", "the task t has no executor"),
        ("a: 1\n---\nb: 1\n---\nc: 1", "more follows after it"),
        ("a: 1\n---\n7", "more follows after it"),
    ],
)
def test_what_is_no_compiled_pipeline_is_refused(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=f"some.yaml(, line 1: | is not a compiled pipeline: .*){says}"):
        load_ir(file)


def _naming(components: int, times: int, last: dict[str, object]) -> str:
    """Each component is a graph whose tasks are all the next one."""
    graphs: dict[str, object] = {
        f"c{number}": {
            "dag": {"tasks": {f"t{one}": {"componentRef": {"name": f"c{number + 1}"}} for one in range(times)}}
        }
        for number in range(components)
    }
    root = {"dag": {"tasks": {"t": {"componentRef": {"name": "c0"}}}}}
    whole = {"pipelineInfo": {"name": "x"}, "root": root, "components": {**graphs, f"c{components}": last}}
    return json.dumps({**whole, "deploymentSpec": {"executors": {"e": {"container": {"image": "x"}}}}})


@pytest.mark.parametrize(
    "text",
    [
        _naming(1, 1, {"dag": {"tasks": {"t": {"componentRef": {"name": "c0"}}}}}),
        _naming(60, 1, {"executorLabel": "e"}),
        _naming(15, 3, {"executorLabel": "e"}),
        _naming(15, 3, {"dag": {}}),
    ],
    ids=["itself", "deep", "many", "many of nothing"],
)
def test_graphs_that_name_each_other_without_end_are_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(InvalidInputError, match="more than 10,000 tasks, or graphs more than 20 deep"):
        parse_ir(text)
    assert time.process_time() - began < 5


def test_task_that_is_no_table_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="task a is no table"):
        parse_ir('{"pipelineInfo": {"name": "x"}, "root": {"dag": {"tasks": {"a": 5}}}}')


def test_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot be read"):
        load_ir(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        load_ir(tmp_path / "bytes.json")
