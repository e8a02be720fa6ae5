"""What all routes share: the registry of this process, who may use it, and the threads in which it is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import ParamSpec, TypeVar

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute

from tfx_pedigree.registry import Registry
from tfx_pedigree.server.authentication import Authenticator
from tfx_pedigree.server.settings import ServerSettings
from tfx_pedigree.server.threads import Threads
from tfx_pedigree.service.workspace import Workspace

P = ParamSpec("P")
T = TypeVar("T")


class Server:
    """Questions, changes and bytes have threads of their own: writers that queue for a lock, and long reads of bytes,
    leave those who only ask their share. More writers than a few at once would only wait for each other."""

    def __init__(self, settings: ServerSettings, registry: Registry, authenticator: Authenticator) -> None:
        self.settings = settings
        self.registry = registry
        self.authenticator = authenticator
        self.questions = Threads(8, "question")
        self.changes = Threads(4, "change")
        self.bytes = Threads(32, "bytes")

    def clock(self) -> datetime:
        """The registry's own time."""
        return self.registry.transactions.clock()

    def acting(self, request: HTTPConnection) -> Registry:
        """The registry for whoever sent the request. Call it in a thread: it may ask the database who that is."""
        return self.registry.acting_as(self.authenticator.identify(request))

    def workspace(self, request: HTTPConnection) -> Workspace:
        """The same with lineage and bytes, for use cases."""
        return Workspace(self.acting(request))

    async def ask(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Runs work that only reads in a thread."""
        return await self.questions.run(function, *arguments, **named)

    async def change(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Runs work that writes in a thread of its own pool."""
        return await self.changes.run(function, *arguments, **named)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Waits for the work in progress, then closes the connections."""
        for pool in (self.questions, self.changes, self.bytes):
            pool.close()
        self.registry.close()


def _nothing(_: Server) -> AbstractAsyncContextManager[None]:
    return contextlib.nullcontext()


@dataclass(frozen=True)
class RouteGroup:
    """`routes` makes the group's routes; `running` is entered when the server starts, and left when it stops."""

    name: str
    routes: Callable[[Server], Sequence[BaseRoute]]
    running: Callable[[Server], AbstractAsyncContextManager[None]] = _nothing
