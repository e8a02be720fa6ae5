"""What services do beside running tasks: parameters, conditions, imports, spans and caches, in small pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conformance_testing import Done, Service
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

import tfx_pedigree.tfx_runner.run_with_driver
from tfx_pedigree.orchestration.ir import CompiledPipeline, SpecKind, fit, parse_ir
from tfx_pedigree.orchestration.ir.place_checks import TFX_TYPES
from tfx_pedigree.tfx_runner import compile_pipeline

GOLDENS = Path(__file__).parents[1] / "unit" / "orchestration" / "goldens"
KINDS = pytest.mark.parametrize("kind", list(SpecKind), ids=str)
IMAGES = {"default": "registry.example/small:1"}


def compiled_by_tfx(create: str, **settings: Any) -> dict[str, Any]:
    order = {"create": f"small_pipeline_testing:{create}", "settings": settings, "images": IMAGES}
    return compile_pipeline.compiled(order)


def compiled_for(kind: SpecKind, create: str, **settings: Any) -> CompiledPipeline:
    made = compiled_by_tfx(create, **settings)
    return fit(made["job"], kind, defaults=made["defaults"])[0]


@pytest.mark.parametrize(
    ("name", "create", "settings"),
    [("small", "create_pipeline", {}), ("reading", "create_reading", {"data": "gs://bucket/data"})],
)
def test_goldens_are_what_tfx_makes_of_it(name: str, create: str, settings: dict[str, Any]) -> None:
    """But for its own version, on both lines of TFX: the other tests of mending and linting rest on it."""
    made = compiled_by_tfx(create, root=f"gs://bucket/{name}", **settings)
    golden = json.loads((GOLDENS / f"{name}.json").read_text())
    for one in (made, golden):
        del one["job"]["labels"], one["job"]["pipelineSpec"]["sdkVersion"]
    assert made == golden


@KINDS
@pytest.mark.parametrize("name", ["small", "reading"])
def test_what_is_written_is_what_the_services_own_message_holds(name: str, kind: SpecKind) -> None:
    """No field that kfp's messages do not know, and none of another type."""
    written = parse_ir((GOLDENS / f"{name}.{kind}{kind.suffix}").read_text())
    json_format.ParseDict(dict(written.spec), pipeline_spec_pb2.PipelineSpec())
    if kind is SpecKind.VERTEX:
        json_format.ParseDict(dict(written.document), pipeline_spec_pb2.PipelineJob())


def test_linter_knows_the_types_that_the_container_knows() -> None:
    from tfx.orchestration.kubeflow.v2 import compiler_utils

    assert {f"tfx.{one}" for one in TFX_TYPES} == set(compiler_utils.TITLE_TO_CLASS_PATH)


def test_commands_are_those_of_this_release_of_tfx() -> None:
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

    from tfx_pedigree.orchestration.ir import digest
    from tfx_pedigree.orchestration.ir.fit import HOOKED_COMMAND, TFX_COMMAND
    from tfx_pedigree.tfx_components import parameters

    assert list(kubeflow_v2_dag_runner.KUBEFLOW_TFX_CMD) == TFX_COMMAND
    assert HOOKED_COMMAND[-1] == tfx_pedigree.tfx_runner.run_with_driver.__name__
    assert digest.ASKED == parameters.ASKED


# Parameters, conditions, imports


def ran(run: dict[str, Done]) -> set[str]:
    return {key for key, done in run.items() if not done.skipped and not done.reused}


@KINDS
def test_parameters_defaults_and_conditions_arrive_as_they_were_meant(kind: SpecKind, tmp_path: Path) -> None:
    compiled = compiled_for(kind, "create_pipeline", root=str(tmp_path))
    service = Service(tmp_path)
    well = service.run(compiled, how="well")
    assert well["Make"].parameters == {"number": 7.0, "word": "well"}
    assert well["Use"].artifacts["told"]["metadata"]["told"] == "7 well", "a whole number, as it was returned"
    assert ran(well) == {"Make", "Use", "Take", "TakeAgain", "Schema", "Look"}
    assert well["Look"].artifacts["seen"]["metadata"]["uri"] == "/schema"

    badly = service.run(compiled, how="badly", rows=3)
    assert badly["Use"].artifacts["told"]["metadata"]["told"] == "3 badly"
    assert {key for key, done in badly.items() if done.skipped} == {"Take", "TakeAgain"}
    assert badly["Look"].reused, "what does not hang on the parameters comes from the cache"

    again = service.run(compiled, how="well")
    assert {key for key, done in again.items() if done.reused} == {"Make", "Use", "Take", "TakeAgain", "Look"}


def test_what_nobody_mended_does_not_run(tmp_path: Path) -> None:
    made = compiled_by_tfx("create_pipeline", root=str(tmp_path))
    with pytest.raises(AssertionError, match="Use waits for what is not there"):
        Service(tmp_path).run(parse_ir(json.dumps(made["job"])), how="well", rows=7)


# Spans and caches


def write_span(folder: Path, number: int, value: int) -> None:
    span = folder / f"span-{number}"
    span.mkdir(parents=True, exist_ok=True)
    (span / "rows.csv").write_text(f"x\n{value}\n{value}\n")


def span_of(run: dict[str, Done]) -> Any:
    """TFX puts `custom:` before a property of its own that has the name of a declared one."""
    return run["CsvExampleGen"].artifacts["examples"]["metadata"]["custom:span"]


@KINDS
def test_each_run_takes_the_newest_span(kind: SpecKind, tmp_path: Path) -> None:
    """Which it finds when it runs, not when it was compiled; Vertex also sees that the data are the same as before."""
    compiled = compiled_for(kind, "create_reading", root=str(tmp_path), data=str(tmp_path / "data"))
    service = Service(tmp_path)
    for number in (1, 2):
        write_span(tmp_path / "data", number, 10)
    assert span_of(service.run(compiled)) == 2.0
    if kind is SpecKind.VERTEX:
        again = service.run(compiled)
        assert (span_of(again), again["CsvExampleGen"].reused) == (2.0, True)


def test_span_that_was_fixed_is_taken_and_comes_from_kubeflows_cache(tmp_path: Path) -> None:
    compiled = compiled_for(
        SpecKind.KUBEFLOW, "create_reading", root=str(tmp_path), data=str(tmp_path / "data"), span=1
    )
    service = Service(tmp_path)
    for number in (1, 2):
        write_span(tmp_path / "data", number, 10)
    assert span_of(service.run(compiled)) == 1.0
    assert service.run(compiled)["CsvExampleGen"].reused
