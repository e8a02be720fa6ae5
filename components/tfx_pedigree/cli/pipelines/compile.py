"""`pipeline compile`: the pipeline of the config as Kubeflow or Vertex takes it, mended, looked through, written.

This process never loads TensorFlow: another one compiles with TFX, and what it hands back is plain JSON.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.pipelines.run import check_log, how_ended
from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.settings import DEFAULT, KEYS, load

if TYPE_CHECKING:
    from tfx_pedigree.orchestration.ir import CompiledPipeline, Finding
    from tfx_pedigree.orchestration.target import TargetConfig
    from tfx_pedigree.pipeline_config import PipelineConfig

_COMPILER = "tfx_pedigree.tfx_runner.compile_pipeline"


@click.command("compile", cls=PedigreeCommand)
@click.option(
    "--span", type=click.IntRange(min=0), help="Fix the span of the data; left out, each run takes the newest."
)
@click.option("--output", "file", metavar="FILE", help="Where to write it, instead of where the config says.")
@click.option("--force", is_flag=True, help="Write it in spite of errors.")
@click.pass_context
@pass_app
def compile_(app: App, ctx: click.Context, span: int | None, file: str | None, force: bool) -> None:
    """Compile the pipeline for Kubeflow or Vertex.

    The config (--config or PEDIGREE_CONFIG) has a section `pipeline:` and a section `target:`, which says for which
    service. What TFX's compiler gets wrong is mended, and the rest is looked through. Exit code 1 says that something
    in it would fail on the service, or show a secret: then nothing is written, unless with --force.
    """
    from tfx_pedigree.orchestration.ir import Level
    from tfx_pedigree.orchestration.target import load_target
    from tfx_pedigree.pipeline_config import load_pipeline

    if app.settings.file is None:
        raise InvalidInputError(
            "No config names a pipeline. Give one: pedigree --config configs/kubeflow.yaml pipeline compile"
        )
    config, target = load_pipeline(app.settings.file), load_target(app.settings.file)
    compiled, mended, findings = _fitted(app, config, target, span)
    wrong = any(one.level is Level.ERROR for one in findings)
    path = Path(file).expanduser() if file else target.output.resolve()
    written = not wrong or force
    if written:
        _write(path, compiled.to_text())
    if app.json:
        output.emit(_json(compiled, path if written else None, mended, findings))
    else:
        _tell(compiled, path if written else None, mended, findings)
    if wrong:
        ctx.exit(exits.FOUND_PROBLEMS)


def compile_now(app: App, target: TargetConfig, span: int | None) -> CompiledPipeline:
    """For `submit` and `schedule`: the pipeline of the config, without a file; refuses one that would fail there."""
    from tfx_pedigree.orchestration.ir import Level
    from tfx_pedigree.pipeline_config import load_pipeline

    compiled, _, findings = _fitted(app, load_pipeline(target.file), target, span)
    wrong = [str(one) for one in findings if one.level is Level.ERROR]
    if wrong:
        more = f" And {len(wrong) - 1} more." if len(wrong) > 1 else ""
        raise InvalidInputError(
            f"The pipeline {compiled.name} would not run on {compiled.kind}: {wrong[0]}{more} "
            "`pedigree pipeline compile` tells all."
        )
    return compiled


def _fitted(
    app: App, config: PipelineConfig, target: TargetConfig, span: int | None
) -> tuple[CompiledPipeline, tuple[str, ...], tuple[Finding, ...]]:
    from tfx_pedigree.orchestration.ir import Surroundings, fit, lint

    made = _compiled(app, config, target, span)
    around = Surroundings(target.env, target.secrets, target.volumes)
    compiled, mended = fit(made["job"], target.kind, defaults=made["defaults"], around=around)
    return compiled, mended, lint(compiled, made["unimportable"])


def _compiled(app: App, config: PipelineConfig, target: TargetConfig, span: int | None) -> dict[str, Any]:
    if importlib.util.find_spec("tfx") is None or importlib.util.find_spec("kfp") is None:
        raise UnavailableError("TFX or kfp is not installed here. Run: pip install 'tfx-pedigree[tfx,kubeflow]'")
    check_log(config)
    with tempfile.TemporaryDirectory(prefix="pedigree-") as folder:
        result = Path(folder, "compiled.json")
        order = {**config.to_json(), "settings": _settings(app, config, span), "images": dict(target.images)}
        words = [sys.executable, "-m", _COMPILER]
        text = json.dumps({**order, "result": str(result)})
        done = subprocess.run(words, input=text, text=True, stderr=subprocess.PIPE, check=False)
        if done.returncode or not result.exists():
            said = done.stderr.strip().removeprefix("Error: ") or f"The compiler {how_ended(done.returncode)}"
            end = "" if said.endswith((".", "?")) else "."
            raise InvalidInputError(f"{said}{end} All that was said is in {config.log}.")
        found: dict[str, Any] = json.loads(result.read_text("utf-8"))
        return found


def _settings(app: App, config: PipelineConfig, span: int | None) -> dict[str, Any]:
    """As for a run here, but only with the registry, store and actor that the config or an option names: a default or
    an environment of this machine means nothing in a container, which has its own."""
    found = load(registry=app.registry, store=app.store, actor=app.actor, config=config.file, environ={})
    named = {key: getattr(found, key) for key in KEYS if found.sources[key] != DEFAULT}
    pedigree = {key: value for key, value in named.items() if value is not None}
    settings = {**config.settings, "pedigree": {**pedigree, **(config.settings.get("pedigree") or {})}}
    return settings if span is None else {**settings, "span": span}


def _write(path: Path, text: str) -> None:
    """All of it or nothing, also where an older one is read, or another one written, by somebody at this moment."""
    draft = None
    try:
        path = path.resolve()  # what a link points to is written, not the link
        if path.exists() and not path.is_file():
            raise InvalidInputError(f"{path} is no file that can be replaced. Give another one with --output.")
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".pedigree-{uuid.uuid4().hex}.draft")
        with draft.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be written: {error.strerror}. Give another one with --output."
        ) from error
    finally:
        if draft is not None:
            with contextlib.suppress(OSError):
                draft.unlink()


def _json(compiled: CompiledPipeline, path: Path | None, mended: tuple[str, ...], found: tuple[Finding, ...]) -> Any:
    return {
        "kind": compiled.kind.value,
        "name": compiled.name,
        "digest": compiled.digest,
        "root": compiled.root,
        "tasks": sorted(compiled.tasks),
        "parameters": [
            {"name": one.name, "type": one.type, "default": one.default, "optional": one.optional}
            for one in compiled.parameters
        ],
        "file": str(path) if path else None,
        "mended": list(mended),
        "findings": [one.to_json() for one in found],
    }


def _tell(compiled: CompiledPipeline, path: Path | None, mended: tuple[str, ...], found: tuple[Finding, ...]) -> None:
    from tfx_pedigree.orchestration.ir import sentences

    where = f"It is in {path}." if path else "It was not written."
    tasks = output.count(len(compiled.tasks), "task")
    output.say(f"Compiled {compiled.name} for {compiled.kind}: {tasks}, {output.short(compiled.digest)}. {where}")
    for sentence in sentences(found):
        output.say(sentence, indent=2)
    for note in mended:
        output.note(f"Corrected. {note}")
    if path is None:
        output.note("Correct the errors, or write the file in spite of them with --force.")
