"""Whether the process runs, and whether it can answer."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.server.context import RouteGroup, Server


def _routes(server: Server) -> Sequence[BaseRoute]:
    async def healthy(_: Request) -> Response:
        """The process answers. Restart it where it does not."""
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        """The database answers, too. Send no requests where it does not; that says nothing about the process."""
        try:
            await server.ask(lambda: server.registry.identity)
        except PedigreeError as error:
            return JSONResponse({"status": "unavailable", "detail": str(error)}, 503)
        return JSONResponse({"status": "ok"})

    return [Route("/healthz", healthy), Route("/readyz", ready)]


HEALTH = RouteGroup("health", _routes)
