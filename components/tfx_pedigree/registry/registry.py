"""The local registry: a database that this process opens itself, and where its store is."""

from __future__ import annotations

import contextlib
import copy
import shlex
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Database, schema
from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.registry import access, grants, leases, once
from tfx_pedigree.registry.administration import LocalAdministration
from tfx_pedigree.registry.api import RegistryApi
from tfx_pedigree.registry.approving import LocalApprovals
from tfx_pedigree.registry.changes import LocalChanges
from tfx_pedigree.registry.credentials import LocalTokens
from tfx_pedigree.registry.events import REGISTRY_CHAIN
from tfx_pedigree.registry.identity import Identity
from tfx_pedigree.registry.leases import Lease
from tfx_pedigree.registry.location import Location
from tfx_pedigree.registry.measures import Gauges, LogCounts, read_gauges
from tfx_pedigree.registry.observing import LocalObservations
from tfx_pedigree.registry.once import RequestKey
from tfx_pedigree.registry.outbox import Outbox
from tfx_pedigree.registry.questions import LocalQuestions
from tfx_pedigree.registry.roles import EVERYBODY, EVERYWHERE
from tfx_pedigree.registry.sessions import LocalSessions
from tfx_pedigree.registry.signing import LocalSignatures
from tfx_pedigree.registry.transactions import Transactions, utc_now
from tfx_pedigree.registry.webhook_settings import LocalWebhooks
from tfx_pedigree.registry.write import Write
from tfx_pedigree.role import Role
from tfx_pedigree.secrets import has_password, masked, without_password

if TYPE_CHECKING:
    from tfx_pedigree.store import Store


@dataclass
class _Bytes:
    """The store of a registry, opened when first needed, for everybody who acts on it."""

    url: str | None
    store: Store | None = None
    marked: bool = False


