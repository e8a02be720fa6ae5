"""MLflow's registry protocol: each request is one endpoint of the table, and one hop into a thread."""

from __future__ import annotations

import io
import json
import logging
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.routing import BaseRoute, Mount
from starlette.types import Receive, Scope, Send

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError, NotFoundError, PedigreeError
from tfx_pedigree.integrations.mlflow import (
    ENDPOINTS,
    PREFIX,
    Endpoint,
    Facade,
    File,
    Refusal,
    arguments_of,
    listed,
    refusal_of,
)
from tfx_pedigree.kept import Kept
from tfx_pedigree.server.answers import JSON, NOT_STORED, Answer, bug_sentence
from tfx_pedigree.server.bodies import read_body
from tfx_pedigree.server.context import RouteGroup, Server
from tfx_pedigree.server.streams import send_pieces, start
from tfx_pedigree.server.timing import measured
from tfx_pedigree.text import plain

LARGEST_BODY = 1 << 20
_PIECE = 1 << 20
_MOST_PARAMETERS = 100
_API = PREFIX.removesuffix("/mlflow")
ARTIFACTS = "/mlflow-artifacts/artifacts"
_BY_PATH = {(method, f"/mlflow{one.path}"): one for one in ENDPOINTS for method in one.methods}
log = logging.getLogger("tfx_pedigree.server")


def _routes(server: Server) -> Sequence[BaseRoute]:
    return [Mount(_API, _Registry(server)), Mount("/api/3.0/mlflow", _about)]


MLFLOW = RouteGroup("mlflow", _routes)


async def _about(scope: Scope, receive: Receive, send: Send) -> None:
    """What newer clients ask first, without a credential: nothing of what they could go on to ask for is here."""
    del receive
    if scope["path"].endswith("/mlflow/server-info"):
        await _answer({"store_type": None, "workspaces_enabled": False}).send(send)
    else:
        await _refused(_no_endpoint(scope)).send(send)


