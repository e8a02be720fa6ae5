"""What the linter says: one finding each, with the task, what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.text import listed

_NAMED = 4


class Level(str, Enum):
    """A pipeline with an ERROR would fail on the service, or show a secret; one with a WARNING may be as it should."""

    ERROR = "error"
    WARNING = "warning"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Finding(JsonForm):
    """`task` is None where it is about the pipeline as a whole. `problem` and `remedy` are whole sentences."""

    level: Level
    rule: str
    task: str | None
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.task or 'The pipeline'}: {self.problem} {self.remedy}"


def sentences(findings: Iterable[Finding]) -> list[str]:
    """The findings for a person: what is wrong in several tasks alike is said once, with their names."""
    tasks: dict[Finding, list[str]] = {}
    for one in findings:
        tasks.setdefault(replace(one, task=None), []).append(one.task or "The pipeline")
    return [f"{one.level}: {listed(names, _NAMED)}: {one.problem} {one.remedy}" for one, names in tasks.items()]


def error(rule: str, task: str | None, problem: str, remedy: str) -> Finding:
    return Finding(Level.ERROR, rule, task, problem, remedy)


def warning(rule: str, task: str | None, problem: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, rule, task, problem, remedy)
