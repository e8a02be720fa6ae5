"""The web application that each process of the server runs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount

from tfx_pedigree.errors import InvalidInputError, PedigreeError
from tfx_pedigree.registry import Registry
from tfx_pedigree.server import answers
from tfx_pedigree.server.answers import Answer, wants_page
from tfx_pedigree.server.api import Api
from tfx_pedigree.server.authentication import authenticator_for, issuers_of
from tfx_pedigree.server.content import CONTENT, check_presigning
from tfx_pedigree.server.context import RouteGroup, Server
from tfx_pedigree.server.health import HEALTH
from tfx_pedigree.server.hosts import AllowedHosts
from tfx_pedigree.server.housekeeping import HOUSEKEEPING
from tfx_pedigree.server.metrics import METRICS
from tfx_pedigree.server.mlflow import MLFLOW
from tfx_pedigree.server.openapi import REFERENCE
from tfx_pedigree.server.pages import PAGES, frame
from tfx_pedigree.server.pages.refusals import refused
from tfx_pedigree.server.rollout_driver import ROLLOUTS
from tfx_pedigree.server.settings import ServerSettings
from tfx_pedigree.server.signing_in import SIGNING_IN
from tfx_pedigree.server.webhooks import WEBHOOKS
from tfx_pedigree.text import plain
from tfx_pedigree.wire import PREFIX, Problem, problem_of

# Each room of routes adds its own here.
GROUPS: tuple[RouteGroup, ...] = (
    HEALTH,
    METRICS,
    CONTENT,
    REFERENCE,
    MLFLOW,
    HOUSEKEEPING,
    ROLLOUTS,
    WEBHOOKS,
    SIGNING_IN,
    PAGES,
)
ACTOR = "server"


def create_app(settings: ServerSettings) -> Starlette:
    """Opens the registry: an address that cannot be used is refused here."""
    issuers = issuers_of(settings)
    registry = Registry.open(settings.registry, actor=ACTOR, store=settings.store)
    if settings.presigned:
        check_presigning(registry.store)
    return application(Server(settings, registry, authenticator_for(settings, registry, issuers)))


def application(server: Server, groups: Sequence[RouteGroup] = GROUPS) -> Starlette:
    """The routes over what they share; `app.state.server` is that."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(server.close)
            for group in groups:
                await stack.enter_async_context(group.running(server))
            yield

    app = Starlette(
        routes=_in_order([route for group in groups for route in group.routes(server)], Mount(PREFIX, Api(server))),
        middleware=[Middleware(AllowedHosts, hosts=server.settings.allowed_hosts)],
        exception_handlers={PedigreeError: _refuse, HTTPException: _refuse_http},
        lifespan=lifespan,
    )
    app.state.server = server
    return app


def _in_order(routes: list[BaseRoute], api: BaseRoute) -> list[BaseRoute]:
    """Routes are tried in turn, so those of the API come first: most requests are for it, and pages are many."""
    below = [route for route in routes if getattr(route, "path", "").startswith(PREFIX)]
    return [*below, api, *(route for route in routes if route not in below)]


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, PedigreeError):
        return _response(answers.bug(error))
    if wants_page(request.scope):
        return frame.render(None, refused(error, problem_of(error).status), request)
    return _response(answers.refusal(error))


async def _refuse_http(request: Request, error: Exception) -> Response:
    """Answers for an unknown address, and for a method that its route does not have."""
    if not isinstance(error, HTTPException):
        return _response(answers.bug(error))
    told, headers = _sentence(request, error), dict(error.headers or {})
    if wants_page(request.scope):
        page = frame.render(None, refused(InvalidInputError(told), error.status_code), request)
        page.headers.update(headers)
        return page
    kind = "not-found" if error.status_code == HTTPStatus.NOT_FOUND else "invalid-input"
    return _response(answers.problem(Problem.of(error.status_code, told, kind), headers))


def _sentence(request: Request, error: HTTPException) -> str:
    path = plain(request.url.path, 200)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return f"There is nothing at {path}. The models are at /models, and the operations of the API at /api."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        known = ", ".join(sorted((error.headers or {}).get("Allow", "no method").split(", ")))
        return f"{path} knows {known}, and not {plain(request.method, 20)}."
    return f"{path}: {error.detail}."


def _response(answer: Answer) -> Response:
    return Response(answer.content, answer.status, answer.headers, answer.media)
