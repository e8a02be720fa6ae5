"""Signing in with a browser: a token is given once, or an issuer says who it is, and a cookie stands for it until the
session ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tfx_pedigree.errors import NotFoundError, PedigreeError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import UsedSignIn
from tfx_pedigree.server import code_flow
from tfx_pedigree.server.code_flow import Attempt, Leaving, sent_to
from tfx_pedigree.server.context import RouteGroup, Server
from tfx_pedigree.server.forms import check_origin, read_form
from tfx_pedigree.server.identity import COOKIE, Credentials
from tfx_pedigree.server.issuer_site import IssuerSite
from tfx_pedigree.server.issuers import SignInWith
from tfx_pedigree.server.pages import frame
from tfx_pedigree.server.pages.refusals import refused
from tfx_pedigree.server.pages.view import View
from tfx_pedigree.text import did_you_mean, plain
from tfx_pedigree.wire import problem_of

P = ParamSpec("P")
T = TypeVar("T")

HOME = "/models"
BACK = "/sign-in/from"
# The address that a browser comes back to holds a code; no other page is to learn it.
_KEPT_QUIET = {"cache-control": "no-store", "referrer-policy": "no-referrer"}


@dataclass(frozen=True)
class Way(JsonForm):
    """Somebody who says who it is."""

    label: str
    href: str


@dataclass(frozen=True)
class SignedOut(JsonForm):
    """Here; `elsewhere` leads to the end of the session at the issuer."""

    elsewhere: Way


@dataclass(frozen=True)
class SignIn(JsonForm):
    """`then` is the page that was asked for; `refusal` why the last attempt failed."""

    then: str
    ways: tuple[Way, ...] = ()
    refusal: str | None = None


def _routes(server: Server) -> Sequence[BaseRoute]:
    credentials = server.authenticator
    if not isinstance(credentials, Credentials):  # somebody is signed in already, by the way the server was started
        return ()
    door = _Door(server, credentials)
    return [
        Route("/sign-in", door.show),
        Route("/sign-in", door.sign_in, methods=["POST"]),
        Route("/sign-in/with/{way}", door.leave),
        Route(BACK + "/{way}", door.come_back),
        Route(code_flow.LEAVING_PATH, door.sign_out, methods=["POST"]),
    ]


SIGNING_IN = RouteGroup("signing in", _routes)


class _Door:
    def __init__(self, server: Server, credentials: Credentials) -> None:
        self._server = server
        self._credentials = credentials

    async def show(self, request: Request) -> Response:
        return self._page(request, _wanted(request))

    async def sign_in(self, request: Request) -> Response:
        """Signs in with a token or a JWT."""
        then = HOME
        try:
            form = await read_form(request)
            then = own_page(form.get("then", ""))
            secret = await self._server.change(self._with_token, request, form.get("token", "").strip())
        except PedigreeError as error:
            return self._page(request, then, error)
        return _let_in(secret, then, None)

    async def leave(self, request: Request) -> Response:
        """To the issuer. Any page may lead here: who comes back is whom the issuer says, and it is this browser."""
        try:
            way, site = self._way(request)
            attempt = Attempt.new(way.name, _wanted(request), self._server.clock())
            described = await self._far(site.described)
            answer = RedirectResponse(sent_to(described, way, attempt, self._redirect(way)), 303, _KEPT_QUIET)
        except PedigreeError as error:
            return self._page(request, _wanted(request), error)
        longest = int(code_flow.LASTS.total_seconds())
        answer.set_cookie(
            code_flow.COOKIE, attempt.cookie, longest, secure=True, httponly=True, samesite="lax", path="/"
        )
        return answer

    async def come_back(self, request: Request) -> Response:
        try:
            answer = _let_in(*await self._far(self._from_issuer, request))
        except PedigreeError as error:
            answer = self._page(request, HOME, error)
        answer.headers.update(_KEPT_QUIET)
        answer.delete_cookie(code_flow.COOKIE, secure=True, httponly=True, samesite="lax", path="/")
        return answer

    async def _far(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Waiting for an issuer must not occupy the threads that answer other requests."""
        return await self._server.bytes.run(work, *arguments, **named)

    async def sign_out(self, request: Request) -> Response:
        try:
            check_origin(request)
            if (secret := request.cookies.get(COOKIE)) is not None:
                await self._server.change(self._server.registry.close_session, secret)
        except PedigreeError as error:
            return frame.render(None, refused(error, problem_of(error).status), request)
        elsewhere = await self._elsewhere(request)
        if elsewhere is None:
            answer: Response = RedirectResponse("/sign-in", 303)
        else:
            answer = frame.render(None, _page_of("signed_out.html", "Signed out", SignedOut(elsewhere)), request)
        answer.headers.update({**_KEPT_QUIET, "clear-site-data": '"cache"'})
        answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax", path="/")
        _keep_leaving(answer, None)
        return answer

    async def _elsewhere(self, request: Request) -> Way | None:
        """The issuer's own sign-out. A link and no redirection: it ends more than what was begun here, and
        browsers let our forms lead to this server only."""
        leaving = Leaving.of(request.cookies.get(code_flow.LEAVING))
        found = self._credentials.issuers.ways.get(leaving.way) if leaving else None
        if leaving is None or found is None:
            return None
        way, site = found
        try:
            address = leaving.address(await self._far(site.described), way)
        except PedigreeError:  # whoever signs out here is signed out here, whether the issuer answers or not
            return None
        return Way(way.title, address) if address else None

    def _with_token(self, request: Request, token: str) -> str:
        identity = self._credentials.of_form(request, token)
        return self._server.registry.open_session(identity, instead_of=request.cookies.get(COOKIE))

    def _from_issuer(self, request: Request) -> tuple[str, str, Leaving]:
        """The secret of a session, the page that was wanted, and what signing out takes."""
        way, site = self._way(request)
        now = self._server.clock()
        with self._credentials.counted(request):
            attempt = Attempt.of(request.cookies.get(code_flow.COOKIE), now)
            code = attempt.code(way.name, site.issuer, site.described(), request.query_params)
            token = site.id_token(way, code, attempt.verifier, self._redirect(way))
            identity = self._credentials.issuers.signed_in(way, site, token, attempt.nonce, now)
            secret = self._server.registry.open_session(
                identity, instead_of=request.cookies.get(COOKIE), used=UsedSignIn(attempt.secret, attempt.ends)
            )
        return secret, attempt.then, Leaving(way.name, token)

    def _way(self, request: Request) -> tuple[SignInWith, IssuerSite]:
        name = request.path_params["way"]
        found = self._credentials.issuers.ways.get(name)
        if found is None:
            known = list(self._credentials.issuers.ways)
            hint = did_you_mean(name, known, "See /sign-in for those there are.")
            raise NotFoundError(f"Nobody is signed in by {plain(name, 40)!r} here. {hint}")
        return found

    def _redirect(self, way: SignInWith) -> str:
        """Exactly the address that is registered at the issuer, so it never comes from a request."""
        return f"{self._server.settings.public_url}{BACK}/{way.name}"

    def _page(self, request: Request, then: str, error: PedigreeError | None = None) -> Response:
        query = f"?{urlencode({'then': then})}" if then != HOME else ""
        ways = self._credentials.issuers.ways
        known = tuple(Way(way.title, f"/sign-in/with/{name}{query}") for name, (way, _) in ways.items())
        page = SignIn(then, known, None if error is None else str(error))
        status = 200 if error is None else problem_of(error).status
        return frame.render(None, _page_of("sign_in.html", "Sign in", page, status), request)


def _page_of(template: str, title: str, page: JsonForm, status: int = 200) -> View:
    return View(template, title, page, (), {"json_url": "/sign-in"}, status, section="")


def _let_in(secret: str, then: str, leaving: Leaving | None) -> Response:
    answer = RedirectResponse(own_page(then), 303, {"cache-control": "no-store"})
    answer.set_cookie(COOKIE, secret, secure=True, httponly=True, samesite="lax", path="/")
    _keep_leaving(answer, leaving)
    return answer


def _keep_leaving(answer: Response, leaving: Leaving | None) -> None:
    age = None if leaving else 0
    answer.set_cookie(
        code_flow.LEAVING,
        leaving.cookie if leaving else "",
        age,
        path=code_flow.LEAVING_PATH,
        secure=True,
        httponly=True,
        samesite="strict",
    )


def _wanted(request: Request) -> str:
    return own_page(request.query_params.get("then", ""))


def own_page(path: str) -> str:
    """Where to go after signing in: only to a page of this server, so that no link redirects to another site."""
    plain = path.isascii() and path.isprintable() and "\\" not in path and len(path) <= 500
    return path if plain and path.startswith("/") and not path.startswith("//") else HOME
