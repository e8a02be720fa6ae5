"""Who asks a service in the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli_testing import Pedigree, Said
from compiled_testing import kubeflow_pipeline, vertex_pipeline, write_compiled, write_config


@dataclass(frozen=True)
class Asking:
    """`pedigree` with a config that names a service, and two compiled pipelines of that service's kind."""

    pedigree: Pedigree
    folder: Path
    kind: str
    service: Mapping[str, str]

    def __call__(self, *words: object, code: int = 0, cron: str | None = "0 3 * * *", **environ: str | None) -> Said:
        config = write_config(self.folder, self.kind, cron, **self.service)
        return self.pedigree("--config", config, "pipeline", *words, code=code, **environ)

    def compiled(self, message: str = "hello") -> Path:
        make = kubeflow_pipeline if self.kind == "kubeflow" else vertex_pipeline
        return write_compiled(self.folder, make(message), message)

    def schedule(self, message: str = "hello", *words: object, **more: Any) -> Said:
        return self("schedule", "--compiled", self.compiled(message), *words, **more)

    def submit(self, run: str, *words: object, **more: Any) -> Said:
        return self("submit", "--compiled", self.compiled(), "--run-name", run, *words, **more)
