"""Documents as plays: their console blocks are run in their order, in one place, and compared with what they show.

What a document takes for granted (a trained model, a history, a config) is put there by scenes. Each is called before
the next command that begins with the words beside it.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from cli_testing import Pedigree, Said, Ticking
from click.testing import CliRunner

from tfx_pedigree.cli import exits
from tfx_pedigree.cli.app import App
from tfx_pedigree.cli.main import cli

DOCS = Path(__file__).parents[3] / "docs"
_BLOCK = re.compile(r"(?<=^```console\n)(.*?)(?=^```$)", re.S | re.M)


class ByCommand(Ticking):
    """A clock that goes on by a minute from command to command, however often they read it."""

    def __call__(self) -> datetime:
        return self.time

    def go_on(self) -> None:
        super().__call__()


@dataclass
class Stage:
    """A folder, which is shown as /…, and a terminal of so many columns, on which one stream or both are seen."""

    folder: Path
    columns: int
    patch: pytest.MonkeyPatch
    answers_only: bool = False
    clock: ByCommand = field(default_factory=ByCommand)
    environment: dict[str, str] = field(default_factory=dict)

    def pedigree(self, *words: object, **environ: str) -> Said:
        """What must not be refused, by `you` at the document's registry."""
        self.clock.go_on()
        return Pedigree(self.folder / ".pedigree", "you", self.clock)(*words, **environ)

    def run(self, command: str) -> str:
        """What a person sees: the answer, and what is said beside it."""
        program, *words = shlex.split(command, comments=True)
        assert program == "pedigree", f"{command}: only `pedigree` is run here"
        if self.answers_only:
            return self.pedigree(*words, COLUMNS=str(self.columns)).out.replace(str(self.folder), "/…")
        self.clock.go_on()
        unset = ("REGISTRY", "STORE", "CONFIG", "ACTOR", "DEBUG")
        env = {**dict.fromkeys(f"PEDIGREE_{name}" for name in unset), "LOGNAME": "you", "COLUMNS": str(self.columns)}
        runner = CliRunner(env={**env, **self.environment})
        done = runner.invoke(cli, words, prog_name="pedigree", obj=App(clock=self.clock))
        assert done.exit_code != exits.INTERNAL, done.output
        return done.output.replace(str(self.folder), "/…")


Scene = tuple[str, Callable[[Stage], None]]


def play(document: Path, stage: Stage, scenes: Sequence[Scene]) -> None:
    """Every block that shows what is printed shows just that. PEDIGREE_UPDATE_GOLDENS=1 writes them anew."""
    text = document.read_text()
    due = list(scenes)
    played, end = [], 0
    for block in _BLOCK.finditer(text):
        if _is_list(block[1]):
            continue
        printed = []
        for command, gap in _commands(block[1]):
            if due and command.startswith(due[0][0]):
                due.pop(0)[1](stage)
            printed.append(f"$ {command}\n{stage.run(command).rstrip()}\n{gap}")
        played += [text[end : block.start()], "".join(printed)]
        end = block.end()
    actual = "".join([*played, text[end:]])
    if os.environ.get("PEDIGREE_UPDATE_GOLDENS"):
        document.write_text(actual)
    else:
        assert actual == text
    assert due == [], f"{document.name} has no such commands any more"


def shows_what_is_printed(document: Path) -> bool:
    """Also in a block that does not say of itself that it is a console's."""
    blocks = re.findall(r"^```(?:console)?\n(\$ .*?)^```$", document.read_text(), re.S | re.M)
    return any("$ pedigree " in block and not _is_list(block) for block in blocks)


def _is_list(block: str) -> bool:
    """Commands only, to choose from: nothing is shown of what they print."""
    return all(line.startswith("$ ") for line in block.splitlines())


def _commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command, and the empty line after it where there is one."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.M)
    assert parts[0] == "", "a block begins with a command"
    for command, shown in zip(parts[1::2], parts[2::2], strict=True):
        yield command, "\n" if shown.endswith("\n\n") else ""
