"""`pytest --light=unit` and `--light=system`, which `make unit-light` and `make system-light` say: the tests that need
neither TFX nor the clients of services, in two parts (rooms_testing.py).

They must pass in an environment that has none of these packages; one that imports such a package is told so.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import settings

TESTS = Path(__file__).parent
# What is left out, and what it is that these tests need.
LEFT_OUT = {
    "components": "TFX",
    "pipelines": "TFX",
    "unit/mlmd": "ML Metadata",
    "unit/orchestration/services": "the clients of Kubeflow and Vertex",
    "system/rollout/test_vertex.py": "the client of Vertex AI",
    "unit/store/test_presigned_google.py": "the client of Google's buckets",
    "unit/orchestration/test_platform.py": "the client of Kubeflow",
}
ABSENT = (
    *("absl", "apache_beam", "gcsfs", "google.cloud", "keras", "kfp", "ml_metadata", "tensorflow", "tfx", "tfx_bsl"),
    *("tensorflow_data_validation", "tensorflow_metadata", "tensorflow_model_analysis", "tensorflow_transform"),
)
ADVICE = """\
This test, or what it calls, imports {}, which light tests and the light part of the library do without.
A test that needs it belongs to tests/components or tests/pipelines."""


def left_out(path: Path, part: str) -> bool:
    return any(path.is_relative_to(TESTS / name) for name in (*LEFT_OUT, *(["system"] if part == "unit" else [])))


def examples(config: pytest.Config) -> None:
    """No deadline for an example: several processes share the machine. The light tests look at fewer of them."""
    settings.register_profile("tests", settings.default, deadline=None)
    settings.register_profile("light", settings.default, deadline=None, max_examples=25)
    settings.load_profile("light" if config.getoption("light") else "tests")


def advise(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Says it where a test failed because it imports what the light environment does not have."""
    missing = re.search(r"No module named '([\w.]+)'", report.longreprtext) if report.failed else None
    if missing and any(f"{missing[1]}.".startswith(f"{one}.") for one in ABSENT):
        report.sections.append(("A light test must not need this", ADVICE.format(missing[1])))


def summary(terminal: pytest.TerminalReporter, part: str) -> None:
    parts = [f"tests/{name} (needs {what})" for name, what in LEFT_OUT.items()]
    if part == "unit":
        parts.append("all that starts a process, also PostgreSQL and S3 (`make system-light`)")
    else:
        parts.append("all that stays in one process (`make unit-light`)")
    terminal.write_line(f"Left out: {', '.join(parts)}. `make unit` runs all.")
