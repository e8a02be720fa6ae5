"""An issuer over the network: what it says of itself, its keys, and what it gives for a code. All of it is fetched over
TLS within bounds of time and size, from where it was said to be and from nowhere else."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import SplitResult, quote_plus, urlencode, urlsplit

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError, PedigreeError, UnauthenticatedError, UnavailableError
from tfx_pedigree.server.addresses import check_address
from tfx_pedigree.server.issuers import Issuer, SignInWith
from tfx_pedigree.text import plain

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

T = TypeVar("T")

_LARGEST_ANSWER = 256 << 10
_MOST_KEYS = 100
_LAST = 3600.0
# A key that nobody knows is looked for only so often, whoever sends it.
_ASK_AGAIN = 60.0
# While an issuer is away, not every request waits for it.
_AWAY = 5.0
# In seconds: between two pieces of an answer, and for all of it.
_STEP = 5.0
_WITHIN = 15.0


@dataclass(frozen=True)
class Described:
    """What an issuer says of itself, as far as it is needed."""

    jwks: str
    authorization: str | None = None
    token: str | None = None
    end_session: str | None = None
    secret_in_body: bool = False
    names_itself: bool = False

    @classmethod
    def of(cls, issuer: Issuer, said: object) -> Described:
        if not isinstance(said, Mapping) or said.get("issuer") != issuer.issuer:
            raise UnavailableError(f"{issuer.issuer} does not describe itself as that issuer with its keys.")
        methods = said.get("code_challenge_methods_supported")
        if issuer.sign_in is not None and isinstance(methods, list) and "S256" not in methods:
            raise UnavailableError(f"{issuer.issuer} knows no PKCE with S256, so nobody is sent there to sign in.")
        ways = said.get("token_endpoint_auth_methods_supported")
        basic = not isinstance(ways, list) or "client_secret_basic" in ways or "client_secret_post" not in ways
        needed = issuer.sign_in is not None
        return cls(
            issuer.jwks or _endpoint(issuer, said, "jwks_uri"),
            _endpoint(issuer, said, "authorization_endpoint") if needed else None,
            _endpoint(issuer, said, "token_endpoint") if needed else None,
            _endpoint(issuer, said, "end_session_endpoint") if needed and "end_session_endpoint" in said else None,
            not basic,
            said.get("authorization_response_iss_parameter_supported") is True,
        )


def _endpoint(issuer: Issuer, said: Mapping[object, object], name: str) -> str:
    found = said.get(name)
    try:
        if isinstance(found, str):
            return check_address(found, "an endpoint")
    except InvalidInputError as error:
        raise UnavailableError(f"{issuer.issuer} describes itself with a {name} that is not used: {error}") from None
    raise UnavailableError(f"{issuer.issuer} does not describe itself as that issuer with its keys: no {name}.")


class IssuerSite:
    """One issuer. What it said is kept for an hour; those who ask at the same time wait for one answer."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self._lock = threading.Lock()
        self._described: tuple[float, Described] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._failed: tuple[float, PedigreeError] | None = None

    def described(self) -> Described:
        with self._lock:
            return self._patiently(self._describe)

    def keys(self, *, newer: bool = False) -> KeySet:
        """With `newer`, asked again unless that was done a moment ago: an issuer may have a new key."""
        with self._lock:
            lasts = _ASK_AGAIN if newer else _LAST
            if self._keys is None or _age(self._keys) > lasts:
                self._keys = (time.monotonic(), self._patiently(self._fetch_keys))
            return self._keys[1]

    def id_token(self, way: SignInWith, code: str, verifier: str, redirect: str) -> str:
        """What the issuer gives for a code. UnauthenticatedError where it does not take it."""
        described = self.described()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier}
        headers = {"content-type": "application/x-www-form-urlencoded"}
        secret = way.secret
        if secret is None or described.secret_in_body:
            form |= {"client_id": way.client_id} | ({"client_secret": secret} if secret is not None else {})
        else:
            both = f"{quote_plus(way.client_id)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
        status, said = self._asked("POST", described.token or "", urlencode(form).encode(), headers)
        token = said.get("id_token") if isinstance(said, Mapping) else None
        if status == 200 and isinstance(token, str):
            return token
        told = said.get("error") if isinstance(said, Mapping) else None
        if status in (400, 401) and told == "invalid_grant":
            raise UnauthenticatedError(f"{way.title} does not take this sign-in any more. Begin again at /sign-in.")
        answered = f"{status} {plain(told, 60)}" if isinstance(told, str) else str(status)
        raise UnavailableError(
            f"{self.issuer.issuer} answered {answered} and gave no id_token. Whoever runs this server must look at "
            f"`sign_in` in its issuers: the client, its secret, and whether {redirect} is known there as its redirect "
            "address."
        )

    def _describe(self) -> Described:
        if self._described is None or _age(self._described) > _LAST:
            issuer = self.issuer
            if issuer.jwks is not None and issuer.sign_in is None:
                found = Described(issuer.jwks)
            else:
                found = Described.of(issuer, self._got(f"{issuer.issuer.rstrip('/')}/.well-known/openid-configuration"))
            self._described = (time.monotonic(), found)
        return self._described[1]

    def _fetch_keys(self) -> KeySet:
        from joserfc.errors import JoseError  # noqa: PLC0415  only where issuers are configured
        from joserfc.jwk import KeySet  # noqa: PLC0415

        address = self._describe().jwks
        said = self._got(address)
        try:
            if not isinstance(said, Mapping) or not isinstance(said["keys"], list) or len(said["keys"]) > _MOST_KEYS:
                raise ValueError(f"it is no list of at most {_MOST_KEYS} keys")
            return KeySet.import_key_set(said)  # type: ignore[arg-type]
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UnavailableError(
                f"The keys at {plain(address, 100)} cannot be read: {plain(str(error), 100)}."
            ) from None

    def _patiently(self, work: Callable[[], T]) -> T:
        """An issuer that was away a moment ago is not asked again at once."""
        if self._failed is not None and _age(self._failed) < _AWAY:
            raise self._failed[1]
        try:
            return work()
        except UnavailableError as error:
            self._failed = (time.monotonic(), error)
            raise

    def _got(self, address: str) -> object:
        status, said = self._asked("GET", address)
        if status != 200:
            raise UnavailableError(f"The issuer's {plain(address, 100)} answered {status}.")
        return said

    def _asked(
        self, method: str, address: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, object]:
        """The status and the JSON of the answer. A redirection is an answer like others; nobody follows it."""
        shown = plain(address.partition("?")[0], 100)
        connection = _connection(urlsplit(address), self.issuer.ca_file)
        told = {"accept": "application/json", "accept-encoding": "identity", **(headers or {})}
        late = threading.Timer(_WITHIN, _cut, [connection])
        late.daemon = True
        late.start()
        try:
            connection.request(method, _target(urlsplit(address)), body, told)
            answer = connection.getresponse()
            content = answer.read(_LARGEST_ANSWER + 1)
            if answer.length and len(content) <= _LARGEST_ANSWER:
                raise IncompleteRead(content, answer.length)
        except (OSError, HTTPException) as error:
            cause = plain(str(error) or type(error).__name__, 150)
            trust = " Name its authority with `ca_file`." if "CERTIFICATE_VERIFY_FAILED" in cause else ""
            raise UnavailableError(f"The issuer's {shown} cannot be reached: {cause}.{trust}") from None
        finally:
            late.cancel()
            connection.close()
        if len(content) > _LARGEST_ANSWER:
            raise UnavailableError(f"The issuer's {shown} answered with more than {_LARGEST_ANSWER >> 10} KiB.")
        try:
            return answer.status, parse_json(content, "the issuer's answer")
        except InvalidInputError as error:
            if answer.status != 200:
                return answer.status, None
            raise UnavailableError(f"The issuer's {shown}: {error}") from None


def _connection(address: SplitResult, ca_file: str | None) -> HTTPConnection:
    """Redirections and proxies are followed by nobody who has this alone."""
    host = address.hostname or ""
    if address.scheme == "http":
        return HTTPConnection(host, address.port, timeout=_STEP)
    return HTTPSConnection(host, address.port, timeout=_STEP, context=ssl.create_default_context(cafile=ca_file))


def _cut(connection: HTTPConnection) -> None:
    """An answer that comes byte by byte has an end, too."""
    with contextlib.suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _target(address: SplitResult) -> str:
    return f"{address.path or '/'}{f'?{address.query}' if address.query else ''}"


def _age(kept: tuple[float, object]) -> float:
    return time.monotonic() - kept[0]
