"""One person's own computer: a secret in an address that works once, and a cookie from then on.

Other programs and other users of the computer reach the same port; they know neither.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Sequence

from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tfx_pedigree.errors import UnauthenticatedError
from tfx_pedigree.registry import Identity
from tfx_pedigree.server.context import RouteGroup, Server
from tfx_pedigree.server.forms import check_origin

_SAFE = ("GET", "HEAD")


class LocalSession:
    """`port` stands in the cookie's name, because browsers send a host's cookies to all of its ports."""

    def __init__(self, actor: str, port: int) -> None:
        self._identity = Identity(actor)
        self._cookie = f"pedigree_ui_{port}"
        self._secret: str | None = secrets.token_urlsafe(24)
        self._session = secrets.token_urlsafe(32)
        self._lock = threading.Lock()
        self.path = f"/open/{self._secret}"
        self.group = RouteGroup("local session", self._routes)

    def identify(self, request: HTTPConnection) -> Identity:
        if request.scope.get("method") not in _SAFE:
            check_origin(request)
        if not self._known(request):
            raise UnauthenticatedError(
                "This browser was not let in. Open the address that `pedigree ui` printed; it works once, in one "
                "browser. For another one, end `pedigree ui` and run it again."
            )
        return self._identity

    def _known(self, request: HTTPConnection) -> bool:
        return hmac.compare_digest(request.cookies.get(self._cookie, "").encode(), self._session.encode())

    def _routes(self, _: Server) -> Sequence[BaseRoute]:
        return [Route("/open/{secret}", self._open)]

    async def _open(self, request: Request) -> Response:
        """A browser that was let in may come this way again."""
        answer = RedirectResponse("/models", 303, {"referrer-policy": "no-referrer", "cache-control": "no-store"})
        if not self._known(request) and self._take(request.path_params["secret"]):
            answer.set_cookie(self._cookie, self._session, httponly=True, samesite="lax", path="/")
        return answer

    def _take(self, given: str) -> bool:
        with self._lock:
            right = self._secret is not None and hmac.compare_digest(given.encode(), self._secret.encode())
            if right:
                self._secret = None
        return right
