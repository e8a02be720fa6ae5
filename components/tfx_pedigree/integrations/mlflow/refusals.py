"""Our refusals in MLflow's form: a code that its client knows, and our sentence."""

from __future__ import annotations

from dataclasses import dataclass

from tfx_pedigree.errors import (
    ConflictError,
    DamagedError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PedigreeError,
    TooManyAttemptsError,
    UnauthenticatedError,
    UnavailableError,
)


@dataclass(frozen=True)
class Refusal:
    """MLflow's client asks again where the status is 429 or 5xx, so what will not change has another one."""

    status: int
    error_code: str
    message: str

    def to_json(self) -> dict[str, str]:
        return {"error_code": self.error_code, "message": self.message}


class ThereAlreadyError(ConflictError):
    """What is to be created is there."""


class NotHereError(InvalidInputError):
    """MLflow has it, and this registry does not, whatever is asked for."""


_CODES: tuple[tuple[type[PedigreeError], int, str], ...] = (
    (NotHereError, 501, "NOT_IMPLEMENTED"),
    (InvalidInputError, 400, "INVALID_PARAMETER_VALUE"),
    (UnauthenticatedError, 401, "UNAUTHENTICATED"),
    (ForbiddenError, 403, "PERMISSION_DENIED"),
    (NotFoundError, 404, "RESOURCE_DOES_NOT_EXIST"),
    (ThereAlreadyError, 400, "RESOURCE_ALREADY_EXISTS"),
    (ConflictError, 409, "INVALID_STATE"),
    (TooManyAttemptsError, 429, "REQUEST_LIMIT_EXCEEDED"),
    (DamagedError, 422, "DATA_LOSS"),
    (UnavailableError, 503, "TEMPORARILY_UNAVAILABLE"),
)


def refusal_of(error: PedigreeError) -> Refusal:
    for kind, status, code in _CODES:
        if isinstance(error, kind):
            return Refusal(status, code, str(error))
    return Refusal(500, "INTERNAL_ERROR", str(error))
