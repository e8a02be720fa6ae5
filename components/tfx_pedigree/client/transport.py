"""Requests to one server: sent again only where that is safe, and answered with our own refusals.

A question may be asked twice. A change carries an idempotency key, which stays the same when it is sent again: the
server carries it out once, and answers the second request with the first one's answer.
"""

from __future__ import annotations

import functools
import re
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from tfx_pedigree import __version__
from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.client.address import TOKEN_VARIABLE, ServerAddress
from tfx_pedigree.errors import InvalidInputError, PedigreeError, UnauthenticatedError, UnavailableError
from tfx_pedigree.json_form import read
from tfx_pedigree.retry_policy import RetryPolicy
from tfx_pedigree.text import format_size, plain
from tfx_pedigree.wire import (
    KEY_HEADER,
    PREFIX,
    PROBLEM,
    Call,
    Kind,
    Operation,
    Problem,
    call_of,
    error_of,
    read_lines,
)

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

T = TypeVar("T")

LARGEST_ANSWER = 256 << 20
_LARGEST_REFUSAL = 1 << 20
_PIECE = 1 << 20
_CONNECT = 10.0
# A bucket sends a piece within this time, else the server is asked.
_BUCKET = 30.0
# What is sent when a connection is silent, so that a computer that is gone is missed within two minutes.
_ALIVE = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), seconds)
        for name, seconds in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6))
        if hasattr(socket, name)
    ),
]
_CONNECTION = re.compile(r"^(<[^>]*>|\w+\([^)]*\)): ")
# Checking a whole registry takes its time, as bytes do, and nothing comes before it is done.
_ANSWER = 3600.0
_SOON = 300.0
_LONG = frozenset({"verify", "verify_audit"})
# A proxy's words for a server that is just not there.
_PASSING = (502, 503, 504)


class Transport:
    """Safe to use from several threads."""

    def __init__(self, address: ServerAddress, patience: RetryPolicy | None = None) -> None:
        self.url = address.url
        # Whether bytes may be fetched from where the server says; not again where that failed.
        self.direct = True
        self._patience = patience or RetryPolicy.from_environment()
        self._headers = {"user-agent": f"tfx-pedigree/{__version__}", "accept-encoding": "identity"}
        if address.token is not None:
            self._headers["authorization"] = f"Bearer {address.token}"

    def call(self, operation: Operation, arguments: Mapping[str, Any]) -> Any:
        call = _call(operation, arguments)
        key = {KEY_HEADER: str(uuid.uuid4())} if operation.kind is Kind.CHANGE else {}
        seconds = _ANSWER if operation.name in _LONG else _SOON
        content = self.request(call.method, PREFIX + call.path, whole_of, call.body, key, seconds=seconds)
        what = f"the server's answer for {operation.path}"
        try:
            said = parse_json(content, what, largest=LARGEST_ANSWER)
        except InvalidInputError as error:
            raise self._no_server(f"with what is no answer: {error}") from error
        try:
            return read(operation.result, said, what)
        except InvalidInputError as error:  # it is nothing that the caller has given
            raise UnavailableError(
                f"{self.url} answers in a form that this release of tfx-pedigree ({__version__}) does not know: {error}"
                f" The server's own release stands in {self.url}{PREFIX}/openapi.json; install that one here."
            ) from error

    def stream(self, operation: Operation, arguments: Mapping[str, Any]) -> Iterator[Any]:
        call = _call(operation, arguments)
        response = self.request(call.method, PREFIX + call.path, _as_it_is)
        try:
            yield from read_lines(operation, _lines(Transport.pieces(response)))
        except PassingError as error:
            raise error.told(changing=False) from error
        finally:
            response.close()

    def request(
        self,
        method: str,
        path: str,
        take: Callable[[BaseHTTPResponse], T],
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float = _ANSWER,
    ) -> T:
        """What `take` makes of the response, of a request that may be sent again. Every refusal is raised."""
        changing = KEY_HEADER in (headers or {})
        return self.patiently(lambda: take(self.response(method, path, body, headers or {}, seconds)), changing)

    def patiently(self, work: Callable[[], T], changing: bool = False) -> T:
        """What `work` gives, tried again for a while if it breaks off."""
        arrived = False

        def once() -> T:
            nonlocal arrived
            try:
                return work()
            except PassingError as error:
                arrived |= error.arrived
                raise

        try:
            return self._patience.calls(once, PassingError, lambda error: error.lasting)
        except PassingError as error:
            raise error.told(changing=changing and arrived) from error

    def response(
        self, method: str, path: str, body: Any, headers: Mapping[str, str], seconds: float = _ANSWER
    ) -> BaseHTTPResponse:
        """The response to one request, its content still to be read. PassingError: it may be sent again."""
        import urllib3  # noqa: PLC0415  as below

        kind = {"content-type": "application/json"} if isinstance(body, bytes) else {}
        try:
            response = self._pool.urlopen(
                method,
                self.url + path,
                body=body() if callable(body) else body,
                headers={**self._headers, **kind, **headers},
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
                enforce_content_length=True,
                timeout=urllib3.Timeout(connect=_CONNECT, read=seconds),
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error, seconds) from error
        if (coding := response.headers.get("content-encoding", "identity")) != "identity":
            # Nobody asked for it, and a few bytes of it could become any number.
            response.close()
            raise self._no_server(f"in the coding {plain(coding, 40)}")
        if response.status < 300:
            return response
        refusal = self._refusal(response)
        raise PassingError(str(refusal), refusal) if response.status in _PASSING else refusal

    def elsewhere(self, url: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        """The response of a bucket, to which no token is sent. UnavailableError where it gives no bytes."""
        import urllib3  # noqa: PLC0415  as below

        if not url.startswith("https://") and not self.url.startswith("http://"):
            raise UnavailableError("The bytes would not be encrypted on their way.")
        told = {"user-agent": self._headers["user-agent"], "accept-encoding": "identity", **headers}
        options: dict[str, Any] = {"redirect": False, "retries": False, "preload_content": False}
        options |= {"enforce_content_length": True, "decode_content": False}
        try:
            response = self._pool.request("GET", url, headers=told, timeout=_BUCKET, **options)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise UnavailableError("The bucket cannot be reached.") from error
        if response.status != (206 if "range" in headers else 200):
            response.close()
            raise UnavailableError(f"The bucket answered {response.status}.")
        return response

    @staticmethod
    def pieces(response: BaseHTTPResponse) -> Iterator[bytes]:
        """The content as it comes. PassingError where it breaks off."""
        import urllib3  # noqa: PLC0415  as above

        try:
            while piece := response.read(_PIECE):
                yield piece
        except urllib3.exceptions.HTTPError as error:
            late = isinstance(error, urllib3.exceptions.ReadTimeoutError)
            cause = plain(str(error.args[0] if error.args else error), 200)
            raise PassingError(f"The server's answer broke off: {cause}.", lasting=late) from error
        response.release_conn()

    @functools.cached_property
    def _pool(self) -> PoolManager:
        import urllib3  # noqa: PLC0415  for those alone who use a server

        return urllib3.PoolManager(num_pools=2, maxsize=16, socket_options=_ALIVE, cert_reqs="CERT_REQUIRED")

    def _unreachable(self, error: Exception, seconds: float) -> PassingError:
        import urllib3  # noqa: PLC0415  as above

        # urllib3 begins with the connection as Python shows it.
        cause = plain(_CONNECTION.sub("", str(getattr(error, "reason", None) or error)), 200)
        if "CERTIFICATE_VERIFY_FAILED" in cause:
            told = (
                f"The certificate of the server {self.url} is not trusted: {cause}. Where it is one of your own "
                "authority, name that authority's file in the environment variable SSL_CERT_FILE."
            )
            return PassingError(told, UnavailableError(told))
        if isinstance(error, urllib3.exceptions.ReadTimeoutError):
            told = f"The server {self.url} took the request and did not answer within {seconds:.0f} s."
            return PassingError(told, arrived=True, lasting=True)
        arrived = not isinstance(error, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError))
        return PassingError(f"The server {self.url} cannot be reached: {cause}.", arrived=arrived)

    def _refusal(self, response: BaseHTTPResponse) -> PedigreeError:
        """In the server's own words, if it is one of ours."""
        try:
            content = whole_of(response, _LARGEST_REFUSAL)
            if response.headers.get("content-type") == PROBLEM:
                return self._named(error_of(read(Problem, parse_json(content, "the refusal"), "the refusal")))
        except (InvalidInputError, UnavailableError, PassingError):
            response.close()
        return self._no_server(f"{response.status} {plain(response.reason or '', 80)}".strip())

    def _no_server(self, answers: str) -> UnavailableError:
        return UnavailableError(
            f"{self.url} answers {answers}, and not as a Pedigree server does. Check the address, and what stands "
            "between."
        )

    def _named(self, error: PedigreeError) -> PedigreeError:
        if isinstance(error, UnauthenticatedError) and "authorization" not in self._headers:
            return UnauthenticatedError(
                f"The server {self.url} wants to know who you are. Set your token as the environment variable "
                f"{TOKEN_VARIABLE}."
            )
        return error

    def close(self) -> None:
        if "_pool" in vars(self):
            self._pool.clear()


