"""What `submit` and `schedule` share: the target that the config names, its service, and the compiled pipeline."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App
from tfx_pedigree.errors import InvalidInputError

if TYPE_CHECKING:
    from tfx_pedigree.orchestration.ir import CompiledPipeline
    from tfx_pedigree.orchestration.services.service import Service
    from tfx_pedigree.orchestration.target import TargetConfig
    from tfx_pedigree.retry_policy import RetryPolicy


@dataclass(frozen=True)
class ServicePlace:
    """Where the config says that pipelines run."""

    app: App
    file: Path
    target: TargetConfig
    patience: RetryPolicy

    @classmethod
    def of(cls, app: App, command: str) -> ServicePlace:
        from tfx_pedigree.orchestration.target import load_target
        from tfx_pedigree.retry_policy import RetryPolicy

        if app.settings.file is None:
            raise InvalidInputError(
                f"No config names a service. Give one: pedigree --config configs/kubeflow.yaml pipeline {command}"
            )
        file = app.settings.file
        return cls(app, file, load_target(file), RetryPolicy.from_environment())

    def open(self) -> Service:
        from tfx_pedigree.orchestration.services.opening import open_service

        return open_service(self.target, self.patience)

    def compiled(self, file: str | None, span: int | None = None) -> CompiledPipeline:
        """From a file, or compiled now in a process of its own."""
        from tfx_pedigree.orchestration.ir import lint, load_ir

        if file is None:
            from tfx_pedigree.cli.pipelines.compile import compile_now

            return compile_now(self.app, self.target, span)
        if span is not None:
            raise InvalidInputError("--span is for a pipeline that is compiled now; a compiled one has its span in it.")
        found = load_ir(Path(file).expanduser())
        for finding in lint(found) if not self.app.json else ():
            if finding.rule == "secret":  # whoever compiled it with --force knows; others may not
                output.note(f"{file}: {finding}")
        if found.kind is not self.target.kind:
            raise InvalidInputError(
                f"{file} was compiled for {found.kind}, but {self.file} names {self.target.kind}. "
                "Compile it again with `pedigree pipeline compile`."
            )
        return found

    @property
    def pipeline_name(self) -> str | None:
        """As far as the config says it: what was compiled knows for certain."""
        from tfx_pedigree.pipeline_config import filled, section_of

        settings: Any = (section_of(self.file, "pipeline") or {}).get("settings")
        name = settings.get("name") if isinstance(settings, dict) else None
        return str(filled(self.file, name, os.environ)) if name else None
