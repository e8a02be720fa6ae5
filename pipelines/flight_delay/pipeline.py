"""The pipeline itself: standard TFX components in the usual order, and one call that adds Pedigree's.

`pipelines.flight_delay.pipeline:create_pipeline` is what a config file names.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.flight_delay import gate
from pipelines.flight_delay.columns import LABEL, SLICES
from pipelines.flight_delay.config import FlightDelayConfig

# Not tfx.v1: on TFX 1.21 a name there can be None without a word.
from tfx.components.evaluator.component import Evaluator
from tfx.components.example_gen.csv_example_gen.component import CsvExampleGen
from tfx.components.example_validator.component import ExampleValidator
from tfx.components.pusher.component import Pusher
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.trainer.component import Trainer
from tfx.components.transform.component import Transform
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.dsl.io import fileio
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import example_gen_pb2, pusher_pb2, range_config_pb2, trainer_pb2
from tfx.types.channel import Channel
from tfx.types.standard_artifacts import Model, ModelBlessing

from tfx_pedigree.comparison import ModelInputs
from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.versioning import GitState, capture_git

HERE = Path(__file__).parent
SCHEMA = HERE / "schema" / "schema.pbtxt"
TRANSFORM_MODULE = HERE / "transform" / "flight_features.py"
POLICY = HERE.parents[1] / "configs" / "policy.yaml"
MODEL_MODULE = HERE / "model" / "flight_model.py"


@dataclass(frozen=True)
class Trained:
    """Everything up to the trained model, which is the same with and without Pedigree."""

    examples: CsvExampleGen
    statistics: StatisticsGen
    schema: ImportSchemaGen
    validator: ExampleValidator
    transform: Transform
    trainer: Trainer

    @property
    def components(self) -> list[BaseNode]:
        return [self.examples, self.statistics, self.schema, self.validator, self.transform, self.trainer]


def create_pipeline(config: FlightDelayConfig | Mapping[str, Any]) -> Pipeline:
    if not isinstance(config, FlightDelayConfig):
        config = FlightDelayConfig.from_mapping(config)
    trained = train(config)
    judged = _with_pedigree(config, trained) if config.with_pedigree else _stock(config, trained)
    connection = sqlite_metadata_connection_config(config.metadata) if config.metadata else None
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=config.root,
        components=[*trained.components, *judged],
        enable_cache=config.cache,
        metadata_connection_config=connection,
        beam_pipeline_args=list(config.beam_args),
    )


def train(config: FlightDelayConfig) -> Trained:
    examples = _examples(config)
    raw = examples.outputs["examples"]
    statistics = StatisticsGen(examples=raw)
    schema = ImportSchemaGen(schema_file=_schema(config))
    contract = schema.outputs["schema"]
    validator = ExampleValidator(statistics=statistics.outputs["statistics"], schema=contract)
    transform = Transform(
        examples=raw,
        schema=contract,
        **_function(config, TRANSFORM_MODULE, "preprocessing_fn"),
        custom_config=config.transform_config(),
        # The trainer sends the rows through the graph itself, and StatisticsGen has counted them already.
        materialize=False,
        disable_statistics=True,
        # It would be of use if spans overlapped.
        disable_analyzer_cache=True,
    )
    trainer = Trainer(
        examples=raw,
        transform_graph=transform.outputs["transform_graph"],
        schema=contract,
        **_function(config, MODEL_MODULE, "run_fn"),
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
        custom_config=config.trainer_config(),
    )
    return Trained(examples, statistics, schema, validator, transform, trainer)


def _function(config: FlightDelayConfig, module: Path, name: str) -> dict[str, str]:
    """The function by its name in an image that holds this checkout, which is what the image's digest stands for; else
    the file, which TFX packs and copies under the root."""
    if not config.code:
        return {"module_file": str(module)}
    return {name: ".".join((*module.relative_to(HERE.parents[1]).with_suffix("").parts, name))}


def _schema(config: FlightDelayConfig) -> str:
    if not config.code:
        return _staged_schema(config)
    return f"{config.code.rstrip('/')}/{SCHEMA.relative_to(HERE.parents[1])}"


def _staged_schema(config: FlightDelayConfig) -> str:
    """A copy under the pipeline's root, named after its content, as TFX does it with module files.

    TFX's cache looks at the path alone, so that a changed schema under the same path would not be noticed; and a
    container has the root, but not this checkout.
    """
    text = SCHEMA.read_text("utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    folder = f"{config.root.rstrip('/')}/_schemas/{digest[:16]}"
    if not fileio.exists(f"{folder}/{SCHEMA.name}"):
        fileio.makedirs(folder)
        draft = f"{folder}/.{SCHEMA.name}.{os.getpid()}"
        with fileio.open(draft, "w") as file:
            file.write(text)
        fileio.rename(draft, f"{folder}/{SCHEMA.name}", overwrite=True)
    return f"{folder}/{SCHEMA.name}"


def _examples(config: FlightDelayConfig) -> CsvExampleGen:
    """A month and the month after it, as one span of two splits: both models of a run are judged by the same rows."""
    splits = [
        example_gen_pb2.Input.Split(name=name, pattern=f"span-{{SPAN}}/{name}/*.csv") for name in ("train", "eval")
    ]
    only = None
    if config.span is not None:
        static = range_config_pb2.StaticRange(start_span_number=config.span, end_span_number=config.span)
        only = range_config_pb2.RangeConfig(static_range=static)
    return CsvExampleGen(input_base=config.data, input_config=example_gen_pb2.Input(splits=splits), range_config=only)


def _stock(config: FlightDelayConfig, trained: Trained) -> list[BaseNode]:
    """As TFX's own guide has it: against the model that was blessed last, whether or not it serves."""
    resolver = Resolver(
        strategy_class=LatestBlessedModelStrategy,
        model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing),
    ).with_id("LatestBlessedModel")
    evaluator = Evaluator(
        examples=trained.examples.outputs["examples"],
        model=trained.trainer.outputs["model"],
        baseline_model=resolver.outputs["model"],
        eval_config=gate.eval_config(),
    )
    pusher = _pusher(trained, f"{config.serving_folder}/{config.name}", model_blessing=evaluator.outputs["blessing"])
    return [resolver, evaluator, pusher]


