"""How far a span has drifted from the champion's training data: what `pedigree pipeline retrain` starts.

Reads an order with `champion` and `span`, and writes one JSON object to standard output: the distances that TFDV's
comparators measure, feature by feature. Decides nothing.

The champion's statistics are those that its own run made: ML Metadata leads from its version to its examples and on to
their statistics. Those of the span are made by the pipeline's own ExampleGen and StatisticsGen, and by nothing after
them: so they are of the same form as the champion's, whatever the data are, and the run that follows takes both from
TFX's cache instead of reading the data again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.retraining.drift import Feature, MeasuredDrift
from tfx_pedigree.tfx_runner.local_run import quiet
from tfx_pedigree.tfx_runner.order import Order, carry_out, function

if TYPE_CHECKING:
    from ml_metadata import MetadataStore
    from tfx.orchestration.pipeline import Pipeline

_TRAIN = "train"
_FILE = "FeatureStats.pb"
_INPUT, _OUTPUT = "INPUT", "OUTPUT"
_MEASURES = {"JENSEN_SHANNON_DIVERGENCE": "jensen_shannon", "L_INFTY": "infinity_norm"}


def main() -> int:
    return carry_out(_measure)


def _measure(order: Order) -> None:
    log = Path(order["log"])
    with quiet(log):
        found = measure(order, log.parent / "drift")
    sys.stdout.write(json.dumps(found.to_json()))


def measure(order: Mapping[str, Any], folder: Path) -> MeasuredDrift:
    """`folder` takes what is made where the pipeline keeps its artifacts and metadata on a service."""
    champion, span = order["champion"], order["span"]
    newest = _made(order, span, folder)
    if newest is None:
        return MeasuredDrift(missing="the pipeline has no StatisticsGen")
    store, kind, uri = newest
    before = _of_version(store, kind, champion["digest"])
    if before is None and champion["spans"]:
        again = _made(order, max(champion["spans"]), folder)
        before = again[2] if again else None
    if before is None:
        return MeasuredDrift(missing="it is not known which data the champion was trained on")
    return MeasuredDrift(
        ",".join(map(str, champion["spans"])), span, distances(_read_statistics(before), _read_statistics(uri))
    )


def _made(order: Mapping[str, Any], span: int, folder: Path) -> tuple[MetadataStore, str, str] | None:
    """Where ML Metadata are, StatisticsGen's type, and the statistics of the span, new or from the cache."""
    from ml_metadata import MetadataStore  # noqa: PLC0415  below here TensorFlow is loaded
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner  # noqa: PLC0415
    from tfx.orchestration.pipeline import RunOptions  # noqa: PLC0415

    settings = {**order["settings"], "span": span}
    if order["prepare"]:
        function(order["prepare"])(settings)
    pipeline: Pipeline = function(order["create"])(settings)
    statistics = _statistics_gen(pipeline)
    if statistics is None:
        return None
    _keep_here(pipeline, folder)
    LocalDagRunner().run(pipeline, run_options=RunOptions(to_nodes=[statistics.id]))
    store = MetadataStore(pipeline.metadata_connection_config)
    run = max(store.get_contexts_by_type("pipeline_run"), key=lambda context: context.id)
    executions = [one.id for one in store.get_executions_by_context(run.id) if one.type == statistics.type]
    return store, statistics.type, _file(_artifacts_of(store, executions, _OUTPUT)[-1])


def _statistics_gen(pipeline: Pipeline) -> Any | None:
    """The one over the data as they come in, not over what Transform made of them."""
    from tfx.components.statistics_gen.component import StatisticsGen  # noqa: PLC0415

    found = [one for one in pipeline.components if isinstance(one, StatisticsGen)]
    return min(found, key=lambda one: len(_before(one)), default=None)


def _before(node: Any) -> set[str]:
    return {node.id}.union(*(_before(one) for one in node.upstream_nodes))


def _keep_here(pipeline: Pipeline, folder: Path) -> None:
    """A pipeline without metadata of its own is one for a service: two steps of it are run here all the same."""
    from tfx.orchestration.data_types import PipelineInfo  # noqa: PLC0415
    from tfx.orchestration.metadata import sqlite_metadata_connection_config  # noqa: PLC0415

    if pipeline.metadata_connection_config is None:
        pipeline.metadata_connection_config = sqlite_metadata_connection_config(str(folder / "metadata.sqlite"))
        pipeline.pipeline_info = PipelineInfo(pipeline.pipeline_info.pipeline_name, str(folder / "artifacts"))


