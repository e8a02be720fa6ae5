"""What the documents show is what happens: each runs its console blocks in order, on what its scenes put there."""

from __future__ import annotations

import importlib.util
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cli_testing import MODELS, evidence, write_json
from documents_testing import DOCS, Scene, Stage, play, shows_what_is_printed

from pedigree_testing import candidate
from tfx_pedigree.registry import Facts, Registry

GOLDENS = MODELS.parent


@pytest.fixture
def stage_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Stage]]:
    """In a folder whose name is always as long, so that lines break at the same place."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="p") as folder:
        monkeypatch.chdir(folder)
        yield lambda columns: Stage(Path(folder), columns, monkeypatch)


def exported_model(stage: Stage) -> None:
    shutil.copytree(MODELS / "keras", stage.folder / "export")
    write_json(stage.folder / "metrics.json", {"auc": 0.9, "loss": 0.31})


def two_more_versions(stage: Stage) -> None:
    """The same model retrained takes the first one's place; one made differently is refused."""
    same = ("--param", "learning_rate=0.01", "--param", "optimizer=adam")
    metrics = ("--metric", "auc=0.918", "--metric", "loss=0.29")
    stage.pedigree("register", "flight-delay", MODELS / "keras_retrained", *metrics, *same)
    judge(stage, "1.0.1", "PASS", "auc is 2 % better")
    stage.pedigree("promote", "flight-delay@1.0.1")
    metrics = ("--metric", "auc=0.9", "--metric", "rmse=12")
    stage.pedigree("register", "flight-delay", MODELS / "keras_wider", *metrics, "--param", "learning_rate=0.003")
    judge(stage, "1.1.0", "FAIL", "auc fell by 2 %, more than the 1 % allowed")
    stage.pedigree("alias", "set", "canary", "flight-delay@1.1.0")


def judge(stage: Stage, version: str, verdict: str, reason: str) -> None:
    """Attaches evidence that compares with the champion."""
    sides = stage.pedigree("compare", f"flight-delay@{version}", "--json").json
    found = evidence(sides["new"]["digest"], sides["old"]["digest"], verdict, reason)
    file = write_json(stage.folder / f"{version}.json", found)
    stage.pedigree("evidence", "attach", f"flight-delay@{version}", file)


def config_with_a_password(stage: Stage) -> None:
    (stage.folder / "pedigree.toml").write_text('registry = "postgresql://you:secret@db/p"\n')


def three_months_of_flights(stage: Stage) -> None:
    """What `make demo` left in its registry, as `pedigree export` wrote it. It ran in /srv/flights, the second and the
    third time with a file beside the code that no commit held."""
    archive = stage.folder / "flight-delay.tar"
    archive.write_bytes(lzma.decompress((GOLDENS / "flight-delay.tar.xz").read_bytes()))
    stage.pedigree("init")
    stage.pedigree("import", archive)


def two_months_have_arrived(stage: Stage) -> None:
    configured(stage, "local.yaml")
    stage.pedigree("--actor", "ops", "init")
    stage.pedigree("--actor", "ops", "roles", "grant", "scheduler", "releaser")
    arrive(stage, 1, 2)


def configured(stage: Stage, config: str) -> None:
    """The configs of this project. TFX's part is played by functions of this process."""
    configs = shutil.copytree(DOCS.parent / "configs", stage.folder / "configs")
    stage.environment["PEDIGREE_CONFIG"] = str(configs / config)
    actors = {
        "tfx_pedigree.tfx_runner.run_pipeline": trained,
        "tfx_pedigree.tfx_runner.measure_drift": not_measured,
        "tfx_pedigree.tfx_runner.compile_pipeline": compiled,
    }
    real, found = subprocess.run, importlib.util.find_spec

    def run(command: list[str], **options: Any) -> Any:
        if command[-1] not in actors:
            return real(command, **options)
        return subprocess.CompletedProcess(command, 0, actors[command[-1]](stage, json.loads(options["input"])), "")

    stage.patch.setattr(subprocess, "run", run)
    stage.patch.setattr(importlib.util, "find_spec", lambda name: object() if name in ("tfx", "kfp") else found(name))


