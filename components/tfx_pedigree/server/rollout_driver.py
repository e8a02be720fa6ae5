"""The controller of rollouts beside the requests, where the server was started with `--controller`.

Each process has one; the lease of each model lets one of them drive it, and another takes over when that one is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator

from tfx_pedigree.registry import Identity
from tfx_pedigree.rollout.controller import Tick
from tfx_pedigree.server.context import RouteGroup, Server
from tfx_pedigree.service.rollouts.desk import RolloutDesk
from tfx_pedigree.service.workspace import Workspace

_AGAIN_SECONDS = 5.0
_GRACE_SECONDS = 20.0
log = logging.getLogger("tfx_pedigree.server")


@contextlib.asynccontextmanager
async def _running(server: Server) -> AsyncIterator[None]:
    if server.settings.controller is None:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_drive, args=(server, stop), name="rollouts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        await asyncio.to_thread(thread.join, _GRACE_SECONDS)


def _drive(server: Server, stop: threading.Event) -> None:
    driver = server.settings.controller
    assert driver is not None  # noqa: S101  only then it is started
    workspace = Workspace(server.registry.acting_as(Identity(driver.actor)))
    desk = RolloutDesk(workspace, driver.config)
    while not stop.is_set():
        try:
            desk.run_controller(_Told(), stop.is_set, sleep=stop.wait)
        except Exception:  # the boundary of the thread: what drives traffic must not end unseen
            log.exception("The controller of rollouts failed; it begins again in %s s", _AGAIN_SECONDS)
            stop.wait(_AGAIN_SECONDS)


class _Told:
    """Decisions, and each new thing that does not work, to the log."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, tick: Tick) -> None:
        if tick.decided and tick.rollout is not None:
            log.warning(
                "Rollout %s: %s %s", tick.rollout.name, tick.rollout.state.phase, tick.rollout.state.reason or ""
            )
        for note in set(tick.notes) - self._said:
            log.warning("Rollout of %s: %s", tick.model, note)
        self._said = set(tick.notes)


ROLLOUTS = RouteGroup("rollouts", lambda _: (), _running)
