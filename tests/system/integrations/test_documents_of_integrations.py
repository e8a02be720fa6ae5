"""The commands in the pages about trackers, CI and TensorFlow Serving run as they are printed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from cli_testing import MODELS, Pedigree
from documents_testing import DOCS
from tracker_testing import KERAS, WANDB, mlflow_server

PAGES = {"trackers.md": 3, "ci.md": 8, "serving-config.md": 4}


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pedigree = Pedigree(tmp_path / "registry")
    pedigree("init")
    for name in ("keras", "keras_wider"):
        pedigree("register", "flight-delay", MODELS / name, "--metric", "auc=0.9")
    pedigree("promote", "flight-delay@1.0.0")
    shutil.copytree(MODELS / "keras_deeper", "export")
    shutil.copytree(KERAS, "logs/november")
    shutil.copytree(WANDB, f"wandb/{WANDB.name}")
    shutil.copytree(DOCS.parent / "configs", "configs")
    subprocess.run(["git", "init", "--quiet", "flights"], check=True)
    Path("requests.jsonl").write_text(json.dumps({"instances": [[0.1, 0.2, 0.3]]}))
    commands = re.findall(r"^\$ pedigree (.*)$", (DOCS / page).read_text(), re.M)
    assert len(commands) == PAGES[page]
    with mlflow_server() as mlflow:
        for command in commands:
            pedigree(*shlex.split(command), MLFLOW_TRACKING_URI=mlflow.url)
