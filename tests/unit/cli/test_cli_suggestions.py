"""Every command that a message suggests runs as printed, once its placeholders in capitals are filled in."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import click
import pytest
from cli_testing import MODELS, Pedigree, Said, evidence, write_json

import tfx_pedigree
from tfx_pedigree.cli.main import cli

SOURCES = Path(tfx_pedigree.__file__).parent
# Words in a message of which the source shows only the name: what stands there when it is printed.
PRINTED = {"needed": "reviewer", "of_model": " --model 1", "late[0]": "1", "late[-1]": "2", "whole[0]": "1"}
PRINTED |= {
    "whole[older - 1]": "2",
    "options": "--also ADDRESS",
    "app.settings.file": "pedigree.toml",
    "command": "run",
    "verb": "compare",
}
# What a file without suggestions does not have.
MAY_SUGGEST = re.compile(r"(?<!tfx_)pedigree\b(?!-)|output\.(next_step|command)\b")
# Messages also name commands without suggesting to run them: "an archive of `pedigree export`".
NAMED = {"pedigree", "pedigree export", "pedigree import", "pedigree reproduce"}


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every text that is no documentation, with the expressions in it replaced by what they may stand for."""
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body:
            first = node.body[0]
            skipped |= {id(first.value)} if isinstance(first, ast.Expr) else set()
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(value) for value in node.values}
            yield node.lineno, "".join(map(_printed, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def _printed(value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        return str(value.value)
    assert isinstance(value, ast.FormattedValue)
    return PRINTED.get(ast.unparse(value.value), "1")


def suggestions() -> Iterator[tuple[str, str]]:
    for file in sorted(SOURCES.rglob("*.py")):
        source = file.read_text()
        if not MAY_SUGGEST.search(source):
            continue
        tree = ast.parse(source)
        place = file.relative_to(SOURCES).as_posix()
        for line, text in texts(tree):
            for quoted, last in re.findall(r"`(pedigree(?: [^`]*)?)`|: (pedigree [^`]*)$", text):
                yield f"{place}:{line}", quoted or last
        for call in ast.walk(tree):
            if _suggests(call) and not any(isinstance(one, ast.Starred) for one in call.args):
                yield f"{place}:{call.lineno}", shlex.join(["pedigree", *map(_word, call.args)])


def _suggests(node: ast.AST) -> TypeGuard[ast.Call]:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    return ast.unparse(node.func) in ("output.next_step", "output.command")


def _word(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else "1"


ALL = [(place, command) for place, command in suggestions() if command not in NAMED]


def test_the_scan_sees_the_suggestions() -> None:
    found = {command for _, command in ALL}
    assert {"pedigree models", "pedigree history 1", "pedigree rollback 1 --reason WHY"} <= found
    assert len(ALL) > 60


@pytest.mark.parametrize(("place", "command"), ALL, ids=[f"{place} {command}" for place, command in ALL])
def test_suggested_command_has_all_that_it_needs(place: str, command: str) -> None:
    words = shlex.split(command)[1:]
    if "--help" in words:
        return
    context = cli.make_context("pedigree", words)
    found: click.Command = cli
    while isinstance(found, click.Group) and (rest := _rest(context)):
        name, step, words = found.resolve_command(context, rest)
        assert step is not None
        context, found = step.make_context(name, words, parent=context), step


def _rest(context: click.Context) -> list[str]:
    """The words that are left for a group's command. Click keeps some of them apart, under a name that changed."""
    held = vars(context)
    return [*held.get("_protected_args", held.get("protected_args", [])), *context.args]


def suggested(said: Said) -> list[str]:
    """The commands in what was said, in backticks or after a colon at the end."""
    lines = re.findall(r"(?:Next|undo it|more|evaluated): (pedigree .+)", said.err)
    return re.findall(r"`(pedigree [^`]+)`", said.err + said.out) + lines


def play(pedigree: Pedigree, said: Said, **words: object) -> None:
    """Runs the first command that was suggested."""
    command = shlex.split(suggested(said)[0])[1:]
    filled = [str(words.get(word, word)) for word in command]
    placeholders = {word for word in filled if word.isupper() and word not in ("WHY",)}
    assert not placeholders, f"{command}: nothing is known for {placeholders}"
    pedigree(*filled)


@pytest.mark.parametrize(
    ("before", "failing", "code"),
    [
        ((), ("promote", "flight-delay@1.0.0"), 4),
        ((), ("promote", "flight-delay@1.1.0"), 4),
        ((), ("promote", "flight-delay@champion", "--to", "staging"), 4),
        ((), ("promote", "flight-delay@1.1.0", "--expect", "none"), 5),
        ([("archive", "flight-delay@1.1.0", "--reason", "x")], ("promote", "flight-delay@1.1.0"), 4),
        ([("archive", "flight-delay@1.0.0", "--reason", "x")], ("rollback", "flight-delay", "--reason", "x"), 4),
        ([("rollback", "flight-delay", "--reason", "x")], ("rollback", "flight-delay", "--reason", "x"), 4),
        ((), ("rollback", "flight-delay", "--reason", "x", "--to", "1.1.0", "--expect", "1.0.0"), 5),
        ((), ("show", "flight-delay@9.9.9"), 3),
        ((), ("show", "other"), 3),
        ((), ("alias", "remove", "flight-delay", "nope"), 3),
        ((), ("compare", "flight-delay@champion"), 4),
        ((), ("promote", "flight-delay@1.0.1"), 0),
        ((), ("rollback", "flight-delay", "--reason", "x"), 0),
        ((), ("archive", "flight-delay@champion", "--reason", "x"), 0),
        ((), ("archive", "flight-delay@1.1.0", "--reason", "x"), 0),
        ([("rollback", "flight-delay", "--reason", "x")], ("archive", "flight-delay@champion", "--reason", "x"), 0),
        ((), ("versions", "flight-delay", "--limit", "1"), 0),
        ((), ("history", "flight-delay", "--limit", "1"), 0),
        ((), ("models", "--after", "flight-delay"), 0),
    ],
)
def test_what_a_command_suggests_runs(
    pedigree: Pedigree, before: list[tuple[str, ...]], failing: tuple[str, ...], code: int
) -> None:
    for words in before:
        pedigree(*words)
    said = pedigree(*failing, code=code)
    if code or suggested(said):
        play(pedigree, said, VERSION="1.0.0", **{"flight-delay@VERSION": "flight-delay@1.0.0"})


def test_role_that_is_missing_is_granted_by_the_command_that_is_told(pedigree: Pedigree) -> None:
    said = pedigree("archive", "flight-delay@1.0.0", "--reason", "x", actor="Eve Doe", code=6)
    play(pedigree, said)
    pedigree("archive", "flight-delay@1.0.0", "--reason", "x", actor="Eve Doe")


def test_registry_that_is_missing_is_made_by_the_command_that_is_told(tmp_path: Path, pedigree: Pedigree) -> None:
    missing = Pedigree(tmp_path / "no where")
    said = missing("models", code=3)
    play(pedigree, said)
    assert "no model yet" in missing("models").out


def test_store_that_is_missing_is_made_by_the_command_that_is_told(tmp_path: Path, pedigree: Pedigree) -> None:
    said = pedigree("verify", "--store", tmp_path / "new store", code=3)
    play(pedigree, said)
    pedigree("verify", "flight-delay", "--store", tmp_path / "new store", code=1)


def test_bytes_that_are_damaged_are_healed_by_the_command_that_is_told(pedigree: Pedigree, registry: Path) -> None:
    shutil.rmtree(registry / "store" / "objects")
    said = pedigree("promote", "flight-delay@1.1.0", "--to", "staging", code=7)
    play(pedigree, said, FOLDER=MODELS / "keras_wider")
    pedigree("promote", "flight-delay@1.1.0", "--to", "staging")


def test_evidence_that_is_missing_is_attached_by_the_command_that_is_told(pedigree: Pedigree, tmp_path: Path) -> None:
    digest = pedigree("show", "flight-delay@1.0.0", "--json").json["digest"]
    file = write_json(tmp_path / "evidence.json", evidence(digest, None))
    play(pedigree, pedigree("evidence", "show", "flight-delay@1.0.0", code=3), FILE=file)


def test_first_version_of_a_new_registry_is_registered_by_the_command_that_is_told(tmp_path: Path) -> None:
    pedigree = Pedigree(tmp_path / "registry")
    for said in (pedigree("init"), pedigree("models")):
        play(pedigree, said, MODEL="flight-delay", FOLDER=MODELS / "keras")
    play(pedigree, pedigree("register", "flight-delay", MODELS / "keras_retrained"))
    assert pedigree("show", "flight-delay@champion", "--json").json["version"] == "1.0.1"


@pytest.mark.parametrize("command", ["compare", "diff"])
def test_champion_that_is_compared_with_itself_is_told_how_to_call_the_same_command(
    pedigree: Pedigree, command: str
) -> None:
    said = pedigree(command, "flight-delay@champion", code=4)
    assert suggested(said)[0].startswith(f"pedigree {command} flight-delay@")
