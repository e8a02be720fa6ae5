"""`pipeline run`: a pipeline of TFX with Pedigree's components, on this machine, in a process of its own.

This process never loads TensorFlow: it reads the config, starts the other one, and tells what came of it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.errors import InvalidInputError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from tfx_pedigree.pipeline_config import PipelineConfig
    from tfx_pedigree.registry import Event, Registry, Version

FAILED = 1
_RUNNER = "tfx_pedigree.tfx_runner.run_pipeline"


@click.command("run", cls=PedigreeCommand)
@click.option("--span", type=click.IntRange(min=0), help="The span of the data; left out, the newest.")
@click.pass_context
@pass_app
def run(app: App, ctx: click.Context, span: int | None) -> None:
    """Run the pipeline that the config names here.

    When it is over, it tells what became of the model.

    The config (--config or PEDIGREE_CONFIG) has a section `pipeline:` with `create: module:function`. Exit code 1
    says that the run failed; all that its components said is in the log. Exit code 4: another run, by hand or by
    `retrain` or `backfill`, is at it, and nothing was done.
    """
    config = pipeline_of(app, "run")
    check_tfx()
    model = model_of(config)
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(app.open())
        check_log(config)
        # Where no model is named, nobody retrains one, and there is no name to lock.
        hold = (stack.enter_context(locked(app, config, model, "run")),) if model else ()
        code, found = run_here(app, registry, config, span, hold)
    if app.json:
        output.emit({"exit": code, "log": config.log, "version": found.to_json() if found else None})
    elif found is not None:
        tell(found)
    if code:
        if code < 0:
            output.note(f"The pipeline {how_ended(code)}.")
        output.note(f"All that was said is in {config.log}.")
        ctx.exit(FAILED)


def pipeline_of(app: App, command: str) -> PipelineConfig:
    from tfx_pedigree.pipeline_config import load_pipeline

    if app.settings.file is None:
        raise InvalidInputError(
            f"No config names a pipeline. Give one: pedigree --config configs/local.yaml pipeline {command}"
        )
    if app.settings.file.suffix == ".toml":  # such as the pedigree.toml that was found here
        raise InvalidInputError(
            f"{app.settings.file} is TOML, and a pipeline stands in a YAML file. Give one: "
            f"pedigree --config configs/local.yaml pipeline {command}"
        )
    return load_pipeline(app.settings.file)


@contextlib.contextmanager
def locked(app: App, config: PipelineConfig, model: str, command: str) -> Iterator[int]:
    """One run of a model at a time, whichever command began it. Gives the descriptor that the pipeline's process must
    hold as well. A polite kill ends that process too. Open the registry before: a lock makes its folder."""
    from tfx_pedigree.retraining.lock import held, lock_file

    before = signal.signal(signal.SIGTERM, _stop)
    try:
        path = lock_file(model, app.settings.registry, config.log)
        with held(path, f"`pedigree pipeline {command}` of {model}") as descriptor:
            yield descriptor
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(*_: object) -> None:
    """As Ctrl-C: subprocess.run kills what it waits for when it is left by an exception."""
    raise KeyboardInterrupt


def how_ended(code: int) -> str:
    """Of a process that ended badly."""
    if code >= 0:
        return f"ended with exit code {code}"
    known = {one.value: one.name for one in signal.Signals}
    memory = ", as when memory runs out" if -code == signal.SIGKILL else ""
    return f"was ended by {known.get(-code, f'signal {-code}')}{memory}"


def check_log(config: PipelineConfig) -> None:
    """Before anything is noted: a pipeline that cannot write its log cannot even say so."""
    log = Path(config.log)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.open("a").close()
    except OSError as error:
        raise UnavailableError(
            f"The log {log} cannot be written: {error.strerror}. Nothing was run. Let the user who runs the pipeline "
            "write there, or give another `pipeline.log`."
        ) from error


def check_tfx() -> None:
    if importlib.util.find_spec("tfx") is None:
        raise UnavailableError("TFX is not installed here. Run: pip install 'tfx-pedigree[tfx]'")


def run_here(
    app: App, registry: Registry, config: PipelineConfig, span: int | None, hold: tuple[int, ...] = ()
) -> tuple[int, Version | None]:
    """The exit code, and the version that came of it. The other process inherits the descriptors `hold`."""
    before = _newest_event(registry, config)
    order = json.dumps(order_of(app, config, span))
    done = subprocess.run([sys.executable, "-m", _RUNNER], input=order, text=True, check=False, pass_fds=hold)
    return done.returncode, _changed(registry, config, before) if done.returncode == 0 else None


def order_of(app: App, config: PipelineConfig, span: int | None) -> dict[str, Any]:
    """What the other process reads: the config with the span, and with where the registry is and who acts."""
    pedigree: dict[str, Any] = {"registry": app.settings.registry, "store": app.settings.store}
    given = config.settings.get("pedigree") or {}
    settings = {**config.settings, "pedigree": {**pedigree, "actor": app.settings.actor, **given}}
    if span is not None:
        settings["span"] = span
    return {**config.to_json(), "settings": settings}


def model_of(config: PipelineConfig) -> str | None:
    pedigree = config.settings.get("pedigree") or {}
    name = pedigree.get("model_name") or config.settings.get("name")
    return str(name) if name else None


def _newest_event(registry: Registry, config: PipelineConfig) -> int:
    return next((event.position for event in _events(registry, config, 1)), 0)


def _changed(registry: Registry, config: PipelineConfig, before: int) -> Version | None:
    """The version that the newest reservation or registration of this run is about."""
    for event in _events(registry, config, 50):
        if event.position > before and event.action in ("reserve", "register") and event.subject:
            return registry.get(f"{model_of(config)}@{event.subject}")
    return None


def _events(registry: Registry, config: PipelineConfig, limit: int) -> tuple[Event, ...]:
    """Newest first; none where the first run has yet to make the model, or makes none."""
    model = model_of(config)
    try:
        return registry.history(model, limit=limit).items if model else ()
    except NotFoundError:
        return ()


def tell(version: Version) -> None:
    output.say(f"{version.name} is in {version.state}.")
    for reason in version.reasons:
        output.say(reason, indent=2)
    if version.refusal:
        output.say(f"The gate: {version.refusal}", indent=2)
    output.next_step("show", f"{version.model}@{version.version}")
