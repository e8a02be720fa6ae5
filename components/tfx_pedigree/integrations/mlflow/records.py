"""What an MLflow registry says of its models, versions and runs: read field by field, within bounds, and as facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.integrations.mlflow.entities import DESCRIPTION, OF_MLFLOW, OURS, RUN
from tfx_pedigree.json_form import MEASURED_WORDS
from tfx_pedigree.registry import Facts, check_model_name
from tfx_pedigree.text import plain

# Of a version here: the address of MLflow's registry, and which versions there have these bytes.
VERSIONS = "mlflow.versions"
LONGEST_TEXT, _RUNS_AT_ONCE = 5000, 100
_UNFIT = re.compile(r"[^a-z0-9._-]+")


class Source(Protocol):
    """Where an MLflow registry is read: its server, or its database. All answers have the form of MLflow's protocol,
    and are not looked at yet."""

    @property
    def base(self) -> str:
        """Its address, without credentials."""
        ...

    def models(self, names: Sequence[str]) -> Iterable[Mapping[str, Any]]:
        """All of them, or those that are named. NotFoundError for a name that is not there."""
        ...

    def versions(self, model: str) -> Iterable[Mapping[str, Any]]:
        """By their numbers."""
        ...

    def runs(self, ids: Sequence[str]) -> Iterable[Mapping[str, Any]]:
        """Of at most a hundred, those that are there still."""
        ...

    def uri_of(self, model: str, version: int) -> Any:
        """Where the bytes are."""
        ...


@dataclass(frozen=True)
class RemoteModel:
    """`name` is MLflow's, `ours` the one that it has here; `aliases` give versions."""

    name: str
    ours: str
    aliases: Mapping[str, int]


@dataclass(frozen=True)
class RemoteVersion:
    number: int
    stage: str
    run: str
    description: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)

    def facts(self) -> Facts:
        tags = {key: value for key, value in self.tags.items() if not key.startswith((OURS, "mlflow."))}
        if self.description:
            tags[DESCRIPTION] = self.description
        if self.run:
            tags[RUN] = OF_MLFLOW + self.run
        return Facts(self.metrics, tags)


def mark(source: Source, numbers: Iterable[int]) -> dict[str, str]:
    return {VERSIONS: " ".join([source.base, *map(str, sorted(numbers))])}


def marked(tag: str, source: Source) -> frozenset[int]:
    """Which versions of that registry a version here was imported from, by its tag."""
    base, *numbers = tag.split() or [""]
    return (
        frozenset(int(one) for one in numbers if one.isdigit() and len(one) < 10)
        if base == source.base
        else frozenset()
    )


def models(source: Source, names: Sequence[str]) -> list[RemoteModel]:
    """All of them, or those that are named."""
    found = [_model(one) for one in source.models(names)]
    taken: dict[str, str] = {}
    for one in found:
        other = taken.setdefault(one.ours, one.name)
        if other != one.name:
            raise UnavailableError(
                f"The models {plain(other)!r} and {plain(one.name)!r} of MLflow would both be called {one.ours} here. "
                "Import one of them by its name with --model, and rename the other one there."
            )
    return found


def versions(source: Source, model: RemoteModel) -> Iterator[RemoteVersion]:
    """Oldest first, as they shall be numbered here."""
    for one in source.versions(model.name):
        number = str(one.get("version", ""))
        if not re.fullmatch("[0-9]{1,9}", number):
            raise UnavailableError(f"{source.base} names a version {plain(number, 40)!r}, which is no number.")
        tags = {key: value for key, value in _pairs(one, "tags", "key") if value}
        yield RemoteVersion(
            int(number), _text(one, "current_stage"), _text(one, "run_id"), _text(one, "description"), tags
        )


def runs(source: Source, ids: Iterable[str]) -> dict[str, tuple[dict[str, float], dict[str, str]]]:
    """Metrics and parameters of runs that are there still."""
    wanted = [one for one in dict.fromkeys(ids) if re.fullmatch(r"[A-Za-z0-9][\w-]{0,127}", one)]
    found = {}
    for at in range(0, len(wanted), _RUNS_AT_ONCE):
        for one in source.runs(wanted[at : at + _RUNS_AT_ONCE]):
            data = _table(one, "data")
            metrics = {
                key: number for key, value in _pairs(data, "metrics", "key") if (number := _number(value)) is not None
            }
            found[_text(_table(one, "info"), "run_id")] = metrics, dict(_pairs(data, "params", "key"))
    return found


def _model(found: Mapping[str, Any]) -> RemoteModel:
    name = _text(found, "name")
    aliases = {key: int(value) for key, value in _pairs(found, "aliases", "alias", "version") if str(value).isdigit()}
    return RemoteModel(name, our_name(name), aliases)


def our_name(name: str) -> str:
    """MLflow takes any text for a name: what no model can be called here becomes dashes and small letters."""
    return check_model_name(_UNFIT.sub("-", name.lower())[:63].strip("-._"))


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _rows(value: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = value.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _pairs(value: Mapping[str, Any], name: str, key: str, held: str = "value") -> Iterator[tuple[str, Any]]:
    for one in _rows(value, name):
        named, given = one.get(key), one.get(held)
        if (
            isinstance(named, str)
            and 0 < len(named) <= 250
            and named.isprintable()
            and isinstance(given, str | float | int)
        ):
            yield named, _clean(given) if isinstance(given, str) else given


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return _clean(found) if isinstance(found, str) else ""


def _clean(text: str) -> str:
    return text.replace("\0", "")[:LONGEST_TEXT]


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return MEASURED_WORDS.get(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
