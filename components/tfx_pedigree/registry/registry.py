"""The registry as its users see it: one object, one method an operation, the same words as in the command line.

Every method names what it needs of a role (in `roles.LEAST_ROLE`), opens one transaction and hands it to the module
that does the work. Bytes are put or checked before a transaction begins, never inside one.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tfx_pedigree.db import Database, schema
from tfx_pedigree.errors import ForbiddenError, NotFoundError, UnavailableError
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import access, audit, differences, notes, promotion, reading, registration, search
from tfx_pedigree.registry.audit import Anchor, AuditReport
from tfx_pedigree.registry.decisions import PromotionRequest
from tfx_pedigree.registry.differences import VersionDiff
from tfx_pedigree.registry.events import REGISTRY_CHAIN, Event
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.location import Location
from tfx_pedigree.registry.names import Reference, check_actor, check_alias, check_model_name
from tfx_pedigree.registry.records import (
    ChampionPeriod,
    Grant,
    Model,
    Page,
    PromotionPreview,
    Version,
    format_timestamp,
)
from tfx_pedigree.registry.registration import Candidate, Facts
from tfx_pedigree.registry.roles import EVERYBODY, EVERYWHERE, Action, Role
from tfx_pedigree.registry.search import Term
from tfx_pedigree.registry.transaction import Write, check_role, insert_if_absent
from tfx_pedigree.versioning import ModelDescription, Request

if TYPE_CHECKING:
    from tfx_pedigree.store import Store

PAGE = 50


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Registry:
    """An open registry, used by one actor. Safe to use from several threads; several processes need one each."""

    def __init__(
        self,
        database: Database,
        actor: str,
        *,
        store: str | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.actor = check_actor(actor)
        self._database = database
        self._store_url = store
        self._store: Store | None = None
        self._clock = clock

    # Opening

    @classmethod
    def create(
        cls,
        address: str | Path,
        *,
        actor: str,
        store: str | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> Registry:
        """Makes a registry, or brings an existing one to this release's schema. The first actor becomes its admin,
        and everybody may read. Nothing changes on a registry that is there and up to date."""
        location = Location.of(address)
        database = Database(location.database)
        named = _named_store(database) if database.exists() else None
        where = store or named or location.beside
        if where is not None:
            _open_store(where, create=True)
        registry = cls(database, actor, store=where, clock=clock)
        with database.creating() as connection:
            # A store that lies beside its registry moves with it, so its place is not written down.
            registry._begin_history(connection, None if where == location.beside else where)
        return registry

    @classmethod
    def open(
        cls,
        address: str | Path,
        *,
        actor: str,
        store: str | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> Registry:
        location = Location.of(address)
        database = Database(location.database)
        database.check()
        return cls(database, actor, store=store or _named_store(database) or location.beside, clock=clock)

    def _begin_history(self, connection: Connection, store_url: str | None) -> None:
        write = Write(connection, self.actor, REGISTRY_CHAIN, self._clock())
        if connection.execute(sa.select(schema.registry.c.id)).first() is not None:
            return
        identity = str(uuid.uuid4())
        values = {"store_url": store_url, "created_at": write.now, "created_by": self.actor}
        connection.execute(schema.registry.insert().values(id=1, registry_id=identity, **values))
        write.log("create-registry", details={"registry": identity, "store": store_url})
        access.bind(write, self.actor, EVERYWHERE, Role.ADMIN)
        access.bind(write, EVERYBODY, EVERYWHERE, Role.VIEWER)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        return self._database.url

    @property
    def store(self) -> Store:
        """The bytes. Opened when first needed: who only asks about versions needs no access to them."""
        if self._store is None:
            if self._store_url is None:
                raise UnavailableError(
                    f"The registry {self.url} names no store. Give it with --store or PEDIGREE_STORE."
                )
            self._store = _open_store(self._store_url)
        return self._store

    # Models and versions: reading

    def models(self, *, limit: int = PAGE, after: str | None = None) -> Page[Model]:
        with self.reading(None) as connection:
            return reading.list_models(connection, limit, after)

    def model(self, name: str) -> Model:
        with self.reading(name) as connection:
            return reading.get_model(connection, name)

    def get(self, reference: str | Reference) -> Version:
        """`flight-delay@1.2.0`, `@champion`, `@latest`, `@sha256:…`, `@7` (its sequence), an alias, a timestamp tag."""
        reference = _reference(reference)
        with self.reading(reference.model) as connection:
            model, row = reading.resolve(connection, reference)
            return reading.to_version(connection, model["name"], row)

    def versions(self, model: str, *, limit: int = PAGE, after: str | None = None) -> Page[Version]:
        """Newest first."""
        return self.search(model, (), limit=limit, after=after)

    def search(
        self, model: str, terms: Sequence[str | Term], *, limit: int = PAGE, after: str | None = None
    ) -> Page[Version]:
        parsed = [Term.parse(term) if isinstance(term, str) else term for term in terms]
        with self.reading(model) as connection:
            return search.search(connection, reading.find_model(connection, model), parsed, limit, after)

    def newest_by_tag(self, model: str, key: str) -> dict[str, Version]:
        """For each value of a tag the newest version that carries it."""
        with self.reading(model) as connection:
            return search.newest_by_tag(connection, reading.find_model(connection, model), key)

    def description(self, reference: str | Reference) -> ModelDescription:
        reference = _reference(reference)
        with self.reading(reference.model) as connection:
            return registration.description(connection, reading.resolve(connection, reference)[1])

    def evidence(self, reference: str | Reference) -> Evidence | None:
        """The newest evidence of a version."""
        reference = _reference(reference)
        with self.reading(reference.model) as connection:
            return reading.newest_evidence(connection, reading.resolve(connection, reference)[1]["id"])

    def compare(self, old: str | Reference, new: str | Reference) -> VersionDiff:
        before, after = self.get(old), self.get(new)
        exact = _exact(before), _exact(after)
        descriptions = self.description(exact[0]), self.description(exact[1])
        evidence = self.evidence(exact[0]), self.evidence(exact[1])
        return differences.compare(before, after, *descriptions, evidence)

    def at(self, model: str, when: datetime) -> Version | None:
        """The version that was in production at that moment, as it stands now; None if there was none."""
        with self.reading(model) as connection:
            found = reading.find_model(connection, model)
            row = reading.champion_at(connection, found["id"], when)
            return reading.to_version(connection, model, row) if row else None

    def reigns(self, model: str, version: str | None = None, *, limit: int = PAGE) -> tuple[ChampionPeriod, ...]:
        """When which version was champion, newest first."""
        with self.reading(model) as connection:
            found = reading.find_model(connection, model)
            row = reading.find_version(connection, found, version) if version else None
            return reading.reigns_of(connection, found, row["id"] if row else None, limit)

    def aliases(self, model: str) -> dict[str, str]:
        """The aliases that people gave, each with the number of its version."""
        with self.reading(model) as connection:
            return reading.aliases_of(connection, reading.find_model(connection, model)["id"])

    def history(
        self, model: str | None, version: str | None = None, *, limit: int = PAGE, after: str | None = None
    ) -> Page[Event]:
        """Newest first: of a model, of one version, or (without a model) of the registry itself."""
        with self.reading(model) as connection:
            if model is None:
                return reading.read_events(connection, REGISTRY_CHAIN, None, limit, after)
            found = reading.find_model(connection, model)
            subject = reading.find_version(connection, found, version)["version"] if version else None
            return reading.read_events(connection, model, subject, limit, after)

    def preview_promotion(
        self, reference: str | Reference, request: PromotionRequest | None = None
    ) -> PromotionPreview:
        """What `promote` would say now: role, state, champion and gate. Nothing is changed, and no event is written."""
        reference = _reference(reference)
        with self.reading(reference.model) as connection:
            model, row = reading.resolve(connection, reference)
            return promotion.preview(connection, self.actor, model, row, request or PromotionRequest())

    # Models and versions: writing

    def reserve(self, model: str, candidate: Candidate, request: Request | None = None) -> Version:
        """A number for these bytes; the one that they have if they were reserved before."""
        self._ensure_model(model)
        with self._write(model, Action.RESERVE) as (write, found):
            row = registration.reserve(write, found, candidate, request or Request())
            return reading.to_version(write.connection, model, row)

    def register(
        self, reference: str | Reference, facts: Facts | None = None, evidence: Evidence | None = None
    ) -> Version:
        """Makes a reserved version a registered one, with its metrics, tags and evidence. Repeating it adds nothing."""
        return self._change(reference, Action.REGISTER, lambda w, m, v: _register(w, m, v, facts, evidence))

    def add(
        self,
        model: str,
        candidate: Candidate,
        request: Request | None = None,
        facts: Facts | None = None,
        evidence: Evidence | None = None,
    ) -> Version:
        """Reserves and registers in one transaction."""
        self._ensure_model(model)
        with self._write(model, Action.REGISTER) as (write, found):
            row = registration.reserve(write, found, candidate, request or Request())
            return reading.to_version(write.connection, model, _register(write, found, row, facts, evidence))

    def annotate(self, reference: str | Reference, facts: Facts) -> Version:
        return self._change(reference, Action.ANNOTATE, lambda w, m, v: registration.annotate(w, m, v, facts))

    def attach_evidence(self, reference: str | Reference, evidence: Evidence) -> Version:
        return self._change(
            reference, Action.ATTACH_EVIDENCE, lambda w, m, v: registration.attach_evidence(w, m, v, evidence)
        )

    # Moving versions

    def promote(self, reference: str | Reference, request: PromotionRequest | None = None) -> Version:
        """To staging or production. Compare-and-swap: refused if the champion is not the one that the caller, or
        else the evidence, names. Bytes are the caller's to check before, with `check_bytes`."""
        request = request or PromotionRequest()
        return self._change(
            reference, promotion.action_of(request), lambda w, m, v: promotion.promote(w, m, v, request)
        )

    def rollback(self, model: str, *, reason: str, to: str | None = None, expect: str | None = None) -> Version:
        """The previous champion serves again, in one step; with `to`, any version that was champion before."""
        with self._write(model, Action.ROLLBACK) as (write, found):
            row = promotion.rollback(write, found, to, expect, reason)
            return reading.to_version(write.connection, model, row)

    def archive(self, reference: str | Reference, *, reason: str) -> Version:
        return self._change(reference, Action.ARCHIVE, lambda w, m, v: promotion.archive(w, m, v, reason))

    def restore(self, reference: str | Reference, *, reason: str | None = None) -> Version:
        return self._change(reference, Action.RESTORE, lambda w, m, v: promotion.restore(w, m, v, reason))

    def set_alias(self, alias: str, reference: str | Reference) -> Version:
        return self._change(
            reference, Action.SET_ALIAS, lambda w, m, v: promotion.set_alias(w, m, v, check_alias(alias))
        )

    def remove_alias(self, model: str, alias: str) -> None:
        with self._write(model, Action.SET_ALIAS) as (write, found):
            if not promotion.remove_alias(write, found, alias):
                raise NotFoundError(f"{model} has no alias {alias!r}. See `pedigree alias list {model}`.")

    # Notes

    def note(
        self,
        model: str,
        action: Action,
        *,
        reason: str | None,
        details: Mapping[str, Any],
        subject: str | None = None,
        expect: int | None = None,
    ) -> Event:
        """An event that changes no version; it makes the model if there is none. With `expect`, the position of the
        newest note of this action that the caller has seen (0: none), it is refused if there is a newer one."""
        self._ensure_model(model)
        with self._write(model, action) as (write, _):
            return notes.write_note(write, action, subject=subject, reason=reason, details=details, expect=expect)

    def notes(self, model: str, action: Action, *, limit: int = PAGE, after: str | None = None) -> Page[Event]:
        """Newest first; none for a model that does not exist yet."""
        with self.reading(model) as connection:
            return notes.newest(connection, model, action, limit, after)

    # Roles and audit

    def grants(self) -> tuple[Grant, ...]:
        with self.reading(None) as connection:
            return access.grants(connection)

    def grant(self, principal: str, role: Role, scope: str = EVERYWHERE) -> None:
        with self._administer(Action.GRANT) as write:
            access.grant(write, principal, role, scope)

    def revoke(self, principal: str, scope: str = EVERYWHERE) -> None:
        with self._administer(Action.GRANT) as write:
            access.revoke(write, principal, scope)

    def require(self, action: Action, model: str | None = None) -> None:
        """For work that is done outside a transaction, such as garbage collection: is the actor allowed to?"""
        with self._logging_refusals(model), self._database.reading() as connection:
            check_role(connection, self.actor, model, action)

    def verify_audit(self, anchor: Anchor | None = None, progress: Progress = silent) -> AuditReport:
        with self.reading(None) as connection:
            return audit.verify(connection, anchor, progress)

    def anchor(self) -> Anchor:
        with self.reading(None) as connection:
            return audit.take_anchor(connection, format_timestamp(self._clock()))

    # Transactions

    @contextlib.contextmanager
    def reading(self, model: str | None) -> Iterator[Connection]:
        """A transaction that sees one moment throughout, for an actor who may read the model (or everything)."""
        with self._logging_refusals(model), self._database.reading() as connection:
            check_role(connection, self.actor, model, Action.READ)
            yield connection

    @contextlib.contextmanager
    def _write(self, model: str, action: Action) -> Iterator[tuple[Write, RowMapping]]:
        """Holds the model's lock. What the block raises undoes everything; a refused role is then logged by itself."""
        with self._logging_refusals(model), self._database.writing() as connection:
            found = reading.find_model(connection, model)
            write = Write(connection, self.actor, model, self._clock())
            write.require(action)
            yield write, found

    def _change(
        self,
        reference: str | Reference,
        action: Action,
        operation: Callable[[Write, RowMapping, RowMapping], RowMapping],
    ) -> Version:
        """One operation on one version, given its model's and its own row; what it returns is the row afterwards."""
        reference = _reference(reference)
        with self._write(reference.model, action) as (write, found):
            row = reading.find_version(write.connection, found, reference.selector)
            return reading.to_version(write.connection, found["name"], operation(write, found, row))

    @contextlib.contextmanager
    def _administer(self, action: Action) -> Iterator[Write]:
        with self._logging_refusals(None), self._database.writing() as connection:
            write = Write(connection, self.actor, REGISTRY_CHAIN, self._clock())
            write.require(action)
            yield write

    @contextlib.contextmanager
    def importing(self, model: str) -> Iterator[Write]:
        """Holds the lock of the registry's own chain and of the model's: nobody else writes to either."""
        with self._administer(Action.IMPORT) as write:
            Write(write.connection, self.actor, model, write.now)
            yield write

    @contextlib.contextmanager
    def recording(self, model: str | None, action: Action = Action.RECORD_LINEAGE) -> Iterator[Write]:
        """For rooms above that add rows of their own: one transaction that holds the model's lock, or that of the
        registry's own chain where no model is named. What the actor's role does not allow is refused and logged."""
        if model is None:
            with self._administer(action) as write:
                yield write
        else:
            with self._write(model, action) as (write, _):
                yield write

    @contextlib.contextmanager
    def _logging_refusals(self, model: str | None) -> Iterator[None]:
        try:
            yield
        except ForbiddenError as refusal:
            with self._database.writing() as connection:
                m = schema.models.c
                known = model and connection.execute(sa.select(m.id).where(m.name == model)).first()
                write = Write(connection, self.actor, str(model) if known else REGISTRY_CHAIN, self._clock())
                write.log("refuse", reason=str(refusal), details={"operation": refusal.operation, "model": model})
            raise

    def _ensure_model(self, name: str) -> None:
        check_model_name(name)
        m = schema.models
        with self._database.reading() as connection:
            if connection.execute(sa.select(m.c.id).where(m.c.name == name)).first() is not None:
                return
        with self._logging_refusals(None), self._database.writing() as connection:
            check_role(connection, self.actor, name, Action.RESERVE)
            write = Write(connection, self.actor, REGISTRY_CHAIN, self._clock())
            if connection.execute(sa.select(m.c.id).where(m.c.name == name)).first() is None:
                insert_if_absent(connection, m, name=name, created_at=write.now, created_by=self.actor)
                write.log("create-model", details={"model": name})
                Write(connection, self.actor, name, write.now).log("create-model")


def _named_store(database: Database) -> str | None:
    with database.reading() as connection:
        named: str | None = connection.execute(sa.select(schema.registry.c.store_url)).scalar_one_or_none()
    return named


def _open_store(url: str, *, create: bool = False) -> Store:
    from tfx_pedigree.store import Store  # noqa: PLC0415  filesystems load only for those who touch bytes

    return Store.open(url, create=create)


def _register(
    write: Write, model: RowMapping, row: RowMapping, facts: Facts | None, evidence: Evidence | None
) -> RowMapping:
    row = registration.register(write, model, row, facts or Facts())
    return row if evidence is None else registration.attach_evidence(write, model, row, evidence)


def _reference(reference: str | Reference) -> Reference:
    return Reference.parse(reference) if isinstance(reference, str) else reference


def _exact(version: Version) -> Reference:
    return Reference(version.model, version.version)
