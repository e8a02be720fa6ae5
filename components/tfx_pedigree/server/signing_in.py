"""Signing in with a browser: a token is given once, and a cookie stands for it until the session ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.server.context import Server
from tfx_pedigree.server.forms import check_origin, read_form
from tfx_pedigree.server.groups import RouteGroup
from tfx_pedigree.server.identity import COOKIE, Credentials
from tfx_pedigree.server.pages import frame
from tfx_pedigree.server.pages.refusals import refused
from tfx_pedigree.server.pages.view import View
from tfx_pedigree.wire import problem_of

HOME = "/models"


@dataclass(frozen=True)
class SignIn(JsonForm):
    """`then` is the page that was asked for; `refusal` why the last attempt failed."""

    then: str
    refusal: str | None = None


def _routes(server: Server) -> Sequence[BaseRoute]:
    credentials = server.authenticator
    if not isinstance(credentials, Credentials):  # somebody is signed in already, by the way the server was started
        return ()

    async def show(request: Request) -> Response:
        return _page(request, SignIn(own_page(request.query_params.get("then", ""))))

    async def sign_in(request: Request) -> Response:
        try:
            form = await read_form(request)
            secret = await server.change(_signed_in, server, credentials, request, form.get("token", "").strip())
        except PedigreeError as error:
            status = problem_of(error).status
            return _page(request, SignIn(own_page(request.query_params.get("then", "")), str(error)), status)
        answer = RedirectResponse(own_page(form.get("then", "")), 303, {"cache-control": "no-store"})
        answer.set_cookie(COOKIE, secret, secure=True, httponly=True, samesite="lax", path="/")
        return answer

    async def sign_out(request: Request) -> Response:
        try:
            check_origin(request)
            if (secret := request.cookies.get(COOKIE)) is not None:
                await server.change(server.registry.close_session, secret)
        except PedigreeError as error:
            return frame.render(None, refused(error, problem_of(error).status), request)
        answer = RedirectResponse("/sign-in", 303, {"cache-control": "no-store", "clear-site-data": '"cache"'})
        answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax", path="/")
        return answer

    return [
        Route("/sign-in", show),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
    ]


SIGNING_IN = RouteGroup("signing in", _routes)


def own_page(path: str) -> str:
    """Where to go afterwards: only to a page of this server, else anybody's link could lead on to a page of his."""
    plain = path.isascii() and path.isprintable() and "\\" not in path and len(path) <= 500
    return path if plain and path.startswith("/") and not path.startswith("//") else HOME


def _signed_in(server: Server, credentials: Credentials, request: Request, token: str) -> str:
    return server.registry.open_session(credentials.of_form(request, token))


def _page(request: Request, page: SignIn, status: int = 200) -> Response:
    return frame.render(None, View("sign_in.html", "Sign in", page, status=status, section=""), request)
