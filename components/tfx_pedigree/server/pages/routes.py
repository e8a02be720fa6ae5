"""Addresses of the pages: what each of them asks, in a thread, and how a refusal looks."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.server import answers
from tfx_pedigree.server.context import RouteGroup, Server
from tfx_pedigree.server.forms import read_form
from tfx_pedigree.server.pages import (
    actions,
    approvals,
    audit,
    compare,
    description,
    downloads,
    frame,
    lineage,
    model,
    models,
    performance,
    rollouts,
    version,
)
from tfx_pedigree.server.pages.refusals import refused
from tfx_pedigree.server.pages.view import Asked, Moved, View
from tfx_pedigree.wire import problem_of

Make = Callable[[Asked], View | Moved]
CarryOut = Callable[[Asked, dict[str, str]], View | Moved]
log = logging.getLogger("tfx_pedigree.server")

_MODEL = "/models/{model}"
_VERSION = f"{_MODEL}/versions/{{version}}"
QUESTIONS: tuple[tuple[str, Make], ...] = (
    ("/models", models.page),
    (_MODEL, model.page),
    (_VERSION, version.page),
    (f"{_VERSION}/files", downloads.page),
    (f"{_MODEL}/compare", compare.chosen),
    (f"{_MODEL}/compare/{{pair}}", compare.page),
    (f"{_MODEL}/performance", performance.page),
    (f"{_MODEL}/events/{{position:int}}", audit.event),
    ("/events/{position:int}", audit.event),
    ("/approvals", approvals.listing),
    (f"{_MODEL}/approvals/{{number:int}}", approvals.page),
    ("/rollouts", rollouts.listing),
    (f"{_MODEL}/rollout", rollouts.page),
    (f"{_MODEL}/rollouts/{{number:int}}", rollouts.page),
    ("/audit", audit.page),
    ("/lineage", lineage.page),
    ("/lineage/impact", lineage.impact),
)
CHANGES: tuple[tuple[str, Make, CarryOut], ...] = (
    (f"{_VERSION}/{{action}}", actions.page, actions.carry_out),
    (f"{_MODEL}/describe", description.page, description.carry_out),
    (f"{_MODEL}/actions/{{action}}", actions.page, actions.carry_out),
    (f"{_MODEL}/rollout/{{ask}}", rollouts.ask_page, rollouts.carry_out),
    (f"{_MODEL}/approvals/{{number:int}}/{{word}}", approvals.word_page, approvals.carry_out),
)


def _routes(server: Server) -> Sequence[BaseRoute]:
    found: list[BaseRoute] = [
        Route("/", lambda _: RedirectResponse("/models", 303)),
        Route("/favicon.ico", lambda _: RedirectResponse(frame.static_address("icon.svg"), 303)),
        Route("/static/{tag}/{name}", frame.static_file),
        Route("/lineage/picture", _html(server, lineage.picture)),
    ]
    for path, make in QUESTIONS:
        found += [Route(f"{path}.json", _twin(server, make)), Route(path, _page(server, make))]
    found += [
        Route(f"{_VERSION}/documents/{{document}}", _answer(server, downloads.document)),
        Route(f"{_VERSION}/archive.tar", functools.partial(_archive, server)),
    ]
    found.append(Route(f"{_MODEL}/rollout/events", functools.partial(rollouts.events, server)))
    for path, make, carry_out in CHANGES:
        found += [Route(path, _page(server, make)), Route(path, _change(server, carry_out), methods=["POST"])]
    return found


PAGES = RouteGroup("pages", _routes)


def _made(asked: Asked, make: Make) -> View | Moved:
    """All that stands on a page is of one moment, and is asked for once."""
    with asked.registry.at_one_moment() as registry:
        return make(Asked(asked.request, registry))


def _page(server: Server, make: Make) -> Callable[[Request], Any]:
    def answer(request: Request) -> Response:
        asked = None
        try:
            asked = Asked(request, server.acting(request))
            made = _made(asked, make)
            if isinstance(made, Moved):
                return RedirectResponse(made.to, 302)
            return frame.render(asked, made, request)
        except Exception as error:  # noqa: BLE001  the boundary: whoever asked gets a sentence, the log the traceback
            return _failure(asked, error, request)

    async def endpoint(request: Request) -> Response:
        return await server.ask(answer, request)

    return endpoint


def _twin(server: Server, make: Make) -> Callable[[Request], Any]:
    def answer(request: Request) -> Response:
        try:
            made = _made(Asked(request, server.acting(request)), make)
            if isinstance(made, Moved):
                path, _, query = made.to.partition("?")
                return RedirectResponse(f"{path}.json?{query}" if query else f"{path}.json", 302)
            found = answers.tagged(answers.json_bytes(made.page), request.headers.get("if-none-match"))
        except PedigreeError as error:
            found = answers.refusal(error)
        except Exception as error:
            log.error("%s %s failed", request.method, request.url.path, exc_info=error)
            found = answers.bug(error)
        return Response(found.content, found.status, dict(found.headers), found.media)

    async def endpoint(request: Request) -> Response:
        return await server.ask(answer, request)

    return endpoint


async def _archive(server: Server, request: Request) -> Response:
    return downloads.Archive(server, request)


def _answer(server: Server, make: Callable[[Asked], Response]) -> Callable[[Request], Any]:
    """What is no page; a refusal is one."""

    def answer(request: Request) -> Response:
        try:
            return make(Asked(request, server.acting(request)))
        except Exception as error:  # noqa: BLE001  the boundary, as below
            return _failure(None, error, request)

    async def endpoint(request: Request) -> Response:
        return await server.ask(answer, request)

    return endpoint


def _html(server: Server, make: Callable[[Asked], str]) -> Callable[[Request], Any]:
    """A page with a frame of its own, which only a page of this server may hold."""

    def answer(request: Request) -> Response:
        headers = {
            **frame.HEADERS,
            "content-security-policy": frame.HEADERS["content-security-policy"].replace(
                "frame-ancestors 'none'", "frame-ancestors 'self'"
            ),
        }
        try:
            made = make(Asked(request, server.acting(request)))
            return frame.packed(request, made.encode(), "text/html; charset=utf-8", headers)
        except Exception as error:  # noqa: BLE001  as above
            return _failure(None, error, request)

    async def endpoint(request: Request) -> Response:
        return await server.ask(answer, request)

    return endpoint


def _change(server: Server, carry_out: CarryOut) -> Callable[[Request], Any]:
    def answer(request: Request, form: dict[str, str]) -> Response:
        asked = None
        try:
            asked = Asked(request, server.acting(request))
            made = carry_out(asked, form)
            if isinstance(made, Moved):
                return RedirectResponse(made.to, 303)
            return frame.render(asked, made, request)
        except Exception as error:  # noqa: BLE001  as above
            return _failure(asked, error, request)

    async def endpoint(request: Request) -> Response:
        try:
            form = await read_form(request)
        except PedigreeError as error:
            return frame.render(None, refused(error, problem_of(error).status), request)
        return await server.change(answer, request, form)

    return endpoint


def _failure(asked: Asked | None, error: Exception, request: Request) -> Response:
    if isinstance(error, PedigreeError):
        return frame.render(asked, refused(error, problem_of(error).status), request)
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return frame.render(None, refused(error, 500), request)
