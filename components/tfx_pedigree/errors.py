"""Every way in which Pedigree says no.

A message names the object, its state and the next step, so that it can be printed to a user as it stands. The class
says only what kind of refusal it is; the command line turns it into an exit code, the web layer into a status.
"""

from __future__ import annotations


class PedigreeError(Exception):
    """Base of all refusals. `str(error)` is one or more whole sentences for a person."""


class InvalidInputError(PedigreeError):
    """What the caller gave cannot be used, whatever the state of the registry or the store."""


class NotFoundError(PedigreeError):
    """The named model, version, alias, object or file does not exist."""


class ConflictError(PedigreeError):
    """The operation does not fit the state in which the object is now."""


class StaleEvidenceError(ConflictError):
    """Compare-and-swap failed: another version became champion since the decision was prepared."""


class ForbiddenError(PedigreeError):
    """The actor's role does not allow `operation`. The refusal has been logged."""

    def __init__(self, message: str, operation: str) -> None:
        super().__init__(message)
        self.operation = operation


class DamagedError(PedigreeError):
    """Bytes or rows do not agree with the digest under which they were stored."""


class UnavailableError(PedigreeError):
    """A database, a filesystem or an optional package cannot be reached now; nothing was changed."""
