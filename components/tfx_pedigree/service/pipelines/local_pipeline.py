"""The pipeline of a config on this machine: one run of a model at a time, and what came of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import NotFoundError, UnavailableError
from tfx_pedigree.json_form import JsonForm, Layout, read
from tfx_pedigree.pipeline_config import PipelineConfig, load_pipeline
from tfx_pedigree.registry import Event, RegistryApi, Version, VersionQuestions
from tfx_pedigree.retraining.decision import Champion
from tfx_pedigree.retraining.drift import MeasuredDrift
from tfx_pedigree.retraining.lock import held, lock_file
from tfx_pedigree.service.pipelines import tfx_process
from tfx_pedigree.service.reproducing.recipe import told_to_components
from tfx_pedigree.settings import Settings

# A run writes fewer events than this about its model.
_NEWEST = 50


@dataclass(frozen=True)
class LocalRun(JsonForm):
    """How a run ended. `version` came of it; there is none where it failed, or made what is there already."""

    code: int
    log: str
    version: Version | None = None

    JSON = Layout(names={"code": "exit"})


@dataclass(frozen=True)
class LocalPipeline:
    """`settings` say where the registry is and who acts. `python`, `environ` and `folder` are of the process that is
    started: its interpreter, its variables, and where it runs."""

    config: PipelineConfig
    settings: Settings
    python: str = sys.executable
    environ: Mapping[str, str] | None = None
    folder: str | None = None

    @classmethod
    def of(cls, file: Path, settings: Settings) -> LocalPipeline:
        return cls(load_pipeline(file), settings)

    @property
    def model(self) -> str | None:
        pedigree = self.config.settings.get("pedigree") or {}
        name = pedigree.get("model_name") or self.config.settings.get("name")
        return str(name) if name else None

    def check(self) -> None:
        """Whether it can run here."""
        tfx_process.check_tfx()
        tfx_process.check_log(self.config)

    @contextlib.contextmanager
    def held(self, command: str) -> Iterator[tuple[int, ...]]:
        """The model's lock, whichever command takes it. Gives the descriptors that the pipeline's process must hold as
        well; none where no model is named: nobody retrains one, and there is no name to lock.

        Open the registry before: a lock makes its folder, and a wrong address must not leave one behind.
        """
        if self.model is None:
            yield ()
            return
        path = lock_file(self.model, self.settings.registry, self.config.log)
        with held(path, f"`pedigree pipeline {command}` of {self.model}") as descriptor:
            yield (descriptor,)

    def run(self, registry: RegistryApi, span: int | None, locks: tuple[int, ...] = ()) -> LocalRun:
        before = next((event.position for event in self._events(registry, 1)), 0)
        order = tfx_process.order_of(self.config, self.settings, span)
        if told := told_to_components(self.config, span):
            order["settings"]["pedigree"]["recipe"] = told
            order["spans"] = dict(self.config.spans)
        where: dict[str, Any] = {"python": self.python, "env": self.environ, "cwd": self.folder}
        code = tfx_process.start(tfx_process.RUN_PIPELINE, order, pass_fds=locks, **where).returncode
        return LocalRun(code, self.config.log, None if code else self._changed(registry, before))

    def measure(self, span: int, champion: Champion, locks: tuple[int, ...] = ()) -> MeasuredDrift:
        """How far a span has drifted from the champion's data."""
        tfx_process.check_tfx()
        sides = {"champion": {"digest": champion.digest, "spans": list(champion.spans)}, "span": span}
        order = {**tfx_process.order_of(self.config, self.settings, None), **sides}
        done = tfx_process.start(tfx_process.MEASURE_DRIFT, order, stdout=subprocess.PIPE, pass_fds=locks)
        if done.returncode:
            raise UnavailableError(f"The drift of span {span} was not measured. The full log is in {self.config.log}.")
        return read(MeasuredDrift, parse_json(done.stdout, "The measured drift"), "the measured drift")

    def _changed(self, registry: VersionQuestions, before: int) -> Version | None:
        """The version that the newest reservation or registration of this run is about."""
        for event in self._events(registry, _NEWEST):
            if event.position > before and event.action in ("reserve", "register") and event.subject:
                return registry.get(f"{self.model}@{event.subject}")
        return None

    def _events(self, registry: VersionQuestions, limit: int) -> tuple[Event, ...]:
        """Newest first; none where the first run has yet to make the model, or makes none."""
        try:
            return registry.history(self.model, limit=limit).items if self.model else ()
        except NotFoundError:
            return ()


def run_pipeline(registry: RegistryApi, pipeline: LocalPipeline, span: int | None = None) -> LocalRun:
    """One run by hand. ConflictError if another run of the model is going on; then nothing was done."""
    pipeline.check()
    with pipeline.held("run") as locks:
        return pipeline.run(registry, span, locks)
