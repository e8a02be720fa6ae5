"""What the commands share: the config that names a pipeline or a service, and how a run is told of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tfx_pedigree.cli import output
from tfx_pedigree.errors import InvalidInputError

if TYPE_CHECKING:
    from tfx_pedigree.cli.app import App
    from tfx_pedigree.orchestration.services.plan import ScheduleStep
    from tfx_pedigree.orchestration.services.service import ServiceRun
    from tfx_pedigree.registry import Version
    from tfx_pedigree.service.pipelines.pipeline_target import PipelineTarget, SecretShown
    from tfx_pedigree.service.pipelines.training import TrainingEvent


def target_of(app: App, command: str) -> PipelineTarget:
    from tfx_pedigree.service.pipelines.pipeline_target import PipelineTarget

    return PipelineTarget.of(config_file(app, command, "kubeflow"), app.settings)


def config_file(app: App, command: str, example: str = "local") -> Path:
    hint = f"Give one: pedigree --config configs/{example}.yaml pipeline {command}"
    if app.settings.file is None:
        raise InvalidInputError(f"No config names a {'pipeline' if example == 'local' else 'service'}. {hint}")
    if app.settings.file.suffix == ".toml":  # such as the pedigree.toml that was found here
        raise InvalidInputError(f"{app.settings.file} is TOML, but pipelines are configured in YAML files. {hint}")
    return app.settings.file


# Telling


def training_teller(app: App) -> Callable[[TrainingEvent], None]:
    from tfx_pedigree.service.pipelines import training

    def tell(event: TrainingEvent) -> None:
        match event:
            case training.DriftUnknown(why):
                output.note(why)
            case _ if app.json:
                pass
            case training.RunBegins(model, planned):
                output.done(f"{model} is trained on span {planned.span}: {planned.text}.")
            case training.RunSubmitted(service, run):
                output.done(f"It was submitted to {service} as {run}.", indent=2)
            case training.RunSucceeded(version) if version is not None:
                tell_version(version)
            case training.RunSucceeded():
                output.done("No new version came of it: what it made is there already.", indent=2)
            case training.MeasuringDrift(model, champion, span):
                output.note(f"Measuring the drift of span {span} from the data of {model} {champion}.")

    return tell


def tell_version(version: Version) -> None:
    output.say(f"{version.name} is in {version.state}.")
    for reason in version.reasons:
        output.say(reason, indent=2)
    if version.refusal:
        output.say(f"The gate: {version.refusal}", indent=2)
    output.next_step("show", f"{version.model}@{version.version}")


def tell_failure(span: int, code: int, log: str, *go_on: str) -> None:
    from tfx_pedigree.service.pipelines.tfx_process import how_ended

    how = f": the pipeline {how_ended(code)}" if code < 0 else ""
    output.note(f"The run on span {span} failed{how}. The full log is in {log}.")
    if go_on:
        output.note(f"To go on: {output.command(*go_on)}")


def tell_lines(lines: tuple[str, ...]) -> None:
    for line in lines:
        output.note(f"{line[0].upper()}{line[1:]}.")


def service_teller(app: App) -> Callable[[ScheduleStep | ServiceRun | SecretShown], None]:
    from tfx_pedigree.orchestration.services.plan import ScheduleStep
    from tfx_pedigree.orchestration.services.service import ServiceRun, in_words
    from tfx_pedigree.service.pipelines.pipeline_target import SecretShown

    def tell(event: ScheduleStep | ServiceRun | SecretShown) -> None:
        match event:
            case _ if app.json:
                pass
            case SecretShown(file, finding):
                output.note(f"{file}: {finding}")
            case ScheduleStep():
                output.note(f"Done: {in_words(event)}.")
            case ServiceRun():
                output.note(f"{event.name} is {event.state.lower()}.")

    return tell
