"""What each endpoint of MLflow's registry does here, for whoever sent the request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.integrations.mlflow import entities, filters
from tfx_pedigree.integrations.mlflow.entities import DESCRIPTION, NO_STAGE, OF_MLFLOW, OURS, RUN, STAGES
from tfx_pedigree.integrations.mlflow.files import File, files_of
from tfx_pedigree.integrations.mlflow.filters import Clause
from tfx_pedigree.integrations.mlflow.protocol import Endpoint
from tfx_pedigree.integrations.mlflow.refusals import NotHereError, ThereAlreadyError
from tfx_pedigree.registry import (
    CHAMPION,
    LARGEST_PAGE,
    Candidate,
    Facts,
    Model,
    Page,
    PromotionRequest,
    Reference,
    State,
    Version,
    check_model_name,
    every,
)
from tfx_pedigree.service.promotion import promote
from tfx_pedigree.service.versions.describing import describe_model, description_of
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.text import listed, plain

_MODELS_AT_ONCE = 100
# Of one question: what is looked through at the most before an answer goes back, with the place where to go on.
_MOST_PAGES, _MOST_SEEN = 500, 5000
_BY_STAGE = {stage: state for state, stage in STAGES.items()}


@dataclass(frozen=True)
class Facade:
    """`source` is the address below which versions' files are, `workspace` that of whoever asks."""

    workspace: Workspace
    source: str

    def answer(self, endpoint: Endpoint, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if endpoint.refused:
            raise NotHereError(endpoint.here)
        return _ANSWERS[endpoint.name](self, **arguments)

    def version(self, model: str, sequence: int) -> Version:
        return self.workspace.registry.get(_exact(model, sequence))

    def files(self, version: Version) -> tuple[File, ...]:
        """A version's files as MLflow shall see them."""
        description = self.workspace.registry.description(Reference(version.model, version.version))
        return files_of(version, description, self.workspace.store.manifest(version.digest).files)

    # Models

    def _create_model(self, name: str) -> dict[str, Any]:
        try:
            self.workspace.registry.model(name)
        except NotFoundError:
            raise NotHereError(
                f"There is no model {name}, and none is made without a version. Register the first one: `pedigree "
                f"register {name} FOLDER`."
            ) from None
        raise ThereAlreadyError(f"The model {name} is there already.")

    def _model(self, name: str) -> dict[str, Any]:
        return {"registered_model": self._entity(self.workspace.registry.model(name))}

    def _update_model(self, name: str, description: str = "") -> dict[str, Any]:
        describe_model(self.workspace.registry, check_model_name(name), description)
        return self._model(name)

    def _search_models(
        self, filter: str = "", max_results: int = _MODELS_AT_ONCE, order_by: tuple[str, ...] = (), page_token: str = ""
    ) -> dict[str, Any]:
        filters.check_order(order_by, {"name": "ASC"}, "models come in the order of their names, `name ASC`.")
        clauses = filters.parse_filter(filter, filters.OF_MODELS)

        def fits(model: Model) -> bool:
            return all(one.holds(None if one.is_tag else model.name) for one in clauses)

        page = _walk(self._models_after, fits, min(max_results, _MODELS_AT_ONCE), page_token or None)
        return _listed("registered_models", [self._entity(one) for one in page.items], page.next)

    def _models_after(self, after: str | None, limit: int) -> Page[Model]:
        return self.workspace.registry.models(limit=limit, after=after)

    def _latest(self, name: str, stages: tuple[str, ...] = ()) -> dict[str, Any]:
        wanted = [_stage(one) for one in stages] or [NO_STAGE, *_BY_STAGE]
        found = [one for one in self._newest(name) if entities.stage_of(one) in wanted]
        return {"model_versions": [self._version_entity(one) for one in found]}

    def _newest(self, model: str) -> list[Version]:
        """Of each stage that has any."""
        found: list[Version] = []
        for state in (State.DEVELOPMENT, *STAGES):
            found += self.workspace.registry.search(model, (f"state={state}",), limit=1).items
        return found

    def _entity(self, model: Model) -> dict[str, Any]:
        newest = self._newest(model.name)
        known = {one.version: one.sequence for one in newest}
        champion = {} if model.champion is None else {CHAMPION: model.champion}
        aliases = {**champion, **self.workspace.registry.aliases(model.name)}
        for number in set(aliases.values()) - set(known):
            known[number] = self.workspace.registry.get(Reference(model.name, number)).sequence
        named = {alias: known[number] for alias, number in aliases.items()}
        told = description_of(self.workspace.registry, model.name)
        return entities.model_entity(model, told.text if told else "", named, newest, self.source)

    # Aliases

    def _by_alias(self, name: str, alias: str) -> dict[str, Any]:
        version = self.workspace.registry.get(Reference(check_model_name(name), alias))
        if alias not in version.aliases:  # a number, a digest or `latest` is no alias
            raise NotFoundError(f"{name} has no alias {plain(alias, 60)!r}. See `pedigree alias list {name}`.")
        return self._version_answer(version)

    def _set_alias(self, name: str, alias: str, version: int) -> dict[str, Any]:
        if alias == CHAMPION:
            promote(self.workspace, _exact(name, version), PromotionRequest())
        else:
            self.workspace.registry.set_alias(alias, _exact(name, version))
        return {}

    def _delete_alias(self, name: str, alias: str) -> dict[str, Any]:
        if alias == CHAMPION:
            raise ConflictError(
                f"The alias champion of {name} cannot be deleted: it is the version in production. Set it to another "
                f"version, or use `pedigree rollback {name} --reason WHY` or `pedigree archive {name}@champion "
                "--reason WHY`."
            )
        self.workspace.registry.remove_alias(name, alias)
        return {}

    # Versions

    def _create_version(self, name: str, source: str, description: str = "") -> dict[str, Any]:
        registry = self.workspace.registry
        original = registry.get(version_named(source, self.source))
        exact = Reference(original.model, original.version)
        candidate = Candidate(original.digest, registry.description(exact), original.size, original.files)
        tags = {**original.tags, **({DESCRIPTION: description} if description else {})}
        change = registry.add(name, candidate, facts=Facts(original.metrics, tags))
        return self._version_answer(change.version)

    def _update_version(self, name: str, version: int, description: str = "") -> dict[str, Any]:
        return self._annotated(name, version, {DESCRIPTION: description})

    def _set_tag(self, name: str, version: int, key: str, value: str) -> dict[str, Any]:
        if not value:
            raise InvalidInputError(f"The tag {plain(key, 60)!r} has no value. Delete it, or give it one.")
        self._annotated(name, version, {key: value})
        return {}

    def _delete_tag(self, name: str, version: int, key: str) -> dict[str, Any]:
        self._annotated(name, version, {key: ""})
        return {}

    def _annotated(self, name: str, version: int, tags: Mapping[str, str]) -> dict[str, Any]:
        for key in tags:
            if key.startswith(OURS):
                raise InvalidInputError(f"The tag {plain(key, 60)!r} is the registry's own. Give it another name.")
        change = self.workspace.registry.annotate(_exact(name, version), Facts(tags=tags))
        return self._version_answer(change.version)

    def _transition(
        self, name: str, version: int, stage: str, archive_existing_versions: bool = False
    ) -> dict[str, Any]:
        del archive_existing_versions  # a new champion always replaces the old one
        registry, exact, wanted = self.workspace.registry, _exact(name, version), _stage(stage)
        if wanted == NO_STAGE:
            if (found := registry.get(exact)).state in (State.PRODUCTION, State.STAGING):
                raise ConflictError(
                    f"{found.name} is in {found.state}, and only an archived version goes back to None. Archive it "
                    f"with `pedigree archive {name}@{found.version} --reason WHY`."
                )
            change = registry.restore(exact)
        elif wanted == STAGES[State.ARCHIVED]:
            change = registry.archive(exact, reason="archived through MLflow's client")
        else:
            change = promote(self.workspace, exact, PromotionRequest(_BY_STAGE[wanted]))
        return self._version_answer(change.version)

    def _delete_version(self, name: str, version: int) -> dict[str, Any]:
        self.workspace.registry.archive(_exact(name, version), reason="deleted through MLflow's client")
        return {}

    def _get_version(self, name: str, version: int) -> dict[str, Any]:
        return self._version_answer(self.version(name, version))

    def _download_uri(self, name: str, version: int) -> dict[str, Any]:
        return {"artifact_uri": entities.source_of(self.version(name, version), self.source)}

    def _search_versions(
        self, filter: str = "", max_results: int = LARGEST_PAGE, order_by: tuple[str, ...] = (), page_token: str = ""
    ) -> dict[str, Any]:
        clauses = filters.parse_filter(filter, filters.OF_VERSIONS)
        newest_first = dict.fromkeys(("version_number", "creation_timestamp", "last_updated_timestamp"), "DESC")
        told = "versions come newest first, model by model in the order of names; `version_number DESC` asks for that."
        filters.check_order(order_by, {"name": "ASC", **newest_first}, told)

        def fits(version: Version) -> bool:
            return all(one.holds(self._value(one, version)) for one in clauses)

        page = _walk(_Versions(self.workspace, clauses).after, fits, min(max_results, LARGEST_PAGE), page_token or None)
        return _listed("model_versions", [self._version_entity(one) for one in page.items], page.next)

    def _value(self, clause: Clause, version: Version) -> str | int | None:
        if clause.is_tag:
            return version.tags.get(clause.key)
        if clause.key == "name":
            return version.model
        if clause.key == "version_number":
            return version.sequence
        return entities.run_of(version) if clause.key == "run_id" else entities.source_of(version, self.source)

    def _version_answer(self, version: Version) -> dict[str, Any]:
        return {"model_version": self._version_entity(version)}

    def _version_entity(self, version: Version) -> dict[str, Any]:
        return entities.version_entity(version, self.source)


class _Versions:
    """Versions of the models that the clauses on `name` leave, a page at a time. A place is `MODEL:PLACE THERE`."""

    def __init__(self, workspace: Workspace, clauses: tuple[Clause, ...]) -> None:
        self._registry = workspace.registry
        self._names = tuple(one for one in clauses if one.key == "name" and not one.is_tag)
        # What an index finds, of what is asked.
        self._terms = tuple(term for one in clauses if (term := _term(one)))
        self._ahead: Iterator[str] | None = None

    def after(self, place: str | None, limit: int) -> Page[Version]:
        model, _, there = (place or "").partition(":")
        model = model or self._next_model("")
        if not model:
            return Page((), None)
        try:
            page = self._registry.search(model, self._terms, limit=limit, after=there or None)
        except NotFoundError:
            page = Page((), None)
        if page.next is not None:
            return Page(page.items, f"{model}:{page.next}")
        following = self._next_model(model)
        return Page(page.items, f"{following}:" if following else None)

    def _next_model(self, model: str) -> str:
        """The first one after `model` that may fit; the empty text where none is left."""
        if self._ahead is None:
            self._ahead = self._models_after(model)
        return next(self._ahead, "")

    def _models_after(self, model: str) -> Iterator[str]:
        only = next((one.values[0] for one in self._names if one.op == "="), None)
        if only is None:
            found = every(lambda after: self._registry.models(limit=LARGEST_PAGE, after=after or model))
            names: Iterator[str] = (one.name for one in found)
        else:  # whoever may read just this model asks for it alone
            names = iter(() if model else (only,))
        return (name for name in names if all(one.holds(name) for one in self._names))


def _term(clause: Clause) -> str:
    """As the registry's own search finds it along an index; empty where versions must be looked through."""
    run = clause.key == "run_id" and not clause.is_tag
    key, value = (RUN, OF_MLFLOW + clause.values[0]) if run else (clause.key, clause.values[0])
    simple = key.isascii() and key.isprintable() and not set(key) & set(" <>=!") and key != filters.IS_PROMPT
    fits = clause.op == "=" and value.isprintable() and value.strip() == value not in ("", OF_MLFLOW)
    return f"tag.{key}={value}" if (run or clause.is_tag) and simple and fits else ""


def _walk(
    after: Callable[[str | None, int], Page[Any]], fits: Callable[[Any], bool], wanted: int, place: str | None
) -> Page[Any]:
    """At most `wanted` that fit, out of a bounded number that is looked through. No page is larger than what is still
    wanted, so what is found is never cut."""
    found: list[Any] = []
    seen = 0
    for _ in range(_MOST_PAGES):
        page = after(place, wanted - len(found))
        found += filter(fits, page.items)
        seen += len(page.items)
        place = page.next
        if place is None or len(found) >= wanted or seen >= _MOST_SEEN:
            break
    return Page(tuple(found), place)


def _exact(model: str, sequence: int) -> Reference:
    return Reference(check_model_name(model), str(sequence))


def _stage(name: str) -> str:
    known = {one.lower(): one for one in (NO_STAGE, *_BY_STAGE)}
    found = known.get(name.lower())
    if found is None:
        raise InvalidInputError(f"There is no stage {plain(name, 40)!r}. The stages are {listed(known.values())}.")
    return found


def _listed(name: str, items: list[dict[str, Any]], following: str | None) -> dict[str, Any]:
    return {name: items, **({"next_page_token": following} if following else {})}


_ANSWERS: dict[str, Callable[..., dict[str, Any]]] = {
    "createRegisteredModel": Facade._create_model,
    "getRegisteredModel": Facade._model,
    "updateRegisteredModel": Facade._update_model,
    "searchRegisteredModels": Facade._search_models,
    "getLatestVersions": Facade._latest,
    "setRegisteredModelAlias": Facade._set_alias,
    "deleteRegisteredModelAlias": Facade._delete_alias,
    "getModelVersionByAlias": Facade._by_alias,
    "createModelVersion": Facade._create_version,
    "updateModelVersion": Facade._update_version,
    "transitionModelVersionStage": Facade._transition,
    "deleteModelVersion": Facade._delete_version,
    "getModelVersion": Facade._get_version,
    "searchModelVersions": Facade._search_versions,
    "getModelVersionDownloadUri": Facade._download_uri,
    "setModelVersionTag": Facade._set_tag,
    "deleteModelVersionTag": Facade._delete_tag,
}


_MODELS = re.compile(r"models:/{1,3}([^/@\s]{1,63})(?:/([0-9]{1,9})|@([a-z][a-z0-9-]{0,62}))")
_BELOW = re.compile(r"/([^/\s]{1,63})/([0-9]{1,9})/?")


def version_named(source: str, here: str) -> Reference:
    """The version of this registry that `source` means, by its name or by its address below `here`."""
    match = _MODELS.fullmatch(source) or (
        _BELOW.fullmatch(source.removeprefix(here)) if source.startswith(here) else None
    )
    if match is None:
        raise InvalidInputError(
            f"The source {plain(source, 100)!r} is not a version of this registry (models:/NAME/VERSION), and the "
            "server fetches nothing from elsewhere. Register the model's files: `pedigree register MODEL FOLDER`."
        )
    model, *selectors = match.groups()
    return Reference.parse(f"{model}@{next(filter(None, selectors))}")
