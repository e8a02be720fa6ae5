"""What becomes of the pipeline where lineage cannot be recorded."""

from __future__ import annotations

from enum import Enum

from tfx_pedigree.errors import InvalidInputError


class OnFailure(str, Enum):
    CONTINUE = "continue"
    FAIL = "fail"


def on_failure_of(word: str) -> OnFailure:
    try:
        return OnFailure(word.lower())
    except ValueError:
        words = " or ".join(one.value for one in OnFailure)
        raise InvalidInputError(f"on_failure is {word!r}, but it must be {words}.") from None
