"""`/api/v1`: each request is one operation of the table, and one hop into a thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import Receive, Scope, Send

from tfx_pedigree import __version__
from tfx_pedigree.digest import digest_of
from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.lineage.api import LineageApi
from tfx_pedigree.registry import Registry, RegistryApi, RequestKey
from tfx_pedigree.rollout.api import RolloutApi
from tfx_pedigree.server import answers
from tfx_pedigree.server.answers import Answer
from tfx_pedigree.server.bodies import TooLargeError, read_body
from tfx_pedigree.server.content import ServedStore
from tfx_pedigree.server.context import Server
from tfx_pedigree.server.streams import send_pieces, start
from tfx_pedigree.server.timing import measured
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.wire import (
    KEY_HEADER,
    NDJSON,
    OPERATIONS,
    PREFIX,
    About,
    Found,
    Kind,
    Operation,
    Problem,
    Router,
    ServerApi,
    StoreApi,
    arguments_of,
    write_lines,
)
from tfx_pedigree.wire.requests import LARGEST_BODY


@dataclass(frozen=True)
class AboutServer(ServerApi):
    """`registry` is that of whoever asks."""

    registry: Registry

    def about(self) -> About:
        return About(self.registry.actor, self.registry.identity, __version__)


_TARGETS: dict[type, Callable[[Registry], Any]] = {
    RegistryApi: lambda registry: registry,
    LineageApi: lambda registry: Workspace(registry).lineage,
    StoreApi: ServedStore,
    RolloutApi: lambda registry: Workspace(registry).rollouts,
    ServerApi: AboutServer,
}

log = logging.getLogger("tfx_pedigree.server")


class Api:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._router = Router(OPERATIONS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("latin-1").removeprefix(PREFIX)
        found = self._router.find(scope["method"], path)
        if isinstance(found, frozenset):
            await _no_operation(scope, found).send(send, head=scope["method"] == "HEAD")
            return
        try:
            body = await read_body(scope, receive, LARGEST_BODY)
        except ClientDisconnect:
            return
        except PedigreeError as error:
            await _unreadable(error).send(send)
            return
        if found.operation.kind is Kind.STREAM:
            await self._stream(found, scope, body, receive, send)
            return
        began = time.perf_counter()
        change = found.operation.kind is Kind.CHANGE
        pool = self._server.changes if change else self._server.questions
        answer = await pool.run(self._answer, found, scope, body)
        measured(found.operation.name, answer.status, time.perf_counter() - began)
        await answer.send(send, head=scope["method"] == "HEAD")

    def _answer(self, found: Found, scope: Scope, body: bytes) -> Answer:
        try:
            content = self._content(found, scope, body)
        except Exception as error:  # noqa: BLE001  the boundary: whoever asked gets a sentence, the log the traceback
            return _failure(found.operation, error)
        if found.operation.method == "GET":
            return answers.tagged(content, Headers(scope=scope).get("if-none-match"))
        return answers.untagged(content)

    def _content(self, found: Found, scope: Scope, body: bytes) -> bytes:
        key = Headers(scope=scope).get(KEY_HEADER)
        if found.operation.kind is not Kind.CHANGE or key is None:
            return answers.json_bytes(self._result(found, scope, body))
        registry, call = self._prepared(found, scope, body)
        asked = b"\0".join((scope["method"].encode(), scope["raw_path"], scope["query_string"], body))
        return registry.once(RequestKey(key, digest_of(asked)), call).encode()

    def _result(self, found: Found, scope: Scope, body: bytes) -> Any:
        registry, call = self._prepared(found, scope, body)
        return call(registry)

    def _prepared(self, found: Found, scope: Scope, body: bytes) -> tuple[Registry, Callable[[Registry], Any]]:
        """For whom, and what: all that can be wrong with the request itself is refused here."""
        operation = found.operation
        registry = self._server.acting(HTTPConnection(scope))
        arguments = arguments_of(operation, found.segments, scope["query_string"], body)
        target = _TARGETS[operation.api]
        return registry, lambda acting: getattr(target(acting), operation.name)(**arguments)

    async def _stream(self, found: Found, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        try:
            items = await self._server.ask(self._result, found, scope, body)
            pieces = write_lines(items)
            first = await self._server.bytes.run(next, pieces)
        except Exception as error:  # noqa: BLE001  as above
            await _failure(found.operation, error).send(send)
            return
        await start(send, HTTPStatus.OK, {"content-type": NDJSON, **answers.NOT_STORED})
        await send_pieces(self._server, pieces, first, receive, send)


def _failure(operation: Operation, error: Exception) -> Answer:
    if isinstance(error, PedigreeError):
        return answers.refusal(error)
    log.error("%s %s failed", operation.method, operation.path, exc_info=error)
    return answers.bug(error)


def _no_operation(scope: Scope, methods: frozenset[str]) -> Answer:
    if methods:
        allowed = ", ".join(sorted(methods))
        told = f"This path knows {allowed}, and not {scope['method']}. See /api for all operations."
        return answers.problem(Problem.of(HTTPStatus.METHOD_NOT_ALLOWED, told, "invalid-input"), {"allow": allowed})
    told = "There is no operation at this path. See /api for all operations."
    return answers.problem(Problem.of(HTTPStatus.NOT_FOUND, told, "not-found"))


def _unreadable(error: PedigreeError) -> Answer:
    """What is left of the body is not read, so the connection ends."""
    large = isinstance(error, TooLargeError)
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if large else HTTPStatus.BAD_REQUEST
    return answers.problem(Problem.of(status, str(error), error.kind), {"connection": "close"})
