"""Exit codes. Scripts rely on them: they are documented in docs/cli.md and do not change."""

from __future__ import annotations

from dataclasses import dataclass

from tfx_pedigree.errors import (
    ConflictError,
    DamagedError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PedigreeError,
    StaleEvidenceError,
    UnavailableError,
)

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


_BY_CLASS: dict[type[PedigreeError], Exit] = {
    # StaleEvidenceError is a ConflictError: the first class that fits decides.
    StaleEvidenceError: Exit("stale-evidence", 5),
    InvalidInputError: Exit("invalid-input", USAGE),
    NotFoundError: Exit("not-found", 3),
    ConflictError: Exit("conflict", 4),
    ForbiddenError: Exit("forbidden", 6),
    DamagedError: Exit("damaged", 7),
    UnavailableError: Exit("unavailable", UNAVAILABLE),
}


def outcome_of(error: PedigreeError) -> Exit:
    return next((outcome for kind, outcome in _BY_CLASS.items() if isinstance(error, kind)), Exit("internal", INTERNAL))
