"""The states of a version and the ways between them, as the database, the registry and the command line know them."""

from __future__ import annotations

from enum import Enum


class State(str, Enum):
    """`reserved` holds a number for a run that is not finished; `production` is the champion's, and only one has it."""

    RESERVED = "reserved"
    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"

    def __str__(self) -> str:
        return self.value


# from → the states that one operation can lead to. Replacing a champion and rolling back are the only ways between
# production and archived; `restore` leads from archived to development, where the gate waits again, or to reserved
# where the run never finished.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.RESERVED: frozenset({State.DEVELOPMENT, State.ARCHIVED}),
    State.DEVELOPMENT: frozenset({State.STAGING, State.PRODUCTION, State.ARCHIVED}),
    State.STAGING: frozenset({State.PRODUCTION, State.ARCHIVED}),
    State.PRODUCTION: frozenset({State.ARCHIVED}),
    State.ARCHIVED: frozenset({State.PRODUCTION, State.DEVELOPMENT, State.RESERVED}),
}


def leads(before: State, after: State) -> bool:
    return after in TRANSITIONS[before]
