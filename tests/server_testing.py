"""A real server for tests: uvicorn in a thread, which serves the application of the test that runs now.

Whoever asks is who the bearer token says. Applications come and go, the server stays: starting one takes longer than
most tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast
from urllib.parse import quote, unquote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from tfx_pedigree import client
from tfx_pedigree.errors import UnauthenticatedError
from tfx_pedigree.registry import Identity, Registry
from tfx_pedigree.server import Server, ServerSettings, application
from tfx_pedigree.server.protocol import PatientProtocol

T = TypeVar("T")


def in_own_loop(work: Coroutine[Any, Any, T]) -> T:
    """In a thread of its own: that of the tests may have an event loop already, such as a browser's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


class NamedByToken:
    """The token is the name."""

    def identify(self, request: HTTPConnection) -> Identity:
        scheme, _, name = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not name:
            raise UnauthenticatedError("The request carries no token. Send one: `Authorization: Bearer TOKEN`.")
        return Identity(unquote(name))


def opened(at: str, actor: str) -> Registry:
    """The registry at that address, over HTTP, for the actor: whoever gets it may take it for a local one."""
    return cast("Registry", client.connect(at, token=quote(actor, safe="")))


class Switch:
    """Hands requests to the application of the moment."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self.address = ""
        # Those that the server holds open.
        self.connections: set[Any] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None, "no test is running"
        await self.app(scope, receive, send)

    def registry(self, registry: Registry, address: str) -> AbstractContextManager[str]:
        """The address at which a registry that is open is served."""
        return self.serving(application(Server(ServerSettings(address), registry, NamedByToken())))

    @contextlib.contextmanager
    def serving(self, app: Starlette) -> Iterator[str]:
        """The address at which the application answers."""
        self.app = app
        try:
            with app.state.server:
                yield self.address
        finally:
            self.app = None


@contextlib.contextmanager
def running() -> Iterator[Switch]:
    switch = Switch()
    held = socket.create_server(("127.0.0.1", 0))
    options: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "lifespan": "off",
        "ws": "none",
        "http": PatientProtocol,
    }
    server = uvicorn.Server(uvicorn.Config(switch, **options))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [held]}, daemon=True)
    thread.start()
    give_up = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive() and time.monotonic() < give_up, "the server did not start"
        time.sleep(0.005)
    switch.connections = server.server_state.connections
    switch.address = f"http://127.0.0.1:{held.getsockname()[1]}"
    yield switch
    server.should_exit = True
    thread.join(20)
    held.close()
