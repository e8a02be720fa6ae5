"""HTTP as uvicorn speaks it, with an end to waiting: whoever opens a connection and sends no whole request, or headers
without end, is cut off. Bodies have limits of their own (see `bodies`)."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_WITHIN = 20.0
LARGEST_HEADERS = 512 << 10


class PatientProtocol(HttpToolsProtocol):
    """The time runs from a connection's beginning, and from the first byte of each further request on it."""

    _timer: asyncio.TimerHandle | None = None
    _waiting = True
    _read = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        if self._waiting:
            self._read += len(data)
            if self._read > LARGEST_HEADERS:
                self._cut()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._begin()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._end()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
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

    def _cut(self) -> None:
        self._end()
        self.transport.close()
