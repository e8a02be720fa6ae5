"""Artifacts on temporary folders, and executors called as a runner calls them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils as entrypoint
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor  # noqa: F401  sets up what it needs
from tfx.types import artifact_utils, standard_artifacts

from tfx_pedigree.comparison import OVERALL, Comparison, Data, GateDecision, MetricRow, MetricValue, Policy, Side
from tfx_pedigree.comparison import Verdict as GateVerdict
from tfx_pedigree.registry import Evidence, Verdict
from tfx_pedigree.tfx_components import artifacts, files
from tfx_pedigree.tfx_components.artifacts import LineageRecord, ModelVersion, VersionComparison
from tfx_pedigree.tfx_components.champion_provider.executor import Executor as ChampionExecutor
from tfx_pedigree.tfx_components.lineage_recorder.executor import Executor as RecorderExecutor
from tfx_pedigree.tfx_components.registry_pusher.executor import Executor as PusherExecutor
from tfx_pedigree.tfx_components.versioner.executor import Executor as VersionerExecutor

MODELS = Path(__file__).parent.parent / "goldens" / "saved_models"
NAME = "flight-delay"


class Place:
    """One pipeline's folders, and a registry that the components find through their parameters."""

    def __init__(self, root: Path, registry: str, store: str, actor: str = "ada") -> None:
        self.root = root
        self.properties = {"registry": registry, "store": store, "actor": actor, "model_name": NAME}
        self._count = 0

    def uri(self) -> str:
        self._count += 1
        folder = self.root / "artifacts" / str(self._count)
        folder.mkdir(parents=True)
        return str(folder)

    def made(self, kind: type) -> Any:
        artifact = kind()
        artifact.uri = self.uri()
        return artifact

    def trained(self, golden: str) -> Any:
        """What a Trainer puts out, with the scratch files beside the model that differ in each run."""
        model = self.made(standard_artifacts.Model)
        shutil.copytree(MODELS / golden, Path(model.uri, "Format-Serving"))
        Path(model.uri, "checkpoint.tmp").write_text(str(self._count))
        return model

    def run(self, executor: type, inputs: Mapping[str, Any], outputs: Mapping[str, Any], **properties: Any) -> Any:
        """The only output, or all of them by name."""
        given = {key: [one] for key, one in inputs.items() if one is not None}
        made = {key: [one] for key, one in outputs.items()}
        executor().Do(given, made, {**self.properties, **properties})
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def champion(self, **properties: Any) -> Any:
        return self.run(ChampionExecutor, {}, {"model": self.made(standard_artifacts.Model)}, **properties)

    def version(self, model: Any, properties: Mapping[str, Any] | None = None, **inputs: Any) -> Any:
        outputs = {"version": self.made(ModelVersion)}
        return self.run(VersionerExecutor, {"model": model, **inputs}, outputs, **(properties or {}))

    def push(self, version: Any, properties: Mapping[str, Any] | None = None, **inputs: Any) -> Any:
        outputs = {
            "pushed_model": self.made(standard_artifacts.PushedModel),
            "blessing": self.made(standard_artifacts.InfraBlessing),
        }
        given = {"serving_base": str(self.root / "serving"), **(properties or {})}
        self.run(PusherExecutor, {"version": version, **inputs}, outputs, **given)
        says_so = outputs["blessing"].get_int_custom_property("blessed") == 1
        outcome = outputs["pushed_model"].get_string_custom_property("outcome")
        assert says_so == (outcome in ("promoted", "there already"))
        return outputs["pushed_model"]

    def recorded(self, version: Any, properties: Mapping[str, Any] | None = None, **inputs: Any) -> Any:
        outputs = {"lineage": self.made(LineageRecord)}
        return self.run(RecorderExecutor, {"version": version, **inputs}, outputs, **(properties or {}))

    def compared(self, version: Any, verdict: Verdict = Verdict.PASS, **evidence: Any) -> Any:
        """What a VersionComparator puts out about a version and the champion that its record names."""
        record = files.read_json(version.uri, artifacts.MODEL_VERSION_FILE)
        champion = record["champion"]["digest"] if record["champion"] else None
        values = {"evaluation_data": "sha256:" + "e" * 64, "reason": f"the gate said {verdict.value}", **evidence}
        found = Evidence(record["digest"], values.pop("champion", champion), verdict, **values)
        side = Side(record["version"], record["digest"])
        row = MetricRow("auc", OVERALL, challenger=MetricValue(0.75))
        rival = Side(record["champion"]["version"], found.champion) if found.champion and record["champion"] else None
        decision = GateDecision(GateVerdict(verdict.value), found.reason)
        seen = (Data("eval", fingerprint=found.evaluation_data),)
        comparison = Comparison(NAME, side, rival, Policy("auc"), decision, metrics=(row,), evaluated_on=seen)
        output = self.made(VersionComparison)
        Path(output.uri, artifacts.EVIDENCE_FILE).write_text(found.content())
        Path(output.uri, artifacts.COMPARISON_FILE).write_text(comparison.to_text())
        return output

    def blessing(self, kind: type, blessed: int | None) -> Any:
        found = self.made(kind)
        if blessed is not None:
            found.set_int_custom_property("blessed", blessed)
        return found

    def examples(
        self,
        rows: Iterable[Mapping[str, float | list[float]]],
        split: str = "eval",
        span: str | None = None,
        shards: int = 1,
    ) -> Any:
        found = self.made(standard_artifacts.Examples)
        found.split_names = artifact_utils.encode_split_names([split])
        if span is not None:
            found.set_string_custom_property("span", span)
        folder = Path(artifact_utils.get_split_uri([found], split))
        folder.mkdir()
        every = list(rows)
        for shard in range(shards):
            write_rows(folder / f"data_tfrecord-{shard:05d}-of-{shards:05d}.gz", every[shard::shards])
        return found


def write_rows(path: Path, rows: Iterable[Mapping[str, float | list[float]]]) -> None:
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for row in rows:
            feature = {
                key: tf.train.Feature(
                    float_list=tf.train.FloatList(value=value if isinstance(value, list) else [value])
                )
                for key, value in row.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString(deterministic=True))


def record(version: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(version.uri, artifacts.MODEL_VERSION_FILE).read_text())
    return found


def tree(folder: str | Path) -> dict[str, bytes]:
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def through_kubeflow(artifact: Any) -> Any:
    """The artifact as the next container gets it: written as flat JSON, read by the class's path."""
    runtime = entrypoint.to_runtime_artifact(artifact, {})
    runtime.name = f"projects/p/artifacts/{abs(hash(artifact.uri))}"
    runtime.type.instance_schema = compiler_utils.get_artifact_schema(type(artifact))
    from kfp.pipeline_spec import pipeline_spec_pb2

    artifacts_by_name = {"it": pipeline_spec_pb2.ArtifactList(artifacts=[runtime])}
    return entrypoint.parse_raw_artifact_dict(artifacts_by_name, {})["it"][0]
