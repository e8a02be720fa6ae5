"""What the linter says: one finding each, with the task, what is wrong, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Level(str, Enum):
    """A pipeline with an ERROR would fail on the service, or show a secret; one with a WARNING may be as it should."""

    ERROR = "error"
    WARNING = "warning"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Finding:
    """`task` is None where it is about the pipeline as a whole. `problem` and `remedy` are whole sentences."""

    level: Level
    rule: str
    task: str | None
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.task or 'The pipeline'}: {self.problem} {self.remedy}"

    def to_json(self) -> dict[str, Any]:
        return {
            "level": self.level.value,
            "rule": self.rule,
            "task": self.task,
            "problem": self.problem,
            "remedy": self.remedy,
        }


def error(rule: str, task: str | None, problem: str, remedy: str) -> Finding:
    return Finding(Level.ERROR, rule, task, problem, remedy)


def warning(rule: str, task: str | None, problem: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, rule, task, problem, remedy)