class Registry(
    LocalQuestions,
    LocalChanges,
    LocalObservations,
    LocalSignatures,
    LocalAdministration,
    LocalTokens,
    LocalSessions,
    LocalApprovals,
    LocalWebhooks,
    RegistryApi,
):
    """An open registry, used by one actor. Safe to use from several threads; several processes need one each."""

    def __init__(
        self,
        database: Database,
        actor: str,
        *,
        store: str | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.transactions = Transactions(database, Identity(actor), clock)
        self._database = database
        self._bytes = _Bytes(store)
        self._owner = True

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
        there = database.exists()
        if not there and store is not None:
            _refuse_password(store)
        named = _named_store(database) if there else None
        where = store or named or location.beside
        if where is not None:
            _open_store(where, create=True)
        registry = cls(database, actor, store=where, clock=clock)
        with database.creating() as connection:
            # A store that lies beside its registry moves with it, so its place is not written down.
            registry._begin_history(connection, None if where == location.beside else where)
        if where is not None:
            registry._mark_store()
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
        """Opens a registry that is there: a folder, a database file, or a database URL."""
        location = Location.of(address)
        database = Database(location.database)
        database.check()
        return cls(database, actor, store=store or _named_store(database) or location.beside, clock=clock)

    def _begin_history(self, connection: Connection, store_url: str | None) -> None:
        write = Write(connection, self.transactions.identity, REGISTRY_CHAIN, self.transactions.clock())
        if connection.execute(sa.select(schema.registry.c.id)).first() is not None:
            return
        identity = str(uuid.uuid4())
        values = {"store_url": store_url, "created_at": write.now, "created_by": self.actor}
        connection.execute(schema.registry.insert().values(id=1, registry_id=identity, **values))
        write.log("create-registry", details={"registry": identity, "store": store_url})
        grants.bind(write, self.actor, EVERYWHERE, Role.ADMIN)
        grants.bind(write, EVERYBODY, EVERYWHERE, Role.VIEWER)
        write.finish()

    def acting_as(self, identity: Identity) -> Registry:
        """The same registry for somebody else: cheap, as both share connections, store and what they know. Closing it
        closes nothing; that is for whoever opened the first one."""
        other = copy.copy(self)
        other.transactions, other._owner = self.transactions.acting_as(identity), False
        return other

    def check_reading_bytes(self, digest: str) -> None:
        """Refuses whoever may read no version that has these bytes."""
        self.transactions.check(lambda found: access.check_reading_bytes(found, self.transactions.identity, digest))

    def check_adding_bytes(self) -> None:
        """Refuses whoever may make no version of any model."""
        self.transactions.check(lambda found: access.check_adding_bytes(found, self.transactions.identity))

    def once(self, asked: RequestKey, work: Callable[[Registry], Any]) -> str:
        """What `work` answers, as JSON: it changes something through the registry that it is given, in one transaction,
        once for each key of whoever acts. The same request again gets the same answer."""

        def within(transactions: Transactions) -> Any:
            other = copy.copy(self)
            other.transactions, other._owner = transactions, False
            return work(other)

        return once.carry_out(self.transactions, asked, within)

    @contextlib.contextmanager
    def as_one(self) -> Iterator[Registry]:
        """The changes of the registry that it gives are one transaction: all of them, or none."""
        with self.transactions.as_one() as (_, transactions):
            other = copy.copy(self)
            other.transactions, other._owner = transactions, False
            yield other

    @contextlib.contextmanager
    def at_one_moment(self) -> Iterator[Registry]:
        """For several questions: those that are asked through the registry that it gives see one moment."""
        with self.transactions.at_one_moment() as transactions:
            other = copy.copy(self)
            other.transactions, other._owner = transactions, False
            yield other

    def forget_requests(self) -> None:
        """Drops idempotency keys that are days old."""
        once.forget(self.transactions)

    def outbox(self) -> Outbox:
        """What webhooks are still to be told, for the one process that tells them."""
        return Outbox(self._database)

    def lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """What only one process may do at a time; None where another one does it."""
        return leases.hold(self._database, name, holder, seconds=seconds, now=self.transactions.clock())

    def gauges(self) -> Gauges:
        """Champions, and versions by state, of all models, whoever asks: for monitoring, not for people."""
        return read_gauges(self._database)

    def log_counts(self) -> LogCounts:
        """What the whole log adds up to, whoever asks; what it answers is kept up to date by what is new."""
        return LogCounts(self._database)

    def close(self) -> None:
        """Gives the connections to the database back."""
        if self._owner:
            self._database.close()

    @property
    def actor(self) -> str:
        """Who acts; stands in the audit log."""
        return self.transactions.identity.principal

    @property
    def url(self) -> str:
        """Where the database is, without a password."""
        return self._database.url

    @property
    def store(self) -> Store:
        """The bytes. Opened when first needed: who only asks about versions needs no access to them."""
        if self._bytes.store is None:
            if self._bytes.url is None:
                raise UnavailableError(
                    f"The registry {self.url} names no store. Give it with --store or PEDIGREE_STORE."
                )
            self._bytes.store = _open_store(self._bytes.url)
        return self._bytes.store

    @property
    def store_to_fill(self) -> Store:
        """The store, for who adds bytes: it knows this registry from then on, and no other one deletes them."""
        if not self._bytes.marked:
            self._mark_store()
            self._bytes.marked = True
        return self.store

    def _mark_store(self) -> None:
        from tfx_pedigree.store import StoreUser  # noqa: PLC0415  as below

        self.store.mark_user(StoreUser(self.identity, self.url))

    @property
    def identity(self) -> str:
        """The registry's own name, which it keeps wherever it is moved."""
        with self._database.reading() as connection:
            found: str = connection.execute(sa.select(schema.registry.c.registry_id)).scalar_one()
        return found


def _refuse_password(store: str) -> None:
    """A registry tells all its readers where its store is."""
    if has_password(store):
        open_to_all = shlex.quote(without_password(store))
        raise InvalidInputError(
            f"The store's address {masked(store)} holds a password, and the registry would show it to all its readers. "
            "Nothing was created. Give the password where the store's own client looks for it (AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY for s3://, else ~/.config/fsspec/conf.json), and then the address without it: "
            f"`pedigree init --store {open_to_all}`."
        )


def _named_store(database: Database) -> str | None:
    with database.reading() as connection:
        named: str | None = connection.execute(sa.select(schema.registry.c.store_url)).scalars().first()
    return named


def _open_store(url: str, *, create: bool = False) -> Store:
    from tfx_pedigree.store import Store  # noqa: PLC0415  filesystems load only for those who touch bytes

    return Store.open(url, create=create)
