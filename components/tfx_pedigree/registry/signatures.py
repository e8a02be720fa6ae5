"""Who signed a version, and whose signature a model asks for.

A model with trusted keys takes only versions into production that one of them signed: checked in the transaction that
promotes. The signed statement names the version's digest, so that no file has to be read for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.db import Row, Statement, schema
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry.stored import MODEL_ID, StoredVersion
from tfx_pedigree.registry.write import Write
from tfx_pedigree.signing import Bundle, TrustedKey, Verified, read_signed, verify
from tfx_pedigree.text import short_digest

# Bounds what a promotion has to look at.
MOST_SIGNATURES = 32
MOST_TRUSTED = 32

_S, _T = schema.signatures.c, schema.trusted_keys.c
_VERSION = sa.bindparam("id", type_=_S.version_id.type)
SIGNATURES = Statement(
    sa.select(_S.digest, _S.content, _S.created_at, _S.created_by).where(_S.version_id == _VERSION).order_by(_S.id)
)
TRUSTED = Statement(
    sa.select(_T.key, _T.pem, _T.added_at, _T.added_by).where(_T.model_id == MODEL_ID).order_by(_T.added_at, _T.key)
)
_NEW_SIGNATURE = Statement(
    schema.signatures.insert().inline(),
    ["model_id", "version_id", "digest", "content", "created_at", "created_by"],
)
_TRUST = Statement(schema.trusted_keys.insert().inline(), _T.keys())
_DISTRUST = Statement(
    schema.trusted_keys.delete().where(
        _T.model_id == sa.bindparam("of_model", type_=_T.model_id.type),
        _T.key == sa.bindparam("of_key", type_=sa.Text),
    )
)


@dataclass(frozen=True)
class Signature(JsonForm):
    """A signature of a version. `key` is the trusted key that it rests on now, None if it is that of nobody trusted;
    `subject` the name in the signer's certificate, where there is one."""

    digest: str
    key: str | None
    subject: str | None
    bundle: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True)
class Trust(JsonForm):
    """A key whose signatures count for a model: a public key or a certificate, as PEM, and who said so."""

    key: str
    pem: str
    added_at: datetime
    added_by: str


@dataclass(frozen=True)
class TrustChange(JsonForm):
    """What a change of a model's trusted keys did; `keys` are those after it."""

    model: str
    keys: tuple[Trust, ...]
    changed: bool


def attach(write: Write, found: StoredVersion, bundle: Bundle) -> StoredVersion:
    """Keeps a signature with its version. Where the model has trusted keys, it must be that of one of them."""
    version = found.version
    check_subject(bundle, version.digest, version.name)
    trusted = trusted_keys(write.connection, version.model)
    held = SIGNATURES.rows(write.connection, id=found.id)
    if any(row[0] == bundle.digest for row in held):
        return found
    if len(held) >= MOST_SIGNATURES:
        raise ConflictError(f"{version.name} has {MOST_SIGNATURES} signatures, and no version has more.")
    by = verify(bundle, _keys(trusted), write.now) if trusted else None
    if trusted and by is None:
        raise ConflictError(
            f"{version.name} was not signed: no key that {version.model} trusts made this signature. See whose are "
            f"trusted with `pedigree trust list {version.model}`."
        )
    write.later(
        _NEW_SIGNATURE,
        model_id=found.model_id,
        version_id=found.id,
        digest=bundle.digest,
        content=bundle.to_text(),
        created_at=write.now,
        created_by=write.actor,
    )
    write.log("sign", version.version, details={"signature": bundle.digest, "key": by.key.id if by else None})
    return found


def check_subject(bundle: Bundle, digest: str, name: str) -> None:
    """Refuses what was signed by other programs too: only our statement names the version's digest."""
    signed = read_signed(bundle.payload, "The signature")
    if signed.digest is None:
        raise InvalidInputError(
            f"The signature does not name the digest of {name}, as Pedigree's own signatures do, and cannot be kept "
            "with it. `pedigree verify` checks it against the bytes, with the option --signature."
        )
    if signed.digest != digest:
        raise InvalidInputError(f"The signature is that of {short_digest(signed.digest)}, and not of {name}.")


def add_trust(write: Write, model_id: int, key: TrustedKey, reason: str | None) -> bool:
    """Whether the key was not trusted before."""
    held = trusted_keys(write.connection, write.chain)
    if any(one.key == key.id for one in held):
        return False
    if len(held) >= MOST_TRUSTED:
        raise ConflictError(f"{write.chain} trusts {MOST_TRUSTED} keys, and no model trusts more. Take one away first.")
    added = {"added_at": write.now, "added_by": write.actor}
    write.later(_TRUST, model_id=model_id, key=key.id, pem=key.pem, **added)
    write.log("trust-key", reason=reason, details={"key": key.id, "pem": key.pem})
    return True


def take_trust(write: Write, model_id: int, key: str, reason: str | None) -> None:
    """`key` is an id or the beginning of one."""
    found = [one.key for one in trusted_keys(write.connection, write.chain) if one.key.startswith(_id_of(key))]
    if len(found) != 1:
        many = f"{len(found)} trusted keys begin with" if found else "no trusted key is"
        raise NotFoundError(f"Of {write.chain}, {many} {key!r}. See `pedigree trust list {write.chain}`.")
    write.later(_DISTRUST, of_model=model_id, of_key=found[0])
    write.log("distrust-key", reason=reason, details={"key": found[0]})


def trusted_keys(connection: Connection, model: str) -> tuple[Trust, ...]:
    return trust(TRUSTED.rows(connection, model=model))


def trust(rows: Sequence[Row]) -> tuple[Trust, ...]:
    """Of the rows that `TRUSTED` finds."""
    return tuple(Trust(*row) for row in rows)


def signatures(rows: Sequence[Row], trusted: Sequence[Trust]) -> tuple[Signature, ...]:
    found = []
    for digest, content, when, by in rows:
        signer = _signer(content, trusted, when)
        key, subject = (signer.key.id, signer.subject) if signer else (None, None)
        found.append(Signature(digest, key, subject, content, when, by))
    return tuple(found)


def is_signed(connection: Connection, found: StoredVersion, trusted: Sequence[Trust]) -> bool:
    """Whether one of the trusted keys signed the version."""
    rows = SIGNATURES.rows(connection, id=found.id)
    return any(_signer(content, trusted, when) is not None for _, content, when, _ in rows)


def _signer(content: str, trusted: Sequence[Trust], when: datetime) -> Verified | None:
    """A certificate is judged at the time at which the registry took the signature: it need not be valid any more."""
    return verify(Bundle.from_text(content, "The stored signature"), _keys(trusted), when) if trusted else None


def _keys(trusted: Sequence[Trust]) -> list[TrustedKey]:
    return [TrustedKey(one.pem) for one in trusted]


def _id_of(key: str) -> str:
    return key if key.startswith("sha256:") else f"sha256:{key}"
