"""The table of operations as an OpenAPI 3.1 document, and as a page for people."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from tfx_pedigree import __version__
from tfx_pedigree.html import Markup, el, join, ticked
from tfx_pedigree.json_form.schema import Schema, Schemas
from tfx_pedigree.server.context import RouteGroup, Server
from tfx_pedigree.wire import KEY_HEADER, NDJSON, OPERATIONS, PREFIX, PROBLEM, Kind, Operation, Place, Problem
from tfx_pedigree.wire.operation import REQUIRED, without_references
from tfx_pedigree.wire.store import (
    ADDRESS,
    DIRECT,
    FILL_PATH,
    HINT_PATH,
    NEW_PATH,
    READ_PATH,
    VERSION_PATH,
    BytesAddress,
    Resemblance,
    StoredObject,
)

_WHERE = "#/components/schemas/"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
body { color-scheme: light dark; } code { font-size: 0.9em; } table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: 0.3rem 0.8rem 0.3rem 0; border-bottom: 1px solid #8884; }
td:first-child { white-space: nowrap; }
"""
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; frame-ancestors 'none'; base-uri 'none'"


@functools.cache
def document(public_url: str | None = None) -> dict[str, Any]:
    """Where it is not said where the server is found, it is where the document was found."""
    schemas = Schemas(_WHERE)
    refusal = {"description": "A refusal.", "content": {PROBLEM: {"schema": schemas.of(Problem)}}}
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        told = _operation(operation, schemas)
        told["responses"]["default"] = refusal
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = told
    for path, methods in _bytes_paths(schemas).items():
        for told in methods.values():
            told["responses"]["default"] = refusal
        paths[PREFIX + path] = methods
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pedigree",
            "version": __version__,
            "summary": "Versions, lineage and gated promotion of models",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url or "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas.records,
        },
    }


def _operation(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    room = operation.api.__name__.removesuffix("Api")
    parameters = [_parameter(one, schemas) for one in operation.parameters if one.place is not Place.BODY]
    if operation.kind is Kind.CHANGE:
        parameters.append(_header(KEY_HEADER, "With the same key the same request is carried out once."))
    if operation.method == "GET" and operation.kind is Kind.QUESTION:
        parameters.append(_header("If-None-Match", "The ETag of the answer that the asker has."))
    found: dict[str, Any] = {
        "operationId": f"{room.lower()}.{operation.name}",
        "tags": [room],
        "summary": operation.summary,
        "description": operation.description,
        "x-least-role": str(operation.role),
        "parameters": parameters,
        "responses": {"200": _answer(operation, schemas)},
    }
    if operation.method == "GET" and operation.kind is Kind.QUESTION:
        found["responses"]["304"] = {"description": "What the asker has is the answer still. It has no content."}
    if operation.has_body:
        body = _body(operation, schemas)
        found["requestBody"] = {"required": bool(body["required"]), "content": {"application/json": {"schema": body}}}
    return found


def _parameter(one: Any, schemas: Schemas) -> dict[str, Any]:
    found = {"name": one.name, "in": str(one.place), "required": one.required or one.place is Place.PATH}
    return {**found, "schema": schemas.of(without_references(one.kind))}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}


