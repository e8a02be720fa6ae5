"""The service that a config names (Kubeflow or Vertex AI), and the pipeline as that service takes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.orchestration.ir import CompiledPipeline, Finding, SpecKind, lint, load_ir
from tfx_pedigree.orchestration.services.service import Service, UnansweredError
from tfx_pedigree.orchestration.target import TargetConfig, load_target
from tfx_pedigree.pipeline_config import filled, section_of
from tfx_pedigree.retry_policy import RetryPolicy
from tfx_pedigree.service.pipelines.compilation import compile_pipeline
from tfx_pedigree.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True)
class SecretShown:
    """In a pipeline that was compiled before. Whoever wrote it in spite of that knows, others may not."""

    file: Path
    finding: Finding


@dataclass(frozen=True)
class PipelineTarget:
    config: TargetConfig
    settings: Settings
    patience: RetryPolicy

    @classmethod
    def of(cls, file: Path, settings: Settings) -> PipelineTarget:
        return cls(load_target(file), settings, RetryPolicy.from_environment())

    @property
    def kind(self) -> str:
        return self.config.kind.value

    def open(self) -> Service:
        """Kubeflow answers here for the first time; Vertex when it is first asked."""
        if self.config.kind is SpecKind.KUBEFLOW:
            from tfx_pedigree.orchestration.services.kubeflow import Kubeflow  # noqa: PLC0415  loads no other's client

            return self.patiently(lambda: Kubeflow(self.config.service))
        from tfx_pedigree.orchestration.services.vertex import Vertex  # noqa: PLC0415

        return Vertex(self.config.service)

    def patiently(self, work: Callable[[], T]) -> T:
        """Asks again where the service did not answer."""
        return self.patience.calls(work, UnansweredError)

    def compiled(self, span: int | None = None) -> CompiledPipeline:
        """The pipeline of the config, without a file; refuses one that would fail at the service."""
        found = compile_pipeline(self.config, self.settings, span)
        wrong = [str(one) for one in found.errors]
        if wrong:
            more = f" And {len(wrong) - 1} more." if len(wrong) > 1 else ""
            raise InvalidInputError(
                f"The pipeline {found.pipeline.name} would not run on {self.kind}: {wrong[0]}{more} "
                "`pedigree pipeline compile` tells all."
            )
        return found.pipeline

    def read(self, file: Path, tell: Callable[[SecretShown], None]) -> CompiledPipeline:
        """What was compiled before."""
        found = load_ir(file)
        if found.kind is not self.config.kind:
            raise InvalidInputError(
                f"{file} was compiled for {found.kind}, but {self.config.file} names {self.kind}. "
                "Compile it again with `pedigree pipeline compile`."
            )
        for finding in lint(found):
            if finding.rule == "secret":
                tell(SecretShown(file, finding))
        return found

    @property
    def pipeline_name(self) -> str | None:
        """As far as the config says it: what was compiled knows for certain."""
        settings: Any = (section_of(self.config.file, "pipeline") or {}).get("settings")
        name = settings.get("name") if isinstance(settings, dict) else None
        return str(filled(self.config.file, name, os.environ)) if name else None
