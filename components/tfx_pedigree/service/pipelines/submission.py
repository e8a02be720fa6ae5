"""One run of a pipeline on Kubeflow or Vertex AI: asked for under a name, so that it is started once, and followed."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tfx_pedigree.errors import InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.orchestration.ir import CompiledPipeline
from tfx_pedigree.orchestration.services.service import Service, ServiceRun, Template, UnansweredError
from tfx_pedigree.orchestration.services.settings import run_parameters
from tfx_pedigree.service.pipelines.pipeline_target import PipelineTarget, SecretShown

T = TypeVar("T")
# Of a pipeline's name in a run's: with all that follows it, Vertex takes 128.
_LONGEST = 80


@dataclass(frozen=True)
class Submission(JsonForm):
    """`changed` is False where a run of that name was there already: nothing was started."""

    run: ServiceRun
    changed: bool
    digest: str

    JSON = Layout(flat=("run",))


@dataclass(frozen=True)
class ForetoldSubmission:
    """What submitting would do: `found` is a run of that name, `upload` says whether the service lacks the pipeline."""

    found: ServiceRun | None
    upload: bool


@dataclass(frozen=True)
class RunRequest:
    """`is_named` where the name is the user's: asking again under it starts nothing."""

    target: PipelineTarget
    service: Service
    template: Template
    name: str
    is_named: bool

    @classmethod
    def of(
        cls,
        target: PipelineTarget,
        *,
        file: Path | None = None,
        span: int | None = None,
        name: str | None = None,
        parameters: Mapping[str, Any],
        tell: Callable[[SecretShown], None],
    ) -> RunRequest:
        """The pipeline is compiled now, or was written to a file before."""
        if file is not None and span is not None:
            raise InvalidInputError("--span is for a pipeline that is compiled now; a compiled one has its span in it.")
        pipeline = target.compiled(span) if file is None else target.read(file, tell)
        template = Template(pipeline, run_parameters(pipeline, parameters))
        return cls(target, target.open(), template, name or _new_name(pipeline, span), bool(name))

    @property
    def pipeline(self) -> CompiledPipeline:
        return self.template.compiled

    def foretell(self) -> ForetoldSubmission:
        known = self.target.patiently(lambda: self.service.has_version(self.pipeline))
        found = self.target.patiently(lambda: self.service.find_run(self.name, self.pipeline.name))
        return ForetoldSubmission(found, not known)

    def submit(self) -> Submission:
        run, fresh = self._asked(lambda: self.service.submit(self.template, self.name))
        return Submission(run, fresh, self.pipeline.digest)

    def follow(
        self, run: ServiceRun, *, every: float, hours: float | None, tell: Callable[[ServiceRun], None]
    ) -> ServiceRun:
        """To its end: asked for `every` so many seconds, and for so many hours at the most. `tell` hears of each change
        of its state."""
        end = math.inf if hours is None else time.monotonic() + 3600 * hours
        while not run.ended:
            if time.monotonic() >= end:
                raise UnavailableError(
                    f"The run {run.name} is still {run.state.lower()} after {hours:g} hours. It goes on by itself. "
                    f"To wait on: pedigree pipeline submit --run-name {shlex.quote(run.name)} --wait"
                )
            time.sleep(every)
            now = self._found(run.name)
            if now.state != run.state:
                tell(now)
            run = now
        return run

    def _found(self, name: str) -> ServiceRun:
        found = self._asked(lambda: self.service.find_run(name, self.pipeline.name))
        if found is None:
            raise NotFoundError(f"The run {name} is no longer at {self.service.where}: somebody deleted it.")
        return found

    def _asked(self, work: Callable[[], T]) -> T:
        """With patience. Under a name that is not the user's, the same command would start another run."""
        try:
            return self.target.patiently(work)
        except UnansweredError as error:
            if self.is_named:
                raise
            raise UnansweredError(
                f"{error} The run may have been started nevertheless. To ask for the same run, "
                f"use --run-name {self.name}."
            ) from error


def _new_name(pipeline: CompiledPipeline, span: int | None) -> str:
    """Another one each second: who wants a run only once names it."""
    which = [] if span is None else [f"span{span}"]
    digits = pipeline.digest.partition(":")[2][:8]
    return "-".join([pipeline.name[:_LONGEST], *which, digits, time.strftime("%Y%m%d%H%M%S", time.gmtime())])
