"""Only requests that call the server by a name of its own: a page that was lured to this address by its own name is
refused (DNS rebinding)."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.server import answers
from tfx_pedigree.server.pages import frame
from tfx_pedigree.server.pages.refusals import refused
from tfx_pedigree.text import plain
from tfx_pedigree.wire import Problem


class AllowedHosts:
    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_ours(scope):
            await self._app(scope, receive, send)
            return
        told = (
            f"This server is not called {plain(_host(scope), 80)!r}. Start it with --public-url, and with --allow-host "
            "for each other name that it has."
        )
        if answers.wants_page(scope):
            page = frame.render(None, refused(InvalidInputError(told), HTTPStatus.MISDIRECTED_REQUEST), Request(scope))
            await page(scope, receive, send)
            return
        await answers.problem(Problem.of(HTTPStatus.MISDIRECTED_REQUEST, told, "invalid-input")).send(send)

    def _is_ours(self, scope: Scope) -> bool:
        return _name(_host(scope)) in self._hosts or scope["path"] in ("/healthz", "/readyz")


def _host(scope: Scope) -> str:
    found = [text for name, text in scope["headers"] if name == b"host"]
    return found[0].decode("latin-1") if len(found) == 1 else ""


def _name(host: str) -> str:
    """Without its port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()
