"""What each process does beside the requests, now and then. Several at once do no harm."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from tfx_pedigree.server.background import repeating
from tfx_pedigree.server.context import RouteGroup, Server

EVERY = 3600.0


def _running(server: Server) -> AbstractAsyncContextManager[None]:
    async def one_round() -> float:
        await server.change(server.registry.forget_requests)
        await server.change(server.registry.forget_sessions)
        return EVERY

    return repeating("Old idempotency keys and sessions were not dropped", one_round, after=EVERY)


HOUSEKEEPING = RouteGroup("housekeeping", lambda _: (), _running)
