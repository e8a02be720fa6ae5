"""TFX in a process of its own, since TensorFlow comes with it: whether it can start, what it is told, how it ended."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.extras import not_installed
from tfx_pedigree.pipeline_config import PipelineConfig
from tfx_pedigree.settings import Settings

RUN_PIPELINE = "tfx_pedigree.tfx_runner.run_pipeline"
COMPILE_PIPELINE = "tfx_pedigree.tfx_runner.compile_pipeline"
MEASURE_DRIFT = "tfx_pedigree.tfx_runner.measure_drift"
READ_EVALUATIONS = "tfx_pedigree.tfx_runner.read_evaluations"
COMPARE_PREDICTIONS = "tfx_pedigree.tfx_runner.compare_predictions"


def start(
    module: str, order: Mapping[str, Any], *, python: str = sys.executable, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Runs one of the modules above to its end; the order goes to its standard input. `options` are those of
    subprocess.run."""
    words = [python, "-m", module]
    return subprocess.run(words, input=json.dumps(order), text=True, check=False, **options)


def order_of(config: PipelineConfig, settings: Settings, span: int | None) -> dict[str, Any]:
    """What the other process reads: the config with the span, and with where the registry is and who acts."""
    where = {"registry": settings.registry, "store": settings.store, "actor": settings.actor_at_registry}
    given = {**config.settings, "pedigree": {**where, **(config.settings.get("pedigree") or {})}}
    return {**config.to_json(), "settings": given if span is None else {**given, "span": span}}


def check_tfx() -> None:
    if importlib.util.find_spec("tfx") is None:
        raise not_installed("TFX is", "tfx")


def check_log(config: PipelineConfig) -> None:
    """Before anything is noted: a pipeline that cannot write its log cannot even say so."""
    log = Path(config.log)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.open("a").close()
    except OSError as error:
        raise UnavailableError(
            f"The log {log} cannot be written: {error.strerror}. Nothing was run. Give the user who runs "
            "the pipeline write access, or set another `pipeline.log`."
        ) from error


def how_ended(code: int) -> str:
    """Of a process that ended badly."""
    if code >= 0:
        return f"ended with exit code {code}"
    known = {one.value: one.name for one in signal.Signals}
    memory = ", as when memory runs out" if -code == signal.SIGKILL else ""
    return f"was ended by {known.get(-code, f'signal {-code}')}{memory}"
