"""Compiled pipelines (IR) as plain JSON: a PipelineSpec for Kubeflow, a PipelineJob for Vertex.

In: what TFX's compiler wrote, or a file of it. Out: a `CompiledPipeline`, mended, with its digest and findings. Never:
imports kfp or TFX, changes what it was given, or looks at a service.

- `compiled`: `load_ir(path) -> CompiledPipeline` and `parse_ir(text, source)`. A CompiledPipeline has `kind`
  ("kubeflow" | "vertex"), `name`, `document` (all that stands in the file), `spec` (the PipelineSpec in it), `root`,
  `parameters` (those that a run may be given, with type and default), `tasks`, `digest`, and `to_text()`: the same
  bytes for the same pipeline, YAML for Kubeflow and JSON for Vertex.
- `digest`: two compilations of the same pipeline have the same digest. Versions of a pipeline are named after it.
- `fit`: `fit(job, kind) -> (CompiledPipeline, notes)`: what TFX's compiler made, as the service takes it. `mend` is the
  part of it that puts the compiler's errors right, `platform` what Kubeflow's pods get from their cluster.
- `lint`: `lint(compiled) -> tuple[Finding, ...]`, each with the task and the remedy. The checks stand in
  `graph_checks`, `place_checks` and `secret_checks`.
"""

from tfx_pedigree.orchestration.ir.compiled import (
    CompiledPipeline,
    Parameter,
    SpecKind,
    Task,
    load_ir,
    parse_ir,
)
from tfx_pedigree.orchestration.ir.findings import Finding, Level, sentences
from tfx_pedigree.orchestration.ir.fit import Surroundings, fit
from tfx_pedigree.orchestration.ir.lint import lint

__all__ = [
    "CompiledPipeline",
    "Finding",
    "Level",
    "Parameter",
    "SpecKind",
    "Surroundings",
    "Task",
    "fit",
    "lint",
    "load_ir",
    "parse_ir",
    "sentences",
]
