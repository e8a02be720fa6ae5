"""What `retrain` and `backfill` share: what the config says, one run under the lock, and how it is told."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.pipelines import remote
from tfx_pedigree.cli.pipelines.run import (
    FAILED,
    check_log,
    check_tfx,
    how_ended,
    locked,
    model_of,
    pipeline_of,
    run_here,
    tell,
)
from tfx_pedigree.errors import InvalidInputError, PedigreeError

if TYPE_CHECKING:
    from tfx_pedigree.cli.app import App
    from tfx_pedigree.pipeline_config import PipelineConfig
    from tfx_pedigree.registry import Version
    from tfx_pedigree.retraining.decision import Planned, Situation
    from tfx_pedigree.retraining.rules import Rules
    from tfx_pedigree.retraining.session import Begun, Session
    from tfx_pedigree.retraining.spans import SpanPattern


@dataclass(frozen=True)
class Job:
    """A model, the pipeline that trains it, and when. `service` names where it runs; None is this machine."""

    model: str
    config: PipelineConfig
    pattern: SpanPattern
    rules: Rules
    service: str | None

    @classmethod
    def of(cls, app: App, command: str) -> Job:
        from tfx_pedigree.registry.names import check_model_name
        from tfx_pedigree.retraining.spans import SpanPattern

        config = pipeline_of(app, command)
        model = model_of(config)
        if model is None:
            raise InvalidInputError(
                f"{config.file} does not say which model the pipeline trains. Give `pipeline.settings` a `name`, or a "
                "table `pedigree` with `model_name`."
            )
        pattern = SpanPattern.of(config.spans)
        return cls(check_model_name(model), config, pattern, _rules(config), remote.service_of(config.file))


def _rules(config: PipelineConfig) -> Rules:
    """From the policy that the pipeline's own components are given, so that there is one."""
    from tfx_pedigree.retraining.rules import Rules
    from tfx_pedigree.retraining.rules_file import load_rules

    policy = (config.settings.get("pedigree") or {}).get("policy")
    return load_rules(policy) if isinstance(policy, str) and policy else Rules()


def hold(app: App, job: Job, command: str) -> contextlib.AbstractContextManager[int]:
    """The model's lock, where its pipeline can run."""
    if job.service is None:
        check_tfx()
        check_log(job.config)
    return locked(app, job.config, job.model, command)


@dataclass(frozen=True)
class Ran:
    """One whole run and what came of it; `run` names one that goes on elsewhere."""

    planned: Planned
    code: int
    version: Version | None = None
    run: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "span": self.planned.span,
            "reasons": [reason.to_json() for reason in self.planned.reasons],
            "exit": self.code,
            "version": self.version.to_json() if self.version else None,
            "run": self.run,
        }


def run_one(app: App, job: Job, session: Session, planned: Planned, *, situation: Situation, lock: int) -> Ran:
    """Noted before it begins and when it ends. One that is killed in between has no end, and is repeated."""
    if not app.json:
        output.say(f"{job.model} is trained on span {planned.span}: {planned.text}.")
    begun = session.begin(planned, situation.ledger)
    if job.service is not None:
        sent = _submitted(app, session, begun)
        if not app.json:
            output.say(f"It was submitted to {job.service} as {sent.run}.", indent=2)
        return Ran(planned, 0, run=sent.run)
    config = _careful(job.config, planned.span, situation)
    code, version = run_here(app, session.registry, config, planned.span, hold=(lock,))
    failure = f"the pipeline {how_ended(code)}; {job.config.log} has all that was said" if code else None
    session.end(begun, version, failure)
    if version is not None and not app.json:
        tell(version)
    elif not code and not app.json:
        output.say("No new version came of it: what it made is there already.", indent=2)
    return Ran(planned, code, version)


def _submitted(app: App, session: Session, begun: Begun) -> remote.Sent:
    try:
        sent = remote.submit(app, begun.planned.span, f"{session.model}-span-{begun.planned.span}-{begun.key}")
    except PedigreeError as error:
        session.end(begun, failure=str(error))
        raise
    session.submitted(begun, sent.run, sent.pipeline)
    return sent


def _careful(config: PipelineConfig, span: int, situation: Situation) -> PipelineConfig:
    """A model of older data than the champion's is registered and never takes its place by itself: the gate compares
    both on the older data, which says little about today."""
    champion = situation.champion
    if champion is None or not champion.spans or span >= max(champion.spans):
        return config
    pedigree = {**(config.settings.get("pedigree") or {}), "promote_to": "none"}
    return dataclasses.replace(config, settings={**config.settings, "pedigree": pedigree})


def stop_at(ctx: click.Context, job: Job, ran: Ran, *go_on: str) -> None:
    how = f": the pipeline {how_ended(ran.code)}" if ran.code < 0 else ""
    output.note(f"The run on span {ran.planned.span} failed{how}. All that was said is in {job.config.log}.")
    if go_on:
        output.note(f"To go on: {output.command(*go_on)}")
    ctx.exit(FAILED)
