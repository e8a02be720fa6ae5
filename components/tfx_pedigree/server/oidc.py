"""JWTs of issuers that are configured: CI jobs, workloads and people prove who they are without a secret of ours.

A JWT counts when a key of its issuer signed it, it is meant for this server (audience), it is in its time, and its
claims are those that are required. Which claims make up the principal is the administrator's to say.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError, UnauthenticatedError
from tfx_pedigree.registry import Identity
from tfx_pedigree.server.issuer_site import IssuerSite
from tfx_pedigree.server.issuers import CLAIM, Issuer, SignInWith
from tfx_pedigree.text import plain

LEEWAY = 60
# Symmetric algorithms and `none` are no proof: whoever knows the public key could use them.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_LONGEST = 16 << 10


class Issuers:
    """Says who presents a JWT, and who signed in where a browser was sent."""

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        self._sites = {one.issuer: IssuerSite(one) for one in issuers}
        self.ways = {one.sign_in.name: (one.sign_in, self._sites[one.issuer]) for one in issuers if one.sign_in}

    def identity(self, text: str) -> Identity:
        site = self._site_of(text)
        audience = site.issuer.audience
        if audience is None:
            raise UnauthenticatedError(
                f"The JWTs of {site.issuer.issuer} are no credentials here: sign in at /sign-in."
            )
        claims = _verified(site, text, audience, {})
        return replace(_identity(site.issuer, claims), expires_at=_end(site.issuer, claims))

    @staticmethod
    def signed_in(way: SignInWith, site: IssuerSite, text: str, nonce: str, now: datetime) -> Identity:
        """Of an id_token that was fetched for a code. It was made for this one sign-in, and says so with the nonce."""
        claims = _verified(site, text, way.client_id, {"iat": {"essential": True}, "sub": {"essential": True}})
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and claims.get("azp") != way.client_id:
            raise UnauthenticatedError(f"{way.title} signed somebody in for another service, not for this one.")
        said = claims.get("nonce")
        if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
            raise UnauthenticatedError(f"{way.title} answered another sign-in than this one. Begin again at /sign-in.")
        return replace(_identity(site.issuer, claims), expires_at=now + timedelta(hours=way.hours))

    def _site_of(self, text: str) -> IssuerSite:
        """By what the JWT says, which is believed only when its signature is that issuer's."""
        try:
            payload = text.split(".")[1]
            said = parse_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), "the JWT")
            name = str(said.get("iss")) if len(text) <= _LONGEST and isinstance(said, dict) else None
        except (IndexError, binascii.Error, ValueError, InvalidInputError):
            name = None
        found = self._sites.get(name or "")
        if name is None:
            raise UnauthenticatedError(
                "This is neither a token nor a JWT that can be read. Check that it was copied whole."
            )
        if found is None:
            raise UnauthenticatedError(f"This server knows no issuer {plain(name, 100)} of JWTs.")
        return found


def _verified(site: IssuerSite, text: str, audience: str, more: Mapping[str, Any]) -> dict[str, Any]:
    from joserfc import jwt  # noqa: PLC0415  only where issuers are configured
    from joserfc.errors import JoseError  # noqa: PLC0415

    issuer = site.issuer.issuer
    registry = jwt.JWTClaimsRegistry(
        leeway=LEEWAY,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
        **more,
    )
    try:
        if len(text) > _LONGEST:
            raise ValueError("it is too long")
        for newer in (False, True):
            try:
                token = jwt.decode(text, site.keys(newer=newer), algorithms=ALGORITHMS)
                break
            except (JoseError, ValueError):
                if newer:
                    raise
        registry.validate(token.claims)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise UnauthenticatedError(
            f"The JWT of {issuer} proves nothing here: {plain(str(error), 150)}. It must be signed by its issuer, be "
            f"in its time, and name the audience {audience}."
        ) from None
    return dict(token.claims)


def _end(issuer: Issuer, claims: Mapping[str, Any]) -> datetime:
    try:
        return datetime.fromtimestamp(int(claims["exp"]), timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise UnauthenticatedError(
            f"The JWT of {issuer.issuer} ends at {plain(repr(claims['exp']), 40)}, which is no time of any calendar."
        ) from None


def _identity(issuer: Issuer, claims: Mapping[str, Any]) -> Identity:
    for name, wanted in issuer.require.items():
        if claims.get(name) != wanted:
            raise UnauthenticatedError(
                f"The JWT of {issuer.issuer} has {plain(repr(claims.get(name)), 80)} as {name}, and this server takes "
                f"only {wanted}."
            )
    return Identity(_principal(issuer, claims), None, issuer.scope, _groups(issuer, claims))


def _principal(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    def claim(match: re.Match[str]) -> str:
        value = claims.get(match[1])
        if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
            raise UnauthenticatedError(f"The JWT of {issuer.issuer} has no claim {match[1]} that names somebody.")
        if match[1] == "email" and claims.get("email_verified", True) not in (True, "true"):
            raise UnauthenticatedError(
                f"{issuer.issuer} has not verified the address {plain(str(value), 100)}, so it names nobody here."
            )
        return str(value)

    return CLAIM.sub(claim, issuer.principal)


def _groups(issuer: Issuer, claims: Mapping[str, Any]) -> tuple[str, ...]:
    found = claims.get(issuer.groups) if issuer.groups else None
    names = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return tuple(name for name in names if isinstance(name, str))
