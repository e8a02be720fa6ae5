"""All rows of one model as values, without the numbers by which a database happens to join them.

They have one JSON form: a line of an archive, and what the audit reads out of a table. Reading checks every field, so
that a cell or a line of a wrong type is refused with its place, wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, get_args

from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import LARGEST_INTEGER, Bounds, JsonForm, Layout, read
from tfx_pedigree.registry.approval_rules import Approval
from tfx_pedigree.states import State
from tfx_pedigree.text import is_unicode

# Descriptions and evidence: longer than any other text of a registry.
MOST_CONTENT = 64 << 20

Number = Annotated[int, Bounds(0, 2**31 - 1)]
Size = Annotated[int, Bounds(0, LARGEST_INTEGER)]


class _Row(JsonForm):
    JSON: ClassVar[Layout] = Layout(also=("table",), whole=True)


class Content(str):
    """Canonical JSON as text: what was hashed is what is kept."""

    @classmethod
    def from_json(cls, value: object) -> Content:
        if not isinstance(value, str) or len(value) > MOST_CONTENT or not is_unicode(value):
            raise InvalidInputError(f"it must be a text of at most {MOST_CONTENT} characters.")
        return cls(value)


@dataclass(frozen=True)
class ModelRow(_Row):
    table: ClassVar[str] = "models"

    name: str
    description: str
    created_at: datetime
    created_by: str
    last_sequence: Number
    highest_version: str | None


@dataclass(frozen=True)
class DescriptionRow(_Row):
    table: ClassVar[str] = "descriptions"

    digest: str
    content: Content


@dataclass(frozen=True)
class VersionRow(_Row):
    table: ClassVar[str] = "model_versions"

    sequence: Number
    version: str
    timestamp_tag: str
    digest: str
    state: State
    withdrawn: bool
    bump: Literal["patch", "minor", "major"] | None
    reasons: tuple[str, ...]
    predecessor: str | None
    description_digest: str
    metrics: Mapping[str, Any]
    parameters: Mapping[str, Any]
    tags: Mapping[str, str]
    size: Size | None
    files: Number | None
    refusal: str | None
    created_at: datetime
    created_by: str
    registered_at: datetime | None


@dataclass(frozen=True)
class PeriodRow(_Row):
    """A time in production. `back_to` counts from 0 in the order in which they began."""

    table: ClassVar[str] = "reigns"

    began_at: datetime
    ended_at: datetime | None
    back_to: int | None
    version: str


@dataclass(frozen=True)
class AliasRow(_Row):
    table: ClassVar[str] = "aliases"

    name: str
    set_at: datetime
    set_by: str
    version: str


@dataclass(frozen=True)
class EvidenceRow(_Row):
    table: ClassVar[str] = "evidence"

    digest: str
    content: Content
    created_at: datetime
    created_by: str
    version: str


@dataclass(frozen=True)
class RolloutRow(_Row):
    """`content` is what was ordered, `state` where it stands: both are what the events say, word for word."""

    table: ClassVar[str] = "rollouts"

    number: Number
    content: Content
    state: Content
    created_at: datetime
    created_by: str
    closed_at: datetime | None
    version: str


@dataclass(frozen=True)
class SignatureRow(_Row):
    table: ClassVar[str] = "signatures"

    digest: str
    content: Content
    created_at: datetime
    created_by: str
    version: str


@dataclass(frozen=True)
class TrustedKeyRow(_Row):
    table: ClassVar[str] = "trusted_keys"

    key: str
    pem: str
    added_at: datetime
    added_by: str


@dataclass(frozen=True)
class ProtectionRow(_Row):
    table: ClassVar[str] = "protections"

    approvals: Number
    approvers: str
    set_at: datetime
    set_by: str


@dataclass(frozen=True)
class RequestRow(_Row):
    """A request to promote. `outcome` is None until somebody closes it."""

    table: ClassVar[str] = "promotion_requests"

    number: Number
    champion: str | None
    period: datetime | None
    evidence: str | None
    comment: str | None
    requested_at: datetime
    requested_by: str
    expires_at: datetime
    approvals: tuple[Approval, ...]
    outcome: Literal["rejected", "withdrawn", "promoted"] | None
    closed_at: datetime | None
    closed_by: str | None
    version: str


@dataclass(frozen=True)
class ObservationRow(_Row):
    table: ClassVar[str] = "observations"

    metric: str
    value: float
    examples: Size | None
    began_at: datetime
    ended_at: datetime
    source: str
    created_at: datetime
    created_by: str
    version: str


Row = (
    ModelRow
    | DescriptionRow
    | VersionRow
    | PeriodRow
    | AliasRow
    | EvidenceRow
    | RolloutRow
    | SignatureRow
    | TrustedKeyRow
    | ProtectionRow
    | RequestRow
    | ObservationRow
)
_KINDS: dict[str, type[Row]] = {kind.table: kind for kind in get_args(Row)}


def read_row(data: object, what: str) -> Row:
    """`what` names it in a refusal: "line 3 of rows.jsonl"."""
    table = data.get("table") if isinstance(data, Mapping) else None
    kind = _KINDS.get(table) if isinstance(table, str) else None
    if kind is None:
        raise InvalidInputError(f"{what} is not a row of a model: its `table` must be one of {', '.join(_KINDS)}.")
    row: Row = read(kind, data, what)
    return row


def seal(reasons: Sequence[str], size: int | None, files: int | None) -> str:
    """The digest of what a version's first event does not hold word for word: it stands in that event as `facts`."""
    return digest_of(canonical_json({"reasons": list(reasons), "size": size, "files": files}))
