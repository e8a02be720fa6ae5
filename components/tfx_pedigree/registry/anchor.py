"""Where every chain ended at a moment, and what an audit found. `audit` makes both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tfx_pedigree.digest import canonical_json, digest_of, is_digest
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.registry.events import Head
from tfx_pedigree.text import plain

ANCHOR_FORMAT = "pedigree.anchor/1"


@dataclass(frozen=True)
class AuditReport(JsonForm):
    JSON: ClassVar[Layout] = Layout(also=("ok",))

    chains: int
    events: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class Anchor(JsonForm):
    """The ends of all chains at one moment."""

    JSON: ClassVar[Layout] = Layout(format=ANCHOR_FORMAT)

    registry: str
    at: str
    heads: Mapping[str, Head]

    @property
    def digest(self) -> str:
        return digest_of(canonical_json(self.to_json()))

    @classmethod
    def from_json(cls, data: object, what: str = "the anchor") -> Anchor:
        try:
            anchor = super().from_json(data, what)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"This is not an anchor as `pedigree audit anchor` printed it ({ANCHOR_FORMAT}). {error}"
            ) from None
        if bad := [name for name, head in anchor.heads.items() if not is_digest(head.hash)]:
            raise InvalidInputError(f"This is not an anchor: the end of {plain(bad[0], 80)} is not a digest.")
        return anchor