def trained(stage: Stage, order: dict[str, Any]) -> None:
    """The first one becomes champion, and nothing after it is better."""
    span, given = order["settings"]["span"], order["settings"]["pedigree"]
    with Registry.open(given["registry"], actor=given["actor"], clock=stage.clock) as registry:
        version = registry.add("flight-delay", candidate(span), facts=Facts(tags={"span": str(span)})).version
        if version.sequence == 1:
            registry.promote(f"flight-delay@{version.version}")


def not_measured(_: Stage, order: dict[str, Any]) -> str:
    return json.dumps({"span": order["span"], "missing": "this is a play"})


def compiled(_: Stage, order: dict[str, Any]) -> None:
    """What TFX 1.16 made of the reference pipeline with the values of `a_project`."""
    Path(order["result"]).write_bytes(lzma.decompress((GOLDENS / "flight-delay.vertex.json.xz").read_bytes()))


def a_policy(stage: Stage) -> None:
    (stage.folder / "policy.yaml").write_text("metric: auc\nconfidence: 0.95\n", encoding="utf-8")


def a_project(stage: Stage) -> None:
    configured(stage, "vertex.yaml")
    stage.environment |= {
        "PEDIGREE_BUCKET": "my-project-flights",
        "PEDIGREE_IMAGE": f"europe-west4-docker.pkg.dev/my-project/pedigree/flight-delay:1@sha256:{'0' * 64}",
        "PEDIGREE_REGISTRY": "postgresql:///?service=pedigree",
    }


def arrive(stage: Stage, *months: int) -> None:
    for month in months:
        span = stage.folder / f"build/flight-delay/data/span-{month}"
        (span / "train").mkdir(parents=True)
        (span / "train" / "flights.csv").write_text("late\n0\n")
        (span / "about.json").write_text("{}")


def two_more_months_arrive(stage: Stage) -> None:
    arrive(stage, 3, 4)


def both_are_trained_on(stage: Stage) -> None:
    stage.run("pedigree --actor scheduler pipeline retrain")


RETRAIN = "pedigree --actor scheduler pipeline retrain"
STORIES: dict[str, tuple[int, list[Scene]]] = {
    "cli.md": (
        80,
        [
            ("pedigree init", exported_model),
            ("pedigree versions", two_more_versions),
            ("pedigree config", config_with_a_password),
        ],
    ),
    "compile.md": (100, [("pedigree --config configs/vertex.yaml", a_project)]),
    "lineage.md": (100, [("pedigree explain", three_months_of_flights)]),
    "policy.md": (100, [("pedigree gate", a_policy)]),
    "scheduling.md": (
        100,
        [
            (f"{RETRAIN} --dry-run", two_months_have_arrived),
            (f"{RETRAIN} --dry-run", two_more_months_arrive),
            (RETRAIN, both_are_trained_on),
        ],
    ),
}


@pytest.mark.parametrize("document", STORIES)
def test_document_shows_what_its_commands_print(document: str, stage_of: Callable[[int], Stage]) -> None:
    columns, scenes = STORIES[document]
    play(DOCS / document, stage_of(columns), scenes)


def test_tour_in_the_readme_prints_what_it_says(stage_of: Callable[[int], Stage]) -> None:
    stage = replace(stage_of(100), answers_only=True)
    (stage.folder / "tests").symlink_to(DOCS.parent / "tests")
    play(DOCS.parent / "README.md", stage, [])


PLAYED_WITH_THEIR_COMMANDS = {
    "observations.md": "unit/cli/test_cli_observations.py",
    "reproduce.md": "system/cli/test_cli_reproduce.py",
}


def test_every_document_that_shows_what_is_printed_is_played() -> None:
    shown = {path.name for path in DOCS.glob("*.md") if shows_what_is_printed(path)}
    assert shown == STORIES.keys() | PLAYED_WITH_THEIR_COMMANDS.keys()
    for name, test in PLAYED_WITH_THEIR_COMMANDS.items():
        assert name in (DOCS.parent / "tests" / test).read_text()


def test_one_log_of_both_streams_has_them_in_order(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}  # without PYTHONUNBUFFERED
    command = [str(Path(sys.executable).with_name("pedigree")), "init"]
    with (tmp_path / "log").open("w") as log:
        subprocess.run(command, cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT, check=True)
    answer, beside = (tmp_path / "log").read_text().splitlines()
    assert answer.startswith("The registry ")
    assert beside.startswith("Next: ")
