"""Every way in which Pedigree says no.

A message names the object, its state and the next step, so that it can be printed to a user as it stands. The class
says only what kind of refusal it is; the command line turns it into an exit code, the web layer into a status.
"""

from __future__ import annotations

from typing import ClassVar


class PedigreeError(Exception):
    """Base of all refusals. `str(error)` is one or more whole sentences for a person.

    `kind` is its name in JSON, on the command line and on the wire alike.
    """

    kind: ClassVar[str] = "internal"


class InvalidInputError(PedigreeError):
    """What the caller gave cannot be used, whatever the state of the registry or the store."""

    kind = "invalid-input"


class NotFoundError(PedigreeError):
    """The named model, version, alias, object or file does not exist."""

    kind = "not-found"


class ConflictError(PedigreeError):
    """The operation does not fit the state in which the object is now."""

    kind = "conflict"


class StaleEvidenceError(ConflictError):
    """Compare-and-swap failed: another version became champion since the decision was prepared."""

    kind = "stale-evidence"


class ApprovalNeededError(ConflictError):
    """The model is protected, and the version has not been approved by enough people."""

    kind = "approval-needed"


class ForbiddenError(PedigreeError):
    """The actor's role does not allow `operation`. The refusal has been logged."""

    kind = "forbidden"

    def __init__(self, message: str, operation: str) -> None:
        super().__init__(message)
        self.operation = operation


class UnauthenticatedError(PedigreeError):
    """A server does not know who asks: there is no credential, or it is wrong, expired or revoked."""

    kind = "unauthenticated"


class TooManyAttemptsError(PedigreeError):
    """So many attempts to say who one is failed that no more are looked at for a while."""

    kind = "too-many-attempts"


class DamagedError(PedigreeError):
    """Bytes or rows do not agree with the digest under which they were stored."""

    kind = "damaged"


class UnavailableError(PedigreeError):
    """A database, a filesystem or an optional package cannot be reached now; nothing was changed."""

    kind = "unavailable"
