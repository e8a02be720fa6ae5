"""JWTs of issuers that are configured: CI jobs, workloads and people prove who they are without a secret of ours.

A JWT counts when a key of its issuer signed it, it is meant for this server (audience), it is in its time, and its
claims are those that are required. Which claims make up the principal is the administrator's to say.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3

from tfx_pedigree.bounded_parse import parse_json, parse_yaml, read_bounded
from tfx_pedigree.errors import InvalidInputError, NotFoundError, UnauthenticatedError, UnavailableError
from tfx_pedigree.json_form import JsonForm, read
from tfx_pedigree.registry import Identity, RolesCap
from tfx_pedigree.server.addresses import check_address
from tfx_pedigree.text import plain

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

LEEWAY = 60
# Symmetric algorithms and `none` are no proof: whoever knows the public key could use them.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_LONGEST = 16 << 10
_LARGEST_ANSWER = 256 << 10
_KEYS_LAST = 3600.0
# A key that nobody knows is looked for only so often, whoever sends it.
_ASK_AGAIN = 60.0
_CLAIM = re.compile(r"\{([A-Za-z0-9_./:-]{1,100})\}")


@dataclass(frozen=True)
class Issuer(JsonForm):
    """`principal` is a text with names of claims in braces. `require` are claims that must be just that, `groups` is
    the claim that lists groups, `scope` the most that such a JWT allows, `jwks` where the keys are, if discovery does
    not say it."""

    issuer: str
    audience: str
    principal: str = "{sub}"
    groups: str | None = None
    require: Mapping[str, str] = field(default_factory=dict)
    scope: RolesCap | None = None
    jwks: str | None = None

    def __post_init__(self) -> None:
        for address in (self.issuer, self.jwks):
            if address is not None:
                check_address(address)
        if not self.audience or not _CLAIM.search(self.principal):
            raise InvalidInputError(
                f"The issuer {self.issuer} needs an `audience` and a `principal` that names a claim, such as {{sub}}."
            )


def load_issuers(file: Path) -> tuple[Issuer, ...]:
    """Of a YAML file with a list under `issuers`."""
    try:
        found = parse_yaml(read_bounded(file), str(file))
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {file} with issuers.") from None
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}.") from None
    if not isinstance(found, Mapping) or set(found) != {"issuers"}:
        raise InvalidInputError(f"{file} must hold `issuers`, a list of issuers, and nothing else.")
    issuers: tuple[Issuer, ...] = read(tuple[Issuer, ...], found["issuers"], f"{file}: `issuers`")
    return issuers


class Issuers:
    """Says who presents a JWT. Keys are fetched when first needed, and again when an unknown one appears."""

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        self._known = {one.issuer: one for one in issuers}
        self._keys: dict[str, tuple[float, KeySet]] = {}
        self._lock = threading.Lock()

    def identity(self, text: str) -> Identity:
        issuer = self._issuer_of(text)
        claims = self._verified(issuer, text)
        for name, wanted in issuer.require.items():
            if claims.get(name) != wanted:
                raise UnauthenticatedError(
                    f"The JWT of {issuer.issuer} has {plain(repr(claims.get(name)), 80)} as {name}, and this server "
                    f"takes only {wanted}."
                )
        ends = datetime.fromtimestamp(int(claims["exp"]), timezone.utc)
        return Identity(_principal(issuer, claims), None, issuer.scope, _groups(issuer, claims), ends)

    def _issuer_of(self, text: str) -> Issuer:
        """By what the JWT says, which is believed only when its signature is that issuer's."""
        try:
            payload = text.split(".")[1]
            said = parse_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), "the JWT")
            name = said.get("iss") if len(text) <= _LONGEST and isinstance(said, dict) else None
        except (IndexError, binascii.Error, ValueError, InvalidInputError):
            name = None
        found = self._known.get(name) if isinstance(name, str) else None
        if found is None:
            raise UnauthenticatedError(f"This server knows no issuer {plain(str(name), 100)} of JWTs.")
        return found

    def _verified(self, issuer: Issuer, text: str) -> dict[str, Any]:
        from joserfc import jwt  # noqa: PLC0415  only where issuers are configured
        from joserfc.errors import JoseError  # noqa: PLC0415

        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": issuer.issuer},
            aud={"essential": True, "value": issuer.audience},
            exp={"essential": True},
        )
        try:
            for newer in (False, True):
                try:
                    token = jwt.decode(text, self._keys_of(issuer, newer=newer), algorithms=ALGORITHMS)
                    break
                except (JoseError, ValueError):
                    if newer:
                        raise
            registry.validate(token.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise UnauthenticatedError(
                f"The JWT of {issuer.issuer} proves nothing here: {plain(str(error), 150)}. It must be signed by its "
                f"issuer, be in its time, and name the audience {issuer.audience}."
            ) from None
        return dict(token.claims)

    def _keys_of(self, issuer: Issuer, *, newer: bool) -> KeySet:
        with self._lock:
            at, keys = self._keys.get(issuer.issuer, (-_KEYS_LAST, None))
            age = time.monotonic() - at
            if keys is None or age > _KEYS_LAST or (newer and age > _ASK_AGAIN):
                keys = _fetch_keys(issuer)
                self._keys[issuer.issuer] = (time.monotonic(), keys)
            return keys


def _principal(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    def claim(match: re.Match[str]) -> str:
        value = claims.get(match[1])
        if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
            raise UnauthenticatedError(f"The JWT of {issuer.issuer} has no claim {match[1]} that names somebody.")
        return str(value)

    return _CLAIM.sub(claim, issuer.principal)


def _groups(issuer: Issuer, claims: Mapping[str, Any]) -> tuple[str, ...]:
    found = claims.get(issuer.groups) if issuer.groups else None
    names = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return tuple(name for name in names if isinstance(name, str))


def _fetch_keys(issuer: Issuer) -> KeySet:
    from joserfc.errors import JoseError  # noqa: PLC0415  as above
    from joserfc.jwk import KeySet  # noqa: PLC0415

    address = issuer.jwks
    if address is None:
        said = _fetch(f"{issuer.issuer.rstrip('/')}/.well-known/openid-configuration")
        if not isinstance(said, Mapping) or said.get("issuer") != issuer.issuer or "jwks_uri" not in said:
            raise UnavailableError(f"{issuer.issuer} does not describe itself as that issuer with its keys.")
        address = check_address(str(said["jwks_uri"]))
    try:
        return KeySet.import_key_set(_fetch(address))  # type: ignore[arg-type]
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnavailableError(f"The keys at {plain(address, 100)} cannot be read: {plain(str(error), 100)}.") from None


def _fetch(address: str) -> object:
    """Within bounds of time and size, and from nowhere else."""
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=3, read=5), retries=False)
    try:
        answer = pool.request("GET", address, redirect=False, preload_content=False)
        content = answer.read(_LARGEST_ANSWER + 1, decode_content=True)
        answer.release_conn()
    except urllib3.exceptions.HTTPError as error:
        raise UnavailableError(
            f"The issuer's {plain(address, 100)} cannot be reached: {plain(str(error), 100)}."
        ) from None
    finally:
        pool.clear()
    if answer.status != 200 or len(content) > _LARGEST_ANSWER:
        raise UnavailableError(f"The issuer's {plain(address, 100)} answered {answer.status}, {len(content)} bytes.")
    try:
        return parse_json(content, "the issuer's answer")
    except InvalidInputError as error:
        raise UnavailableError(f"The issuer's {plain(address, 100)}: {error}") from None
