"""What `retrain` and `backfill` share: what a config says of training a model, and one run under the model's lock."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tfx_pedigree.errors import InvalidInputError, PedigreeError
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.orchestration.services.service import Template
from tfx_pedigree.orchestration.services.settings import run_parameters, schedule_parameters
from tfx_pedigree.pipeline_config import PipelineConfig, section_of
from tfx_pedigree.registry import Version, check_model_name
from tfx_pedigree.retraining.decision import Planned, Situation
from tfx_pedigree.retraining.ledger import Attempt
from tfx_pedigree.retraining.rules import Rules
from tfx_pedigree.retraining.rules_file import load_rules
from tfx_pedigree.retraining.session import Begun, Session
from tfx_pedigree.retraining.spans import SpanPattern
from tfx_pedigree.service.pipelines.local_pipeline import LocalPipeline
from tfx_pedigree.service.pipelines.pipeline_target import PipelineTarget
from tfx_pedigree.service.pipelines.tfx_process import how_ended
from tfx_pedigree.settings import Settings

# What happens meanwhile


@dataclass(frozen=True)
class RunBegins:
    model: str
    planned: Planned


@dataclass(frozen=True)
class RunSubmitted:
    """The run goes on at the service, under the name `run`."""

    service: str
    run: str


@dataclass(frozen=True)
class RunSucceeded:
    """Without a version, the run made what is there already."""

    version: Version | None


@dataclass(frozen=True)
class MeasuringDrift:
    model: str
    champion: str
    span: int


@dataclass(frozen=True)
class DriftUnknown:
    """It could not be measured, and there was another reason to train."""

    why: str


TrainingEvent = RunBegins | RunSubmitted | RunSucceeded | MeasuringDrift | DriftUnknown
Listener = Callable[[TrainingEvent], None]


# What is done


@dataclass(frozen=True)
class SpanRun(JsonForm):
    """One whole run and what came of it; `run` names one that goes on elsewhere."""

    planned: Planned
    code: int
    version: Version | None = None
    run: str | None = None

    JSON = Layout(names={"code": "exit"}, flat=("planned",))


@dataclass(frozen=True)
class TrainingJob:
    """A model, the pipeline that trains it, and when that is worth its cost."""

    model: str
    pipeline: LocalPipeline
    pattern: SpanPattern
    rules: Rules

    @classmethod
    def of(cls, file: Path, settings: Settings) -> TrainingJob:
        pipeline = LocalPipeline.of(file, settings)
        config = pipeline.config
        if pipeline.model is None:
            raise InvalidInputError(
                f"{config.file} does not say which model the pipeline trains. Give `pipeline.settings` a `name`, or a "
                "table `pedigree` with `model_name`."
            )
        return cls(check_model_name(pipeline.model), pipeline, SpanPattern.of(config.spans), _rules(config))

    @property
    def file(self) -> Path:
        return self.pipeline.config.file

    @property
    def log(self) -> str:
        return self.pipeline.config.log

    @property
    def service(self) -> str | None:
        """Where the pipeline runs; None is this machine."""
        target = section_of(self.file, "target")
        return str(target.get("kind")) if target else None

    @functools.cached_property
    def target(self) -> PipelineTarget | None:
        """Read when something is to run: whoever only asks needs no image or address."""
        return PipelineTarget.of(self.file, self.pipeline.settings) if self.service else None

    @contextlib.contextmanager
    def held(self, command: str) -> Iterator[tuple[int, ...]]:
        """The model's lock, where its pipeline can run. A wrong target is refused here, before anything is noted."""
        if self.target is None:
            self.pipeline.check()
        with self.pipeline.held(command) as locks:
            yield locks


def _rules(config: PipelineConfig) -> Rules:
    """From the policy that the pipeline's own components are given, so that there is one."""
    policy = (config.settings.get("pedigree") or {}).get("policy")
    return load_rules(policy) if isinstance(policy, str) and policy else Rules()


def run_span(
    job: TrainingJob,
    session: Session,
    planned: Planned,
    *,
    situation: Situation,
    locks: tuple[int, ...],
    tell: Listener,
) -> SpanRun:
    """Noted before it begins and when it ends. One that is killed in between has no end, and is repeated."""
    tell(RunBegins(job.model, planned))
    begun = session.begin(planned, situation.ledger)
    if job.target is not None:
        run = _submitted(job, job.target, session, begun)
        tell(RunSubmitted(job.target.kind, run))
        return SpanRun(planned, 0, run=run)
    pipeline = _careful(job.pipeline, planned.span, situation)
    done = pipeline.run(session.registry, planned.span, locks)
    failure = f"the pipeline {how_ended(done.code)}; see {done.log}" if done.code else None
    session.end(begun, done.version, failure)
    if not done.code:
        tell(RunSucceeded(done.version))
    return SpanRun(planned, done.code, done.version)


def _submitted(job: TrainingJob, target: PipelineTarget, session: Session, begun: Begun) -> str:
    """The run's name. A name that the service knows already starts nothing."""
    span = begun.planned.span
    try:
        # What a scheduled run is given, one that was asked for is given as well.
        given = schedule_parameters(job.file, target.config.schedule)
        compiled = target.compiled(span)
        template, service = Template(compiled, run_parameters(compiled, given)), target.open()
        name = f"{job.model}-span-{span}-{begun.key}"
        run, _ = target.patiently(lambda: service.submit(template, name))
    except PedigreeError as error:
        session.end(begun, failure=str(error))
        raise
    session.submitted(begun, run.name, compiled.name)
    return run.name


def settle(job: TrainingJob, session: Session, submitted: Attempt | None) -> bool:
    """Notes how a submitted run ended, if the service knows; then the situation is another one. A run that somebody
    deleted has ended, and not well."""
    if job.target is None or submitted is None or submitted.run is None:
        return False
    run, service = submitted.run, job.target.open()
    found = job.target.patiently(lambda: service.find_run(run, str(submitted.details.get("pipeline"))))
    if found is None:
        session.settle(submitted, False, f"the run {run} is no longer at {service.where}")
    elif found.ended:
        why = f": {'; '.join(found.failed)}" if found.failed else ""
        session.settle(submitted, found.well, f"the run {run} ended as {found.state.lower()} at {service.where}{why}")
    return found is None or found.ended


def _careful(pipeline: LocalPipeline, span: int, situation: Situation) -> LocalPipeline:
    """A model of older data than the champion's is registered and never takes its place by itself: the gate compares
    both on the older data, which says little about today."""
    champion, config = situation.champion, pipeline.config
    if champion is None or not champion.spans or span >= max(champion.spans):
        return pipeline
    pedigree = {**(config.settings.get("pedigree") or {}), "promote_to": "none"}
    changed = dataclasses.replace(config, settings={**config.settings, "pedigree": pedigree})
    return dataclasses.replace(pipeline, config=changed)
