"""What the registry answers with: values that stay as they were read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.registry.decisions import PromotionCheck
from tfx_pedigree.registry.roles import Binding, Role
from tfx_pedigree.registry.states import State

T = TypeVar("T")


@dataclass(frozen=True)
class Model:
    name: str
    description: str
    created_at: datetime
    created_by: str
    versions: int
    champion: str | None

    def to_json(self) -> dict[str, Any]:
        return _json(self)


@dataclass(frozen=True)
class Version:
    """One version as it stands. Its interface and variables are read with `Registry.description`."""

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
    metrics: Mapping[str, float]
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

    def to_json(self) -> dict[str, Any]:
        return _json(self)


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
class ChampionPeriod:
    """A time during which a version was champion; `ended_at` is None for the one that is."""

    model: str
    version: str
    began_at: datetime
    ended_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        return _json(self)


@dataclass(frozen=True)
class Page(Generic[T]):
    """Part of a long answer. `next` asks for the part after it; None says that this was the last."""

    items: tuple[T, ...]
    next: str | None


@dataclass(frozen=True)
class Grant:
    binding: Binding
    granted_at: datetime
    granted_by: str

    def to_json(self) -> dict[str, Any]:
        return {
            "principal": self.binding.principal,
            "scope": self.binding.scope,
            "role": str(self.binding.role),
            "granted_at": format_timestamp(self.granted_at),
            "granted_by": self.granted_by,
        }


def format_timestamp(value: datetime) -> str:
    """A time as it stands in every JSON that Pedigree writes."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _json(record: Any) -> dict[str, Any]:
    return {name: _plain(getattr(record, name)) for name in record.__dataclass_fields__}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_timestamp(value)
    if isinstance(value, State | Role):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    return value
