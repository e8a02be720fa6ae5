"""MLflow's own database, read without its server; MLflow's library need not be there.

Each question is a short transaction that cannot write, so the import works while MLflow is in use. What the rows say is
put into the form of MLflow's protocol, for which `records` has the checks.
"""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from tfx_pedigree.errors import InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.extras import not_installed
from tfx_pedigree.integrations.mlflow.records import LONGEST_TEXT
from tfx_pedigree.secrets import masked
from tfx_pedigree.text import plain

# MLflow's migrations, oldest first, from 2.8 to 3.17: the tables read here are the same in all of them, but for the
# column `workspace`. A test holds this to the MLflow that the set-up brings.
_MIGRATIONS = """
acf3f17fdcc7 867495a8f9d4 5b0e9adcef9c 4465047574b1 f5a4f2784254 0584bdc529eb 400f98739977 6953534de441 bda7b8c39065
cbc13b556ace 770bee3ae1dd a1b2c3d4e5f6 de4033877273 1a0cddfcaa16 534353b11cbc 71994744cf8e 3da73c924c2f bf29a5ff90ea
1bd49d398cd23 b7c8d9e0f1a2 5d2d30f0abce c9d4e5f6a7b8 2c33131f4dae d3e4f5a6b7c8 d0e1f2a3b4c5 c8d9e0f1a2b3 1b5f0d9ad7c1
e1f2a3b4c5d6 76601a5f987d c3d6457b6d8a a5b4c3d2e1f0 ae8bbe7743c9 7d34483879f0 da6fb0208061 89d3d66ed43f b7e4c1a90f23
a8b9c0d1e2f3 c1d2e3f4a5b6 c3d9e7f1a2b4 6f8d9c3b2a1e 1971f2d9a75b 17e22815139b b7e2c1a4d9f3 75868b020152 dc11669786a5
"""
REVISIONS = tuple(_MIGRATIONS.split())
_WITH_WORKSPACES = "1b5f0d9ad7c1"
_SECONDS, _PAGE = 10, 200
# Of one answer: as much as no page of a real registry has.
_MOST_ROWS, _MOST_TEXT = 200_000, 64 << 20
_MODELS = """
SELECT name FROM registered_models WHERE {here} AND name > :after AND length(name) <= 256 AND name NOT IN
(SELECT name FROM registered_model_tags WHERE {here} AND key = 'mlflow.prompt.is_prompt' AND value = 'true')
ORDER BY name LIMIT {page}"""
_MODEL = "SELECT name FROM registered_models WHERE {here} AND name = :name"
_ALIASES = """
SELECT alias, version FROM registered_model_aliases WHERE {here} AND name = :name AND length(alias) <= 256"""
_VERSIONS = """
SELECT version, substr(current_stage, 1, 20) AS current_stage, substr(run_id, 1, 128) AS run_id,
substr(description, 1, {longest}) AS description FROM model_versions WHERE {here} AND name = :name
AND version > :after AND coalesce(current_stage, '') <> 'Deleted_Internal' ORDER BY version LIMIT {page}"""
_TAGS = """
SELECT version, key, substr(value, 1, {longest}) AS value FROM model_version_tags
WHERE {here} AND name = :name AND version > :after AND version <= :last AND length(key) <= 250"""
_PLACE = """
SELECT substr(coalesce(storage_location, source), 1, 2000) AS place FROM model_versions
WHERE {here} AND name = :name AND version = :version"""
_METRICS = """
SELECT run_uuid, key, value, is_nan FROM latest_metrics WHERE run_uuid IN :ids AND length(key) <= 250"""
_PARAMETERS = """
SELECT run_uuid, key, substr(value, 1, {longest}) AS value FROM params
WHERE run_uuid IN :ids AND length(key) <= 250"""


