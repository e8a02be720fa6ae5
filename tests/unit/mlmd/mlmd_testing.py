"""Stores of ML Metadata as TFX leaves them: its types, properties, events and contexts, written by MLMD itself."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

PIPELINE = "flight-delay"
DIGEST = "sha256:" + "{:064x}"
CODE = "297e8f6142c876b884c51cb869e5142744e3f2afa3c40ae3641e6c5959f48c0e"
WHEEL = f"_wheels/tfx_user_code_trainer-0.0+{CODE}-py3-none-any.whl"

_TEXT, _NUMBER = pb.STRING, pb.INT
_ARTIFACT_TYPES: dict[str, dict[str, Any]] = {
    "Examples": {"span": _NUMBER, "version": _NUMBER, "split_names": _TEXT},
    "ExampleStatistics": {"span": _NUMBER, "split_names": _TEXT},
}
_COMPONENTS = {
    "CsvExampleGen": "tfx.components.example_gen.csv_example_gen.component.CsvExampleGen",
    "StatisticsGen": "tfx.components.statistics_gen.component.StatisticsGen",
    "SchemaGen": "tfx.components.schema_gen.component.SchemaGen",
    "Transform": "tfx.components.transform.component.Transform",
    "Trainer": "tfx.components.trainer.component.Trainer",
    "Resolver": "tfx.dsl.components.common.resolver.Resolver",
    "Evaluator": "tfx.components.evaluator.component.Evaluator",
    "Pusher": "tfx.components.pusher.component.Pusher",
    "Versioner": "tfx_pedigree.tfx_components.versioner.component.Versioner",
    "ChampionProvider": "tfx_pedigree.tfx_components.champion_provider.component.ChampionProvider",
}


def sqlite_config(path: Path) -> Any:
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return config


def open_store(path: Path) -> MetadataStore:
    return MetadataStore(sqlite_config(path))


@dataclass
class Ran:
    """Ids of what a run left, by the name of the output, and of its executions, by component."""

    name: str
    outputs: dict[str, int] = field(default_factory=dict)
    executions: dict[str, int] = field(default_factory=dict)


class Books:
    """Writes runs into a store."""

    def __init__(self, store: MetadataStore, root: str = "/pipelines/flights") -> None:
        self.store = store
        self.root = root
        self._types: dict[tuple[str, str], int] = {}
        self._contexts: dict[tuple[str, str], int] = {}

    def run(
        self,
        span: int,
        *,
        name: str | None = None,
        pipeline: str = PIPELINE,
        champion: int | None = None,
        learning_rate: float = 0.002,
        cached: Ran | None = None,
        fails_at: str | None = None,
    ) -> Ran:
        """Nine components from CsvExampleGen to Pusher. `champion` is the Model artifact that a Resolver found before;
        `cached` the run whose data and features are used again."""
        ran = Ran(name or f"2026-11-{span:02d}T06:00:00.000001")
        splits = json.dumps(["train", "eval"])
        print_ = "\n".join(f"split:{one},num_files:1,total_bytes:{span}" for one in ("train", "eval"))
        model_key = {"model": "model", "examples": "examples"} | ({"baseline_model": "champion"} if champion else {})
        if champion:
            ran.outputs["champion"] = champion
        plan: list[tuple[str, dict[str, Any], dict[str, str], dict[str, tuple[str, dict[str, Any]]]]] = [
            (
                "CsvExampleGen",
                {"input_base": "/data", "span": span, "input_fingerprint": print_},
                {},
                {"examples": ("Examples", {"split_names": splits, "span": span, "input_fingerprint": print_})},
            ),
            (
                "StatisticsGen",
                {"exclude_splits": "[]"},
                {"examples": "examples"},
                {"statistics": ("ExampleStatistics", {"split_names": splits})},
            ),
            ("SchemaGen", {"infer_feature_shape": 1}, {"statistics": "statistics"}, {"schema": ("Schema", {})}),
            (
                "Transform",
                {"force_tf_compat_v1": 0, "disable_statistics": 1},
                {"examples": "examples", "schema": "schema"},
                {"transform_graph": ("TransformGraph", {})},
            ),
            (
                "Trainer",
                {
                    "train_args": '{"splits": ["train"]}',
                    "eval_args": '{"splits": ["eval"]}',
                    "custom_config": json.dumps({"learning_rate": learning_rate, "seed": 13}),
                    "module_path": f"flight_model@{self.root}/{WHEEL}",
                },
                {"examples": "examples", "schema": "schema", "transform_graph": "transform_graph"},
                {"model": ("Model", {}), "model_run": ("ModelRun", {})},
            ),
            (
                "Evaluator",
                {"eval_config": '{"model_specs": [{"label_key": "late"}]}', "example_splits": "null"},
                model_key,
                {"evaluation": ("ModelEvaluation", {}), "blessing": ("ModelBlessing", {"blessed": 1})},
            ),
            (
                "Pusher",
                {"push_destination": json.dumps({"filesystem": {"base_directory": f"{self.root}/pushed"}})},
                {"model": "model", "model_blessing": "blessing"},
                {
                    "pushed_model": (
                        "PushedModel",
                        {"pushed": 1, "pushed_destination": f"{self.root}/pushed/{span}", "pushed_version": str(span)},
                    )
                },
            ),
        ]
        for component, properties, inputs, outputs in plan:
            if cached is not None and component in ("CsvExampleGen", "StatisticsGen", "SchemaGen", "Transform"):
                again = {key: cached.outputs[key] for key in outputs}
                self.step(ran, pipeline, component, properties, inputs, again, state="CACHED")
            elif component == fails_at:
                self.step(ran, pipeline, component, properties, inputs, {}, state="FAILED")
                break
            else:
                self.step(ran, pipeline, component, properties, inputs, outputs)
        return ran

    def step(  # noqa: PLR0917
        self,
        ran: Ran,
        pipeline: str | None,
        component: str,
        properties: Mapping[str, Any],
        inputs: Mapping[str, str],
        outputs: Mapping[str, int | tuple[str, Mapping[str, Any]]],
        *,
        state: str = "COMPLETE",
        output_event: str = "OUTPUT",
    ) -> int:
        """One execution with its events. `inputs` name outputs of the run; `outputs` are new artifacts, or ids."""
        execution = pb.Execution(
            type_id=self._type("execution", _COMPONENTS.get(component, component)),
            last_known_state=pb.Execution.State.Value(state),
            name=f"{ran.name}.{component}",
        )
        set_values(execution.custom_properties, properties)
        pairs = [(pb.Artifact(), event(key, "INPUT", ran.outputs[name])) for key, name in inputs.items()]
        for key, output in outputs.items():
            if isinstance(output, int):
                pairs.append((pb.Artifact(), event(key, output_event, output)))
            else:
                pairs.append((self._artifact(ran, component, key, *output), event(key, output_event)))
        contexts = [] if pipeline is None else self._run_contexts(ran, pipeline, component)
        number, artifacts, _ = self.store.put_execution(
            execution,
            [(None if one.artifact_id else artifact, one) for artifact, one in pairs],
            contexts,
            reuse_context_if_already_exist=True,
        )
        ran.executions[component] = number
        ran.outputs |= dict(zip(outputs, artifacts[len(inputs) :], strict=True))
        return int(number)

    def thing(self) -> int:
        """An artifact that no execution has made, yet."""
        return int(self.store.put_artifacts([pb.Artifact(type_id=self._type("artifact", "Thing"))])[0])

    def version(
        self, ran: Ran, digest: str, version: str, *, pipeline: str = PIPELINE, folder: Path | None = None
    ) -> int:
        """Pedigree's Versioner gives the run's model a version; its record lies in the folder, if there is one."""
        told = {"model": PIPELINE, "digest": digest, "version": version, "sequence": 1}
        self.step(
            ran,
            pipeline,
            "Versioner",
            {
                "model_name": PIPELINE,
                "asked": f"{time.monotonic_ns():x}",
                "hyperparameters": '{"learning_rate": 0.002}',
            },
            {"model": "model", "examples": "examples", "schema": "schema", "transform_graph": "transform_graph"},
            {"version": ("tfx_pedigree.ModelVersion", {**told, **({"@uri": str(folder)} if folder else {})})},
        )
        return ran.outputs["version"]

    def _artifact(self, ran: Ran, component: str, key: str, type_name: str, properties: Mapping[str, Any]) -> Any:
        own = _ARTIFACT_TYPES.get(type_name, {})
        uri = properties.get("@uri") or f"{self.root}/{component}/{key}/{ran.name}"
        artifact = pb.Artifact(type_id=self._type("artifact", type_name), uri=uri, state=pb.Artifact.LIVE)
        told = {name: value for name, value in properties.items() if name != "@uri"}
        # TFX keeps the span that ExampleGen counts among the custom ones.
        set_values(artifact.properties, {name: value for name, value in told.items() if name in own and name != "span"})
        set_values(
            artifact.custom_properties,
            {"tfx_version": "1.16.0"}
            | {name: value for name, value in told.items() if name not in own or name == "span"},
        )
        return artifact

    def _run_contexts(self, ran: Ran, pipeline: str, component: str) -> list[Any]:
        names = {"pipeline": pipeline, "pipeline_run": ran.name, "node": f"{pipeline}.{component}"}
        return [pb.Context(type_id=self._type("context", kind), name=name) for kind, name in names.items()]

    def _type(self, kind: str, name: str) -> int:
        if (kind, name) not in self._types:
            made: dict[str, Any] = {
                "artifact": lambda: self.store.put_artifact_type(
                    pb.ArtifactType(name=name, properties=_ARTIFACT_TYPES.get(name, {}))
                ),
                "execution": lambda: self.store.put_execution_type(pb.ExecutionType(name=name)),
                "context": lambda: self.store.put_context_type(pb.ContextType(name=name)),
            }
            self._types[kind, name] = made[kind]()
        return self._types[kind, name]


def event(key: str, kind: str, artifact: int | None = None) -> Any:
    made = pb.Event(type=pb.Event.Type.Value(kind))
    if artifact is not None:
        made.artifact_id = artifact
    made.path.steps.add().key = key
    made.path.steps.add().index = 0
    return made


def set_values(target: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, int):
            target[name].int_value = value
        elif isinstance(value, float):
            target[name].double_value = value
        else:
            target[name].string_value = value


def history_of_three(store: MetadataStore) -> Sequence[Ran]:
    """Three runs: the second is compared with the first one's model, the third is cached up to the Trainer."""
    books = Books(store)
    first = books.run(1)
    second = books.run(2, champion=first.outputs["model"])
    third = books.run(
        2, name="2026-11-20T06:00:00.000001", champion=first.outputs["model"], learning_rate=0.01, cached=second
    )
    return first, second, third
