"""What the documents show is what happens: their commands are run, their links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
UPDATE = os.environ.get("PEDIGREE_UPDATE_GOLDENS") == "1"
CONSOLE = re.compile(r"(?<=```console\n)(.*?)(?=```)", re.S)


def normal(text: str) -> str:
    """What differs from run to run, made alike."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "2026-11-20 14:30", text)
    return re.sub(r"/tmp/\w+/(?=\.pedigree)", "/…/", text)


@pytest.fixture
def somewhere() -> Iterator[Path]:
    """A folder whose name is always as long, so that lines break at the same place."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="p") as folder:
        yield Path(folder)


def test_tour_in_the_readme_prints_what_it_says(somewhere: Path) -> None:
    readme = ROOT / "README.md"
    text = readme.read_text()
    shown = CONSOLE.search(text)
    assert shown is not None
    (somewhere / "tests").symlink_to(ROOT / "tests")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(somewhere),
        "COLUMNS": "100",
        "PEDIGREE_ACTOR": "ops",
    }
    printed = []
    for line in shown[1].splitlines():
        if line.startswith("$ "):
            command = shlex.split(line[2:])
            done = subprocess.run(command, cwd=somewhere, env=environment, capture_output=True, text=True, check=True)
            printed.append(f"{line}\n{normal(done.stdout)}")
    actual = "\n".join(printed)
    if UPDATE:
        readme.write_text(text[: shown.start()] + actual + text[shown.end() :])
    else:
        assert actual == shown[1]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_commands_that_exist(document: Path) -> None:
    from tfx_pedigree.cli.main import cli

    commands = set(re.findall(r"`pedigree ([a-z][a-z-]+)", document.read_text()))
    assert commands - set(cli.list_commands(None)) == set()  # type: ignore[arg-type]
