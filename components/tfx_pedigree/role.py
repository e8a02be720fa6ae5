"""The roles, each with what those before it may do. The database, the registry and the command line speak of them."""

from __future__ import annotations

from enum import IntEnum

from tfx_pedigree.errors import InvalidInputError


class Role(IntEnum):
    VIEWER = 1
    CONTRIBUTOR = 2
    REVIEWER = 3
    RELEASER = 4
    ADMIN = 5

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> Role:
        try:
            return cls[text.upper()]
        except KeyError:
            names = ", ".join(str(role) for role in cls)
            raise InvalidInputError(f"There is no role {text!r}. The roles are {names}.") from None
