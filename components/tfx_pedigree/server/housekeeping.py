"""What each process does beside the requests, now and then. Several at once do no harm."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.server.context import Server
from tfx_pedigree.server.groups import RouteGroup

EVERY = 3600.0
log = logging.getLogger("tfx_pedigree.server")


@contextlib.asynccontextmanager
async def _running(server: Server) -> AsyncIterator[None]:
    task = asyncio.create_task(_keep_house(server))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _keep_house(server: Server) -> None:
    while True:
        await asyncio.sleep(EVERY)
        try:
            await server.change(server.registry.forget_requests)
            await server.change(server.registry.forget_sessions)
        except PedigreeError as error:
            log.warning("Old idempotency keys and sessions were not dropped: %s", error)


HOUSEKEEPING = RouteGroup("housekeeping", lambda _: (), _running)