class PassingError(Exception):
    """What may be over in a moment, but for what is `lasting`. `refusal` is what to say if it is not, where that is
    known; `arrived` says whether the server may have got the request."""

    def __init__(
        self, happened: str, refusal: PedigreeError | None = None, *, arrived: bool = True, lasting: bool = False
    ) -> None:
        super().__init__(happened)
        self.arrived, self.lasting = arrived, lasting
        self._refusal = refusal

    def told(self, *, changing: bool) -> PedigreeError:
        if self._refusal is not None:
            return self._refusal
        if changing:
            return UnavailableError(
                f"{self} A change was on its way: it is either whole or not there. Run the command again: what is done "
                "already is found, and done no second time."
            )
        return UnavailableError(
            f"{self} Nothing was changed. Check the address and the server, then run the command again."
        )


def _as_it_is(response: BaseHTTPResponse) -> BaseHTTPResponse:
    return response


def _call(operation: Operation, arguments: Mapping[str, Any]) -> Call:
    try:
        return call_of(operation, arguments)
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{plain(error.object, 40)!r} holds half of a character (a lone surrogate), and no database can hold that. "
            "Give it as UTF-8 text."
        ) from error
    except (RecursionError, TypeError) as error:
        raise InvalidInputError(f"What was given cannot be sent: it cannot be written as JSON ({error}).") from error


def whole_of(response: BaseHTTPResponse, most: int = LARGEST_ANSWER) -> bytes:
    """All of the content; the connection is free for the next request then."""
    content = bytearray()
    for piece in Transport.pieces(response):
        content += piece
        if len(content) > most:
            response.close()
            raise UnavailableError(f"The server's answer is larger than {format_size(most)}. Ask for less.")
    return bytes(content)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held = b""
    for piece in pieces:
        *whole, held = (held + piece).split(b"\n")
        yield from whole
        if len(held) > LARGEST_ANSWER:
            raise UnavailableError(f"A line of the server's answer is larger than {format_size(LARGEST_ANSWER)}.")
    if held:
        yield held
