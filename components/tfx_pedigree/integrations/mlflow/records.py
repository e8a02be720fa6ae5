"""What a server of MLflow says of its models, versions and runs: read field by field, within bounds, and as facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.integrations.mlflow.entities import DESCRIPTION, OF_MLFLOW, OURS, RUN
from tfx_pedigree.integrations.mlflow.rest import API, MlflowServer
from tfx_pedigree.json_form import MEASURED_WORDS
from tfx_pedigree.registry import Facts, check_model_name
from tfx_pedigree.text import plain

# Of a version here: the address of the server, and which versions there have these bytes.
VERSIONS = "mlflow.versions"
_PAGE, _RUNS_AT_ONCE, _MOST_PAGES = 1000, 100, 10_000
_LONGEST = 5000
_UNFIT = re.compile(r"[^a-z0-9._-]+")


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


def mark(server: MlflowServer, numbers: Iterable[int]) -> dict[str, str]:
    return {VERSIONS: " ".join([server.base, *map(str, sorted(numbers))])}


def marked(tag: str, server: MlflowServer) -> frozenset[int]:
    """Which versions of that server a version here was imported from, by its tag."""
    base, *numbers = tag.split() or [""]
    return (
        frozenset(int(one) for one in numbers if one.isdigit() and len(one) < 10)
        if base == server.base
        else frozenset()
    )


def models(server: MlflowServer, names: Sequence[str]) -> list[RemoteModel]:
    """All of them, or those that are named."""
    if names:
        found = [
            _model(_table(server.get(f"{API}/registered-models/get", name=one), "registered_model")) for one in names
        ]
    else:
        found = [
            _model(one) for one in _pages(server, "registered-models/search", "registered_models", max_results=100)
        ]
    taken: dict[str, str] = {}
    for one in found:
        other = taken.setdefault(one.ours, one.name)
        if other != one.name:
            raise UnavailableError(
                f"The models {plain(other)!r} and {plain(one.name)!r} of MLflow would both be called {one.ours} here. "
                "Import one of them by its name with --model, and rename the other one there."
            )
    return found


def versions(server: MlflowServer, model: RemoteModel) -> Iterator[RemoteVersion]:
    """Oldest first, as they shall be numbered here."""
    quoted = model.name.replace("'", "''")
    asked = {"filter": f"name='{quoted}'", "max_results": _PAGE, "order_by": "version_number ASC"}
    for one in _pages(server, "model-versions/search", "model_versions", **asked):
        number = str(one.get("version", ""))
        if not re.fullmatch("[0-9]{1,9}", number):
            raise UnavailableError(f"{server.base} names a version {plain(number, 40)!r}, which is no number.")
        tags = {key: value for key, value in _pairs(one, "tags", "key") if value}
        yield RemoteVersion(
            int(number), _text(one, "current_stage"), _text(one, "run_id"), _text(one, "description"), tags
        )


def runs(server: MlflowServer, ids: Iterable[str]) -> dict[str, tuple[dict[str, float], dict[str, str]]]:
    """Metrics and parameters of runs that are there still, a hundred at a time."""
    wanted = [one for one in dict.fromkeys(ids) if re.fullmatch(r"[A-Za-z0-9][\w-]{0,127}", one)]
    found = {}
    experiments: list[str] = []
    for at in range(0, len(wanted), _RUNS_AT_ONCE):
        experiments = experiments or _experiments(server)
        some = ", ".join(f"'{one}'" for one in wanted[at : at + _RUNS_AT_ONCE])
        body = {
            "experiment_ids": experiments,
            "filter": f"attributes.run_id IN ({some})",
            "run_view_type": "ALL",
            "max_results": _RUNS_AT_ONCE,
        }
        for one in _rows(server.post(f"{API}/runs/search", body), "runs"):
            data = _table(one, "data")
            metrics = {
                key: number for key, value in _pairs(data, "metrics", "key") if (number := _number(value)) is not None
            }
            found[_text(_table(one, "info"), "run_id")] = metrics, dict(_pairs(data, "params", "key"))
    return found


def _experiments(server: MlflowServer) -> list[str]:
    found = []
    token = None
    for _ in range(_MOST_PAGES):
        answer = server.post(
            f"{API}/experiments/search",
            {"max_results": _PAGE, "view_type": "ALL", **({"page_token": token} if token else {})},
        )
        found += [_text(one, "experiment_id") for one in _rows(answer, "experiments")]
        token = answer.get("next_page_token")
        if not token:
            break
    return found


def _pages(server: MlflowServer, path: str, name: str, **asked: Any) -> Iterator[Mapping[str, Any]]:
    token = None
    for _ in range(_MOST_PAGES):
        answer = server.get(f"{API}/{path}", page_token=token, **asked)
        yield from _rows(answer, name)
        token = answer.get("next_page_token")
        if not token:
            return


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
    return text.replace("\0", "")[:_LONGEST]


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return MEASURED_WORDS.get(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
