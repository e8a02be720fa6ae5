"""All components at once, for a pipeline that trains a model already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tensorflow_model_analysis.proto import config_pb2
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.types.channel import BaseChannel

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.comparison import (
    ExtraMetric,
    ModelInputs,
    Policy,
    Slice,
    load_policy,
    read_policy,
)
from tfx_pedigree.service.permissions import pipeline_actions
from tfx_pedigree.service.push import PushTarget
from tfx_pedigree.tfx_components import parameters
from tfx_pedigree.tfx_components.champion_provider.component import ChampionProvider
from tfx_pedigree.tfx_components.evaluation import evaluation
from tfx_pedigree.tfx_components.evaluator.component import Evaluator
from tfx_pedigree.tfx_components.lineage_recorder.component import LineageRecorder
from tfx_pedigree.tfx_components.modules import modules_of
from tfx_pedigree.tfx_components.registry_pusher.component import RegistryPusher
from tfx_pedigree.tfx_components.registry_pusher.executor import PROMOTE_TO
from tfx_pedigree.tfx_components.version_comparator.component import VersionComparator
from tfx_pedigree.tfx_components.versioner.component import Versioner
from tfx_pedigree.tfx_components.versioner.environment import IMAGE_VARIABLE
from tfx_pedigree.versioning.git_state import GitState

# Of a Trainer's parameters those that say how it trained, not where its code lies.
TRAINING = ("train_args", "eval_args", "custom_config")


@dataclass(frozen=True)
class Pedigree:
    """`components` go into the pipeline beside its own. With `**gates` the stock Pusher pushes what was promoted.
    `notes` say what of the policy the Evaluator does not decide."""

    champion_provider: ChampionProvider
    versioner: Versioner
    evaluator: BaseComponent
    comparator: VersionComparator
    pusher: RegistryPusher
    eval_config: config_pb2.EvalConfig
    notes: tuple[str, ...] = ()
    lineage: LineageRecorder | None = None

    @property
    def components(self) -> list[BaseComponent]:
        every = [self.champion_provider, self.versioner, self.evaluator, self.comparator, self.pusher, self.lineage]
        return [one for one in every if one is not None]

    @property
    def blessing(self) -> BaseChannel:
        """The registry's word, which also knows of a lost race; the gate's where this pipeline promotes nothing."""
        return (self.pusher if self._promotes else self.comparator).outputs["blessing"]

    @property
    def gates(self) -> dict[str, BaseChannel]:
        """What the stock Pusher is to obey. RegistryPusher has heard the Evaluator already, and stands by its word: a
        run that is repeated after it died before the push finds its own model as champion, which no Evaluator blesses
        against itself. Where nothing is promoted, nobody has heard the Evaluator yet."""
        if self._promotes:
            return {"infra_blessing": self.blessing}
        return {"infra_blessing": self.blessing, "model_blessing": self.evaluator.outputs["blessing"]}

    @property
    def _promotes(self) -> bool:
        return bool(self.pusher.exec_properties[PROMOTE_TO] != PushTarget.NONE.value)


def add_pedigree(
    trainer: BaseComponent,
    examples: BaseChannel,
    model_name: str,
    policy: Policy | str | Path | Mapping[str, Any],
    *,
    evaluate_on: BaseChannel | None = None,
    schema: BaseChannel | None = None,
    transform_graph: BaseChannel | None = None,
    statistics: BaseChannel | None = None,
    registry: str | None = None,
    store: str | None = None,
    actor: str | None = None,
    inputs: ModelInputs | None = None,
    slices: Iterable[Slice] = (),
    slice_features: Iterable[Sequence[str]] = (),
    metrics: Iterable[ExtraMetric] = (),
    eval_config: config_pb2.EvalConfig | None = None,
    evaluator: Callable[..., BaseComponent] | None = None,
    hyperparameters: Mapping[str, Any] | str | None = None,
    git: GitState | None = None,
    modules: Mapping[str, str] | None = None,
    image: str | None = None,
    variables: Sequence[str] | None = None,
    bump: str | None = None,
    pre: str | None = None,
    version: str | None = None,
    comparator_options: Mapping[str, Any] | None = None,
    promote_to: str = PushTarget.PRODUCTION.value,
    serving_base: str | None = None,
    lineage: bool = True,
    lineage_options: Mapping[str, Any] | None = None,
) -> Pedigree:
    """ChampionProvider, Versioner, Evaluator, VersionComparator, RegistryPusher and LineageRecorder, connected.

    `examples` are what the model was trained on; `evaluate_on` what both models are evaluated on, if that is something
    else. The EvalConfig follows from the policy and `inputs`, `slices`, `slice_features`, `metrics`; a given
    `eval_config` replaces it. `evaluator` makes the Evaluator in place of ours: it is called with `examples`, `model`,
    `baseline_model` and `eval_config`, and must cope with an absent baseline as ours does.

    The module files of the trainer and of what feeds it are found here; `modules` adds others. `lineage=False` leaves
    the LineageRecorder out, `lineage_options` are its parameters `mlmd`, `on_failure` and `eval_split`.
    """
    rules = policy_of(policy)
    plan = evaluation(rules, eval_config, inputs, slices=slices, slice_features=slice_features, metrics=metrics)
    config = plan.config
    place: dict[str, Any] = {"model_name": model_name, "registry": registry, "store": store, "actor": actor}
    model, evaluated = trainer.outputs["model"], evaluate_on if evaluate_on is not None else examples
    needs = pipeline_actions(parameters.one_of(PushTarget, PROMOTE_TO, promote_to), lineage=lineage)
    files = modules_of(makers(trainer, transform_graph))
    champion = ChampionProvider(**place, needs=needs)
    versioner = Versioner(
        model=model,
        examples=examples,
        schema=schema,
        transform_graph=transform_graph,
        champion=champion.outputs["model"],
        hyperparameters=hyperparameters,
        training=training_of(trainer),
        git=git.to_json() if git else None,
        label_key=label_of(config),
        modules={**{name: one.digest for name, one in files.items()}, **(modules or {})},
        module_names={name: one.imported_as for name, one in files.items() if one.imported_as},
        image=image or os.environ.get(IMAGE_VARIABLE),
        variables=variables,
        bump=bump,
        pre=pre,
        version=version,
        **place,
    )
    make = evaluator or Evaluator
    judge = make(examples=evaluated, model=model, baseline_model=champion.outputs["model"], eval_config=config)
    comparator = VersionComparator(
        model=model,
        version=versioner.outputs["version"],
        champion=champion.outputs["model"],
        evaluation=judge.outputs["evaluation"],
        model_blessing=judge.outputs["blessing"],
        examples=evaluated,
        policy=rules,
        **(comparator_options or {}),
    )
    pusher = RegistryPusher(
        version=versioner.outputs["version"],
        model=model,
        comparison=comparator.outputs["comparison"],
        model_blessing=judge.outputs["blessing"],
        infra_blessing=comparator.outputs["blessing"],
        promote_to=promote_to,
        serving_base=serving_base,
        **place,
    )
    found = Pedigree(champion, versioner, judge, comparator, pusher, config, plan.notes)
    if not lineage:
        return found
    recorder = LineageRecorder(
        version=versioner.outputs["version"],
        examples=examples,
        statistics=statistics,
        evaluate_on=evaluate_on,
        comparison=comparator.outputs["comparison"],
        evaluation=judge.outputs["evaluation"],
        pushed_model=pusher.outputs["pushed_model"],
        **(lineage_options or {}),
        **place,
    )
    return replace(found, lineage=recorder)


def policy_of(policy: Policy | str | Path | Mapping[str, Any]) -> Policy:
    """A policy, the path of one, or its JSON form."""
    if isinstance(policy, Policy):
        return policy
    return read_policy(policy) if isinstance(policy, Mapping) else load_policy(policy)


def label_of(config: config_pb2.EvalConfig) -> str | None:
    """What the model predicts, where it is one thing."""
    labels = {spec.label_key for spec in config.model_specs}
    return labels.pop() or None if len(labels) == 1 else None


def makers(trainer: BaseComponent, transform_graph: BaseChannel | None) -> list[BaseComponent]:
    """The trainer, and the components of this pipeline that feed it, each of which may run code of its own."""
    channels = [*trainer.inputs.values(), *([transform_graph] if transform_graph is not None else [])]
    feeding = [getattr(one, "producer_component", None) for one in channels]
    return list({id(one): one for one in (trainer, *feeding) if isinstance(one, BaseComponent)}.values())


def training_of(trainer: BaseComponent) -> dict[str, Any]:
    """How the Trainer was told to train, as far as that is known when the pipeline is built."""
    found = {}
    for key in TRAINING:
        value = trainer.exec_properties.get(key)
        if isinstance(value, str) and value not in ("", "null"):
            found[key] = parse_json(value, f"The Trainer's `{key}`", words=True)
    return found
