"""What TFX's compiler gets wrong is put right, and what is right already stays as it is."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

import pytest
from ir_testing import GOLDENS, by_tfx, fitted

from tfx_pedigree.orchestration.ir import SpecKind, fit, lint, parse_ir
from tfx_pedigree.orchestration.ir.fit import HOOKED_COMMAND, TFX_COMMAND


def declared_to(task: Any) -> Any:
    args = task.container["args"]
    return json.loads(args[args.index("--json_serialized_inputs_spec_args") + 1])


@pytest.mark.parametrize("kind", list(SpecKind), ids=str)
@pytest.mark.parametrize("name", ["small", "reading"])
def test_pipeline_is_written_as_it_was_before(name: str, kind: SpecKind) -> None:
    """PEDIGREE_UPDATE_GOLDENS=1 writes the goldens anew."""
    compiled, _ = fitted(name, kind, env={"PEDIGREE_ACTOR": "ci"})
    golden = GOLDENS / f"{name}.{kind}{kind.suffix}"
    if os.environ.get("PEDIGREE_UPDATE_GOLDENS"):
        golden.write_text(compiled.to_text())
    assert compiled.to_text() == golden.read_text()


def test_parameter_from_another_task_names_a_task_that_is_there() -> None:
    compiled, notes = fitted("small", SpecKind.VERTEX)
    given = compiled.tasks["Use"].parameters["number"]
    assert given == {"taskOutputParameter": {"producerTask": "Make", "outputParameterKey": "number"}}
    assert "Make" in compiled.tasks["Use"].upstream
    assert "Use: the parameter `number` comes from Make, not from Make_task." in notes


def test_parameter_from_another_task_is_what_that_task_makes_it() -> None:
    """TFX declares a text, and a whole number would arrive as 7.0; the container is told the same."""
    task = fitted("small", SpecKind.KUBEFLOW)[0].tasks["Use"]
    declared = {"number": {"parameterType": "NUMBER_INTEGER"}, "word": {"parameterType": "STRING"}}
    assert task.component["inputDefinitions"]["parameters"] == declared
    assert declared_to(task)["parameters"] == declared


def test_condition_on_an_input_looks_at_that_input() -> None:
    task = fitted("small", SpecKind.KUBEFLOW)[0].tasks["Take"]
    assert (
        task.node["triggerPolicy"]["condition"] == "(inputs.artifacts['model'].artifacts[0].metadata['blessed'] == 1.0)"
    )
    assert set(task.artifacts) == {"model"}


def test_condition_on_something_else_keeps_the_input_that_tfx_made_for_it() -> None:
    task = fitted("small", SpecKind.KUBEFLOW)[0].tasks["TakeAgain"]
    assert "inputs.artifacts['_Make.model']" in task.node["triggerPolicy"]["condition"]
    assert set(task.artifacts) == {"_Make.model", "model"}


def test_condition_on_what_is_no_input_at_all_makes_it_one() -> None:
    made = by_tfx("small")
    spec = made["job"]["pipelineSpec"]
    del spec["root"]["dag"]["tasks"]["TakeAgain"]["inputs"]["artifacts"]["_Make.model"]
    del spec["components"]["TakeAgain"]["inputDefinitions"]["artifacts"]["_Make.model"]
    spec["root"]["dag"]["tasks"]["TakeAgain"]["dependentTasks"] = ["Take"]
    compiled, notes = fit(made["job"], SpecKind.VERTEX)
    task = compiled.tasks["TakeAgain"]
    assert task.artifacts["_Make.model"]["taskOutputArtifact"]["producerTask"] == "Make"
    assert "title: tfx.Model" in declared_to(task)["artifacts"]["_Make.model"]["artifactType"]["instanceSchema"]
    assert task.upstream == ("Make", "Take")
    assert "TakeAgain: its condition looks at `_Make.model`, which is an input now." in notes


def test_run_need_not_give_what_has_a_default() -> None:
    found = {one.name: (one.type, one.default, one.optional) for one in fitted("small", SpecKind.VERTEX)[0].parameters}
    assert found == {"rows": ("NUMBER_INTEGER", 7, True), "how": ("STRING", None, False)}


@pytest.mark.parametrize("kind", list(SpecKind), ids=str)
@pytest.mark.parametrize("name", ["small", "reading"])
def test_what_is_mended_needs_no_mending(name: str, kind: SpecKind) -> None:
    compiled, _ = fitted(name, kind)
    job = compiled.document if kind is SpecKind.VERTEX else {"pipelineSpec": compiled.document}
    assert fit(job, kind) == (compiled, ())


def test_what_was_compiled_is_left_as_it_was() -> None:
    made = by_tfx("small")
    before = copy.deepcopy(made)
    fit(made["job"], SpecKind.KUBEFLOW, defaults=made["defaults"])
    assert made == before


# Spans


def test_span_is_found_in_the_container_where_kubeflow_runs_no_hook() -> None:
    compiled, notes = fitted("reading", SpecKind.KUBEFLOW)
    task = compiled.tasks["CsvExampleGen"]
    assert task.container["command"] == HOOKED_COMMAND
    assert "lifecycle" not in task.container
    assert "each run takes the newest span" in notes[0]
    assert "span" not in {one.rule for one in lint(compiled)}


def test_vertex_runs_the_hook_itself() -> None:
    compiled, notes = fitted("reading", SpecKind.VERTEX)
    task = compiled.tasks["CsvExampleGen"]
    assert task.container["command"] == TFX_COMMAND
    assert task.container["lifecycle"]["preCacheCheck"]
    assert task.node["cachingOptions"] == {"enableCache": True}
    assert notes == ()


@pytest.mark.parametrize(
    ("range_config", "cached"),
    [
        (None, False),
        ("", False),
        ('{"static_range": {"start_span_number": 3, "end_span_number": 3}}', True),
        ('{"rolling_range": {"num_spans": 1}}', False),
        ("not JSON", False),
    ],
)
def test_kubeflow_takes_from_its_cache_only_a_span_that_was_fixed(range_config: str | None, cached: bool) -> None:
    """It looks into its cache before the container looks at the data."""
    made = by_tfx("reading")
    parameters = made["job"]["pipelineSpec"]["root"]["dag"]["tasks"]["CsvExampleGen"]["inputs"]["parameters"]
    if range_config is not None:
        parameters["range_config"] = {"runtimeValue": {"constant": range_config}}
    compiled, _ = fit(made["job"], SpecKind.KUBEFLOW)
    options = compiled.tasks["CsvExampleGen"].node["cachingOptions"]
    assert options == ({"enableCache": True} if cached else {})


def test_command_of_somebodys_own_is_left_alone_and_the_linter_says_what_that_means() -> None:
    made = by_tfx("reading")
    made["job"]["pipelineSpec"]["deploymentSpec"]["executors"]["CsvExampleGen_executor"]["container"]["command"] = [
        "mine"
    ]
    compiled, _ = fit(made["job"], SpecKind.KUBEFLOW)
    assert compiled.tasks["CsvExampleGen"].container["command"] == ["mine"]
    (finding,) = [one for one in lint(compiled) if one.rule == "span"]
    assert finding.task == "CsvExampleGen"


# Surroundings


def test_what_asks_the_registry_is_never_taken_from_a_cache() -> None:
    made = by_tfx("small")
    asked = {"runtimeValue": {"constant": "f00d"}}
    made["job"]["pipelineSpec"]["root"]["dag"]["tasks"]["Use"]["inputs"]["parameters"]["asked"] = asked
    compiled, _ = fit(made["job"], SpecKind.KUBEFLOW)
    assert compiled.tasks["Use"].node["cachingOptions"] == {}
    assert compiled.tasks["Use"].constant("asked") == ""
    assert compiled.tasks["Make"].node["cachingOptions"] == {"enableCache": True}


@pytest.mark.parametrize("kind", list(SpecKind), ids=str)
def test_root_stands_where_the_service_looks_for_it(kind: SpecKind) -> None:
    compiled, _ = fitted("small", kind)
    assert compiled.root == "gs://bucket/small"
    assert compiled.spec["defaultPipelineRoot"] == "gs://bucket/small"


def test_every_container_has_the_environment_of_the_target() -> None:
    compiled, _ = fitted("small", SpecKind.VERTEX, env={"B": "2", "A": "1"})
    for task in compiled.tasks.values():
        if task.container:
            assert task.container["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]


def test_secrets_and_volumes_of_the_cluster_are_named_in_a_document_of_their_own() -> None:
    secrets = {"PGPASSWORD": "db/password", "PGUSER": "db/user"}
    compiled, _ = fitted("small", SpecKind.KUBEFLOW, secrets=secrets, volumes={"/mnt": "models"})
    assert compiled.extra is not None
    pods = compiled.extra["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(pods) == {f"{key}_executor" for key, task in compiled.tasks.items() if task.container}
    keys = [{"secretKey": "password", "envVar": "PGPASSWORD"}, {"secretKey": "user", "envVar": "PGUSER"}]
    assert pods["Make_executor"] == {
        "secretAsEnv": [{"secretName": "db", "keyToEnv": keys}],
        "pvcMount": [{"constant": "models", "mountPath": "/mnt"}],
    }
    assert "&" not in compiled.to_text(), "no YAML anchors, which not every reader knows"
    assert parse_ir(compiled.to_text()) == compiled
