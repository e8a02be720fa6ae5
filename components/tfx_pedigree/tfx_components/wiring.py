"""All components at once, for a pipeline that trains a model already."""

from __future__ import annotations

import os
import re
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
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.service.runs.permissions import pipeline_actions
from tfx_pedigree.service.runs.push import PushTarget
from tfx_pedigree.service.runs.push_rollout import PipelineRollout
from tfx_pedigree.service.versions.environment import IMAGE_VARIABLE
from tfx_pedigree.tfx_components import notebook_views, parameters
from tfx_pedigree.tfx_components.best_champion.component import BestChampionEvaluator, BestChampionProvider
from tfx_pedigree.tfx_components.best_champion.executor import config_of
from tfx_pedigree.tfx_components.champion_provider.component import ChampionProvider
from tfx_pedigree.tfx_components.evaluation import evaluation
from tfx_pedigree.tfx_components.evaluator.component import Evaluator
from tfx_pedigree.tfx_components.lineage_recorder.component import LineageRecorder
from tfx_pedigree.tfx_components.modules import modules_of
from tfx_pedigree.tfx_components.registry_pusher.component import RegistryPusher
from tfx_pedigree.tfx_components.registry_pusher.executor import PROMOTE_TO
from tfx_pedigree.tfx_components.version_comparator.component import VersionComparator
from tfx_pedigree.tfx_components.versioner.component import Versioner
from tfx_pedigree.tfx_components.versioner.tracking import MODEL_RUN
from tfx_pedigree.versioning.git_state import GitState

notebook_views.register()
# What TFX's Trainer calls its inputs from a Tuner, and from what it goes on from.
TUNED, BASE_MODEL = "hyperparameters", "base_model"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,29}")
# Of a Trainer's parameters those that say how it trained, not where its code lies.
TRAINING = ("train_args", "eval_args", "custom_config")


@dataclass(frozen=True)
class Pedigree:
    """`components` go into the pipeline beside its own. With `**gates` the stock Pusher pushes what was promoted.
    `notes` say what of the policy the Evaluator does not decide. With `shares_champion` the ChampionProvider was given,
    and is in the pipeline already. `best` are the components that measure the best champion so far anew, for a policy
    with `never_below`."""

    champion_provider: ChampionProvider
    versioner: Versioner
    evaluator: BaseComponent
    comparator: VersionComparator
    pusher: RegistryPusher
    eval_config: config_pb2.EvalConfig
    notes: tuple[str, ...] = ()
    lineage: LineageRecorder | None = None
    shares_champion: bool = False
    best: tuple[BaseComponent, ...] = ()

    @property
    def components(self) -> list[BaseComponent]:
        champion = None if self.shares_champion else self.champion_provider
        every = [champion, self.versioner, self.evaluator, *self.best, self.comparator, self.pusher, self.lineage]
        return [one for one in every if one is not None]

    def with_champion(self) -> Pedigree:
        """The one of several that brings the ChampionProvider into the pipeline."""
        return replace(self, shares_champion=False)

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
    from_run: str | None = None,
    comparator_options: Mapping[str, Any] | None = None,
    champion_provider: ChampionProvider | None = None,
    infra_blessing: BaseChannel | None = None,
    name: str | None = None,
    promote_to: str = PushTarget.PRODUCTION.value,
    rollout: PipelineRollout | str | Path | Mapping[str, Any] | None = None,
    serving_base: str | None = None,
    lineage: bool = True,
    lineage_options: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> Pedigree:
    """ChampionProvider, Versioner, Evaluator, VersionComparator, RegistryPusher and LineageRecorder, connected.

    `examples` are what the model was trained on; `evaluate_on` what both models are evaluated on, if that is something
    else. The EvalConfig follows from the policy and `inputs`, `slices`, `slice_features`, `metrics`; a given
    `eval_config` replaces it. `evaluator` makes the Evaluator in place of ours: it is called with `examples`, `model`,
    `baseline_model` and `eval_config`, and must cope with an absent baseline as ours does.

    The module files of the trainer and of what feeds it are found here; `modules` adds others. `lineage=False` leaves
    the LineageRecorder out, `lineage_options` are its parameters `mlmd`, `on_failure` and `eval_split`.

    What a Tuner found, and the model that the training goes on from, are taken from the trainer's inputs
    `hyperparameters` and `base_model`. For a warm start from the champion, make the ChampionProvider before the trainer
    and give it here as well: all components then mean the same champion. `infra_blessing` is an InfraValidator's.
    `name` goes into the ids of the components: with several models in one pipeline, each needs one. `recipe` is what
    `pedigree pipeline run` puts into `settings.pedigree`, so that `pedigree reproduce` can repeat the run.

    With `rollout`, a rollout.yaml that names its `target` or a table with the same keys, what passes is not promoted at
    once: a rollout of it is ordered, which a controller carries out. The pipeline does not wait for it.

    `from_run` is the tracker's run of the training, `mlflow:ID`, `wandb:FOLDER` or `tensorboard:LOGDIR`; the word
    `model_run` means the trainer's output of that name, in which the training says its run or leaves its event files.
    """
    return judge_candidate(locals()).end()


