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
}


@click.command(cls=LazyGroup, sections=_SECTIONS)
def pipeline() -> None:
    """Run a training pipeline with Pedigree's components."""
