"""Which MetricsSpecs make TFMA compute the metrics that a policy names, in the plain JSON form.

TFMA has one spec for each output, class, average and way of weighting, and a metric's name says to which it belongs.
What TFMA could not compute is refused here, before a pipeline has run for hours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfx_pedigree.comparison.class_counts import NEGATIVES, POSITIVES
from tfx_pedigree.comparison.metric_names import SUB_KEYS, MetricName
from tfx_pedigree.comparison.metrics import KNOWN, OWN_MODULE, known, of_no_model
from tfx_pedigree.comparison.policy_utility import Utilities
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import did_you_mean

Json = dict[str, Any]
COUNT = "example_count"
# Whose weights are no business of theirs.
_COUNTS = (COUNT, POSITIVES, NEGATIVES)
# What Keras calls the usual metrics that a model brings along.
OF_THE_MODEL = ("loss", "accuracy")
_NEEDS_TOP_K = "ndcg"


@dataclass(frozen=True)
class ModelInputs:
    """What the Evaluator must know of the model and the examples.

    The first ones are fields of TFMA's ModelSpec, which stays unnamed; those that end in `_keys` have an entry for each
    output of a model with several. `query_key` is the feature by which examples belong to one query, `gain_key` the one
    that says how good an example is for its query (else the label), and `classes` says how many classes there are.
    """

    label_key: str | None = None
    signature_name: str | None = None
    prediction_key: str | None = None
    example_weight_key: str | None = None
    preprocessing_function_names: tuple[str, ...] = ()
    label_keys: Mapping[str, str] = field(default_factory=dict)
    prediction_keys: Mapping[str, str] = field(default_factory=dict)
    example_weight_keys: Mapping[str, str] = field(default_factory=dict)
    query_key: str | None = None
    gain_key: str | None = None
    classes: int | None = None

    def __post_init__(self) -> None:
        for one, each in (("label_key", "label_keys"), ("example_weight_key", "example_weight_keys")):
            if getattr(self, one) and getattr(self, each):
                raise InvalidInputError(f"ModelInputs has `{one}` and `{each}`: give one label to all, or one to each.")
        if self.classes is not None and self.classes < 2:
            raise InvalidInputError(f"ModelInputs says that there are {self.classes} classes, but two are the fewest.")

    def to_json(self) -> Json:
        """The ModelSpec."""
        found = {
            "labelKey": self.label_key,
            "labelKeys": dict(self.label_keys) or None,
            "signatureName": self.signature_name,
            "predictionKey": self.prediction_key,
            "predictionKeys": dict(self.prediction_keys) or None,
            "exampleWeightKey": self.example_weight_key,
            "exampleWeightKeys": dict(self.example_weight_keys) or None,
            "preprocessingFunctionNames": list(self.preprocessing_function_names) or None,
        }
        return {key: value for key, value in found.items() if value is not None}


@dataclass(frozen=True)
class ExtraMetric:
    """A metric to compute besides the policy's, or how to make one that the policy names and Pedigree does not know.

    `of_all_outputs`: of a model with several it takes what it needs itself, and its name says no output.
    """

    name: str
    class_name: str
    module: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    of_all_outputs: bool = False


def metrics_specs(
    names: Iterable[str],
    thresholds: Mapping[str, list[Json]],
    extra: Mapping[str, ExtraMetric],
    inputs: ModelInputs,
) -> list[Json]:
    """The count of all examples is always the first."""
    specs: dict[str, Json] = {}
    for name in dict.fromkeys(names):
        if name == COUNT:
            continue
        metric, own = _named(name, extra), extra.get(name)
        _check(metric, inputs, of_all_outputs=own is not None and own.of_all_outputs)
        made, limits = _made(metric, extra, inputs), thresholds.get(name)
        if made is None and not limits:
            continue
        head = _head(metric, inputs)
        spec = specs.setdefault(json.dumps(head, sort_keys=True), {"metrics": [], **head})
        if made is None:
            spec.setdefault("perSliceThresholds", {})[metric.with_parameter] = {"thresholds": limits}
        else:
            spec["metrics"].append(made | ({"perSliceThresholds": limits} if limits else {}))
    return [counting_spec(thresholds.get(COUNT)), *specs.values()]


def _named(name: str, extra: Mapping[str, ExtraMetric]) -> MetricName:
    """A metric of the user's own may be called anything."""
    try:
        return MetricName.parse(name)
    except InvalidInputError as error:
        if name in extra:
            return MetricName(name)
        raise InvalidInputError(f"{error} For a metric of your own give an ExtraMetric of that name.") from None


def utility_metrics(
    utilities: Utilities, extra: Mapping[str, ExtraMetric], inputs: ModelInputs
) -> dict[str, ExtraMetric]:
    """How TFMA makes them. A sum is told how each of its terms is made."""
    found = {}
    for name, utility in utilities.items():
        if utility.outcomes:
            worth = {"worth": dict(utility.outcomes), "thresholds": [utility.threshold]}
            found[name] = ExtraMetric(name, "OutcomeUtility", OWN_MODULE, worth)
            continue
        terms = [_term(name, term, weight, extra, inputs) for term, weight in utility.weights.items()]
        found[name] = ExtraMetric(name, "WeightedSum", OWN_MODULE, {"terms": terms}, of_all_outputs=True)
    return found


def _term(name: str, term: str, weight: float, extra: Mapping[str, ExtraMetric], inputs: ModelInputs) -> Json:
    metric = MetricName.parse(term)
    if known(metric.base).of_queries or metric.base in OF_THE_MODEL:
        kind = "a query's" if known(metric.base).of_queries else "the model's own"
        raise InvalidInputError(f"The utility `{name}` cannot weigh `{term}`: it is {kind}, which TFMA computes apart.")
    (spec,) = metrics_specs([term], {}, extra, inputs)[1:]
    of = {key: value for key in SUB_KEYS if (value := getattr(metric, key)) is not None}
    key = {"name": metric.with_parameter, "output": metric.output, "of": of, "average": metric.average}
    return {**key, "weight": weight, "spec": spec}


