"""Who sent a request: by a token, by a JWT of a known issuer, by the cookie of a session, or by a header of a proxy.

The first of them that is there decides; what it says is then true or refused, and no other one is tried. What a cookie
allows to change must come from a page of this server: browsers send cookies along, whoever made the request.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from tfx_pedigree.errors import PedigreeError, UnauthenticatedError
from tfx_pedigree.registry import Identity, Registry, Token, TokenText
from tfx_pedigree.server.addresses import network_of, without_port
from tfx_pedigree.server.attempts import FailedAttempts
from tfx_pedigree.server.forms import check_origin
from tfx_pedigree.server.issuers import Issuer
from tfx_pedigree.server.oidc import Issuers
from tfx_pedigree.server.settings import TrustedProxy

COOKIE = "__Host-pedigree"
SAFE = ("GET", "HEAD")
# Within this time a revoked token is refused by every process.
KNOWN_FOR = 1.0
_MOST_KNOWN = 1024
log = logging.getLogger("tfx_pedigree.server")


@dataclass
class KnownTokens:
    """A short cache of valid tokens, by the digest of their secret: it saves a query for each request."""

    registry: Registry
    _known: OrderedDict[str, tuple[float, Token]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def identity(self, text: str) -> Identity:
        presented = TokenText.parse(text)
        key = f"{presented.id}{presented.digest}" if presented else ""
        with self._lock:
            at, token = self._known.get(key, (0.0, None))
        if token is None or at + KNOWN_FOR < time.monotonic():
            token = self.registry.token_presented(text)
            self._note_use(token)
            with self._lock:
                self._known[key] = (time.monotonic(), token)
                if len(self._known) > _MOST_KNOWN:
                    self._known.popitem(last=False)
        return token.identity

    def _note_use(self, token: Token) -> None:
        try:
            self.registry.note_use(token)
        except PedigreeError as error:  # it is no reason to refuse the request
            log.warning("The use of the token %s was not noted: %s", token.id, error)


class Credentials:
    """The authenticator of a server for several people."""

    def __init__(
        self,
        registry: Registry,
        proxy: TrustedProxy | None = None,
        attempts: FailedAttempts | None = None,
        issuers: Sequence[Issuer] = (),
    ) -> None:
        self._registry = registry
        self.issuers = Issuers(issuers)
        self._proxy = proxy
        self._tokens = KnownTokens(registry)
        self._attempts = attempts or FailedAttempts()

    def identify(self, request: HTTPConnection) -> Identity:
        address = self.address(request)
        self._attempts.check(address)
        try:
            return self._identify(request)
        except UnauthenticatedError:
            if carries_credential(request):
                self._attempts.failed(address)
            raise

    def _identify(self, request: HTTPConnection) -> Identity:
        headers = request.headers.getlist("authorization")
        if len(headers) > 1:
            raise UnauthenticatedError("The request carries more than one credential, so it is not known who asks.")
        if headers:
            return self.of_secret(secret_in(headers[0]))
        if (cookie := request.cookies.get(COOKIE)) is not None:
            if request.scope.get("method") not in SAFE:
                check_origin(request)
            return self._registry.session_presented(cookie)
        if self._proxy is not None and self._proxy.header is not None and self._proxy.trusts(peer(request)):
            return _proxied(request, self._proxy.header)
        raise UnauthenticatedError(
            "The request carries no credential. Send a token (`Authorization: Bearer TOKEN`), which `pedigree tokens "
            "create NAME` makes, or sign in at /sign-in."
        )

    def of_form(self, request: HTTPConnection, secret: str) -> Identity:
        """The identity of somebody who signs in. The caller has checked that a page of this server sent the form."""
        with self.counted(request):
            return self.of_secret(secret)

    @contextlib.contextmanager
    def counted(self, request: HTTPConnection) -> Iterator[None]:
        """Surrounds an attempt to authenticate: after too many failures, further attempts are refused unread."""
        address = self.address(request)
        self._attempts.check(address)
        try:
            yield
        except UnauthenticatedError:
            self._attempts.failed(address)
            raise

    def of_secret(self, text: str) -> Identity:
        """Of a token, or a JWT. A wrong secret for one id is tried only so often; the right one is never refused for
        that."""
        if text.count(".") == 2:
            return self.issuers.identity(text)
        presented = TokenText.parse(text)
        try:
            return self._tokens.identity(text)
        except UnauthenticatedError:
            if presented is not None:
                self._attempts.check(presented.id)
                self._attempts.failed(presented.id)
            raise

    def address(self, request: HTTPConnection) -> str:
        """Whose attempts are counted together: behind trusted proxies, the last address they name that is none of them.
        Some proxies add a line of their own below what a stranger wrote, so all lines count."""
        direct = peer(request)
        if self._proxy is None or not self._proxy.trusts(direct):
            return network_of(direct)
        named = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        others = (one for one in map(without_port, reversed(named)) if not self._proxy.trusts(one))
        return network_of(next(others, direct)) or network_of(direct)


def _proxied(request: HTTPConnection, header: str) -> Identity:
    names = request.headers.getlist(header)
    if len(names) != 1 or not names[0]:
        raise UnauthenticatedError(f"The proxy sent no {header} that names one person, so nobody is known.")
    if request.scope.get("method") not in SAFE:
        check_origin(request)
    return Identity(names[0])


def carries_credential(request: HTTPConnection) -> bool:
    return "authorization" in request.headers or COOKIE in request.cookies


def peer(request: HTTPConnection) -> str:
    return request.client.host if request.client else ""


def secret_in(header: str) -> str:
    """The secret in `Bearer SECRET`, or the password in `Basic …` with any user name."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError, ValueError):
            pass
    raise UnauthenticatedError(
        "The Authorization header is neither `Bearer TOKEN` nor `Basic` with a token as password."
    )