def _body(operation: Operation, schemas: Schemas) -> Schema:
    fields = [one for one in operation.parameters if one.place is Place.BODY]
    properties = {one.name: schemas.of(without_references(one.kind)) for one in fields}
    required = [one.name for one in fields if one.default is REQUIRED and one.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _answer(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    if operation.kind is Kind.STREAM:
        described = 'A JSON object a line; the last one is `{"end":true}` or has a `problem`.'
        return {"description": described, "content": {NDJSON: {"schema": schemas.of(operation.result)}}}
    return {"description": "The answer.", "content": {"application/json": {"schema": schemas.of(operation.result)}}}


def _bytes_paths(schemas: Schemas) -> dict[str, dict[str, Any]]:
    """Bytes are in no table: they are no JSON."""
    octets = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    manifest = {"application/json": {"schema": {"type": "object"}}}
    digest, sha256 = ({"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in _NAMES)

    def told(name: str, summary: str, parameters: Sequence[Any], **more: Any) -> dict[str, Any]:
        return {"operationId": f"store.{name}", "tags": ["Store"], "summary": summary, "parameters": parameters, **more}

    def answer(kind: type) -> dict[str, Any]:
        return {"200": {"description": "The answer.", "content": {"application/json": {"schema": schemas.of(kind)}}}}

    stored = {"responses": {"204": {"description": "It is stored."}}}
    return {
        VERSION_PATH: {
            "get": told("manifest", "Which files a version has", [digest], responses=_content(manifest)),
            "put": told(
                "put_manifest",
                "Makes a version of objects that are stored",
                [digest],
                requestBody={"required": True, "content": manifest},
                **stored,
            ),
        },
        READ_PATH: {
            "get": told(
                "object",
                "The bytes of one file",
                [digest, sha256, _header("Pedigree-Bytes", f"`{DIRECT}`: or from where the bucket hands them out.")],
                responses=_content({**octets, ADDRESS: {"schema": schemas.of(BytesAddress)}}),
            )
        },
        FILL_PATH: {
            "put": told(
                "put_object",
                "Stores bytes, if they are what their name says",
                [sha256],
                requestBody={"required": True, "content": octets},
                **stored,
            )
        },
        NEW_PATH: {
            "post": told(
                "add_object",
                "Stores bytes, and says what their name is",
                [],
                requestBody={"required": True, "content": octets},
                responses=answer(StoredObject),
            )
        },
        HINT_PATH: {
            "get": told(
                "resembling",
                "Whether something may be stored that looks like a file, by its size and its ends",
                [{"name": "hint", "in": "path", "required": True, "schema": {"type": "string"}}],
                responses=answer(Resemblance),
            )
        },
    }


_NAMES = ("digest", "sha256")


def _content(content: dict[str, Any]) -> dict[str, Any]:
    told = "What the asker has, by If-None-Match. It has no content."
    return {"200": {"description": "The answer.", "content": content}, "304": {"description": told}}


@functools.cache
def page() -> str:
    lines = [
        (told["tags"][0], method.upper(), path, told)
        for path, ways in document()["paths"].items()
        for method, told in ways.items()
    ]
    rooms = [_room(name, list(found)) for name, found in groupby(sorted(lines, key=_room_of), _room_of)]
    head = (el("meta", charset="utf-8"), el("title", "The API of Pedigree"), el("style", Markup(_STYLE)))
    body = (
        el("h1", "The API of Pedigree"),
        el("p", "The same as a document: ", el("a", "openapi.json", href=f"{PREFIX}/openapi.json"), "."),
        rooms,
    )
    return "<!doctype html>" + el("html", el("head", *head), el("body", *body), lang="en")


def _room_of(line: tuple[str, str, str, dict[str, Any]]) -> str:
    return line[0]


def _room(name: str, lines: Iterable[tuple[str, str, str, dict[str, Any]]]) -> Markup:
    rows = [
        el(
            "tr",
            el("td", el("code", method)),
            el("td", el("code", path)),
            el("td", join(ticked(told["summary"]))),
            el("td", told.get("x-least-role", "")),
        )
        for _, method, path, told in lines
    ]
    head = el("tr", *(el("th", text) for text in ("Method", "Path", "What it does", "Least role")))
    return join([el("h2", name), el("table", head, rows)])


def _routes(server: Server) -> Sequence[BaseRoute]:
    public = server.settings.public_url

    async def as_document(_: Request) -> Response:
        told = document(str(public) if public else None)
        return Response(json.dumps(told, ensure_ascii=False), media_type="application/json")

    async def as_page(_: Request) -> Response:
        return HTMLResponse(page(), headers={"content-security-policy": _POLICY, "x-content-type-options": "nosniff"})

    return [Route(f"{PREFIX}/openapi.json", as_document), Route("/api", as_page)]


REFERENCE = RouteGroup("reference", _routes)
