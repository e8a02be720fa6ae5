"""One attempt of a browser to sign in at an issuer: the code flow of OpenID Connect with PKCE (S256).

The attempt is in a cookie of the browser and nowhere else until it ends in a session: strangers fill no table. From its
secret come the state (only this browser can come back), the nonce (the id_token is for this attempt) and the verifier
(only this server can use the code). Pure: nothing here asks anybody.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError, UnauthenticatedError
from tfx_pedigree.server.issuer_site import Described
from tfx_pedigree.server.issuers import Issuer, SignInWith
from tfx_pedigree.text import plain

COOKIE = "__Host-pedigree-sign-in"
LASTS = timedelta(minutes=10)
# Sent to this server when one signs out, and with nothing else.
LEAVING = "__Secure-pedigree-leaving"
LEAVING_PATH = "/sign-out"
_LONGEST_HINT = 3500  # browsers keep no cookie of more than 4096 bytes
_LEAVING = re.compile(rf"([a-z0-9-]{{1,40}})\.([A-Za-z0-9_.-]{{0,{_LONGEST_HINT}}})")
_LONGEST_COOKIE = 2048
_LONGEST_CODE = 4096
_AGAIN = "Begin again at /sign-in."


@dataclass(frozen=True)
class Attempt:
    """`way` is where the browser was sent, `then` the page that it wanted."""

    secret: str
    way: str
    began: datetime
    then: str

    @classmethod
    def new(cls, way: str, then: str, now: datetime) -> Attempt:
        return cls(secrets.token_urlsafe(32), way, now, then)

    @classmethod
    def of(cls, cookie: str | None, now: datetime) -> Attempt:
        """UnauthenticatedError where this browser began none, or too long ago."""
        try:
            if cookie is None or len(cookie) > _LONGEST_COOKIE:
                raise ValueError
            said = parse_json(base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)), "the cookie")
            secret, way, began, then = said
            found = cls(secret, way, datetime.fromtimestamp(began, timezone.utc), then)
            if not all(isinstance(one, str) for one in (secret, way, then)) or len(secret) < 40:
                raise ValueError
        except (ValueError, TypeError, OverflowError, OSError, InvalidInputError):
            raise UnauthenticatedError(f"This sign-in was not begun in this browser. {_AGAIN}") from None
        if not found.began - timedelta(minutes=1) <= now < found.ends:
            raise UnauthenticatedError(f"This sign-in was begun more than {_minutes()} minutes ago. {_AGAIN}")
        return found

    @property
    def cookie(self) -> str:
        said = json.dumps([self.secret, self.way, int(self.began.timestamp()), self.then])
        return base64.urlsafe_b64encode(said.encode()).rstrip(b"=").decode()

    @property
    def ends(self) -> datetime:
        return self.began + LASTS

    @property
    def state(self) -> str:
        return self._derived("state")

    @property
    def nonce(self) -> str:
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        return self._derived("verifier")

    def _derived(self, purpose: str) -> str:
        return _base64(hmac.new(self.secret.encode(), purpose.encode(), hashlib.sha256).digest())

    def code(self, way: str, issuer: Issuer, described: Described, said: QueryParams) -> str:
        """The code with which the browser came back to `way`, if it is this attempt that ended, and ended well."""
        given = _once(said)
        if not hmac.compare_digest(given.get("state", "").encode(), self.state.encode()) or way != self.way:
            raise UnauthenticatedError(f"What came back is the end of another sign-in. {_AGAIN}")
        named = given.get("iss")
        if named != issuer.issuer and (named is not None or described.names_itself):
            raise UnauthenticatedError(f"What came back is not from {issuer.issuer}. {_AGAIN}")
        if "error" in given:
            raise UnauthenticatedError(
                f"{issuer.issuer} signed nobody in: {plain(given['error'], 60)}. Sign in again, or ask whoever runs it."
            )
        code = given.get("code", "")
        if not code or len(code) > _LONGEST_CODE:
            raise UnauthenticatedError(f"What came back holds no code. {_AGAIN}")
        return code


def sent_to(described: Described, way: SignInWith, attempt: Attempt, redirect: str) -> str:
    """The address to which the browser goes."""
    asked = {
        "response_type": "code",
        "client_id": way.client_id,
        "redirect_uri": redirect,
        "scope": " ".join(way.scopes),
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": _base64(hashlib.sha256(attempt.verifier.encode()).digest()),
        "code_challenge_method": "S256",
    }
    return _with_query(described.authorization or "", asked)


@dataclass(frozen=True)
class Leaving:
    """Where somebody signed in, by name, and as whom: with the id_token, which may be "" where it is too long to keep,
    the issuer knows which session to end."""

    way: str
    id_token: str

    @classmethod
    def of(cls, cookie: str | None) -> Leaving | None:
        found = _LEAVING.fullmatch(cookie or "")
        return cls(found[1], found[2]) if found else None

    @property
    def cookie(self) -> str:
        return f"{self.way}.{self.id_token if len(self.id_token) <= _LONGEST_HINT else ''}"

    def address(self, described: Described, way: SignInWith) -> str | None:
        """Where the session at the issuer ends; None where the issuer has no such thing. It is not asked to send people
        back: most refuse that for addresses that nobody registered, and then end nothing."""
        if described.end_session is None:
            return None
        hint = {"id_token_hint": self.id_token} if self.id_token else {}
        return _with_query(described.end_session, {**hint, "client_id": way.client_id})


def _with_query(address: str, asked: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"


def _once(said: QueryParams) -> Mapping[str, str]:
    names = [name for name, _ in said.multi_items()]
    if len(names) != len(set(names)):
        raise UnauthenticatedError(f"What came back says something twice. {_AGAIN}")
    return dict(said)


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _minutes() -> int:
    return int(LASTS.total_seconds() // 60)