def _with_pedigree(config: FlightDelayConfig, trained: Trained) -> list[BaseNode]:
    """The champion is the model that the registry says is in production; the policy is the gate."""
    from tfx_pedigree.tfx_components import add_pedigree  # noqa: PLC0415  the stock pipeline does without

    examples = trained.examples.outputs["examples"]
    settings: dict[str, Any] = {
        "policy": POLICY,
        "model_name": config.name,
        "inputs": ModelInputs(label_key=LABEL, signature_name=gate.SIGNATURE),
        "slice_features": [[column] for column in SLICES],
        "hyperparameters": {"features": config.features, **config.training.to_json()},
        "git": _git(),
        "serving_base": config.serving_folder,
        **config.pedigree,
    }
    pedigree = add_pedigree(
        trained.trainer,
        examples,
        schema=trained.schema.outputs["schema"],
        transform_graph=trained.transform.outputs["transform_graph"],
        statistics=trained.statistics.outputs["statistics"],
        **settings,
    )
    pusher = _pusher(
        trained,
        # Its own folder: it counts in seconds since 1970, which TF Serving would take for newer than any sequence.
        f"{config.root.rstrip('/')}/pushed",
        **pedigree.gates,
    )
    return [*pedigree.components, pusher]


def _git() -> GitState | None:
    """Here, where git is: the components carry it to where it is not."""
    try:
        return capture_git(HERE)
    except PedigreeError:  # unpacked from an archive
        return None


def _pusher(trained: Trained, folder: str, **gates: Any) -> Pusher:
    return Pusher(
        model=trained.trainer.outputs["model"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=folder)
        ),
        **gates,
    )
