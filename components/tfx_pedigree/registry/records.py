"""What the registry answers with: values that stay as they were read, each with a JSON form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from tfx_pedigree.json_form import JsonForm, Layout, Measured
from tfx_pedigree.notebook import to_dataframe
from tfx_pedigree.registry.decisions import PromotionCheck
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.roles import Binding
from tfx_pedigree.role import Role
from tfx_pedigree.states import State
from tfx_pedigree.verdict import Verdict

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")


@dataclass(frozen=True)
class Model(JsonForm):
    """A model and how many versions it has. `champion` is the number of the version in production."""

    name: str
    description: str
    created_at: datetime
    created_by: str
    versions: int
    champion: str | None


@dataclass(frozen=True)
class Version(JsonForm):
    """One version as it stands. Its interface and variables are read with `Registry.description`."""

    TABLE: ClassVar[tuple[str, ...]] = (
        "version",
        "state",
        "created_at",
        "metrics",
        "parameters",
        "tags",
        "digest",
        "created_by",
    )

    model: str
    version: str
    sequence: int
    digest: str
    timestamp_tag: str
    state: State
    withdrawn: bool
    bump: str | None
    reasons: tuple[str, ...]
    predecessor: str | None
    description_digest: str
    metrics: Mapping[str, Measured]
    parameters: Mapping[str, Any]
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    size: int | None
    files: int | None
    refusal: str | None
    created_at: datetime
    created_by: str
    registered_at: datetime | None

    @property
    def name(self) -> str:
        return f"{self.model} {self.version}"


@dataclass(frozen=True)
class PromotionPreview(JsonForm):
    """What a promotion would do: `changes` is False where the version is there already, `replaces` the champion whose
    place it would take, and `allowed` whether every check lets it pass."""

    JSON: ClassVar[Layout] = Layout(also=("allowed", "changes", "replaces"))

    version: Version
    target: State
    champion: str | None
    checks: tuple[PromotionCheck, ...]

    @property
    def allowed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def changes(self) -> bool:
        return self.version.state is not self.target

    @property
    def replaces(self) -> str | None:
        return self.champion if self.changes and self.target is State.PRODUCTION else None


@dataclass(frozen=True)
class VersionChange(JsonForm):
    """What a write did to one version, as it was true in the transaction that did it.

    `before` is the version as it was found (None: this write made it), `replaced` the number of the champion whose
    place it took. Where `changed` is False there was nothing to do, and nothing was written.
    """

    version: Version
    before: Version | None
    replaced: str | None
    changed: bool


@dataclass(frozen=True)
class RoleChange(JsonForm):
    """What a grant or a revocation did; `role` and `before` are None where the principal has, or had, none there."""

    principal: str
    role: Role | None
    scope: str
    before: Role | None

    @property
    def changed(self) -> bool:
        return self.role is not self.before


@dataclass(frozen=True)
class ChampionPeriod(JsonForm):
    """A time during which a version was champion; `ended_at` is None for the one that is."""

    model: str
    version: str
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class Serving(JsonForm):
    """A champion at a glance: `since` and `by` are of the promotion or rollback that made it that, `verdict` of its
    newest evidence."""

    version: str
    since: datetime
    by: str | None
    verdict: Verdict | None
    tags: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True)
class ModelOverview(JsonForm):
    """A model and what serves now. `waiting` is the newest version in staging, `rolling_out` the one that
    is taking over the traffic, `newest` the newest registered one."""

    model: Model
    serving: Serving | None
    waiting: str | None
    rolling_out: str | None
    newest: str | None
    newest_at: datetime | None


@dataclass(frozen=True)
class Judgement(JsonForm):
    """A piece of evidence as it was filed, with its digest: of which version, when and by whom."""

    version: str
    digest: str
    evidence: Evidence
    filed_at: datetime
    filed_by: str


@dataclass(frozen=True)
class Page(JsonForm, Generic[T]):
    """Part of a long answer. `next` asks for the part after it; None says that this was the last."""

    items: tuple[T, ...]
    next: str | None

    def to_dataframe(self) -> pandas.DataFrame:
        """A row an item, with a column for each field, metric, parameter and tag. Needs pandas."""
        return to_dataframe(self.items)


@dataclass(frozen=True)
class Grant(JsonForm):
    """A role that somebody has, with who gave it and when."""

    JSON: ClassVar[Layout] = Layout(flat=("binding",))

    binding: Binding
    granted_at: datetime
    granted_by: str


LARGEST_PAGE = 500


def every(ask: Callable[[str | None], Page[T]]) -> Iterator[T]:
    """`ask` gets the `next` of the page before; None for the first page.

    `every(lambda after: registry.versions(model, limit=LARGEST_PAGE, after=after))`
    """
    after = None
    while True:
        page = ask(after)
        yield from page.items
        if page.next is None:
            return
        after = page.next
