"""The bytes of an object on one connection: whole, in whatever pieces they come, and the next request after them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import pytest

from server_testing import Switch
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import Registry
from tfx_pedigree.server import bodies, protocol
from tfx_pedigree.store import Store

DATA = os.urandom((5 << 20) + 7)
SHA256 = hashlib.sha256(DATA).hexdigest()
NEXT = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry.create(tmp_path / "registry", actor="ada") as made:
        yield made


@pytest.fixture
def connection(registry: Registry, switch: Switch) -> Iterator[socket.socket]:
    with switch.registry(registry, "registry") as address:
        target = urlsplit(address)
        with socket.create_connection((target.hostname or "", target.port or 0), 20) as made:
            yield made


def head(more: bytes = b"", length: int = len(DATA)) -> bytes:
    asked = f"PUT /api/v1/store/objects/{SHA256} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ada\r\n"
    return asked.encode() + f"content-length: {length}\r\n".encode() + more + b"\r\n"


def status(connection: socket.socket) -> bytes:
    """Of one answer, of which all is read."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(1)
    length = [line for line in found.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
    left = int(length[0].split()[1]) if length else 0
    while left:
        left -= len(connection.recv(left))
    return found.split()[1]


def stored(registry: Registry) -> bool:
    return registry.store.object_size(SHA256) == len(DATA)


@pytest.mark.parametrize("pieces", [(0, len(DATA)), (1, 1 << 20), (100_000, 100_001, (1 << 20) + 5), (len(DATA) - 1,)])
def test_bytes_arrive_in_whatever_pieces_they_come_and_the_connection_serves_on(
    connection: socket.socket, registry: Registry, pieces: tuple[int, ...]
) -> None:
    for number in range(2):
        connection.sendall(head())
        for begin, end in zip((0, *pieces), (*pieces, len(DATA)), strict=True):
            connection.sendall(DATA[begin:end])
            time.sleep(0.01)
        assert status(connection) == b"204", number
        assert stored(registry)
    connection.sendall(NEXT)
    assert status(connection) == b"200"


@pytest.mark.parametrize("at_once", [True, False])
def test_the_next_request_may_follow_at_once(connection: socket.socket, registry: Registry, *, at_once: bool) -> None:
    connection.sendall(head() + DATA + NEXT if at_once else head())
    if not at_once:
        time.sleep(0.05)
        connection.sendall(DATA + NEXT)
    assert [status(connection), status(connection)] == [b"204", b"200"]
    assert stored(registry)


def test_a_client_that_asks_first_is_told_to_go_on(connection: socket.socket, registry: Registry) -> None:
    connection.sendall(head(b"expect: 100-continue\r\n"))
    assert status(connection) == b"100"
    connection.sendall(DATA)
    assert status(connection) == b"204"
    assert stored(registry)


def test_bytes_that_stop_coming_are_not_waited_for(
    connection: socket.socket, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.1)
    connection.sendall(head() + DATA[: 3 << 20])
    assert status(connection) == b"400"
    assert not list((Path(registry.store.url) / "tmp").iterdir())


def test_of_a_client_that_goes_away_nothing_is_kept(
    connection: socket.socket, registry: Registry, switch: Switch
) -> None:
    connection.sendall(head() + DATA[: 3 << 20])
    time.sleep(0.05)
    connection.close()
    folder, give_up = Path(registry.store.url) / "tmp", time.monotonic() + 20
    while not folder.exists() or list(folder.iterdir()) or switch.connections:
        assert time.monotonic() < give_up
        time.sleep(0.01)
    assert not stored(registry)


@pytest.mark.parametrize("goes_on", [True, False])
def test_what_comes_after_a_refusal_is_thrown_away_and_not_for_ever(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch, *, goes_on: bool
) -> None:
    def full(_: Store, stream: BinaryIO, *rest: object) -> None:
        stream.readinto(memoryview(bytearray(10)))  # type: ignore[attr-defined]
        raise InvalidInputError("There is no space left.")

    monkeypatch.setattr(Store, "put_object", full)
    monkeypatch.setattr(protocol, "REST_WITHIN", 20.0 if goes_on else 0.1)
    connection.sendall(head() + DATA[:300_000])
    assert status(connection) == b"400"
    if goes_on:
        connection.sendall(DATA[300_000:] + NEXT)
        assert status(connection) == b"200"
    else:
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1) == b""
