"""Where further routes are plugged in: pages, other protocols, and what runs beside the requests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from starlette.routing import BaseRoute

from tfx_pedigree.server.context import Server


def _nothing(_: Server) -> AbstractAsyncContextManager[None]:
    return contextlib.nullcontext()


@dataclass(frozen=True)
class RouteGroup:
    """`routes` makes the group's routes; `running` is entered when the server starts, and left when it stops."""

    name: str
    routes: Callable[[Server], Sequence[BaseRoute]]
    running: Callable[[Server], AbstractAsyncContextManager[None]] = _nothing
