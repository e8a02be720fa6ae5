"""Questions about models and versions, answered from the registry's own rows (see `api.VersionQuestions`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tfx_pedigree.registry import differences, notes, promotion, reading, registration, search
from tfx_pedigree.registry.api import PAGE, VersionQuestions
from tfx_pedigree.registry.decisions import PromotionRequest
from tfx_pedigree.registry.differences import VersionDiff
from tfx_pedigree.registry.events import REGISTRY_CHAIN, Event
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.names import Reference
from tfx_pedigree.registry.records import ChampionPeriod, Model, Page, PromotionPreview, Version
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.search import Term
from tfx_pedigree.registry.transactions import Transactions
from tfx_pedigree.versioning import ModelDescription


class LocalQuestions(VersionQuestions):
    transactions: Transactions

    def models(self, *, limit: int = PAGE, after: str | None = None) -> Page[Model]:
        with self.transactions.reading(None) as connection:
            return reading.list_models(connection, limit, after)

    def model(self, name: str) -> Model:
        with self.transactions.reading(name) as connection:
            return reading.get_model(connection, name)

    def get(self, reference: str | Reference) -> Version:
        reference = Reference.of(reference)
        with self.transactions.reading(reference.model) as connection:
            model, row = reading.resolve(connection, reference)
            return reading.to_version(connection, model["name"], row)

    def versions(self, model: str, *, limit: int = PAGE, after: str | None = None) -> Page[Version]:
        return self.search(model, (), limit=limit, after=after)

    def search(
        self, model: str, terms: Sequence[str | Term], *, limit: int = PAGE, after: str | None = None
    ) -> Page[Version]:
        parsed = [Term.parse(term) if isinstance(term, str) else term for term in terms]
        with self.transactions.reading(model) as connection:
            return search.search(connection, reading.find_model(connection, model), parsed, limit, after)

    def newest_by_tag(self, model: str, key: str) -> dict[str, Version]:
        with self.transactions.reading(model) as connection:
            return search.newest_by_tag(connection, reading.find_model(connection, model), key)

    def description(self, reference: str | Reference) -> ModelDescription:
        reference = Reference.of(reference)
        with self.transactions.reading(reference.model) as connection:
            return registration.description(connection, reading.resolve(connection, reference)[1])

    def evidence(self, reference: str | Reference) -> Evidence | None:
        reference = Reference.of(reference)
        with self.transactions.reading(reference.model) as connection:
            return reading.newest_evidence(connection, reading.resolve(connection, reference)[1]["id"])

    def compare(self, old: str | Reference, new: str | Reference) -> VersionDiff:
        before, after = self.get(old), self.get(new)
        exact = [Reference(one.model, one.version) for one in (before, after)]
        descriptions = self.description(exact[0]), self.description(exact[1])
        evidence = self.evidence(exact[0]), self.evidence(exact[1])
        return differences.compare(before, after, *descriptions, evidence)

    def at(self, model: str, when: datetime) -> Version | None:
        with self.transactions.reading(model) as connection:
            found = reading.find_model(connection, model)
            row = reading.champion_at(connection, found["id"], when)
            return reading.to_version(connection, model, row) if row else None

    def reigns(self, model: str, version: str | None = None, *, limit: int = PAGE) -> tuple[ChampionPeriod, ...]:
        with self.transactions.reading(model) as connection:
            found = reading.find_model(connection, model)
            row = reading.find_version(connection, found, version) if version else None
            return reading.reigns_of(connection, found, row["id"] if row else None, limit)

    def aliases(self, model: str) -> dict[str, str]:
        with self.transactions.reading(model) as connection:
            return reading.aliases_of(connection, reading.find_model(connection, model)["id"])

    def history(
        self, model: str | None, version: str | None = None, *, limit: int = PAGE, after: str | None = None
    ) -> Page[Event]:
        with self.transactions.reading(model) as connection:
            if model is None:
                return reading.read_events(connection, REGISTRY_CHAIN, None, limit, after)
            found = reading.find_model(connection, model)
            subject = reading.find_version(connection, found, version)["version"] if version else None
            return reading.read_events(connection, model, subject, limit, after)

    def preview_promotion(
        self, reference: str | Reference, request: PromotionRequest | None = None
    ) -> PromotionPreview:
        reference = Reference.of(reference)
        with self.transactions.reading(reference.model) as connection:
            model, row = reading.resolve(connection, reference)
            return promotion.preview(connection, self.transactions.actor, model, row, request or PromotionRequest())

    def notes(self, model: str, action: Action, *, limit: int = PAGE, after: str | None = None) -> Page[Event]:
        with self.transactions.reading(model) as connection:
            return notes.newest(connection, model, action, limit, after)
