"""HTTP as uvicorn speaks it, with an end to waiting: a connection is cut off whose client sends no whole request, sends
headers without end, or does not take its answer. Bodies of requests have limits of their own (see `bodies`)."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import termios
from array import array

from httptools import HttpRequestParser
from starlette.requests import ClientDisconnect
from typing_extensions import Self
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEADERS_WITHIN = 20.0
LARGEST_HEADERS = 512 << 10
# What comes after an answer and begins no request is thrown away, such as the rest of a body, and not for ever.
REST_WITHIN = 20.0
# Of an answer that waits to be taken, so much is taken within this time, or the next piece is asked for.
TAKEN_WITHIN = 30.0
LEAST_TAKEN = 64 << 10
# Where a scope holds what takes the body from the connection (see `arriving`).
EXTENSION = "tfx_pedigree.body"


class PatientProtocol(HttpToolsProtocol):
    """The time for a request runs from a connection's beginning, and from the first byte of each further one on it."""

    _timer: asyncio.TimerHandle | None = None
    _waiting = True
    _read = 0
    _piece = 0
    _next_look: asyncio.TimerHandle | None = None
    _left = 0
    _alive = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()
        self._look_later()

    def data_received(self, data: bytes) -> None:
        self._piece = len(data)
        super().data_received(data)
        self._read += len(data)
        if self._waiting and self._read > LARGEST_HEADERS:  # nothing but headers came
            self._cut()
            return
        answered = self.cycle is None or self.cycle.response_complete
        if answered and self._timer is None:
            self.cut_later()

    def on_message_begin(self) -> None:
        self._begin()
        self._alive = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._end()
        if self._read + self._piece > LARGEST_HEADERS and self._size_of_headers() > LARGEST_HEADERS:
            raise ValueError("larger than the headers of a request may be")  # answered with 400
        super().on_headers_complete()
        self.scope["extensions"] = {EXTENSION: {"take": functools.partial(self.take_body, self.cycle)}}

    def _size_of_headers(self) -> int:
        return len(self.url) + sum(len(name) + len(text) for name, text in self.headers)

    def take_body(self, cycle: RequestResponseCycle, receiver: asyncio.BufferedProtocol) -> tuple[Self, bytes]:
        """What has come of a request's body, of which nothing was asked for yet. If there is more of it, that goes to
        the receiver itself, until it calls `end_body`."""
        if cycle.disconnected:
            raise ClientDisconnect
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        begun, cycle.body = bytes(cycle.body), bytearray()
        if cycle.more_body:
            self._read_by(receiver)
        return self, begun

    def end_body(self) -> None:
        """The parser has not seen the body's end, so another one takes the next request."""
        self._end()
        self.parser = HttpRequestParser(self)
        self.cycle.more_body = False
        self.cycle.message_event.set()
        self._read_by(self)

    def _read_by(self, protocol: asyncio.BaseProtocol) -> None:
        self.flow.pause_reading()
        self.transport.set_protocol(protocol)
        self.flow.resume_reading()

    def on_message_complete(self) -> None:
        self._end()
        super().on_message_complete()

    def resume_writing(self) -> None:
        self._alive = True
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        if self._next_look is not None:
            self._next_look.cancel()
        super().connection_lost(exc)

    def _begin(self) -> None:
        self._end()
        self._waiting, self._read = True, 0
        self._timer = self.loop.call_later(HEADERS_WITHIN, self._cut)

    def _end(self) -> None:
        self._waiting = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def cut_later(self) -> None:
        self._timer = self.loop.call_later(REST_WITHIN, self._cut)

    def _cut(self) -> None:
        self._end()
        self.transport.close()

    def _look_later(self) -> None:
        self._next_look = self.loop.call_later(TAKEN_WITHIN, self.look)

    def look(self) -> None:
        """Ends a connection whose client took next to nothing since the last look. Also one that was closed: what waits
        to be taken would keep it open for ever."""
        left = self.transport.get_write_buffer_size() + _on_its_way(self.transport)
        same = self._left - LEAST_TAKEN < left <= self._left  # more is only written when enough was taken
        if left and same and not self._alive:
            self.transport.abort()
            return
        self._left, self._alive = left, False
        self._look_later()


def _on_its_way(transport: asyncio.Transport) -> int:
    """What the system holds that the other side has not confirmed: it asks for more only when a megabyte or so of that
    is gone."""
    found = array("i", [0])
    with contextlib.suppress(OSError, ValueError, AttributeError):  # where a system does not tell, it is not counted
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, found)
    return found[0]
