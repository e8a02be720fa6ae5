"""The audit log's lines and the law of their chain.

Each event carries the hash of the one before it in its chain, and its own hash is the SHA-256 of its canonical JSON.
A model has one chain; what concerns the registry as a whole (its creation, models, roles) stands in the chain `*`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar

from tfx_pedigree.digest import PREFIX, canonical_json, digest_of, parse_json
from tfx_pedigree.json_form import Bounds, JsonForm, Layout
from tfx_pedigree.text import format_timestamp

REGISTRY_CHAIN = "*"
BEGINNING = PREFIX + "0" * 64
# What a position's column holds.
MOST_EVENTS = 2**31 - 1


@dataclass(frozen=True)
class Event(JsonForm):
    """Who did what, when, to which version, from where to where, and why. `subject` is a version's number or None,
    `token` the id of the token with which it was done; an event without one is written as if there were no such field.
    """

    JSON: ClassVar[Layout] = Layout(names={"from_state": "from", "to_state": "to"}, whole=True, lacking=("token",))
    TABLE: ClassVar[tuple[str, ...]] = ("at", "actor", "action", "subject", "from_state", "to_state", "reason")

    chain: str
    position: Annotated[int, Bounds(1, MOST_EVENTS)]
    at: datetime
    actor: str
    action: str
    subject: str | None
    from_state: str | None
    to_state: str | None
    reason: str | None
    details: Mapping[str, Any]
    previous: str
    hash: str = ""
    token: Annotated[str, Bounds(longest=64)] | None = None

    def content(self) -> dict[str, Any]:
        """What is hashed: everything but the hash itself."""
        found = {
            "chain": self.chain,
            "position": self.position,
            "at": format_timestamp(self.at),
            "actor": self.actor,
            "action": self.action,
            "subject": self.subject,
            "from": self.from_state,
            "to": self.to_state,
            "reason": self.reason,
            "details": dict(self.details),
            "previous": self.previous,
        }
        return found if self.token is None else {**found, "token": self.token}

    @classmethod
    def sealed(cls, **values: Any) -> Event:
        """With its hash."""
        event = cls(**values)
        object.__setattr__(event, "hash", event.computed_hash())
        return event

    def computed_hash(self) -> str:
        return digest_of(canonical_json(self.content()))

    def to_json(self) -> dict[str, Any]:
        return {**self.content(), "hash": self.hash}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Event:
        return cls(**{**row, "details": parse_json(row["details"])})


@dataclass(frozen=True)
class Head:
    """The end of a chain as it was noted when the last event was written, or in an anchor kept elsewhere."""

    length: Annotated[int, Bounds(0, MOST_EVENTS)]
    hash: str


class ChainCheck:
    """Fed with a chain's events in order, says what is wrong with them.

    An altered line breaks its own hash, a removed or reordered one the link after it, a cut-off end the head.
    """

    def __init__(self, chain: str) -> None:
        self.chain = chain
        self.length = 0
        self.last = BEGINNING

    def feed(self, event: Event) -> str | None:
        """The problem of this event, or None."""
        problem = self._problem(event)
        self.length, self.last = event.position, event.hash
        return problem

    def _problem(self, event: Event) -> str | None:
        if event.position != self.length + 1:
            return f"{self.chain}: event {self.length + 1} is missing; event {event.position} follows instead."
        if event.previous != self.last:
            return f"{self.chain}: event {event.position} does not follow the event before it."
        if event.computed_hash() != event.hash:
            return (
                f"{self.chain}: event {event.position} ({event.action} by {event.actor}) "
                "was altered after it was written."
            )
        return None

    def finish(self, head: Head) -> str | None:
        if (self.length, self.last) == (head.length, head.hash):
            return None
        return (
            f"{self.chain}: the log should end with event {head.length} ({head.hash[:19]}…), but ends with event "
            f"{self.length} ({self.last[:19]}…): lines were removed or added outside the registry."
        )
