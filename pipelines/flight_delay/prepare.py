"""What `pedigree pipeline run` does before a run: the month's data are written, if they are not there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.flight_delay import data
from pipelines.flight_delay.config import FlightDelayConfig


def prepare(settings: Mapping[str, Any]) -> None:
    """Without a span in the settings, the first month where there is none yet; else what is there is taken."""
    config = FlightDelayConfig.from_mapping(settings)
    folder = Path(config.data)
    if config.span is None and any(folder.glob("span-*")):
        return
    for span in data.write_spans(folder, [config.span or data.MONTHS[0]], config.rows):
        sys.stderr.write(f"{data.summary(span)}\n")
