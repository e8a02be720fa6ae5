"""Runs `pedigree` in this process and holds it to its promises: the exit code, and JSON where JSON was asked for."""

from __future__ import annotations

import inspect
import json
import os
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tfx_pedigree.cli.app import App
from tfx_pedigree.cli.main import cli

GOLDENS = Path(__file__).parent / "goldens"
MODELS = Path(__file__).parents[2] / "goldens" / "saved_models"
# Click 8.1 mixes stdout with stderr unless told not to; later releases never do.
_RUNNER = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner.__init__).parameters else {}


class Ticking:
    """A clock of which each reading is a minute later than the one before."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 20, 14, 0, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        self.time += timedelta(minutes=1)
        return self.time


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.err)["error"]
        return found


class Pedigree:
    """The command line of one person at one registry."""

    def __init__(self, registry: Path | str, actor: str = "mia", clock: Ticking | None = None) -> None:
        self.registry, self.actor = registry, actor
        self.clock = clock or Ticking()

    def __call__(
        self, *words: object, code: int = 0, actor: str | None = None, stdin: str | None = None, **environ: str | None
    ) -> Said:
        env = {
            "PEDIGREE_REGISTRY": str(self.registry),
            "PEDIGREE_ACTOR": actor or self.actor,
            "PEDIGREE_STORE": None,
            "PEDIGREE_CONFIG": None,
            "PEDIGREE_DEBUG": None,
            "COLUMNS": None,
            **environ,
        }
        runner = CliRunner(env=env, **_RUNNER)  # type: ignore[arg-type]
        result = runner.invoke(
            cli, [str(word) for word in words], input=stdin, prog_name="pedigree", obj=App(clock=self.clock)
        )
        said = Said(result.exit_code, result.stdout, result.stderr)
        assert said.code == code, f"{words} ended with {said.code}\n{said.out}{said.err}\n{result.exception!r}"
        return said


def write_json(file: Path, value: Any) -> Path:
    file.write_text(json.dumps(value))
    return file


def evidence(challenger: str, champion: str | None, verdict: str = "PASS", reason: str = "auc is 2 % better") -> Any:
    return {
        "format": "pedigree.evidence/1",
        "challenger": challenger,
        "champion": champion,
        "verdict": verdict,
        "reason": reason,
        "recommendation": "RECOMMEND_CHALLENGER" if verdict == "PASS" else "RECOMMEND_CHAMPION",
    }


def check_seen(pedigree: Pedigree, command: tuple[str, ...], golden: str, columns: int) -> None:
    """What people see is what they saw before, and fits their terminal. PEDIGREE_UPDATE_GOLDENS=1 writes it anew."""
    said = pedigree(*command, COLUMNS=str(columns))
    file = GOLDENS / f"{golden}_{columns}.txt"
    if os.environ.get("PEDIGREE_UPDATE_GOLDENS"):
        file.write_text(said.out)
    assert said.out == file.read_text()
    assert max(map(len, said.out.splitlines())) <= columns
