"""Questions about models and versions, answered from the registry's own rows (see `api.VersionQuestions`).

Each is one prepared statement that carries the actor's roles in its answer. Only where it answers nothing, a
transaction finds out why: a role that does not suffice, a model or version that is not there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from tfx_pedigree.db import Question, Row
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import differences, overview, promotion, reading, registration, stored
from tfx_pedigree.registry.api import PAGE, VersionQuestions
from tfx_pedigree.registry.decisions import PromotionRequest
from tfx_pedigree.registry.differences import VersionDiff
from tfx_pedigree.registry.events import REGISTRY_CHAIN, Event
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.names import Reference
from tfx_pedigree.registry.records import (
    LARGEST_PAGE,
    ChampionPeriod,
    Judgement,
    Model,
    ModelOverview,
    Page,
    PromotionPreview,
    Version,
)
from tfx_pedigree.registry.roles import EVERYWHERE, Action
from tfx_pedigree.registry.search import NEWEST_BY_TAG, Search, Term
from tfx_pedigree.registry.transactions import Transactions
from tfx_pedigree.versioning import ModelDescription

# No key of a row is larger.
NEWEST = 2**62


class LocalQuestions(VersionQuestions):
    transactions: Transactions

    def models(self, *, limit: int = PAGE, after: str | None = None) -> Page[Model]:
        values = {"model": EVERYWHERE, "after": after or "", "limit": limit + 1}
        rows = self._rows((reading.MODELS, values), None)
        items = tuple(stored.read_model(row) for row in rows[:limit])
        return Page(items, items[-1].name if len(rows) > limit else None)

    def model(self, name: str) -> Model:
        return stored.read_model(self._rows((reading.MODEL_BY_NAME, {"model": name}), name)[0])

    def revision(self, model: str) -> str:
        digest: str = self._rows((reading.REVISION, {"model": model}), model)[0][1]
        return digest

    def overview(self, *, matching: str = "", limit: int = PAGE, after: str | None = None) -> Page[ModelOverview]:
        values = {"model": EVERYWHERE, "after": after or "", "limit": limit + 1, "pattern": overview.pattern(matching)}
        rows = self._rows((overview.OVERVIEW, values), None)
        items = tuple(overview.read_overview(row) for row in rows[:limit])
        return Page(items, items[-1].model.name if len(rows) > limit else None)

    def get(self, reference: str | Reference) -> Version:
        reference = Reference.of(reference)
        rows = self.transactions.ask(reading.selecting(reference))
        if len(rows) == 1:
            return stored.read_version(reference.model, rows[0]).version
        with self.transactions.reading(reference.model) as connection:
            return reading.resolve(connection, reference).version

    def versions(self, model: str, *, limit: int = PAGE, after: str | None = None) -> Page[Version]:
        return self.search(model, (), limit=limit, after=after)

    def search(
        self, model: str, terms: Sequence[str | Term], *, limit: int = PAGE, after: str | None = None
    ) -> Page[Version]:
        parsed = tuple(Term.parse(term) if isinstance(term, str) else term for term in terms)
        search = Search(model, parsed, limit, after)
        return search.page(self._rows(search.question(), model))

    def newest_by_tag(self, model: str, key: str) -> dict[str, Version]:
        with self.transactions.reading(model) as connection:
            reading.find_model(connection, model)
            rows = NEWEST_BY_TAG.rows(connection, model=model, names=stored.NOBODY, key=key)
        versions = [stored.read_version(model, row).version for row in rows]
        return {version.tags[key]: version for version in versions}

    def description(self, reference: str | Reference) -> ModelDescription:
        found = self.get(reference)
        # It is named by its digest and never changes, so it may be asked for by itself.
        return registration.description_in(
            self.transactions.database.ask(reading.DESCRIPTION, digest=found.description_digest)
        )

    def evidence(self, reference: str | Reference) -> Evidence | None:
        reference = Reference.of(reference)
        rows = self.transactions.ask(reading.selecting(reference, judged=True))
        if len(rows) == 1:
            return reading.evidence_in(rows)
        with self.transactions.reading(reference.model) as connection:
            found = reading.resolve(connection, reference)
            return reading.evidence_in(reading.NEWEST_EVIDENCE.rows(connection, id=found.id))

    def evidence_by_version(self, model: str, versions: Sequence[str] = ()) -> dict[str, Evidence]:
        if len(versions) > LARGEST_PAGE:
            raise InvalidInputError(f"{len(versions)} versions are too many for one question. Ask for {LARGEST_PAGE}.")
        values = {"model": model, "versions": json.dumps(list(versions))}
        rows = self.transactions.ask((overview.EVIDENCE_OF, values))
        if not rows:
            with self.transactions.reading(model) as connection:
                reading.find_model(connection, model)
                rows = overview.EVIDENCE_OF.rows(connection, names=stored.NOBODY, **values)
        return overview.read_evidence(
            rows, lambda digests: self.transactions.ask((overview.CONTENTS, {**values, "digests": json.dumps(digests)}))
        )

    def compare(self, old: str | Reference, new: str | Reference) -> VersionDiff:
        before, after = self.get(old), self.get(new)
        exact = [Reference(one.model, one.version) for one in (before, after)]
        descriptions = self.description(exact[0]), self.description(exact[1])
        evidence = self.evidence(exact[0]), self.evidence(exact[1])
        return differences.compare(before, after, *descriptions, evidence)

    def at(self, model: str, when: datetime) -> Version | None:
        with self.transactions.reading(model) as connection:
            reading.find_model(connection, model)
            found = reading.champion_at(connection, model, when)
            return found.version if found else None

    def reigns(self, model: str, version: str | None = None, *, limit: int = PAGE) -> tuple[ChampionPeriod, ...]:
        with self.transactions.reading(model) as connection:
            reading.find_model(connection, model)
            found = reading.resolve(connection, Reference(model, version)) if version else None
            return reading.reigns_of(connection, model, found.id if found else None, limit)

    def aliases(self, model: str) -> dict[str, str]:
        with self.transactions.reading(model) as connection:
            reading.find_model(connection, model)
            return dict(reading.ALIASES.rows(connection, model=model))

    def history(
        self,
        model: str | None,
        version: str | None = None,
        *,
        action: str | None = None,
        limit: int = PAGE,
        after: str | None = None,
    ) -> Page[Event]:
        if model is None or version is None:
            return self._events(model or REGISTRY_CHAIN, limit, after, action=action)
        with self.transactions.reading(model) as connection:
            subject = reading.resolve(connection, Reference(model, version)).version.version
        return self._events(model, limit, after, subject=subject, action=action)

    def preview_promotion(
        self, reference: str | Reference, request: PromotionRequest | None = None
    ) -> PromotionPreview:
        reference = Reference.of(reference)
        with self.transactions.reading(reference.model) as connection:
            facts = promotion.facts_of(connection, reference, self.transactions.clock())
            return promotion.preview(connection, self.transactions.identity, facts, request or PromotionRequest())

    def notes(self, model: str, action: Action, *, limit: int = PAGE, after: str | None = None) -> Page[Event]:
        return self._events(model, limit, after, must_exist=False, action=action.value)

    def _events(
        self,
        chain: str,
        limit: int,
        after: str | None,
        *,
        must_exist: bool = True,
        subject: str | None = None,
        action: str | None = None,
    ) -> Page[Event]:
        only = {name: one for name, one in (("subject", subject), ("action", action)) if one is not None}
        before = {} if after is None else {"before": reading.read_position(after)}
        statement = reading.events(subject="subject" in only, action="action" in only, paged=after is not None)
        question: Question = (statement, {"chain": chain, "model": chain, "limit": limit + 1, **only, **before})
        rows = self._rows(question, None if chain == REGISTRY_CHAIN else chain, must_exist=must_exist)
        items = tuple(stored.read_event(row) for row in rows[:limit])
        return Page(items, str(items[-1].position) if len(rows) > limit else None)

    def judgements(self, model: str, *, limit: int = PAGE, after: str | None = None) -> Page[Judgement]:
        before = NEWEST if after is None else reading.read_position(after)
        with self.transactions.reading(model) as connection:
            found = reading.find_model(connection, model)
            rows = reading.JUDGEMENTS.rows(connection, id=found.id, before=before, limit=limit + 1)
        items = tuple(
            Judgement(version, digest, Evidence.from_text(content), at, by)
            for _, version, digest, content, at, by in rows[:limit]
        )
        return Page(items, str(rows[limit - 1][0]) if len(rows) > limit else None)

    def _rows(self, question: Question, model: str | None, *, must_exist: bool = True) -> list[Row]:
        """Where a question answers nothing, it is asked again by whoever may read, of a model that is there."""
        rows = self.transactions.ask(question)
        if not rows:
            with self.transactions.reading(model) as connection:
                if model is not None and must_exist:
                    reading.find_model(connection, model)
                statement, values = question
                rows = statement.rows(connection, **{"names": stored.NOBODY, **values})
        return rows
