"""Answers that are made while they are sent: in a thread, a piece at a time, for as long as somebody reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator, Mapping

from starlette.types import Receive, Send

from tfx_pedigree.server.context import Server


async def send_pieces(
    server: Server, pieces: Generator[bytes, None, None], first: bytes, receive: Receive, send: Send
) -> None:
    """The body, whose first piece is there already. It ends early where nobody is left to read it; who does not read is
    cut off (see `protocol`)."""
    gone = asyncio.ensure_future(_gone(receive))
    piece = first
    try:
        while piece and not gone.done():
            following = asyncio.ensure_future(server.bytes.run(next, pieces, b""))
            try:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            finally:  # one at a time is in the pieces
                piece = await following
        if not gone.done():
            await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
        await server.bytes.run(pieces.close)


async def start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    lines = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
