"""What the tests of the flight-delay pipeline share: a finished run, and where it lies."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from pipelines.flight_delay.config import FlightDelayConfig

from tfx_pedigree.tfx_runner import local_run

# The pipelines are no part of the distribution: they are found as they are when somebody runs them in the checkout.
sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

ROWS = 700
SPAN = 2


@dataclass(frozen=True)
class Run:
    """A finished run, and what a person saw of it."""

    config: FlightDelayConfig
    folder: Path
    steps: list[local_run.ComponentProgress]
    shown: str
    log: Path

    def artifact(self, component: str, output: str) -> Path:
        """The newest there is."""
        folders = Path(self.config.root, component, output).iterdir()
        return max((one for one in folders if one.name.isdigit()), key=lambda one: int(one.name))

    @property
    def model(self) -> Path:
        return self.artifact("Trainer", "model") / "Format-Serving"