@dataclass(frozen=True)
class Candidate:
    """One trained model as far as it is judged. `given` are the arguments of `add_pedigree`, `place` those that every
    component takes which asks a registry."""

    given: Mapping[str, Any]
    place: Mapping[str, Any]
    named: Callable[[Any], Any]
    champion: ChampionProvider
    versioner: Versioner
    evaluator: BaseComponent
    comparator: VersionComparator
    eval_config: config_pb2.EvalConfig
    notes: tuple[str, ...]
    best: tuple[BaseComponent, ...] = ()

    def end(self, rivals: Sequence[BaseChannel] = ()) -> Pedigree:
        """With what registers, promotes and records it. `rivals` are the comparisons of other candidates of the run, of
        which only the best is promoted."""
        given, judge = self.given, self.evaluator
        version, comparison = self.versioner.outputs["version"], self.comparator.outputs["comparison"]
        pusher = RegistryPusher(
            version=version,
            model=given["trainer"].outputs["model"],
            comparison=comparison,
            model_blessing=judge.outputs["blessing"],
            infra_blessing=given["infra_blessing"],
            rivals=rivals,
            promote_to=given["promote_to"],
            rollout=given["rollout"],
            serving_base=given["serving_base"],
            **self.place,
        )
        parts = self.champion, self.versioner, judge, self.comparator, self.named(pusher)
        shared = given["champion_provider"] is not None
        found = Pedigree(*parts, self.eval_config, self.notes, shares_champion=shared, best=self.best)
        if not given["lineage"]:
            return found
        recorder = LineageRecorder(
            version=version,
            examples=given["examples"],
            statistics=given["statistics"],
            evaluate_on=given["evaluate_on"],
            comparison=comparison,
            evaluation=judge.outputs["evaluation"],
            pushed_model=pusher.outputs["pushed_model"],
            recipe=given["recipe"],
            **(given["lineage_options"] or {}),
            **self.place,
        )
        return replace(found, lineage=self.named(recorder))


