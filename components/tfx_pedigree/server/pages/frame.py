"""The frame around every page: templates, the words for values, headers, and files that browsers keep."""

from __future__ import annotations

import functools
import gzip
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from importlib import resources
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import Response

from tfx_pedigree import __version__
from tfx_pedigree.comparison.report.style import STYLE
from tfx_pedigree.comparison.wording import number
from tfx_pedigree.html import Markup, breakable, el, join, unbroken
from tfx_pedigree.lineage.exports.picture.page import picture_script, picture_style
from tfx_pedigree.server.identity import COOKIE
from tfx_pedigree.server.pages import prose, view
from tfx_pedigree.server.pages.view import Asked, View
from tfx_pedigree.service.event_words import told
from tfx_pedigree.text import format_minute, format_size, format_timestamp, middle_cut, plural, short_digest

# No inline script or style, nothing from elsewhere, in nobody's frame; forms go to this server only.
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "private, no-cache",
    "vary": "authorization, cookie",
}
_FOR_GOOD = "public, max-age=31536000, immutable"
_SMALLEST_PACKED = 800


@dataclass(frozen=True)
class Static:
    content: bytes
    packed: bytes
    media: str
    tag: str


@functools.cache
def statics() -> Mapping[str, Static]:
    """By name. Each address holds the digest of the content, so browsers may keep them for good."""
    css = "text/css; charset=utf-8"
    js = "text/javascript; charset=utf-8"
    found = {
        "pedigree.css": (STYLE + _beside("pedigree.css"), css),
        "pedigree.js": (_beside("pedigree.js"), js),
        "picture.css": (picture_style(), css),
        "picture.js": (picture_script(), js),
        "icon.svg": (_beside("icon.svg"), "image/svg+xml"),
    }
    return {name: _static(text.encode(), media) for name, (text, media) in found.items()}


def _static(content: bytes, media: str) -> Static:
    return Static(content, gzip.compress(content, 9, mtime=0), media, hashlib.sha256(content).hexdigest()[:16])


def static_address(name: str) -> str:
    return f"/static/{statics()[name].tag}/{name}"


def static_file(request: Request) -> Response:
    found = statics().get(request.path_params["name"])
    if found is None:
        return Response("There is no such file.", 404)
    headers = {"cache-control": _FOR_GOOD, "x-content-type-options": "nosniff", "vary": "accept-encoding"}
    return packed(request, found.content, found.media, headers, ready=found.packed)


def packed(  # noqa: PLR0917  what an answer is made of
    request: Request,
    content: bytes,
    media: str,
    headers: Mapping[str, str],
    status: int = 200,
    ready: bytes | None = None,
) -> Response:
    """Compressed where the browser takes that. Pages hold no secret beside what who asks has chosen: no token, no key
    that another request could use, so their length tells nothing."""
    if len(content) < _SMALLEST_PACKED or "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(content, status, dict(headers), media)
    return Response(ready or gzip.compress(content, 5, mtime=0), status, {**headers, "content-encoding": "gzip"}, media)


def render(asked: Asked | None, made: View, request: Request) -> Response:
    html = (
        _environment()
        .get_template(made.template)
        .render(
            {
                "view": made,
                "page": made.page,
                "actor": asked.registry.actor if asked else None,
                "registry_url": asked.registry.url if asked else None,
                "json_url": twin_address(request),
                "here": request.url.path,
                "session": asked is not None and COOKIE in request.cookies and "authorization" not in request.headers,
                **made.extra,
            }
        )
    )
    return packed(request, html.encode(), "text/html; charset=utf-8", HEADERS, made.status)


def twin_address(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.path}.json{query}"


@functools.cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _beside(name, "templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        when=when,
        digest=lambda text: el("code", short_digest(text), title=text),
        size=format_size,
        number=lambda one: number(float(one)),
        shown=shown,
        ticked=prose.sentence,
        markdown=prose.markdown,
        breakable=lambda text: join(breakable(str(text))),
        command=lambda text: join(unbroken(text)),
        cut=middle_cut,
        seg=view.segment,
        odds=lambda log_e: f"{math.exp(min(log_e, 200.0)):,.3g}",
        percent=lambda points: f"{points / 100:g} %",
        word=lambda one: one.value if isinstance(one, Enum) and isinstance(one.value, str) else str(one),
    )
    made.globals.update(
        static=static_address,
        plural=plural,
        of_model=view.of_model,
        of_version=view.of_version,
        of_comparison=view.of_comparison,
        of_event=view.of_event,
        of_rollout=view.of_rollout,
        of_request=view.of_request,
        of_lineage=view.of_lineage,
        with_query=view.with_query,
        release=__version__,
        told=told,
    )
    return made


def when(value: datetime | None) -> Markup:
    """A time in UTC; the page's script turns it into the viewer's own, and leaves UTC beside it."""
    if value is None:
        return el("span", "–")
    return el("time", format_minute(value), datetime=format_timestamp(value))


def shown(value: Any) -> str:
    """A parameter or a metric in a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value)
    return str(value)


def _beside(name: str, folder: str = "static") -> str:
    return resources.files("tfx_pedigree.server.pages").joinpath(folder).joinpath(name).read_text(encoding="utf-8")
