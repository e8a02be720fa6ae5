"""The registry's own tables against what its chain adds up to."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import schema
from tfx_pedigree.json_form import to_json
from tfx_pedigree.registry.registry_replay import ExpectedToken, RegistryFacts
from tfx_pedigree.registry.tokens import COLUMNS, read_token, seal


def registry_differences(connection: Connection, facts: RegistryFacts) -> Iterator[str]:
    yield from _identity(connection, facts)
    yield from _models(connection, facts)
    yield from _grants(connection, facts)
    yield from _tokens(connection, facts)


def _identity(connection: Connection, facts: RegistryFacts) -> Iterator[str]:
    r = schema.registry.c
    rows = connection.execute(sa.select(r.registry_id, r.store_url, r.created_at, r.created_by)).all()
    told = (facts.registry_id, facts.store_url, facts.created_at, facts.created_by)
    if len(rows) != 1:
        yield f"*: {len(rows)} rows say which registry this is, where there must be one."
    for row in rows:
        for name, said, is_ in zip(row._fields, told, row, strict=True):
            if said != is_:
                what = name.replace("_", " ")
                yield f"*: the registry's {what} is {to_json(is_)!r}, but the log says {to_json(said)!r}."


def _models(connection: Connection, facts: RegistryFacts) -> Iterator[str]:
    m = schema.models.c
    rows = {
        row.name: (row.created_at, row.created_by)
        for row in connection.execute(sa.select(m.name, m.created_at, m.created_by))
    }
    yield from (f"*: model {name} is gone; the log tells of it." for name in sorted(facts.models.keys() - rows.keys()))
    yield from (f"*: model {name} stands in no event." for name in sorted(rows.keys() - facts.models.keys()))
    for name, made in facts.models.items():
        if made is not None and rows.get(name, made) != made:
            yield f"*: model {name} was made at another time or by somebody else than the log says."


def _grants(connection: Connection, facts: RegistryFacts) -> Iterator[str]:
    b = schema.role_bindings.c
    query = sa.select(b.principal, b.scope, b.role, b.granted_at, b.granted_by)
    held = {(row.principal, row.scope): (row.role, row.granted_at, row.granted_by) for row in connection.execute(query)}
    for key in sorted(held.keys() | facts.grants.keys()):
        said, is_ = facts.grants.get(key), held.get(key)
        if (is_ and is_[0]) != (said and str(said.role)):
            yield f"*: {key[0]} has the role {is_ and is_[0]} on {key[1]}, but the log says {said and said.role}."
        elif said and is_ and is_[1:] != (said.granted_at, said.granted_by):
            yield f"*: the role of {key[0]} on {key[1]} was granted at another time or by somebody else."


def _tokens(connection: Connection, facts: RegistryFacts) -> Iterator[str]:
    """A token that somebody wrote into the database would open the server to him."""
    held = {}
    for *columns, secret_digest in connection.execute(sa.select(*COLUMNS, schema.tokens.c.secret_digest)):
        token = read_token(tuple(columns))
        made = (seal(token, secret_digest), token.created_at, token.created_by)
        held[token.id] = ExpectedToken(*made, token.revoked_at, token.revoked_by)
    yield from (
        f"*: the token {name} is gone; the log tells of it." for name in sorted(facts.tokens.keys() - held.keys())
    )
    yield from (f"*: the token {name} stands in no event." for name in sorted(held.keys() - facts.tokens.keys()))
    for name, said in facts.tokens.items():
        if held.get(name, said) != said:
            yield f"*: the token {name} is not as it was made, or was revoked otherwise than the log says."
