"""A pipeline compiled for Kubeflow or Vertex AI: by TFX in a process of its own, then corrected and checked."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.extras import not_installed
from tfx_pedigree.json_form import to_json
from tfx_pedigree.orchestration.ir import CompiledPipeline, Finding, Level, Surroundings, fit, lint
from tfx_pedigree.orchestration.target import TargetConfig, load_target
from tfx_pedigree.pipeline_config import PipelineConfig, load_pipeline
from tfx_pedigree.service.pipelines import tfx_process
from tfx_pedigree.settings import DEFAULT, KEYS, Settings, load


@dataclass(frozen=True)
class Compilation:
    """`mended` says what TFX's compiler got wrong and is right now, `findings` what would fail or show a secret. `file`
    is where it was written, if it was."""

    pipeline: CompiledPipeline
    mended: tuple[str, ...]
    findings: tuple[Finding, ...]
    file: Path | None = None

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.level is Level.ERROR)

    def to_json(self) -> dict[str, Any]:
        pipeline = self.pipeline
        return {
            "kind": pipeline.kind.value,
            "name": pipeline.name,
            "digest": pipeline.digest,
            "root": pipeline.root,
            "tasks": sorted(pipeline.tasks),
            "parameters": to_json(pipeline.parameters),
            "file": str(self.file) if self.file else None,
            "mended": list(self.mended),
            "findings": to_json(self.findings),
        }


def compile_to_file(
    config: Path, settings: Settings, *, span: int | None = None, file: Path | None = None, force: bool = False
) -> Compilation:
    """With errors, nothing is written unless it is forced. `file` is used instead of the target's."""
    target = load_target(config)
    found = compile_pipeline(target, settings, span)
    if found.errors and not force:
        return found
    path = file or target.output.resolve()
    _write(path, found.pipeline.to_text())
    return dataclasses.replace(found, file=path)


def compile_pipeline(target: TargetConfig, settings: Settings, span: int | None = None) -> Compilation:
    """The pipeline of the target's config."""
    made = _compiled(load_pipeline(target.file), target, settings, span)
    around = Surroundings(target.env, target.secrets, target.volumes)
    pipeline, mended = fit(made["job"], target.kind, defaults=made["defaults"], around=around)
    return Compilation(pipeline, mended, lint(pipeline, made["unimportable"]))


def _compiled(config: PipelineConfig, target: TargetConfig, settings: Settings, span: int | None) -> dict[str, Any]:
    if importlib.util.find_spec("tfx") is None or importlib.util.find_spec("kfp") is None:
        raise not_installed("TFX or kfp is", "tfx", "kubeflow")
    tfx_process.check_log(config)
    given = _for_containers(config, settings)
    with tempfile.TemporaryDirectory(prefix="pedigree-") as folder:
        result = Path(folder, "compiled.json")
        order = {
            **config.to_json(),
            "settings": given if span is None else {**given, "span": span},
            "images": dict(target.images),
            "result": str(result),
        }
        done = tfx_process.start(tfx_process.COMPILE_PIPELINE, order, stderr=subprocess.PIPE)
        if done.returncode or not result.exists():
            ended = f"The compiler {tfx_process.how_ended(done.returncode)}"
            said = done.stderr.strip().removeprefix("Error: ") or ended
            end = "" if said.endswith((".", "?")) else "."
            raise InvalidInputError(f"{said}{end} The full log is in {config.log}.")
        found: dict[str, Any] = parse_json(result.read_bytes(), "The compiled pipeline")
        return found


def _for_containers(config: PipelineConfig, settings: Settings) -> dict[str, Any]:
    """As for a run here, but only with the registry, store and actor that the config or an option names: a default or
    an environment of this machine means nothing in a container, which has its own."""
    in_file = load(config=config.file, environ={})
    named = {key: getattr(in_file, key) for key in KEYS if in_file.sources[key] != DEFAULT}
    named |= {key: getattr(settings, key) for key in KEYS if settings.sources[key] == f"--{key}"}
    pedigree = {key: value for key, value in named.items() if value is not None}
    return {**config.settings, "pedigree": {**pedigree, **(config.settings.get("pedigree") or {})}}


def _write(path: Path, text: str) -> None:
    """All of it or nothing, also where an older one is read, or another one written, by somebody at this moment."""
    draft = None
    try:
        path = path.resolve()  # what a link points to is written, not the link
        if path.exists() and not path.is_file():
            raise InvalidInputError(f"{path} is not a file that can be replaced. Give another one with --output.")
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
