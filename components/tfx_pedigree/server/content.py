"""The bytes of versions: streamed in and out, in threads of their own, never held in memory."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from tfx_pedigree.digest import check_digest
from tfx_pedigree.errors import DamagedError, InvalidInputError, NotFoundError
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import Registry
from tfx_pedigree.server.answers import JSON, NOT_STORED, holds, json_bytes
from tfx_pedigree.server.arriving import ArrivingBody
from tfx_pedigree.server.bodies import read_body, too_large
from tfx_pedigree.server.context import RouteGroup, Server
from tfx_pedigree.server.streams import send_pieces, start
from tfx_pedigree.store import Manifest, ObjectRef, Store, VerifyReport
from tfx_pedigree.wire import PREFIX, StoreApi
from tfx_pedigree.wire.store import (
    ADDRESS,
    DIRECT,
    DIRECT_HEADER,
    FILL_PATH,
    HINT_PATH,
    NEW_PATH,
    READ_PATH,
    VERSION_PATH,
    BytesAddress,
    Resemblance,
    StoredObject,
)

# What has this name never changes.
_FOREVER = {"cache-control": "private, max-age=31536000, immutable", "accept-ranges": "bytes"}
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})?")
LARGEST_MANIFEST = 32 << 20
# A smaller object is here before the bucket could be asked.
DIRECT_FROM = 1 << 20
# Only a transfer must begin within this time; it may then take as long as it takes.
ADDRESS_LASTS = 60


@dataclass(frozen=True)
class ServedStore(StoreApi):
    """What is asked about bytes as JSON. `registry` is that of whoever asks."""

    registry: Registry

    def missing(self, objects: tuple[ObjectRef, ...]) -> tuple[str, ...]:
        self.registry.check_adding_bytes()
        store = self.registry.store_to_fill
        return tuple(one.sha256 for one in objects if store.object_size(one.sha256) != one.size)

    def verify(self, digests: tuple[str, ...] | None = None, progress: Progress = silent) -> VerifyReport:
        if digests is None:
            self.registry.models(limit=1)  # whoever may read the whole registry
        for digest in digests or ():
            self.registry.check_reading_bytes(check_digest(digest))
        return self.registry.store.verify(digests, progress=progress)


def _routes(server: Server) -> Sequence[BaseRoute]:
    content = _Content(server)
    return [
        Route(PREFIX + VERSION_PATH, content.manifest, methods=["GET"]),
        Route(PREFIX + VERSION_PATH, content.put_manifest, methods=["PUT"]),
        Route(PREFIX + READ_PATH, content.read, methods=["GET"]),
        Route(PREFIX + FILL_PATH, content.fill, methods=["PUT"]),
        Route(PREFIX + NEW_PATH, content.add, methods=["POST"]),
        Route(PREFIX + HINT_PATH, content.resembling, methods=["GET"]),
    ]


CONTENT = RouteGroup("content", _routes)


def check_presigning(store: Store) -> None:
    if store.address_of("0" * 64, ADDRESS_LASTS) is None:
        raise InvalidInputError(
            f"The store {store.url} lies in no bucket of S3 or of Google, so nobody can be sent there for bytes. Leave "
            "out --presigned, or name the bucket with --store."
        )


class _Content:
    def __init__(self, server: Server) -> None:
        self._server = server
        # By digest, and so for good: reading the manifest of a large model for each of its files takes long.
        self._sizes = functools.lru_cache(64)(self._sizes_of)

    async def manifest(self, request: Request) -> Response:
        content = await self._server.bytes.run(self._manifest, request)
        tag = f'"{request.path_params["digest"]}"'
        return _kept(request, tag) or Response(content, headers=_headers(tag), media_type="application/json")

    def _manifest(self, request: Request) -> bytes:
        digest = check_digest(request.path_params["digest"])
        registry = self._server.acting(request)
        registry.check_reading_bytes(digest)
        return registry.store.manifest(digest).to_json()

    async def put_manifest(self, request: Request) -> Response:
        body = await read_body(request.scope, request.receive, LARGEST_MANIFEST)
        await self._server.bytes.run(self._put_manifest, request, body)
        return Response(status_code=204)

    def _put_manifest(self, request: Request, body: bytes) -> None:
        registry = self._server.acting(request)
        registry.check_adding_bytes()
        digest, manifest = check_digest(request.path_params["digest"]), Manifest.from_json(body)
        if manifest.digest != digest:
            raise DamagedError(
                f"The manifest that arrived has the digest {manifest.digest}, not {digest}. Send it again."
            )
        registry.store_to_fill.put_manifest(manifest)

    async def read(self, request: Request) -> Response:
        size = await self._server.bytes.run(self._size, request)
        sha256 = request.path_params["sha256"]
        kept = _kept(request, f'"{sha256}"')
        if kept is not None:
            return kept
        wanted = request.method == "GET" and request.headers.get(DIRECT_HEADER) == DIRECT
        if wanted and self._server.settings.presigned and size >= DIRECT_FROM:
            url = await self._server.bytes.run(self._server.registry.store.address_of, sha256, ADDRESS_LASTS)
            if url is not None:
                return Response(json_bytes(BytesAddress(url)), headers=NOT_STORED, media_type=ADDRESS)
        return _Pieces(self._server, sha256, size, request.headers.get("range"))

    def _size(self, request: Request) -> int:
        digest, sha256 = check_digest(request.path_params["digest"]), request.path_params["sha256"]
        self._server.acting(request).check_reading_bytes(digest)
        size = self._sizes(digest).get(sha256)
        if size is None:
            raise NotFoundError(f"Version {digest} has no object {sha256!r:.80}.")
        return size

    def _sizes_of(self, digest: str) -> dict[str, int]:
        return {one.sha256: one.size for one in self._server.registry.store.objects_of(digest)}

    async def fill(self, request: Request) -> Response:
        await self._arriving(request, request.path_params["sha256"])
        return Response(status_code=204)

    async def add(self, request: Request) -> Response:
        stored = StoredObject(await self._arriving(request, None))
        return Response(json_bytes(stored), headers=NOT_STORED, media_type=JSON)

    async def _arriving(self, request: Request, sha256: str | None) -> str:
        store, size = await self._server.bytes.run(self._filling, request)
        body = ArrivingBody(request.scope, size)
        try:
            return await self._server.bytes.run(store.put_object, cast("BinaryIO", body), sha256, size)
        finally:
            body.abandon()

    def _filling(self, request: Request) -> tuple[Store, int]:
        store, size = self._store_to_fill(request), _announced(request)
        if size > self._server.settings.largest_object:
            raise too_large(self._server.settings.largest_object)
        return store, size

    def _store_to_fill(self, request: Request) -> Store:
        registry = self._server.acting(request)
        registry.check_adding_bytes()
        return registry.store_to_fill

    async def resembling(self, request: Request) -> Response:
        known = await self._server.bytes.run(
            lambda: self._store_to_fill(request).resembles(request.path_params["hint"])
        )
        return Response(json_bytes(Resemblance(known)), headers=NOT_STORED, media_type=JSON)


def _headers(tag: str) -> dict[str, str]:
    return {"etag": tag, **_FOREVER}


def _kept(request: Request, tag: str) -> Response | None:
    """That the asker has it already. Who may not read it was refused before."""
    asked = request.headers.get("if-none-match")
    return Response(status_code=304, headers=_headers(tag)) if asked and holds(tag, asked) else None


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    if not re.fullmatch("[0-9]{1,18}", length):
        raise InvalidInputError("An object is sent with its size in Content-Length.")
    return int(length)


class _Pieces(Response):
    """An object, or the part of it that was asked for."""

    def __init__(self, server: Server, sha256: str, size: int, asked: str | None) -> None:
        super().__init__()
        self._server, self._sha256, self._size = server, sha256, size
        self._part = _part(asked, size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = {"content-type": "application/octet-stream", **_headers(f'"{self._sha256}"')}
        if self._part is None:
            await start(send, 416, {"content-range": f"bytes */{self._size}", "content-length": "0"})
            await send({"type": "http.response.body", "body": b""})
            return
        begin, whole = self._part
        length = self._size - begin
        if whole:
            await start(send, 200, {**own, "content-length": str(length)})
        else:
            told = f"bytes {begin}-{self._size - 1}/{self._size}"
            await start(send, 206, {**own, "content-length": str(length), "content-range": told})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        pieces = self._server.registry.store.object_pieces(self._sha256, begin)
        first = await self._server.bytes.run(next, pieces, b"")
        await send_pieces(self._server, pieces, first, receive, send)


def _part(asked: str | None, size: int) -> tuple[int, bool] | None:
    """Where to begin, and whether that is all; None for a part that is not there. Parts lead to the end: they are for
    going on after a break. What is asked in any other form gets all, as HTTP allows."""
    match = _RANGE.fullmatch(asked.strip()) if asked else None
    if match is None or (match[2] is not None and int(match[2]) < size - 1):
        return 0, True
    begin = int(match[1])
    return (begin, False) if begin < size else None
