"""The tables of docs/cli.md: they name every command, options that it has, and the fields of its JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from cli_testing import MODELS, Pedigree
from documents_testing import DOCS
from test_cli_help import commands

from tfx_pedigree.cli.main import cli

KNOWN = dict(commands(cli))
# `lineage` and `pipeline schedule` are groups and commands.
RUNNABLE = {path for path, command in KNOWN.items() if not isinstance(command, click.Group)}
RUNNABLE |= {("lineage",), ("pipeline", "schedule")}


def table(heading: str) -> list[tuple[str, str]]:
    """The first cell of each row that begins with a command, and all that stands beside it."""
    section = (DOCS / "cli.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").partition(" | ") for line in section.splitlines() if line.startswith("| `")]
    return [(first.replace("\\|", "|"), rest.replace("\\|", "|")) for first, _, rest in rows]


def named(cell: str) -> set[tuple[str, ...]]:
    """The commands in a cell; `list|pause` after a group are two."""
    return {path for code in re.findall(r"`([^`]+)`", cell) for path in _paths(code)}


def _paths(code: str) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = {()}
    for word in code.split():
        longer = {(*path, one) for path in found for one in word.split("|") if (*path, one) in KNOWN}
        if not longer:
            break
        found = longer
    return found - {()}


def options(path: tuple[str, ...]) -> set[str]:
    command = KNOWN[path]
    if path == ("lineage",):
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), "of") or command
    return {name for param in command.params for name in (*param.opts, *param.secondary_opts)}


def test_every_command_is_listed_with_options_that_it_has() -> None:
    listed = set()
    for cell, text in table("Commands"):
        listed |= named(cell)
        written = set(re.findall(r"(?<=[ `\[])--[a-z][a-z-]*", f"{cell} {text}"))
        assert written <= {name for path in named(cell) for name in options(path)}, cell
    assert listed & RUNNABLE == RUNNABLE


def test_json_of_every_command_is_described() -> None:
    described = {path for cell, _ in table("JSON") for path in named(cell)}
    assert RUNNABLE - described == {("completion",)}


def fields(text: str) -> set[str]:
    """The names at the top of the first `{"a", "b": [{"c"}]}`; "the same" are those of a version that was changed."""
    shapes = re.findall(r"`(\{.*?\})`", text)
    if text.startswith("the same with"):
        return {"changed", "version", *re.findall(r'`"(\w+)"`', text)}
    shape = shapes[0]
    while (less := re.sub(r"(?<=.)(\{[^{}]*\}|\[[^][]*\])", "", shape)) != shape:
        shape = less
    return set(re.findall(r'"(\w+)"', shape))


MODEL = "flight-delay"
REF = f"{MODEL}@1.0.1"
ASKED = {
    "models": ("models",),
    "versions": ("versions", MODEL),
    "search": ("search", MODEL, "state=production"),
    "history": ("history", MODEL),
    "alias list": ("alias", "list", MODEL),
    "roles list": ("roles", "list"),
    "compare": ("compare", f"{MODEL}@canary"),
    "explain": ("explain", REF),
    "diff": ("diff", f"{MODEL}@canary"),
    "at": ("at", MODEL, "2026-11-20 15:00"),
    "register": ("register", MODEL, MODELS / "keras_deeper"),
    "tag": ("tag", REF, "team=ops"),
    "archive": ("archive", f"{MODEL}@1.1.0", "--reason", "slow"),
    "restore": ("restore", f"{MODEL}@1.0.0"),
    "describe": ("describe", MODEL),
    "describe --text": ("describe", MODEL, "--text", "What it is for."),
    "alias set": ("alias", "set", "blue", REF),
    "promote": ("promote", REF),
    "promote --dry-run": ("promote", REF, "--dry-run"),
    "rollback": ("rollback", MODEL, "--reason", "slow"),
    "evidence attach": ("evidence", "attach", REF, "evidence.json"),
    "alias remove": ("alias", "remove", MODEL, "canary"),
    "roles grant": ("roles", "grant", "ada", "viewer"),
    "roles revoke": ("roles", "revoke", "*"),
    "pull": ("pull", REF, "out"),
    "verify": ("verify",),
    "gc": ("gc",),
    "export": ("export", MODEL, "exported.tar"),
    "import": ("import", "model.tar"),
    "audit verify": ("audit", "verify"),
    "init": ("init",),
    "config": ("config",),
}


@pytest.mark.parametrize("name", ASKED)
def test_json_has_the_fields_that_the_table_names(name: str, pedigree: Pedigree, tmp_path: Path) -> None:
    (text,) = (text for cell, text in table("JSON") if f"`{name}`" in cell)
    if name == "evidence attach":
        (tmp_path / "evidence.json").write_text(pedigree("evidence", "show", REF).out)
    if name == "import":
        pedigree("export", MODEL, "model.tar")
    assert fields(text) == set(pedigree(*ASKED[name], "--json").json)


def test_version_in_the_document_is_one_that_is_printed(reader: Pedigree) -> None:
    shown = json.loads((DOCS / "cli.md").read_text().split("```json\n")[1].split("```")[0])
    items = reader("versions", MODEL, "--json").json["items"]
    found = next(one for one in items if one["version"] == shown["version"])
    assert shown == abbreviated(found | {"created_by": "you"}, shown)


def abbreviated(value: Any, shown: Any) -> Any:
    """The value with its texts cut where those of the document are."""
    if isinstance(value, dict) and isinstance(shown, dict):
        return {name: abbreviated(one, shown.get(name)) for name, one in value.items()}
    if isinstance(value, list) and isinstance(shown, list) and len(value) == len(shown):
        return [abbreviated(*pair) for pair in zip(value, shown, strict=True)]
    if isinstance(value, str) and isinstance(shown, str) and shown.endswith("…"):
        return f"{value[: len(shown) - 1]}…"
    return value
