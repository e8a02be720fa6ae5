"""Clients that send predictions and try nothing twice: each failure that a client sees is counted."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_PREDICTION = re.compile(rb'"predictions": \[(\d+)\]')


@dataclass
class Client:
    """One keep-alive connection. `answers` counts versions, `failures` what else came back."""

    port: int
    path: str = "/v1/models/penguin:predict"
    answers: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    _channel: socket.socket | None = None

    def send(self, count: int) -> None:
        for _ in range(count):
            self.send_one()

    def send_one(self) -> None:
        try:
            code, body, closing = self._exchange()
        except OSError as error:
            self.failures[type(error).__name__] += 1
            self.close()
            return
        found = _PREDICTION.search(body)
        if code == 200 and found:
            self.answers[int(found[1])] += 1
        else:
            self.failures[str(code)] += 1
        if closing:
            self.close()

    def _exchange(self) -> tuple[int, bytes, bool]:
        if self._channel is None:
            self._channel = socket.create_connection(("127.0.0.1", self.port), timeout=10)
            self._channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = b'{"instances": [1]}'
        head = f"POST {self.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        self._channel.sendall(head.encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head_bytes, _, rest = data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head_bytes)
        wanted = int(length[1]) if length else 0
        while len(rest) < wanted:
            rest += self._more()
        return int(head_bytes.split(b" ", 2)[1]), rest, b"connection: close" in head_bytes.lower()

    def _more(self) -> bytes:
        assert self._channel is not None
        part = self._channel.recv(1 << 16)
        if not part:
            raise ConnectionResetError("closed before the answer")
        return part

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


class Load:
    """Several clients at once, until the block ends."""

    def __init__(self, port: int, clients: int = 3, pause: float = 0.001) -> None:
        self.clients = [Client(port) for _ in range(clients)]
        self._pause = pause
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(one,), daemon=True) for one in self.clients]

    def _run(self, client: Client) -> None:
        while not self._over.is_set():
            client.send_one()
            time.sleep(self._pause)
        client.close()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def answers(self) -> Counter[int]:
        return sum((one.answers for one in self.clients), Counter())

    @property
    def failures(self) -> Counter[str]:
        return sum((one.failures for one in self.clients), Counter())
