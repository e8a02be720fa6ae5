"""What stands in the documents is there: links, commands, options, targets. test_cli_documents.py runs the commands."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import rfc8785
from click.testing import CliRunner

from tfx_pedigree.versioning import compare, describe

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
FENCED = re.compile(r"^```[^\n]*\n(.*?)^```$", re.S | re.M)
# From the program's name to where the shell, a comment or a sentence takes over.
COMMAND = re.compile(r"(?:^|\$ |: |bin/)(?:[A-Z_]+=\S* )*pedigree (?!=|COMMAND)((?:\"[^\"\n]*\"|[^\n|><#`&…])+)", re.M)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_into_documents_lead_to_a_heading(document: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", document.read_text()):
        text = (document.parent / target if target else document).read_text()
        headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.M)
        assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_commands_that_exist(document: Path) -> None:
    from tfx_pedigree.cli.main import cli

    commands = set(re.findall(r"`pedigree ([a-z][a-z-]+)", document.read_text()))
    assert commands - set(cli.list_commands(None)) == set()  # type: ignore[arg-type]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_have_the_options_that_are_written_there(
    document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(click.Command, "invoke", lambda *_: None)  # commands are read, and not done
    text = document.read_text()
    for command in COMMAND.findall("\n".join(FENCED.findall(text))):
        assert refusal(command) == "", command
    within = re.findall(r"`([^`]+)`", FENCED.sub("", text))
    for command in COMMAND.findall("\n".join(code.replace("\n", " ") for code in within)):
        assert re.fullmatch("|.*Error: (Missing argument|Missing option|Invalid value) .*", refusal(command), re.S)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_targets_of_make_that_exist(document: Path) -> None:
    text = document.read_text()
    code = "\n".join([*FENCED.findall(text), *re.findall(r"`([^`]+)`", FENCED.sub("", text))])
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"^(?:\$ |[A-Z_]+=\S+ )*make ([a-z][a-z-]*)", code, re.M)) - targets == set()


def refusal(command: str) -> str:
    """What the command line does not understand of it, or nothing."""
    from tfx_pedigree.cli.main import cli

    words = shlex.split(re.sub(r"[][]", "", command))
    done = CliRunner().invoke(cli, words)
    return done.output if done.exit_code else ""


def fenced(document: str, within: str) -> str:
    """The one block of this document in which these words stand."""
    (block,) = (block for block in FENCED.findall((ROOT / "docs" / document).read_text()) if within in block)
    assert isinstance(block, str)
    return block


def test_reasons_of_versions_are_those_that_the_recorded_models_have() -> None:
    shown = fenced("versions.md", "keras → keras_retrained")
    models = ROOT / "tests" / "goldens" / "saved_models"
    told = []
    for old, new in re.findall(r"^(\w+) → (\w+):", shown, re.M):
        change = compare(describe(models / old), describe(models / new))
        told += [f"{old} → {new}: {change.bump.name}", *(f"  {reason}" for reason in change.reasons)]
    assert told == shown.splitlines()


def test_manifest_in_the_store_format_has_the_digest_that_stands_below_it() -> None:
    manifest = json.loads(fenced("store-format.md", '"format":"pedigree-manifest"'))
    digest = "sha256:" + hashlib.sha256(rfc8785.dumps(manifest)).hexdigest()
    assert f"Its digest is `{digest}`." in (ROOT / "docs" / "store-format.md").read_text()


@pytest.mark.system
def test_store_can_be_checked_by_the_shell_commands_of_its_format(tmp_path: Path) -> None:
    golden = ROOT / "tests" / "unit" / "store" / "golden" / "store-1"
    shutil.copytree(golden, tmp_path / "STORE")
    command = fenced("store-format.md", "sha256sum").removeprefix("$ ")

    def said() -> list[str]:
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
        return (done.stdout + done.stderr).splitlines()

    assert said() == []
    stored = next(path for path in (tmp_path / "STORE" / "objects").rglob("*") if path.is_file())
    stored.chmod(0o644)
    stored.write_bytes(b"rotten")
    assert said() == [f"damaged: {stored.relative_to(tmp_path / 'STORE')}"]
