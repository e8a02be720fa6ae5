"""A pipeline in a git repository, whose run is played in this process: it stores the model that its code names, and
records the lineage as the components do."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from cli_testing import MODELS, Pedigree

from tfx_pedigree.comparison import Data
from tfx_pedigree.lineage.run_graph import Judged, PipelineRun, Seen, fragment_of
from tfx_pedigree.registry import Evidence, Facts, Reference, Verdict
from tfx_pedigree.service.intake import candidate_of
from tfx_pedigree.service.pipelines import tfx_process
from tfx_pedigree.service.reproducing.recipe import with_files
from tfx_pedigree.service.versions.environment import environment
from tfx_pedigree.service.workspace import connect
from tfx_pedigree.versioning import capture_git

CONFIG = """\
registry: ${here}/../registry
actor: ada
pipeline:
  create: mine:create
  log: ../out/run.log
  spans: {pattern: "${data}/span-{SPAN}/*", settle: 0}
  settings:
    name: m
    root: ${here}/../out/artifacts
    data: ${here}/../data
    pedigree: {policy: "${here}/policy.yaml"}
"""


def git(repository: Path, *words: str) -> str:
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for role in ("AUTHOR", "COMMITTER"):
        environ |= {f"GIT_{role}_NAME": "ci", f"GIT_{role}_EMAIL": "ci@example.com"}
    done = subprocess.run(
        ["git", "-C", str(repository), *words], capture_output=True, text=True, check=True, env=environ
    )
    return done.stdout.strip()


class Repeated:
    """A folder with a repository, data, and a registry. `behave` changes what a run does from the next one on."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.code, self.behave = folder, folder / "code", dict[str, Any]()
        self.orders: list[dict[str, Any]] = []
        self.code.mkdir()
        git(self.code, "init", "--quiet", "--initial-branch=main")
        (self.code / "local.yaml").write_text(CONFIG)
        (self.code / "policy.yaml").write_text("metric: auc\n")
        (self.code / "mine.py").write_text("")
        self.commit("keras", 0.8)
        for span in (1, 2):
            (folder / f"data/span-{span}").mkdir(parents=True)
            (folder / f"data/span-{span}/rows.csv").write_text(f"rows of {span}")
        self.pedigree = Pedigree(folder / "registry", "ada")
        self.pedigree("init")

    def commit(self, model: str, auc: float) -> None:
        """Code from which a run makes another model."""
        (self.code / "model.json").write_text(json.dumps({"model": model, "auc": auc}))
        git(self.code, "add", "--all")
        git(self.code, "commit", "--quiet", "-m", f"Train {model}")

    def train(self, span: int, **options: Any) -> None:
        self.pedigree("--config", self.code / "local.yaml", "pipeline", "run", "--span", span, **options)

    def __call__(self, *words: object, code: int = 0) -> Any:
        return self.pedigree("reproduce", *words, code=code)

    def start(self, module: str, order: dict[str, Any], **options: Any) -> subprocess.CompletedProcess[str]:
        """In the place of `tfx_process.start`."""
        self.orders.append({**order, "module": module, **options})
        if module == tfx_process.COMPARE_PREDICTIONS:
            return self._compare(module, order)
        if self.behave.get("dies"):
            raise KeyboardInterrupt
        if self.behave.get("fails"):
            return subprocess.CompletedProcess(module, 1)
        self._run(order)
        return subprocess.CompletedProcess(module, 0)

    def _compare(self, module: str, order: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        for folder in (*order["models"], order["examples"]):
            assert Path(folder).is_dir()
        if (found := self.behave.get("predictions")) is None:
            return subprocess.CompletedProcess(module, 1)
        Path(order["result"]).write_text(json.dumps(found))
        return subprocess.CompletedProcess(module, 0)

    def _run(self, order: dict[str, Any]) -> None:
        settings, code = order["settings"], Path(order["path"])
        given, span = settings["pedigree"], settings["span"]
        made = {**json.loads((code / "model.json").read_text()), **self.behave}
        rows = Path(settings["data"], f"span-{span}", "rows.csv").read_bytes()
        examples = Path(settings["root"], "examples")
        examples.mkdir(parents=True, exist_ok=True)
        with connect(given["registry"], actor=given["actor"]) as workspace:
            registry = workspace.registry
            candidate = candidate_of(workspace.store_to_fill, MODELS / made["model"])
            version = registry.add("m", candidate, facts=Facts({"auc": made["auc"], "latency_p50_ms": 3.0})).version
            reference = Reference("m", version.version)
            champion = registry.model("m").champion
            evaluated = Data("eval", str(span), made.get("evaluated", _sha256(b"evaluation")), 100)
            evidence = Evidence(
                version.digest,
                registry.get(f"m@{champion}").digest if champion else None,
                Verdict(made.get("verdict", "PASS")),
                f"auc is {made['auc']}",
                evaluation_data=evaluated.fingerprint,
            )
            registry.attach_evidence(reference, evidence)
            if evidence.verdict is Verdict.PASS:
                registry.promote(reference)
            record = {
                "model": "m",
                "version": version.version,
                "digest": version.digest,
                "parameters": {"seed": made.get("seed", 7)},
                "data": {"examples": [{"span": str(span), "splits": {"train": {"fingerprint": _sha256(rows)}}}]},
                "code": capture_git(code).to_json(),
                "environment": {**_environment(), **made.get("environment", {})},
            }
            fragment = fragment_of(
                record,
                evaluated_on=[evaluated],
                judged=Judged(evidence),
                seen_evaluated=Seen(uris={"eval": str(examples)}),
                run=PipelineRun(id=f"run-{len(self.orders)}"),
                diff=made["keep"](code) if made.get("keep") else None,
                recipe=None if made.get("silent") else with_files(given["recipe"], order["spans"]),
            )
            workspace.lineage.record(fragment, model="m")


@functools.cache
def _environment() -> dict[str, Any]:
    """Reading what is installed takes a while, and every run of a test is in the same place."""
    return environment()


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