class MlflowDatabase:
    """A `Source`. `base` is its address without credentials, a file's by its whole path."""

    def __init__(self, address: str) -> None:
        url = _parsed(address)
        self.base = _shown(url)
        self._engine = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)
        self._here = "1 = 1"
        if REVISIONS.index(self._revision(address)) >= REVISIONS.index(_WITH_WORKSPACES):
            self._here = "workspace = 'default'"

    @classmethod
    @contextlib.contextmanager
    def open(cls, address: str) -> Iterator[MlflowDatabase]:
        database = cls(address)
        try:
            yield database
        finally:
            database._engine.dispose()

    def models(self, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        for name in names or self._names():
            if names and not self._ask(_MODEL, name=name):
                raise NotFoundError(f"There is no model {plain(name, 100)!r} in {self.base}.")
            yield {"name": name, "aliases": self._ask(_ALIASES, name=name)}

    def versions(self, model: str) -> Iterator[Mapping[str, Any]]:
        after: Any = -1
        while page := self._ask(_VERSIONS, name=model, after=after):
            first, after = after, page[-1]["version"]
            tags = _by(self._ask(_TAGS, name=model, after=first, last=after), "version")
            yield from ({**one, "tags": tags.get(one["version"], [])} for one in page)

    def runs(self, ids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        measured = [{**one, "value": "NaN"} if one["is_nan"] else one for one in self._ask(_METRICS, ids=ids)]
        metrics, parameters = _by(measured, "run_uuid"), _by(self._ask(_PARAMETERS, ids=ids), "run_uuid")
        for run in ids:
            yield {"info": {"run_id": run}, "data": {"metrics": metrics.get(run), "params": parameters.get(run)}}

    def uri_of(self, model: str, version: int) -> Any:
        return next((one["place"] for one in self._ask(_PLACE, name=model, version=version)), None)

    def _names(self) -> Iterator[str]:
        after = ""
        while page := self._ask(_MODELS, after=after):
            yield from (after := one["name"] for one in page)

    def _revision(self, address: str) -> str:
        try:
            found = self._ask("SELECT version_num FROM alembic_version")
        except UnavailableError as error:
            if isinstance(error.__cause__, DBAPIError) and "alembic_version" in str(error.__cause__.orig):
                found = []
            else:
                raise
        if len(found) != 1:
            raise InvalidInputError(f"{self.base} is no database of MLflow: it does not have MLflow's tables.")
        revision = str(found[0]["version_num"])
        if revision not in REVISIONS:
            shown = shlex.quote(masked(address))
            raise InvalidInputError(
                f"The database {self.base} has the schema {plain(revision, 40)!r}, and this release reads those of "
                "MLflow 2.8 to 3.17. Let MLflow's own server read it, for the time of the import: `mlflow server "
                f"--port 5000 --backend-store-uri {shown}`. Then give http://127.0.0.1:5000."
            )
        return revision

    def _ask(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        text = sa.text(statement.format(here=self._here, page=_PAGE, longest=LONGEST_TEXT))
        if "ids" in values:
            text = text.bindparams(sa.bindparam("ids", expanding=True))
        found: list[dict[str, Any]] = []
        size = 0
        try:
            with self._engine.connect() as connection, connection.begin():
                for row in connection.execution_options(stream_results=True).execute(text, values).mappings():
                    found.append(dict(row))
                    size += sum(len(one) for one in row.values() if isinstance(one, str | bytes))
                    if len(found) > _MOST_ROWS or size > _MOST_TEXT:
                        raise UnavailableError(
                            f"{self.base} answers one question with more than {_MOST_ROWS:,} rows or "
                            f"{_MOST_TEXT >> 20} MiB of text. Import its models one by one with --model."
                        )
        except (DBAPIError, UnicodeError) as error:
            cause = plain(masked(str(getattr(error, "orig", error)).strip()), 200)
            raise UnavailableError(
                f"The MLflow database {self.base} cannot be read: {cause}. Check that it is there, that it is a "
                "database of MLflow, and that you may read it."
            ) from error
        return found


def _by(rows: list[dict[str, Any]], key: str) -> dict[Any, list[dict[str, Any]]]:
    found: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(row)
    return found


def _parsed(address: str) -> URL:
    try:
        url = make_url(address)
        Path(url.database or "").resolve()  # refuses what can be no path
    except (ArgumentError, ValueError, OSError, RuntimeError) as error:
        raise InvalidInputError(
            f"{plain(masked(address), 100)!r} is no address of a database. Give one such as sqlite:///mlflow.db or "
            "postgresql://user@host/mlflow."
        ) from error
    if url.get_backend_name() == "sqlite" and not url.database:
        raise InvalidInputError("The address names no file. Give one such as sqlite:///mlflow.db.")
    return url


def _shown(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{quote(str(Path(url.database or '').resolve()))}"
    at = f"{url.host or ''}{f':{url.port}' if url.port else ''}"
    return f"postgresql://{at}/{quote(url.database or '')}"


def _sqlite(url: URL) -> Engine:
    path = Path(url.database or "").resolve()
    if not path.is_file():
        raise NotFoundError(f"There is no file {plain(str(path), 200)}. Give the path of MLflow's database.")

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_SECONDS)
        connection.text_factory = lambda content: content.decode("utf-8", "replace")
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool)


def _postgresql(url: URL) -> Engine:
    arguments = {"connect_timeout": _SECONDS, "prepare_threshold": None}
    try:
        engine = sa.create_engine(url.set(drivername="postgresql+psycopg"), connect_args=arguments)
    except ModuleNotFoundError as error:
        raise not_installed("The PostgreSQL driver is", "postgres") from error
    return engine.execution_options(postgresql_readonly=True)
