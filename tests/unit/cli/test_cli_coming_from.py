"""docs/coming-from.md, played from its first command to its last."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from cli_testing import MODELS, Pedigree
from documents_testing import DOCS


def test_page_for_newcomers_runs_as_it_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("keras", "keras_wider"):
        shutil.copytree(MODELS / name, tmp_path / name)
    pedigree = Pedigree(tmp_path / "registry")
    pedigree("init")
    commands = re.findall(r"^\$ pedigree (.*)$", (DOCS / "coming-from.md").read_text(), re.M)
    assert len(commands) > 15
    said = {command: pedigree(*shlex.split(command)).out for command in commands}
    assert all(number in said["search taxi tag.team=ops"] for number in ("1.0.0", "1.1.0"))
    assert "1.1.0" in said["card taxi@champion"]
    assert (tmp_path / "served/saved_model.pb").read_bytes() == (MODELS / "keras/saved_model.pb").read_bytes()
