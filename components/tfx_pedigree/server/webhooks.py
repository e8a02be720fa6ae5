"""The process that tells webhooks what happened: one at a time, by a lease; another one goes on where it ends."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from contextlib import AbstractAsyncContextManager

from tfx_pedigree.registry import Due, Outbox
from tfx_pedigree.server.background import repeating
from tfx_pedigree.server.context import RouteGroup, Server
from tfx_pedigree.server.pages.view import of_event
from tfx_pedigree.service.telling import send

EVERY = 1.0
LEASE = 30.0
_AT_ONCE = 8


class Teller:
    """Collects what happened, sends what is due, notes what came of it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._registry = server.registry
        self._outbox: Outbox = server.registry.outbox()
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._source = ""

    async def round(self) -> int:
        """How many events were tried. None while another process has the lease."""
        clock = self._server.clock
        if not await self._server.ask(self._outbox.has_work, clock()):
            return 0
        if await self._server.change(self._registry.lease, "webhooks", self._holder, LEASE) is None:
            return 0
        self._source = self._source or f"urn:uuid:{await self._server.ask(lambda: self._registry.identity)}"
        await self._server.change(self._outbox.collect, clock())
        due = await self._server.ask(self._outbox.due, clock(), _AT_ONCE)
        outcomes = await asyncio.gather(
            *(self._server.bytes.run(send, one, self._source, clock, self._link(one)) for one in due)
        )
        for one, outcome in zip(due, outcomes, strict=True):
            await self._server.change(self._outbox.settle, one, outcome)
        return len(due)

    def _link(self, due: Due) -> str | None:
        """The event's own page, if it is known where people find the server."""
        public = self._server.settings.public_url
        return f"{public}{of_event(due.event.chain, due.event.position)}" if public else None


def _running(server: Server) -> AbstractAsyncContextManager[None]:
    teller = Teller(server)

    async def one_round() -> float:
        return 0.0 if await teller.round() else EVERY

    return repeating("Webhooks were not told", one_round)


WEBHOOKS = RouteGroup("webhooks", lambda _: (), _running)
