"""A model whose pipeline is `pipeline_child`: a real registry and, where it matters, real processes; no TFX.

As a program it is the command line with that pipeline: python -m retraining_cli_testing pipeline retrain …
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cli_testing import Pedigree

CONFIG = """\
registry: registry
actor: ada
pipeline:
  create: mine:create
  log: run/run.log
  spans: {pattern: "${here}/data/span-{SPAN}/*", settle: 0}
  settings:
    name: m
    pedigree: {policy: "${here}/policy.yaml"}
"""
HERE = Path(__file__).parent


def use_the_child() -> None:
    from tfx_pedigree.service.pipelines import tfx_process

    tfx_process.RUN_PIPELINE = "pipeline_child"
    tfx_process.check_tfx = lambda: None


class Project:
    """One folder with a config, data, a registry and what the child wrote."""

    def __init__(self, folder: Path, policy: str = "metric: auc\n") -> None:
        self.folder = folder
        (folder / "local.yaml").write_text(CONFIG)
        (folder / "policy.yaml").write_text(policy)
        (folder / "run").mkdir()
        self.pedigree = Pedigree(folder / "registry", "ada")
        self.pedigree("init")

    def data(self, *spans: int) -> None:
        for span in spans:
            (self.folder / f"data/span-{span}").mkdir(parents=True, exist_ok=True)
            (self.folder / f"data/span-{span}/rows.csv").write_text("x")

    def behave(self, text: str) -> None:
        (self.folder / "run/behave").write_text(text)

    def __call__(self, *words: object, code: int = 0) -> Any:
        return self.pedigree("pipeline", *words, "--config", self.folder / "local.yaml", code=code)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """In a process of its own."""
        command = [sys.executable, "-m", "retraining_cli_testing", "--config", str(self.folder / "local.yaml")]
        path = os.pathsep.join([str(HERE), *sys.path])
        return subprocess.Popen(
            [*command, "pipeline", *words],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def runs(self) -> list[int]:
        """The spans for which a pipeline was started, in order."""
        return [one["span"] for one in self.orders]

    @property
    def orders(self) -> list[dict[str, Any]]:
        file = self.folder / "run/runs"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def notes(self) -> list[tuple[str, int]]:
        """Outcome and span of each note, oldest first."""
        events = self.pedigree("history", "m", "--limit", 100, "--json").json["items"]
        found = [event["details"] for event in events if event["action"] == "retrain"]
        return [(one["outcome"], one["span"]) for one in reversed(found)]


if __name__ == "__main__":
    from tfx_pedigree.cli.main import main

    use_the_child()
    main()
