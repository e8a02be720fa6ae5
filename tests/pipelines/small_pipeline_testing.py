"""A small pipeline with everything in it that TFX's compiler gets wrong, and a golden of what the compiler makes of it.

Compiled by TFX: tests/unit/orchestration/goldens/small.json. Components are found by this module's name, as a container
finds them.
"""

from typing import Any, TypedDict

from tfx.components.example_gen.csv_example_gen.component import CsvExampleGen
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.common.importer import Importer
from tfx.dsl.experimental.conditionals import conditional
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.types import standard_artifacts


class Made(TypedDict):
    number: int
    word: str


@component
def Make(rows: Parameter[int], how: Parameter[str], model: OutputArtifact[standard_artifacts.Model]) -> Made:  # noqa: N802
    model.set_int_custom_property("blessed", int(how == "well"))
    return {"number": rows, "word": how}


@component
def Use(number: Parameter[int], word: Parameter[str], told: OutputArtifact[standard_artifacts.Model]) -> None:  # noqa: N802
    told.set_string_custom_property("told", f"{number!r} {word}")


@component
def Take(model: InputArtifact[standard_artifacts.Model], taken: OutputArtifact[standard_artifacts.Model]) -> None:  # noqa: N802
    taken.set_int_custom_property("blessed", model.get_int_custom_property("blessed"))


@component
def Look(schema: InputArtifact[standard_artifacts.Schema], seen: OutputArtifact[standard_artifacts.Model]) -> None:  # noqa: N802
    seen.set_string_custom_property("uri", schema.uri)


def create_pipeline(settings: dict[str, Any]) -> Pipeline:
    made = Make(rows=RuntimeParameter("rows", int, 7), how=RuntimeParameter("how", str))
    used = Use(number=made.outputs["number"].future()[0].value, word=made.outputs["word"].future()[0].value)
    with conditional.Cond(made.outputs["model"].future()[0].custom_property("blessed") == 1):
        taken = Take(model=made.outputs["model"])
        again = Take(model=taken.outputs["taken"]).with_id("TakeAgain")
    schema = Importer("/schema", standard_artifacts.Schema, properties={}).with_id("Schema")
    look = Look(schema=schema.outputs["result"])
    components = [made, used, taken, again, schema, look]
    return Pipeline("small", settings["root"], components=components, enable_cache=True)


def create_reading(settings: dict[str, Any]) -> Pipeline:
    """Reads the newest span of CSV files, or the one in the settings."""
    only = None
    if "span" in settings:
        static = range_config_pb2.StaticRange(start_span_number=settings["span"], end_span_number=settings["span"])
        only = range_config_pb2.RangeConfig(static_range=static)
    splits = [example_gen_pb2.Input.Split(name="train", pattern="span-{SPAN}/*.csv")]
    read = CsvExampleGen(settings["data"], input_config=example_gen_pb2.Input(splits=splits), range_config=only)
    return Pipeline("reading", settings["root"], components=[read], enable_cache=True)
