"""The group `pipeline`: training pipelines, on this machine and on the services that run them.

Each command is a module beside this one. None loads TensorFlow: what needs it is done in a process of its own.
"""

from __future__ import annotations

import click

from tfx_pedigree.cli.lazy import Lazy, LazyGroup

_HERE = "tfx_pedigree.cli.pipelines"
_SECTIONS = {
    "On this machine": {
        "run": Lazy(f"{_HERE}.run:run", "Run the pipeline that the config names here."),
    },
    "When there is a reason": {
        "retrain": Lazy(f"{_HERE}.retrain:retrain", "Train again if there is a reason."),
        "backfill": Lazy(f"{_HERE}.backfill:backfill", "Train on a range of spans, in order."),
    },
    "On Kubeflow or Vertex": {
        "compile": Lazy(f"{_HERE}.compile:compile_", "Compile the pipeline for Kubeflow or Vertex."),
        "submit": Lazy(f"{_HERE}.submit:submit", "Run the pipeline once on Kubeflow or Vertex."),
        "schedule": Lazy(f"{_HERE}.schedule:schedule", "Run the pipeline on a schedule at Kubeflow or Vertex."),
    },
}


@click.command(cls=LazyGroup, sections=_SECTIONS)
def pipeline() -> None:
    """Run a training pipeline with Pedigree's components."""
