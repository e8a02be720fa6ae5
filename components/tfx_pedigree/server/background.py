"""What a server does beside answering, until it stops. Nothing that goes wrong in one round ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from tfx_pedigree.errors import PedigreeError

# After a round that failed.
PAUSE = 5.0
log = logging.getLogger("tfx_pedigree.server")


@contextlib.asynccontextmanager
async def repeating(what: str, one_round: Callable[[], Awaitable[float]], after: float = 0.0) -> AsyncIterator[None]:
    """While the block lasts. A round answers how many seconds to wait for the next; `what` begins what the log says of
    one that fails, and `after` seconds the first one begins."""
    task = asyncio.create_task(_again(what, one_round, after))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _again(what: str, one_round: Callable[[], Awaitable[float]], pause: float) -> None:
    while True:
        await asyncio.sleep(pause)
        try:
            pause = await one_round()
        except PedigreeError as error:
            log.warning("%s: %s", what, error)
            pause = PAUSE
        except Exception:
            log.exception("%s: Pedigree itself failed. The next round goes on.", what)
            pause = PAUSE
