"""The endpoints of MLflow's ModelRegistryService, and what each of them is here: the one source of server, tests and
docs/mlflow.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import check_text
from tfx_pedigree.text import plain

PREFIX = "/api/2.0/mlflow"
# MLflow's own limits: of a description or a filter, and of a tag's value.
LONGEST = 100_000
_COUNT = re.compile(r"[0-9]{1,9}")
_MODELS, _VERSIONS = "/registered-models", "/model-versions"


@dataclass(frozen=True)
class Field:
    """`read` makes the argument of what was sent, or refuses it."""

    name: str
    read: Callable[[str, Any], Any]
    required: bool = False


@dataclass(frozen=True)
class Endpoint:
    """`name` is the one in MLflow's protocol. `here` says what it does here, or, where it is always refused, why and
    what to do instead."""

    name: str
    methods: tuple[str, ...]
    path: str
    here: str
    fields: tuple[Field, ...] = ()
    refused: bool = False

    @property
    def changes(self) -> bool:
        return "GET" not in self.methods


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise InvalidInputError(f"`{name}` must be a text of at most {LONGEST:,} characters.")
    return check_text(value)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    many = [value] if isinstance(value, str) else value
    if not isinstance(many, Sequence) or len(many) > 20:
        raise InvalidInputError(f"`{name}` must be a list of at most 20 texts.")
    return tuple(_text(name, one) for one in many)


def _number(name: str, value: Any) -> int:
    text = value if isinstance(value, str) else str(value)
    if isinstance(value, bool) or not _COUNT.fullmatch(text) or int(text) < 1:
        raise InvalidInputError(f"`{name}` must be a whole number from 1 on, and it is {plain(text, 40)!r}.")
    return int(text)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInputError(f"`{name}` must be true or false.")
    return value


_NAME, _VERSION = Field("name", _text, required=True), Field("version", _number, required=True)
_KEY, _VALUE = Field("key", _text, required=True), Field("value", _text, required=True)
_ALIAS = Field("alias", _text, required=True)
_PAGE = (
    Field("filter", _text),
    Field("max_results", _number),
    Field("order_by", _texts),
    Field("page_token", _text),
)

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "createRegisteredModel",
        ("POST",),
        f"{_MODELS}/create",
        "Of a model that is there, says so, as MLflow does. A new one is refused: a model begins with its first "
        "version, which `pedigree register MODEL FOLDER` makes.",
        (_NAME,),
    ),
    Endpoint(
        "renameRegisteredModel",
        ("POST",),
        f"{_MODELS}/rename",
        "A model keeps its name: the audit log, the lineage and whoever serves it know it by that. Register its "
        "versions under the new name with `pedigree register MODEL FOLDER`.",
        refused=True,
    ),
    Endpoint(
        "updateRegisteredModel",
        ("PATCH",),
        f"{_MODELS}/update",
        "The model's description, as `pedigree describe MODEL` shows it: a note in the log.",
        (_NAME, Field("description", _text)),
    ),
    Endpoint(
        "deleteRegisteredModel",
        ("DELETE",),
        f"{_MODELS}/delete",
        "A model's history is never deleted. Archive the versions that nobody shall use: `pedigree archive "
        "MODEL@VERSION --reason WHY`.",
        refused=True,
    ),
    Endpoint(
        "getRegisteredModel", ("GET",), f"{_MODELS}/get", "The model, its aliases, the newest of each stage.", (_NAME,)
    ),
    Endpoint(
        "searchRegisteredModels",
        ("GET",),
        f"{_MODELS}/search",
        "By name (`=`, `!=`, `LIKE`, `ILIKE`), in the order of names.",
        _PAGE,
    ),
    Endpoint(
        "getLatestVersions",
        ("POST", "GET"),
        f"{_MODELS}/get-latest-versions",
        "The newest version of each stage.",
        (_NAME, Field("stages", _texts)),
    ),
    Endpoint(
        "setRegisteredModelTag",
        ("POST",),
        f"{_MODELS}/set-tag",
        "Models have no tags here. Tag a version: `MlflowClient.set_model_version_tag`.",
        refused=True,
    ),
    Endpoint(
        "deleteRegisteredModelTag",
        ("DELETE",),
        f"{_MODELS}/delete-tag",
        "Models have no tags here, so there is none to delete.",
        refused=True,
    ),
    Endpoint(
        "setRegisteredModelAlias",
        ("POST",),
        f"{_MODELS}/alias",
        "`champion` is a promotion: gate, roles, approvals and signatures decide. Any other alias just moves.",
        (_NAME, _ALIAS, _VERSION),
    ),
    Endpoint(
        "deleteRegisteredModelAlias",
        ("DELETE",),
        f"{_MODELS}/alias",
        "All but `champion`: a champion is replaced, rolled back or archived.",
        (_NAME, _ALIAS),
    ),
    Endpoint(
        "getModelVersionByAlias",
        ("GET",),
        f"{_MODELS}/alias",
        "The version that the alias means; `champion` is the one in production.",
        (_NAME, _ALIAS),
    ),
    Endpoint(
        "createModelVersion",
        ("POST",),
        f"{_VERSIONS}/create",
        "The bytes of a version that is here (`source` is `models:/NAME/VERSION`, as `MlflowClient.copy_model_version` "
        "sends it) become a version of this model. Other sources are refused: nothing is fetched from addresses.",
        (
            _NAME,
            Field("source", _text, required=True),
            Field("description", _text),
        ),
    ),
    Endpoint(
        "updateModelVersion",
        ("PATCH",),
        f"{_VERSIONS}/update",
        "The description, which is the tag `description` here.",
        (_NAME, _VERSION, Field("description", _text)),
    ),
    Endpoint(
        "transitionModelVersionStage",
        ("POST",),
        f"{_VERSIONS}/transition-stage",
        "`Production` and `Staging` promote, with all checks; a new champion always replaces the old one. `Archived` "
        "archives, `None` restores an archived version.",
        (_NAME, _VERSION, Field("stage", _text, required=True), Field("archive_existing_versions", _flag)),
    ),
    Endpoint(
        "deleteModelVersion",
        ("DELETE",),
        f"{_VERSIONS}/delete",
        "Archives it: nothing is ever deleted, and `pedigree restore MODEL@VERSION` brings it back.",
        (_NAME, _VERSION),
    ),
    Endpoint("getModelVersion", ("GET",), f"{_VERSIONS}/get", "One version, by its sequence.", (_NAME, _VERSION)),
    Endpoint(
        "searchModelVersions",
        ("GET",),
        f"{_VERSIONS}/search",
        "By `name`, `version_number`, `run_id` and tags, newest first; at most 1,000 a page.",
        _PAGE,
    ),
    Endpoint(
        "getModelVersionDownloadUri",
        ("GET",),
        f"{_VERSIONS}/get-download-uri",
        "An address of this server, from which MLflow's client downloads with the same token.",
        (_NAME, _VERSION),
    ),
    Endpoint(
        "setModelVersionTag",
        ("POST",),
        f"{_VERSIONS}/set-tag",
        "A tag of the version. Tags that begin with `pedigree.` are the registry's own.",
        (_NAME, _VERSION, _KEY, _VALUE),
    ),
    Endpoint(
        "deleteModelVersionTag",
        ("DELETE",),
        f"{_VERSIONS}/delete-tag",
        "Takes the tag away; the log keeps what it was.",
        (_NAME, _VERSION, _KEY),
    ),
)


def arguments_of(endpoint: Endpoint, sent: Mapping[str, Any]) -> dict[str, Any]:
    """What to call the facade with. As MLflow's own server does, fields that the endpoint does not know are let pass:
    newer clients send some; and an empty text is one that was not given."""
    found = {}
    for field in endpoint.fields:
        value = sent.get(field.name)
        if value is None or (value == "" and field.name not in ("value", "description")):
            if field.required:
                raise InvalidInputError(f"The request for {endpoint.path} lacks `{field.name}`.")
            continue
        found[field.name] = field.read(field.name, value)
    return found