def judge_candidate(given: Mapping[str, Any]) -> Candidate:
    """The components that judge a model, from the arguments of `add_pedigree`."""
    trainer, examples, champion = given["trainer"], given["examples"], given["champion_provider"]
    rules = policy_of(given["policy"])
    asked = {key: given[key] for key in ("slices", "slice_features", "metrics")}
    plan = evaluation(rules, given["eval_config"], given["inputs"], **asked)
    place: dict[str, Any] = {key: given[key] for key in ("model_name", "registry", "store", "actor")}
    named = _namer(given["name"])
    if champion is None:
        target = parameters.one_of(PushTarget, PROMOTE_TO, given["promote_to"])
        needs = pipeline_actions(target, lineage=given["lineage"], rollout=given["rollout"] is not None)
        champion = named(ChampionProvider(**place, needs=needs))
    versioner = named(_versioner(given, place, champion, plan.config))
    evaluated = given["evaluate_on"] if given["evaluate_on"] is not None else examples
    make = given["evaluator"] or Evaluator
    model = trainer.outputs["model"]
    judge = make(examples=evaluated, model=model, baseline_model=champion.outputs["model"], eval_config=plan.config)
    judge = named(judge) if judge.id == type(judge).__name__ else judge
    judged = {"examples": evaluated, "model": model}
    best = tuple(map(named, _best(rules, place, champion, judged, plan.config)))
    comparator = VersionComparator(
        model=model,
        version=versioner.outputs["version"],
        champion=champion.outputs["model"],
        evaluation=judge.outputs["evaluation"],
        model_blessing=judge.outputs["blessing"],
        infra_blessing=given["infra_blessing"],
        examples=evaluated,
        policy=rules,
        best_champion=best[0].outputs["model"] if best else None,
        best_evaluation=best[1].outputs["evaluation"] if best else None,
        **(given["comparator_options"] or {}),
    )
    return Candidate(given, place, named, champion, versioner, judge, named(comparator), plan.config, plan.notes, best)


def _best(
    policy: Policy,
    place: Mapping[str, Any],
    champion: ChampionProvider,
    judged: Mapping[str, Any],
    config: config_pb2.EvalConfig,
) -> tuple[BaseComponent, ...]:
    """What measures the best champion so far beside the challenger; nothing where the policy does not ask."""
    if policy.never_below is None:
        return ()
    provider = BestChampionProvider(policy=policy, champion=champion.outputs["model"], **place)
    evaluator = BestChampionEvaluator(**judged, baseline_model=provider.outputs["model"], eval_config=config_of(config))
    return provider, evaluator


def _versioner(
    given: Mapping[str, Any], place: Mapping[str, Any], champion: ChampionProvider, config: config_pb2.EvalConfig
) -> Versioner:
    trainer, git, run = given["trainer"], given["git"], given["from_run"]
    files = modules_of(makers(trainer, given["transform_graph"]))
    told = ("examples", "schema", "transform_graph", "hyperparameters", "variables", "bump", "pre", "version")
    return Versioner(
        model=trainer.outputs["model"],
        champion=champion.outputs["model"],
        tuned_hyperparameters=trainer.inputs.get(TUNED),
        base_model=trainer.inputs.get(BASE_MODEL),
        model_run=_model_run(trainer) if run == MODEL_RUN else None,
        from_run=None if run == MODEL_RUN else run,
        training=training_of(trainer),
        git=git.to_json() if git else None,
        label_key=label_of(config),
        modules={**{name: one.digest for name, one in files.items()}, **(given["modules"] or {})},
        module_names={name: one.imported_as for name, one in files.items() if one.imported_as},
        image=given["image"] or os.environ.get(IMAGE_VARIABLE),
        **{key: given[key] for key in told},
        **place,
    )


def _model_run(trainer: BaseComponent) -> BaseChannel:
    if MODEL_RUN not in trainer.outputs:
        raise InvalidInputError(
            f"from_run is {MODEL_RUN}, but {trainer.id} has no output of that name. Give the run's address, such as "
            "mlflow:ID, or leave it out."
        )
    return trainer.outputs[MODEL_RUN]


def _namer(name: str | None) -> Callable[[Any], Any]:
    """Gives a component an id of its own; none where there is one model in the pipeline."""
    if name is None:
        return lambda component: component
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"The name {name!r} cannot stand in a component's id: give up to 30 letters and digits, such as `delay`."
        )
    return lambda component: component.with_id(f"{type(component).__name__}_{name}")


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
