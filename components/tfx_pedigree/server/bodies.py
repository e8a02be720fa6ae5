"""Bodies of requests, read within bounds of size and time."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import format_size

# Between two pieces of a body; a client that is slower than that holds a connection and sends nothing.
PATIENCE = 30.0
# All of one, but for a model's bytes: who sends a byte now and then would hold his connection for days.
WHOLE = 300.0


class TooLargeError(InvalidInputError):
    """The body is larger than what the operation takes."""


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    _check_length(scope, most)
    pieces: list[bytes] = []
    size, until = 0, asyncio.get_running_loop().time() + WHOLE
    while True:
        piece, more = await next_piece(receive)
        size += len(piece)
        if size > most:
            raise too_large(most)
        pieces.append(piece)
        if not more:
            return b"".join(pieces)
        if asyncio.get_running_loop().time() > until:
            raise InvalidInputError(
                f"The request's body did not come whole within {WHOLE:.0f} s, so it was not answered. Send it again."
            )


async def next_piece(receive: Receive) -> tuple[bytes, bool]:
    try:
        message = await asyncio.wait_for(receive(), PATIENCE)
    except asyncio.TimeoutError:
        raise stopped_coming() from None
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def stopped_coming() -> InvalidInputError:
    return InvalidInputError(
        f"The request's body stopped coming for {PATIENCE:.0f} s, so it was not answered. Send it again."
    )


def _check_length(scope: Scope, most: int) -> None:
    claimed = next((text for name, text in scope["headers"] if name == b"content-length"), b"0")
    if claimed.isdigit() and int(claimed[:20]) > most:
        raise too_large(most)


def too_large(most: int) -> TooLargeError:
    return TooLargeError(f"The request's body is larger than {format_size(most)}, which is the most that is read here.")
