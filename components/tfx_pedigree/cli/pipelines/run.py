"""`pipeline run`: a pipeline of TFX with Pedigree's components, on this machine, in a process of its own.

This process never loads TensorFlow: it reads the config, starts the other one, and tells what came of it.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.errors import InvalidInputError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from tfx_pedigree.pipeline_config import PipelineConfig
    from tfx_pedigree.registry import Event, Registry, Version

_RUNNER = "tfx_pedigree.tfx_components.run_pipeline"


@click.command("run", cls=PedigreeCommand)
@click.option("--span", type=click.IntRange(min=0), help="The span of the data; left out, the newest.")
@click.pass_context
@pass_app
def run(app: App, ctx: click.Context, span: int | None) -> None:
    """Run the pipeline that the config names here.

    When it is over, it tells what became of the model.

    The config (--config or PEDIGREE_CONFIG) has a section `pipeline:` with `create: module:function`. Exit code 1
    says that the run failed; all that its components said is in the log.
    """
    from tfx_pedigree.pipeline_config import load_pipeline

    if app.settings.file is None:
        raise InvalidInputError(
            "No config names a pipeline. Give one: pedigree --config configs/local.yaml pipeline run"
        )
    config = load_pipeline(app.settings.file)
    check_tfx()
    with app.open() as registry:
        code, found = run_here(app, registry, config, span)
    if app.json:
        output.emit({"exit": code, "log": config.log, "version": found.to_json() if found else None})
    elif found is not None:
        tell(found)
    if code:
        output.note(f"All that was said is in {config.log}.")
        ctx.exit(code)


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