def counting_spec(thresholds: list[Json] | None = None) -> Json:
    """How many examples there were, also where they have weights: TFMA's count is then a sum of weights."""
    count: Json = {"className": known(COUNT).class_name}
    if thresholds:
        count["perSliceThresholds"] = thresholds
    return {"metrics": [count], "exampleWeights": {"unweighted": True}}


def _head(metric: MetricName, inputs: ModelInputs) -> Json:
    """All that a spec says of each of its metrics."""
    head: Json = {}
    if metric.output:
        head["outputNames"] = [metric.output]
    if metric.average:
        head["aggregate"] = _aggregate(metric, inputs)
    elif metric.suffix:
        binarize = {"classIds": metric.class_id, "kList": metric.k, "topKList": metric.top_k}
        head["binarize"] = {key: {"values": [value]} for key, value in binarize.items() if value is not None}
    if known(metric.base).of_queries:
        head["queryKey"] = inputs.query_key
    if metric.base in _COUNTS:
        head["exampleWeights"] = {"unweighted": True}
    return head


def _aggregate(metric: MetricName, inputs: ModelInputs) -> Json:
    head, *rest = metric.average.split("_")
    found: Json = {"".join([head, *(word.capitalize() for word in rest)]): True}
    if metric.top_k is not None:
        found["topKList"] = {"values": [metric.top_k]}
    elif inputs.classes is not None:
        found["classWeights"] = {str(number): 1.0 for number in range(inputs.classes)}
    return found


def _check(metric: MetricName, inputs: ModelInputs, *, of_all_outputs: bool) -> None:
    """Whatever of the name TFMA could not make a number of."""
    output = "" if of_all_outputs else _of_output(metric, inputs)
    of_parameter, of_queries, of_classes = (
        _of_parameter(metric),
        _of_queries(metric, inputs),
        _of_classes(metric, inputs),
    )
    for problem in (of_no_model(metric), of_parameter, of_queries, of_classes, output):
        if problem:
            raise InvalidInputError(f"TFMA cannot compute `{metric}`: {problem}")


def _of_parameter(metric: MetricName) -> str:
    found = known(metric.base)
    word = (found.parameter or "").replace("_", " ")
    if found.parameter and metric.parameter is None:
        return f"it needs the {word}, such as `{metric.base}(0.8)`."
    if metric.parameter is not None and metric.base in KNOWN and not found.parameter:
        return f"`{metric.base}` has no parameter. Write `{metric.base}`."
    return ""


def _of_queries(metric: MetricName, inputs: ModelInputs) -> str:
    if known(metric.base).of_queries and not inputs.query_key:
        return (
            "it looks at the examples of one query together. Give ModelInputs(query_key=…), the feature that names it."
        )
    if metric.base == _NEEDS_TOP_K and metric.top_k is None:
        return f"it must be told how many of a query's examples count. Write `{metric.base}@top_k=10`."
    if metric.base == _NEEDS_TOP_K and not (inputs.gain_key or inputs.label_key):
        return "it needs the feature that says how good an example is. Give ModelInputs(gain_key=…)."
    return ""


def _of_classes(metric: MetricName, inputs: ModelInputs) -> str:
    if metric.class_id is not None and inputs.classes is not None and metric.class_id >= inputs.classes:
        return f"ModelInputs says that there are {inputs.classes} classes, the last of which is {inputs.classes - 1}."
    if metric.average in ("macro_average", "weighted_macro_average") and metric.top_k is None and not inputs.classes:
        return "an average over all classes must know how many there are. Give ModelInputs(classes=…)."
    return ""


def _of_output(metric: MetricName, inputs: ModelInputs) -> str:
    outputs = sorted({*inputs.label_keys, *inputs.prediction_keys})
    if metric.output and outputs and metric.output not in outputs:
        near = did_you_mean(metric.output, outputs, f"There are {', '.join(outputs)}.")
        return f"ModelInputs knows no output '{metric.output}'. {near}"
    if not metric.output and len(inputs.label_keys) > 1 and metric.base != COUNT:
        return f"the model has several outputs. Name one, such as `{outputs[0]}/{metric}`."
    return ""


def _made(metric: MetricName, extra: Mapping[str, ExtraMetric], inputs: ModelInputs) -> Json | None:
    """How TFMA makes the metric; None for one that the model brings along."""
    one = extra.get(str(metric)) or extra.get(metric.base)
    if one is not None:
        found: Json = {
            "className": one.class_name,
            "config": json.dumps({"name": metric.with_parameter, **one.config}),
        }
        return found | ({"module": one.module} if one.module else {})
    if metric.base in OF_THE_MODEL:
        return None
    table = known(metric.base)
    if table.class_name is None:
        near = did_you_mean(metric.base, sorted({*KNOWN, *extra}), "Use a metric of the table in docs/policy.md.")
        raise InvalidInputError(
            f"It is not known how TFMA computes `{metric}`. {near} For another metric give an ExtraMetric with its "
            "class."
        )
    config = dict(table.config)
    if table.parameter:
        config |= {"name": metric.with_parameter, table.parameter: metric.parameter}
    if metric.base == _NEEDS_TOP_K:
        config["gain_key"] = inputs.gain_key or inputs.label_key
    found = {"className": table.class_name}
    found |= {"config": json.dumps(config)} if config else {}
    return found | ({"module": table.module} if table.module else {})
