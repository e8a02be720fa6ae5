"""Exit codes. Scripts rely on them: they are documented in docs/cli.md and do not change."""

from __future__ import annotations

from dataclasses import dataclass

from tfx_pedigree.errors import PedigreeError

DONE = 0
FOUND_PROBLEMS = 1
USAGE = 2
UNAVAILABLE = 8
INTERNAL = 70
INTERRUPTED = 130
PIPE_CLOSED = 141


@dataclass(frozen=True)
class Exit:
    """How a refusal ends: `kind` stands in the JSON form, `code` is the process's exit code."""

    kind: str
    code: int


_CODES = {
    "invalid-input": USAGE,
    "not-found": 3,
    "conflict": 4,
    "approval-needed": 4,
    "stale-evidence": 5,
    "forbidden": 6,
    "unauthenticated": 6,
    "too-many-attempts": 6,
    "damaged": 7,
    "unavailable": UNAVAILABLE,
}


def outcome_of(error: PedigreeError) -> Exit:
    return Exit(error.kind, _CODES.get(error.kind, INTERNAL))
