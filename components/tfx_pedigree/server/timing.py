"""How long requests take, by operation."""

from __future__ import annotations

import os

from prometheus_client import Histogram

# Where several processes keep their counts. The client library reads this variable when it is imported.
SHARED = "PROMETHEUS_MULTIPROC_DIR"
DURATIONS = Histogram(
    "pedigree_http_request_duration_seconds",
    "How long requests took, by operation and status.",
    ["operation", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=None,
)


def shared_folder() -> str | None:
    return os.environ.get(SHARED)


def measured(operation: str, status: int, seconds: float) -> None:
    DURATIONS.labels(operation, f"{status // 100}xx").observe(seconds)
