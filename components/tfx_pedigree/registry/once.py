"""Changes that are carried out once however often they are asked for, because each carries a key.

The key stands in the transaction of the change, with the answer: after a lost answer, the same request gets it. Keys
are no part of the history: no archive has them, and they are forgotten after some days.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Statement, schema
from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.json_form import to_json
from tfx_pedigree.registry.transactions import Transactions

KEPT = timedelta(days=3)
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_K = schema.request_keys.c
_TAKE = sa.text(
    "INSERT INTO request_keys (principal, key, request, answer, at) VALUES (:principal, :key, :request, '', :at) "
    "ON CONFLICT DO NOTHING"
).bindparams(sa.bindparam("at", type_=_K.at.type))
_OF = sa.and_(_K.principal == sa.bindparam("of_principal"), _K.key == sa.bindparam("of_key"))
_HELD = Statement(sa.select(_K.request, _K.answer).where(_OF))
_ANSWER = Statement(schema.request_keys.update().where(_OF).values(answer=sa.bindparam("new_answer", type_=sa.Text)))


@dataclass(frozen=True)
class RequestKey:
    """`request` is the digest of all that was asked: the same key for something else is a mistake."""

    key: str
    request: str

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise InvalidInputError(
                "An idempotency key has 1 to 200 printable characters and no spaces, such as a UUID."
            )


def carry_out(transactions: Transactions, asked: RequestKey, work: Callable[[Transactions], Any]) -> str:
    """The answer of `work` as JSON, of now or of the first time. What it refuses is not kept: it may be asked again."""
    whose = {"of_principal": transactions.identity.principal, "of_key": asked.key}
    with transactions.as_one() as (connection, inner):
        if not _take(connection, transactions, asked):
            request, answer = _HELD.rows(connection, **whose)[0]
            if request != asked.request:
                raise ConflictError(
                    f"The idempotency key {asked.key!r} was used for another request. Nothing was done; use a new key."
                )
            return str(answer)
        answer = json.dumps(to_json(work(inner)), ensure_ascii=False, separators=(",", ":"))
        _ANSWER.run(connection, new_answer=answer, **whose)
    return answer


def _take(connection: Connection, transactions: Transactions, asked: RequestKey) -> bool:
    """Whether the key is new. Of two at once, the second waits here for the first."""
    values = {"principal": transactions.identity.principal, "key": asked.key, "request": asked.request}
    return connection.execute(_TAKE, {**values, "at": transactions.clock()}).rowcount == 1


def forget(transactions: Transactions) -> None:
    """Drops keys that nobody sends again."""
    with transactions.database.writing() as connection:
        connection.execute(schema.request_keys.delete().where(_K.at < transactions.clock() - KEPT))
