"""Webhooks: whom the registry tells what happened, and what is still to be told.

The audit log itself is what is sent from: a cursor for each webhook and chain says how far it was told. So an event is
never told that was not committed, and none is left out, whoever was killed when.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry.names import check_model_name, check_text
from tfx_pedigree.registry.write import Write
from tfx_pedigree.secrets import clean_text
from tfx_pedigree.text import did_you_mean, listed, plain

MOST_WEBHOOKS = 100
# How long the secret before the last one still signs, too.
OLD_SECRET_LASTS = timedelta(hours=24)
_LONGEST_NAME, _LONGEST_URL = 100, 2000
_PREFIX = "whsec_"
_W, _D, _K = schema.webhooks.c, schema.webhook_deliveries.c, schema.webhook_cursors.c
# What can be asked for: the actions of events that somebody could wait for.
TOLD = (
    "annotate",
    "archive",
    "attach-evidence",
    "create-model",
    "describe",
    "distrust-key",
    "grant",
    "import-model",
    "observe",
    "promote",
    "refuse",
    "register",
    "remove-alias",
    "replace",
    "reproduce",
    "reserve",
    "restore",
    "retrain",
    "revoke",
    "roll-out",
    "rollback",
    "set-alias",
    "sign",
    "trust-key",
)


@dataclass(frozen=True)
class NewWebhook(JsonForm):
    """`events` are actions of the audit log; none means all. `private` allows addresses that are not public."""

    name: str
    url: str
    secret: str = field(repr=False)
    events: tuple[str, ...] = ()
    model: str | None = None
    private: bool = False

    def __post_init__(self) -> None:
        check_text(self.name)
        if not self.name.strip() or len(self.name) > _LONGEST_NAME or not self.name.isprintable():
            raise InvalidInputError(f"A webhook needs a name with at most {_LONGEST_NAME} printable characters.")
        check_url(self.url, private=self.private)
        check_secret(self.secret)
        for action in self.events:
            if action not in TOLD:
                raise InvalidInputError(
                    f"There is no event {plain(action)!r}. {did_you_mean(action, TOLD, listed(TOLD, len(TOLD)))}"
                )
        if self.model is not None:
            check_model_name(self.model)


@dataclass(frozen=True)
class Webhook(JsonForm):
    """`delivered` counts what was taken; `pending` and `dead` what was not yet, and what is not tried any more."""

    name: str
    url: str
    events: tuple[str, ...]
    model: str | None
    private: bool
    created_at: datetime
    created_by: str
    stopped: str | None
    delivered: int
    pending: int
    dead: int


@dataclass(frozen=True)
class WebhookChange(JsonForm):
    webhook: Webhook
    changed: bool


@dataclass(frozen=True)
class Delivery(JsonForm):
    """One event that a webhook has not taken: its place in the log, how often it was tried, and what came back last."""

    webhook: str
    chain: str
    position: int
    state: str
    attempts: int
    next_at: datetime
    last_error: str | None

    @property
    def id(self) -> str:
        return f"{self.chain}/{self.position}"


def check_url(url: str, *, private: bool) -> None:
    """What can be said of it without asking anybody; where its name leads to is looked at when something is sent."""
    check_text(url)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if len(url) > _LONGEST_URL or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInputError(
            f"{plain(url, 80)!r} is no address for a webhook. Give one such as https://example.com/hook."
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidInputError(
            "The address of a webhook must hold no user or password: what is sent is signed instead."
        )
    if clean_text(url) != url:
        raise InvalidInputError(
            "The address of a webhook must hold no secret: it stands in the log, which everybody with a role may read. "
            "What is sent is signed instead."
        )
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise InvalidInputError("The address of a webhook begins with https://; http:// needs --private.")
    if not private and not _may_be_public(host):
        raise InvalidInputError(f"{host} is no public address. Allow it with --private, if it is meant.")


def _may_be_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return host.lower() != "localhost" and "." in host


def check_secret(secret: str) -> bytes:
    """The key that the text stands for, as Standard Webhooks writes it."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not 24 <= len(key) <= 64:
        raise InvalidInputError("A webhook's secret is `whsec_` and 24 to 64 random bytes in base64.")
    return key


# Rows


def webhooks(connection: Connection) -> tuple[Webhook, ...]:
    return tuple(_webhook(row) for row in connection.execute(_query().order_by(_W.name)))


