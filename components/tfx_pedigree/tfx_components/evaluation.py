"""What the Evaluator of a pipeline is told: the policy's own plan, or a given EvalConfig with what the gate needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from absl import logging
from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.comparison import (
    OF_THE_MODEL,
    EvaluatorPlan,
    ExtraMetric,
    ModelInputs,
    Policy,
    Slice,
    base_of,
    counting_spec,
    evaluator_plan,
    metric_of_class,
)
from tfx_pedigree.text import did_you_mean

COUNT_CLASS = "ExampleCount"


@dataclass(frozen=True)
class Evaluation:
    """`notes` say what the Evaluator does not decide, or what is missing in a config that was given."""

    config: config_pb2.EvalConfig
    notes: tuple[str, ...] = ()


def evaluation(
    policy: Policy,
    given: config_pb2.EvalConfig | None = None,
    inputs: ModelInputs | None = None,
    *,
    slices: Iterable[Slice] = (),
    slice_features: Iterable[Sequence[str]] = (),
    metrics: Iterable[ExtraMetric] = (),
) -> Evaluation:
    """`given` replaces what follows from the policy and the rest, but for the count of the examples."""
    if given is None:
        plan = evaluator_plan(policy, inputs, slices=slices, slice_features=slice_features, metrics=metrics)
        return Evaluation(eval_config_of(plan), plan.notes)
    config = config_pb2.EvalConfig()
    config.CopyFrom(given)
    if not any(_counts(spec, config) for spec in config.metrics_specs):
        json_format.ParseDict(counting_spec(), config.metrics_specs.add())
    notes = tuple(_missing(policy, config))
    for note in notes:
        logging.warning("The given eval_config: %s.", note)
    return Evaluation(config, notes)


def eval_config_of(plan: EvaluatorPlan) -> config_pb2.EvalConfig:
    return json_format.ParseDict(plan.config, config_pb2.EvalConfig())


def _counts(spec: config_pb2.MetricsSpec, config: config_pb2.EvalConfig) -> bool:
    """Whether this spec counts examples, and not their weights."""
    if not any(metric.class_name == COUNT_CLASS for metric in spec.metrics):
        return False
    if spec.HasField("example_weights"):
        return bool(spec.example_weights.unweighted)
    return not any(one.example_weight_key or one.example_weight_keys for one in config.model_specs)


def _missing(policy: Policy, config: config_pb2.EvalConfig) -> Iterator[str]:
    computed = sorted(set(_names(config)))
    for name in policy.metrics:
        if name not in computed and base_of(name) not in OF_THE_MODEL:
            hint = did_you_mean(name, computed, f"It computes {', '.join(computed)}.")
            yield f"it does not compute `{name}`, on which the policy decides, unless the model does. {hint[:-1]}"
    if not any(_has_thresholds(spec) for spec in config.metrics_specs):
        yield (
            "it has no thresholds, so TFX's Evaluator gives no blessing and a Pusher that obeys the Evaluator pushes "
            "nothing. Give the Pusher `**pedigree.gates`, or leave eval_config out"
        )


def _names(config: config_pb2.EvalConfig) -> Iterator[str]:
    """What the results will call each metric: once for each output, class and average that its spec names."""
    for spec in config.metrics_specs:
        within = [
            f"{output}/" if output else "" for output in [*spec.output_names, *([] if spec.output_names else [""])]
        ]
        of = list(_suffixes(spec))
        for name in [*spec.thresholds, *spec.per_slice_thresholds, *spec.cross_slice_thresholds]:
            yield from (f"{output}{name}{suffix}" for output in within for suffix in of)
        for metric in spec.metrics:
            told = parse_json(metric.config, f"the config of {metric.class_name}") if metric.config else {}
            name = str(told.get("name") or metric_of_class(metric.class_name))
            own = [f"@{key}={told[key]}" for key in ("class_id", "top_k") if told.get(key) is not None]
            own += [f"@top_k={number}" for number in told.get("top_k_list") or ()]
            yield from (f"{output}{name}{suffix}" for output in within for suffix in own or of)


def _suffixes(spec: config_pb2.MetricsSpec) -> Iterator[str]:
    binarize, aggregate = spec.binarize, spec.aggregate
    found = [f"@class_id={one}" for one in binarize.class_ids.values]
    found += [f"@k={one}" for one in binarize.k_list.values]
    found += [f"@top_k={one}" for one in binarize.top_k_list.values]
    average = aggregate.WhichOneof("type")
    if average:
        best = [f"@top_k={one}" for one in aggregate.top_k_list.values] or [""]
        found += [f"{one}@{average}" for one in best]
    yield from found or [""]


def _has_thresholds(spec: config_pb2.MetricsSpec) -> bool:
    own = spec.thresholds or spec.per_slice_thresholds or spec.cross_slice_thresholds
    return bool(own) or any(
        metric.HasField("threshold") or metric.per_slice_thresholds or metric.cross_slice_thresholds
        for metric in spec.metrics
    )
