"""A refusal on the wire, as `application/problem+json` (RFC 9457), and back: the same class with the same sentence."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from tfx_pedigree.errors import (
    ApprovalNeededError,
    ConflictError,
    DamagedError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PedigreeError,
    StaleEvidenceError,
    TooManyAttemptsError,
    UnauthenticatedError,
    UnavailableError,
)
from tfx_pedigree.json_form import JsonForm, Layout

PROBLEM = "application/problem+json"
INTERNAL = "internal"
_STATUS: dict[type[PedigreeError], HTTPStatus] = {
    InvalidInputError: HTTPStatus.BAD_REQUEST,
    UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    TooManyAttemptsError: HTTPStatus.TOO_MANY_REQUESTS,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    StaleEvidenceError: HTTPStatus.PRECONDITION_FAILED,
    ApprovalNeededError: HTTPStatus.CONFLICT,
    DamagedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}
_CLASSES = {kind.kind: kind for kind in _STATUS}


@dataclass(frozen=True)
class Problem(JsonForm):
    """`kind` is the name of the refusal, as in the JSON form of the command line's errors; `detail` its sentences."""

    JSON: ClassVar[Layout] = Layout(brief=True)

    type: str
    title: str
    status: int
    detail: str
    kind: str
    operation: str | None = None

    @classmethod
    def of(cls, status: int, detail: str, kind: str, operation: str | None = None) -> Problem:
        return cls(f"urn:pedigree:problem:{kind}", HTTPStatus(status).phrase, int(status), detail, kind, operation)


def problem_of(error: PedigreeError) -> Problem:
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)
    operation = error.operation if isinstance(error, ForbiddenError) else None
    return Problem.of(status, str(error), error.kind, operation)


def error_of(problem: Problem) -> PedigreeError:
    kind = _CLASSES.get(problem.kind)
    if kind is ForbiddenError:
        return ForbiddenError(problem.detail, problem.operation or "")
    if kind is not None:
        return kind(problem.detail)
    return UnavailableError(f"The server could not answer ({problem.status} {problem.title}): {problem.detail}")
