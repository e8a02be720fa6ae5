"""A server that comes and goes: a proxy on loopback in front of a real one, which cuts connections."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable


class FlappingProxy:
    """Forwards to what `connect` reaches. `refusing` connections are closed as soon as they are made; while `away`, all
    are. `cut_at` names bytes: a client that sends them is cut off, before or `cut_after` the server has got them; once
    only, and with `armed_by` not before those bytes have been sent."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port = self._listener.getsockname()[1]
        self.refusing = 0
        self.refuse_each: int | None = None
        self.away = False
        self.cut_at: bytes | None = None
        self.cut_after = False
        self.armed_by: bytes | None = None
        self.accepted = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> FlappingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Ends every connection that is open, without a word."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self._refuses():
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _refuses(self) -> bool:
        if self.refusing:
            self.refusing -= 1
            return True
        return self.away or (self.refuse_each is not None and self.accepted % self.refuse_each == 0)

    def _serve(self, client: socket.socket) -> None:
        with client, self._connect() as server:
            self._open += [client, server]
            with contextlib.suppress(OSError):
                while self._forwarded(client, server):
                    pass

    def _forwarded(self, client: socket.socket, server: socket.socket) -> bool:
        for ready in select.select([client, server], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return False
            cut = ready is client and self._cuts(data)
            if cut and not self.cut_after:
                return False
            (server if ready is client else client).sendall(data)
            if cut:
                server.recv(65536)  # the server has done it, and the client never hears of it
                return False
        return True

    def _cuts(self, data: bytes) -> bool:
        if self.armed_by is not None and self.armed_by in data:
            self.armed_by = None
        if self.cut_at is None or self.armed_by is not None or self.cut_at not in data:
            return False
        self.cut_at = None
        return True