class _Registry:
    def __init__(self, server: Server) -> None:
        self._server = server
        # Of a version, and so for good: a download asks for each of its files.
        self._files: Kept[tuple[File, ...]] = Kept(64)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"].removeprefix(_API), scope["method"]
        endpoint = _BY_PATH.get((method, path))
        if endpoint is not None:
            await self._ask(endpoint, scope, receive, send)
        elif path == ARTIFACTS and method == "GET":
            await (await self._server.bytes.run(_guarded, self._list, scope)).send(send)
        elif path.startswith(f"{ARTIFACTS}/") and method in ("GET", "HEAD"):
            await self._download(path.removeprefix(f"{ARTIFACTS}/"), scope, receive, send)
        else:
            await _refused(_no_endpoint(scope)).send(send, head=method == "HEAD")

    async def _ask(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        try:
            body = await read_body(scope, receive, LARGEST_BODY)
        except ClientDisconnect:
            return
        except PedigreeError as error:
            await _refused(refusal_of(error)).send(send)
            return
        pool = self._server.changes if endpoint.changes else self._server.questions
        answer = await pool.run(_guarded, self._endpoint, scope, endpoint, body)
        measured(f"mlflow.{endpoint.name}", answer.status, time.perf_counter() - began)
        await answer.send(send)

    def _endpoint(self, scope: Scope, endpoint: Endpoint, body: bytes) -> dict[str, Any]:
        facade = self._facade(scope)
        sent = _query(scope["query_string"]) if scope["method"] == "GET" else _body(body)
        return facade.answer(endpoint, arguments_of(endpoint, sent))

    def _facade(self, scope: Scope) -> Facade:
        return Facade(self._server.workspace(HTTPConnection(scope)), self._address(scope) + _API + ARTIFACTS)

    def _address(self, scope: Scope) -> str:
        """As the client knows this server. The host is one of the server's own names, or it would not be here."""
        settings = self._server.settings
        return str(settings.public_url or f"{settings.scheme}://{Headers(scope=scope)['host']}")

    def _list(self, scope: Scope) -> dict[str, Any]:
        asked = _query(scope["query_string"]).get("path", "")
        _, files, inside = self._of_version(scope, asked if isinstance(asked, str) else "")
        return {"files": listed(files, inside)}

    def _of_version(self, scope: Scope, path: str) -> tuple[str, tuple[File, ...], str]:
        """The digest and the files of the version that a path names, and what comes after it."""
        model, _, rest = path.strip("/").partition("/")
        sequence, _, inside = rest.partition("/")
        if not re.fullmatch("[0-9]{1,9}", sequence):
            raise NotFoundError(f"There is nothing at {plain(path, 100)!r}: paths are MODEL/VERSION/FILE.")
        facade = self._facade(scope)
        version = facade.version(model, int(sequence))  # also refuses who may not read it
        key = f"{version.digest} {version.name}"
        files = self._files.get(key)
        if files is None:
            files = facade.files(version)
            self._files.keep(key, files)
        return version.digest, files, inside

    async def _download(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            size, pieces = await self._server.bytes.run(self._open, scope, path)
        except Exception as error:  # noqa: BLE001  as below
            await _refused(_told(scope, error)).send(send, head=scope["method"] == "HEAD")
            return
        own = {"content-type": "application/octet-stream", "content-length": str(size), **NOT_STORED}
        await start(send, 200, {**own, "x-content-type-options": "nosniff", "content-disposition": "attachment"})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        first = await self._server.bytes.run(next, pieces, b"")
        await send_pieces(self._server, pieces, first, receive, send)

    def _open(self, scope: Scope, path: str) -> tuple[int, Generator[bytes, None, None]]:
        """MLflow's client takes bytes as they come, so all of a file is verified before the first of them is sent."""
        digest, files, inside = self._of_version(scope, path)
        file = next((one for one in files if one.path == inside), None)
        if file is None:
            raise NotFoundError(f"The version has no file {plain(inside, 100)!r}.")
        store = self._server.registry.store
        opened = io.BytesIO(file.made) if file.stored is None else store.open_file(digest, file.stored)
        return file.size, _pieces(opened)


def _pieces(opened: BinaryIO) -> Generator[bytes, None, None]:
    with opened:
        while piece := opened.read(_PIECE):
            yield piece


def _guarded(work: Callable[..., dict[str, Any]], scope: Scope, *arguments: Any) -> Answer:
    try:
        return _answer(work(scope, *arguments))
    except Exception as error:  # noqa: BLE001  the boundary: whoever asked gets a sentence, the log the traceback
        return _refused(_told(scope, error))


def _told(scope: Scope, error: Exception) -> Refusal:
    if isinstance(error, PedigreeError):
        return refusal_of(error)
    log.error("%s %s failed", scope["method"], plain(scope["path"], 200), exc_info=error)
    return Refusal(500, "INTERNAL_ERROR", bug_sentence(error))


def _answer(value: Mapping[str, Any]) -> Answer:
    return Answer(200, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), JSON, NOT_STORED)


def _refused(refusal: Refusal) -> Answer:
    return Answer(refusal.status, json.dumps(refusal.to_json(), ensure_ascii=False).encode(), JSON, NOT_STORED)


def _no_endpoint(scope: Scope) -> Refusal:
    told = (
        f"{scope['method']} {plain(scope['path'], 100)} is not spoken here: of MLflow's protocol, this server has the "
        "model registry and the downloads of its versions. Runs, experiments and uploads belong on a tracking server: "
        "set MLFLOW_TRACKING_URI to yours, and MLFLOW_REGISTRY_URI to this one."
    )
    return Refusal(404, "ENDPOINT_NOT_FOUND", told)


def _query(query: bytes) -> dict[str, Any]:
    """A name that is repeated is a list."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:  # also of what is not UTF-8
        raise InvalidInputError(
            f"The query cannot be read: it is not UTF-8 in percent signs, or has more than {_MOST_PARAMETERS} parts."
        ) from None
    found: dict[str, Any] = {}
    for name, text in pairs:
        found[name] = text if name not in found else [*_many(found[name]), text]
    return found


def _many(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _body(body: bytes) -> Mapping[str, Any]:
    found = parse_json(body, "the body of the request", largest=LARGEST_BODY) if body else {}
    if not isinstance(found, dict):
        raise InvalidInputError("The body of the request must be a JSON object.")
    return found
