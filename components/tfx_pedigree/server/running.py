"""Processes that serve: one on SQLite, any number on PostgreSQL, behind one socket."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import socket
import tempfile
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.registry import Registry
from tfx_pedigree.server.app import GROUPS, application, create_app
from tfx_pedigree.server.context import Server
from tfx_pedigree.server.local_session import LocalSession
from tfx_pedigree.server.protocol import PatientProtocol
from tfx_pedigree.server.settings import ServerSettings
from tfx_pedigree.server.timing import SHARED

# For requests that are being answered when the server is told to stop.
GRACE = 30
_BACKLOG = 2048


def serve(settings: ServerSettings, listening: Callable[[str], None]) -> None:
    """Until a signal ends it. What would stop a worker from starting is refused before there is one; `listening` is
    told the address as soon as connections are taken."""
    app = create_app(settings)
    _check(settings, app.state.server.registry.url)
    held = _bound(settings)
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    listening(f"{settings.scheme}://{shown}:{held.getsockname()[1]}")
    if settings.workers > 1:
        app.state.server.close()  # each process opens its own
        config = _config(settings, functools.partial(create_app, settings), factory=True)
        with tempfile.TemporaryDirectory(prefix="pedigree-metrics-") as shared:
            os.environ[SHARED] = shared
            Multiprocess(config, sockets=[held]).run()
    else:
        uvicorn.Server(_config(settings, app)).run(sockets=[held])


def serve_locally(settings: ServerSettings, actor: str, listening: Callable[[str], None]) -> None:
    """One process on this computer, for one browser that acts as `actor`."""
    registry = Registry.open(settings.registry, actor=actor, store=settings.store)
    held = _bound(settings)
    port = held.getsockname()[1]
    session = LocalSession(actor, port)
    server = Server(settings, registry, session)
    app = application(server, (*GROUPS, session.group))
    listening(f"http://127.0.0.1:{port}{session.path}")
    options: dict[str, Any] = {"http": PatientProtocol, "loop": "uvloop", "ws": "none", "log_config": None}
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(app, access_log=False, server_header=False, **options)).run(sockets=[held])


def _check(settings: ServerSettings, url: str) -> None:
    if url.startswith("sqlite") and settings.workers > 1:
        raise InvalidInputError(
            f"The registry {url} is an SQLite file, which one process serves; {settings.workers} were asked for. "
            "Leave out --workers, or use PostgreSQL."
        )


def _config(settings: ServerSettings, app: Callable[..., Any], *, factory: bool = False) -> uvicorn.Config:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    return uvicorn.Config(
        app,
        factory=factory,
        workers=settings.workers,
        http=PatientProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )


def _bound(settings: ServerSettings) -> socket.socket:
    """Takes connections from now on; they wait until a process serves them."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    held = socket.socket(family)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((settings.host.strip("[]"), settings.port))
    except OSError as error:
        held.close()
        raise UnavailableError(
            f"The server cannot listen on {settings.host}, port {settings.port}: {error.strerror}. "
            "Give another one with --host or --port."
        ) from error
    held.listen(_BACKLOG)
    held.set_inheritable(True)
    return held