# ML Metadata: from a version to the statistics of its data


def _of_version(store: MetadataStore, kind: str, digest: str) -> str | None:
    """The statistics that the version's own run made; None if it was not trained here, or they are gone."""
    from tfx.dsl.io import fileio  # noqa: PLC0415

    from tfx_pedigree.tfx_components import artifacts  # noqa: PLC0415

    versions = [
        one.id
        for one in store.get_artifacts_by_type(artifacts.ModelVersion.TYPE_NAME)
        if one.custom_properties[artifacts.DIGEST].string_value == digest
    ]
    made_by = _executions_of(store, versions, _OUTPUT)
    examples = [one.id for one in _artifacts_of(store, made_by, _INPUT) if one.type == "Examples"]
    readers = store.get_executions_by_id(_executions_of(store, examples, _INPUT))
    found = _artifacts_of(store, [one.id for one in readers if one.type == kind], _OUTPUT)
    return next((_file(one) for one in reversed(found) if fileio.exists(_file(one))), None)


def _executions_of(store: MetadataStore, artifacts: list[int], side: str) -> list[int]:
    events = store.get_events_by_artifact_ids(artifacts) if artifacts else []
    return sorted({event.execution_id for event in events if _side(event) == side})


def _artifacts_of(store: MetadataStore, executions: list[int], side: str) -> list[Any]:
    """Oldest first."""
    events = store.get_events_by_execution_ids(executions) if executions else []
    ids = sorted({event.artifact_id for event in events if _side(event) == side})
    return sorted(store.get_artifacts_by_id(ids), key=lambda one: one.id) if ids else []


def _side(event: Any) -> str:
    return str(type(event).Type.Name(event.type))


def _file(statistics: Any) -> str:
    """Those of the split `train`, or of the first there is."""
    splits = parse_json(statistics.properties["split_names"].string_value or "[]", "The names of the splits")
    split = _TRAIN if _TRAIN in splits or not splits else splits[0]
    return f"{statistics.uri}/Split-{split}/{_FILE}"


# TFDV


def distances(before: Any, after: Any) -> dict[str, Feature]:
    """Between two DatasetFeatureStatisticsLists, by feature. A feature that has no values any more is gone, at no
    distance; features that only the later one has are none of the champion's, and left out."""
    import tensorflow_data_validation as tfdv  # noqa: PLC0415  loads TensorFlow

    schema = tfdv.infer_schema(before)
    texts, values = _texts(before), _with_values(after)
    for feature in schema.feature:
        # A comparator measures where it has a bound; whether that is kept is decided elsewhere.
        feature.drift_comparator.jensen_shannon_divergence.threshold = 1.0
        if feature.name in texts:
            feature.drift_comparator.infinity_norm.threshold = 1.0
    anomalies = tfdv.validate_statistics(after, schema, previous_statistics=before)
    found: dict[str, dict[str, float]] = {}
    for info in anomalies.drift_skew_info:
        measured = {type(one).Type.Name(one.type): one.value for one in info.drift_measurements}
        found[".".join(info.path.step)] = {_MEASURES[key]: value for key, value in measured.items() if key in _MEASURES}
    return {
        name: Feature(found.get(name, {}) if name in values else {}, name in texts, name not in values)
        for name in sorted(_with_values(before))
    }


def _texts(statistics: Any) -> set[str]:
    return {_name(one) for one in statistics.datasets[0].features if one.HasField("string_stats")}


def _with_values(statistics: Any) -> set[str]:
    return {_name(one) for one in statistics.datasets[0].features if _count(one)}


def _count(feature: Any) -> int:
    kind = feature.WhichOneof("stats")
    return int(getattr(feature, kind).common_stats.num_non_missing) if kind else 0


def _name(feature: Any) -> str:
    return ".".join(feature.path.step) or str(feature.name)


def _read_statistics(path: str) -> Any:
    from tensorflow_metadata.proto.v0 import statistics_pb2  # noqa: PLC0415
    from tfx.dsl.io import fileio  # noqa: PLC0415

    with fileio.open(path, "rb") as file:
        return statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read())


if __name__ == "__main__":
    sys.exit(main())
