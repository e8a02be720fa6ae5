"""The body of a request on its way into the store: from the connection into a few buffers, and from there to a thread.

Other bodies come in messages of 64 KiB, which are copied five times and handed from thread to thread one by one: for a
model's bytes, that took longer than to hash and write them.
"""

from __future__ import annotations

import asyncio
from queue import SimpleQueue

from starlette.requests import ClientDisconnect
from starlette.types import Scope

from tfx_pedigree.server import bodies
from tfx_pedigree.server.protocol import EXTENSION

_BUFFER, _BUFFERS = 1 << 20, 4


class ArrivingBody(asyncio.BufferedProtocol):
    """Made in the event loop, for a body that nobody has asked for yet, and read in one thread. The connection belongs
    to it until the body's last byte is there."""

    def __init__(self, scope: Scope, length: int) -> None:
        # In the thread:
        self._http, begun = scope["extensions"][EXTENSION]["take"](self)
        self._unread, self._held = length, memoryview(begun)
        # Between both:
        self._full = SimpleQueue[memoryview | Exception]()
        # In the event loop:
        self._left = length - len(begun)
        self._free = [bytearray(_BUFFER) for _ in range(_BUFFERS)] if self._left else []
        self._filling, self._at = memoryview(b""), 0
        self._abandoned = False
        if self._left:
            self._next()
            self._timer = self._http.loop.call_later(bodies.PATIENCE, self._look, self._left)

    def readinto(self, view: memoryview) -> int:
        if not self._held and self._unread:
            found = self._full.get()
            if isinstance(found, Exception):
                raise found
            self._held = found
        part = self._held[: len(view)]
        view[: len(part)] = part
        self._held, self._unread = self._held[len(part) :], self._unread - len(part)
        if not self._held and self._unread and isinstance(part.obj, bytearray):
            self._http.loop.call_soon_threadsafe(self._take_back, part.obj)
        return len(part)

    def abandon(self) -> None:
        """Nobody reads any more: what still comes is thrown away, and not for ever."""
        self._abandoned = True
        if self._left:
            self._timer.cancel()
            self._http.cut_later()
            self._take_back(bytearray(_BUFFER))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._filling[self._at :]

    def buffer_updated(self, nbytes: int) -> None:
        self._at += nbytes
        self._left -= nbytes
        if self._left and self._at < len(self._filling):
            return
        if not self._abandoned:
            self._full.put(self._filling)
        elif isinstance(self._filling.obj, bytearray):
            self._free.append(self._filling.obj)
        if self._left:
            self._next()
        else:
            self._timer.cancel()
            self._http.end_body()

    def _next(self) -> None:
        self._filling, self._at = memoryview(self._free.pop() if self._free else b"")[: self._left], 0
        if not self._filling:
            self._http.flow.pause_reading()

    def _take_back(self, buffer: bytearray) -> None:
        self._free.append(buffer)
        if self._left and not self._filling:
            self._next()
            self._http.flow.resume_reading()

    def _look(self, before: int) -> None:
        """What waits for the thread is not the client's fault."""
        if self._left == before and self._filling:
            self._full.put(bodies.stopped_coming())
        else:
            self._timer = self._http.loop.call_later(bodies.PATIENCE, self._look, self._left)

    def connection_lost(self, exc: Exception | None) -> None:
        self._left = 0
        self._timer.cancel()
        self._full.put(ClientDisconnect())
        self._http.connection_lost(exc)

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()