def one(connection: Connection, name: str) -> tuple[int, Webhook]:
    row = connection.execute(_query().where(_W.name == name)).one_or_none()
    if row is None:
        known = connection.execute(sa.select(_W.name).order_by(_W.name)).scalars().all()
        raise NotFoundError(
            f"There is no webhook {plain(name)!r}. {did_you_mean(name, known, 'See `pedigree webhooks list`.')}"
        )
    return row.id, _webhook(row)


def _query() -> sa.Select[Any]:
    def count(state: str) -> sa.ScalarSelect[Any]:
        query = sa.select(sa.func.count()).where(_D.webhook_id == _W.id, _D.state == state)
        return query.correlate(schema.webhooks).scalar_subquery()

    return sa.select(schema.webhooks, count("pending").label("pending"), count("dead").label("dead"))


def _webhook(row: Any) -> Webhook:
    events = tuple(row.events.split()) if row.events else ()
    told = (row.created_at, row.created_by, row.stopped, row.delivered, row.pending, row.dead)
    return Webhook(row.name, row.url, events, row.model, row.private, *told)


def add(write: Write, asked: NewWebhook) -> WebhookChange:
    held = {one.name for one in webhooks(write.connection)}
    if asked.name in held:
        raise ConflictError(f"There is a webhook {asked.name!r} already. Remove it first, or give another name.")
    if len(held) >= MOST_WEBHOOKS:
        raise ConflictError(f"There are {MOST_WEBHOOKS} webhooks, and no registry has more. Remove one first.")
    values = {
        "name": asked.name,
        "url": asked.url,
        "secret": asked.secret,
        "events": " ".join(asked.events),
        "model": asked.model,
        "private": asked.private,
        "created_at": write.now,
        "created_by": write.actor,
        "collected_at": write.now,
        "delivered": 0,
    }
    write.connection.execute(schema.webhooks.insert().values(**values))
    told = {"webhook": asked.name, "url": asked.url, "events": list(asked.events), "model": asked.model}
    write.log("add-webhook", details=told)
    return WebhookChange(one(write.connection, asked.name)[1], changed=True)


def remove(write: Write, name: str) -> WebhookChange:
    """With what was still to be told to it."""
    number, found = one(write.connection, name)
    for table in (schema.webhook_deliveries, schema.webhook_cursors):
        write.connection.execute(table.delete().where(table.c.webhook_id == number))
    write.connection.execute(schema.webhooks.delete().where(_W.id == number))
    write.log("remove-webhook", details={"webhook": name})
    return WebhookChange(found, changed=True)


def change_secret(write: Write, name: str, secret: str) -> WebhookChange:
    """Both secrets sign for a day, so that nothing is refused while the receiver changes over."""
    check_secret(secret)
    number, found = one(write.connection, name)
    values = {"secret": secret, "old_secret": _W.secret, "old_until": write.now + OLD_SECRET_LASTS, "stopped": None}
    write.connection.execute(schema.webhooks.update().where(_W.id == number).values(**values))
    write.log("rotate-webhook", details={"webhook": name})
    return WebhookChange(one(write.connection, name)[1], changed=found is not None)


def deliveries(connection: Connection, name: str, limit: int) -> tuple[Delivery, ...]:
    """What was not taken yet, dead ones first, then those that are due first."""
    number, found = one(connection, name)
    query = sa.select(schema.webhook_deliveries).where(_D.webhook_id == number)
    rows = connection.execute(query.order_by(_D.state, _D.next_at, _D.chain, _D.position).limit(limit))
    return tuple(
        Delivery(found.name, row.chain, row.position, row.state, row.attempts, row.next_at, row.last_error)
        for row in rows
    )


def try_again(write: Write, name: str) -> int:
    """What is dead is due now. How many those are."""
    number, _ = one(write.connection, name)
    revived = {"state": "pending", "attempts": 0, "next_at": write.now}
    dead = sa.and_(_D.webhook_id == number, _D.state == "dead")
    count = write.connection.execute(schema.webhook_deliveries.update().where(dead).values(**revived)).rowcount
    write.connection.execute(schema.webhooks.update().where(_W.id == number).values(stopped=None))
    write.log("retry-webhook", details={"webhook": name, "deliveries": count})
    return count
