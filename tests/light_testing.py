"""`pytest --light`, which `make unit-light` says: the tests that need neither TFX nor the clients of services.

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
    "unit/rollout/test_vertex.py": "the client of Vertex AI",
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


def left_out(path: Path) -> bool:
    return any(path.is_relative_to(TESTS / name) for name in LEFT_OUT)


# Fixtures and parameters with which PostgreSQL or an S3 server is started: the same is tested on SQLite and on a disk.
SERVERS = {"postgres_server", "s3_options", "postgresql", "s3"}


def examples(config: pytest.Config) -> None:
    """No deadline for an example: several processes share the machine. The light tests look at fewer of them."""
    settings.register_profile("tests", settings.default, deadline=None)
    settings.register_profile("light", settings.default, deadline=None, max_examples=25)
    settings.load_profile("light" if config.getoption("light") else "tests")


def starts_a_server(item: pytest.Item) -> bool:
    parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
    return not SERVERS.isdisjoint(
        [*getattr(item, "fixturenames", ()), *(one for one in parameters if isinstance(one, str))]
    )


def advise(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Says it where a test failed because it imports what the light environment does not have."""
    missing = re.search(r"No module named '([\w.]+)'", report.longreprtext) if report.failed else None
    if missing and any(f"{missing[1]}.".startswith(f"{one}.") for one in ABSENT):
        report.sections.append(("A light test must not need this", ADVICE.format(missing[1])))


def summary(terminal: pytest.TerminalReporter, expression: str) -> None:
    parts = [f"tests/{name} (needs {what})" for name, what in LEFT_OUT.items()]
    if "not slow" in expression:
        parts.append("the tests marked slow, on PostgreSQL or on S3 (name tests with ARGS to run them too)")
    terminal.write_line(f"Left out: {', '.join(parts)}. `make unit` runs all.")
