"""From what is there, what is new and what the user asked for to the new version's number."""

from __future__ import annotations

from dataclasses import dataclass

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.versioning.bump import Bump
from tfx_pedigree.versioning.compare import Change, compare
from tfx_pedigree.versioning.description import ModelDescription
from tfx_pedigree.versioning.numbers import (
    Reached,
    Taken,
    check_given,
    check_pre,
    next_version,
    none_taken,
    nothing_reached,
    parse_version,
)

FIRST_REASON = "first version of this model"


@dataclass(frozen=True)
class Request:
    """What the user asked for: nothing, a bump, a pre-release of that or the derived bump, or a version."""

    bump: Bump | None = None
    pre: str | None = None
    version: str | None = None

    def __post_init__(self) -> None:
        if self.version is not None and (self.bump is not None or self.pre is not None):
            raise InvalidInputError(
                f"The version {self.version} was asked for together with a bump or a pre-release. "
                "Give only the version: it says the rest."
            )
        if self.pre is not None:
            check_pre(self.pre)
        if self.version is not None:
            object.__setattr__(self, "version", str(parse_version(self.version)))

    @classmethod
    def of(cls, bump: str | None = None, pre: str | None = None, version: str | None = None) -> Request:
        """From words as a command line or a component parameter gives them. An empty word is none."""
        return cls(_bump(bump) if bump else None, pre or None, version or None)


@dataclass(frozen=True)
class Decision:
    """`bump` is the part that was raised; None for a first version and for one that the user gave whole."""

    version: str
    bump: Bump | None
    reasons: tuple[str, ...]


def decide(
    base: str | None,
    predecessor: ModelDescription | None,
    new: ModelDescription,
    request: Request,
    taken: Taken = none_taken,
    *,
    reached: Reached = nothing_reached,
) -> Decision:
    """`base` is the version that the new one follows for those who use the model: the champion, else the newest one;
    `predecessor` its description. The number is the first free one of its level above the base: versions that were
    refused or rolled back keep their numbers and raise none.

    Fails with ConflictError if the user's version exists or is not above `base`, and with InvalidInputError if the two
    models cannot be compared and the user gave no bump.
    """
    if request.version is not None:
        version = check_given(request.version, base, taken)
        if base is None:
            return Decision(version, None, (FIRST_REASON, f"the user gave the version {version}"))
        return Decision(version, None, (f"the user gave the version {version}", *_content(base, predecessor, new)))
    if base is None:
        return Decision(next_version(None, request.bump or Bump.PATCH, request.pre, taken), None, (FIRST_REASON,))
    if request.bump is not None:
        reasons = (f"the user gave the bump {request.bump}", *_content(base, predecessor, new))
        return Decision(next_version(base, request.bump, request.pre, taken, reached), request.bump, reasons)
    change = _derive(base, predecessor, new)
    return Decision(next_version(base, change.bump, request.pre, taken, reached), change.bump, change.reasons)


def _content(base: str, predecessor: ModelDescription | None, new: ModelDescription) -> tuple[str, ...]:
    """What the content says beside a number that the user chose: kept, so that the history stays honest."""
    try:
        change = _derive(base, predecessor, new)
    except InvalidInputError:
        return ("the content could not be compared with the version before",)
    return (f"by its content it is {change.bump}", *change.reasons)


def _derive(base: str, predecessor: ModelDescription | None, new: ModelDescription) -> Change:
    remedy = "say --bump major, minor or patch, or give a description with --description."
    if predecessor is None:
        raise InvalidInputError(f"{base} has no description with which the new model could be compared; {remedy}")
    if new.is_opaque:
        raise InvalidInputError(
            f"The new model holds no SavedModel whose interface could be compared with {base}; {remedy}"
        )
    if predecessor.is_opaque:
        raise InvalidInputError(
            f"{base} holds no SavedModel with which the new model's interface could be compared; {remedy}"
        )
    return compare(predecessor, new)


def _bump(word: str) -> Bump:
    try:
        return Bump(word.lower())
    except ValueError:
        raise InvalidInputError(f"{word!r} is no bump. Say major, minor or patch.") from None
