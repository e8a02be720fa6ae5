"""Forms that browsers send: read within bounds, and only where they come from a page of this server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import HTTPConnection, Request

from tfx_pedigree.errors import ForbiddenError, InvalidInputError
from tfx_pedigree.registry import Registry, RequestKey
from tfx_pedigree.server.bodies import read_body

_LARGEST = 256 << 10
_MOST_FIELDS = 50


def done_once(registry: Registry, key: RequestKey, work: Callable[[Registry], Any]) -> dict[str, Any]:
    """What a form asked for, done once however often it is sent, and what `work` made of it."""
    done: dict[str, Any] = json.loads(registry.once(key, work))
    return done


async def read_form(request: Request) -> dict[str, str]:
    check_origin(request)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise InvalidInputError("A form is expected here. For programs there is /api/v1.")
    body = await read_body(request.scope, request.receive, _LARGEST)
    try:
        text = body.decode("utf-8")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"))
    except ValueError:
        raise InvalidInputError("The form cannot be read. Load its page again, and send it from there.") from None


def check_origin(request: HTTPConnection) -> None:
    """Browsers say where a request comes from, and no page can make them say otherwise. What says nothing of the kind
    is no browser's, and carries no cookie by itself."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        own = site in ("same-origin", "none")
    else:
        own = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if not own:
        raise ForbiddenError("This request was sent by a page of another site, so it was not carried out.", "form")
