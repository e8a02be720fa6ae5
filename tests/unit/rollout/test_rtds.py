"""The service that Envoy asks for shares: told at once, ended in time, and given up when there is nothing to say."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from balancer_testing import free_ports, until

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.rollout.traffic import rtds
from tfx_pedigree.versioning.wire import whole
from tfx_pedigree.versioning.wire_writing import run

NAME = "pedigree/penguin"


class Envoy:
    """Asks for one resource, and takes or refuses what it gets."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        call = self._channel.stream_stream(f"/{rtds.SERVICE}/StreamRuntime")
        self.answers = call(iter(self._requests.get, b"end"))
        self._requests.put(run(3, NAME))

    def next(self) -> tuple[str, str, bytes]:
        """Version, nonce and resource."""
        answer = whole(next(self.answers))
        return answer.message(1).text(), answer.message(5).text(), answer.message(2).raw()

    def answer(self, nonce: str, error: str | None = None) -> None:
        refusal = run(6, run(2, error)) if error else b""
        self._requests.put(run(3, NAME) + run(5, nonce) + refusal)

    def send(self, data: bytes) -> None:
        self._requests.put(data)

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def address() -> Iterator[str]:
    found = f"127.0.0.1:{free_ports(1)[0]}"
    yield found
    rtds.release_server(found)


@pytest.fixture
def connect(address: str) -> Iterator[Callable[[], Envoy]]:
    made: list[Envoy] = []

    def one() -> Envoy:
        made.append(Envoy(address))
        return made[-1]

    yield one
    for envoy in made:
        envoy.close()


def test_what_was_published_is_taken_or_refused_and_known(address: str, connect: Callable[[], Envoy]) -> None:
    server = rtds.shared_server(address)
    server.publish(NAME, {"share": 2500}, 30)
    envoy = connect()
    _, nonce, _ = envoy.next()
    assert not server.delivery(NAME).taken
    envoy.answer(nonce)
    until(lambda: server.delivery(NAME).taken, "it is taken")
    server.publish(NAME, {"share": -1}, 30)
    _, nonce, _ = envoy.next()
    envoy.answer(nonce, "weights must not be negative")
    until(lambda: server.delivery(NAME).refused, "it is refused")
    assert server.delivery(NAME).refused == "Envoy refuses the share: weights must not be negative"
    server.publish(NAME, {"share": 100}, 30)
    _, nonce, _ = envoy.next()
    envoy.answer(nonce)
    until(lambda: server.delivery(NAME).refused is None and server.delivery(NAME).taken, "the next one is taken")


def test_an_envoy_that_comes_after_the_end_of_a_lease_gets_no_share(address: str, connect: Callable[[], Envoy]) -> None:
    server = rtds.shared_server(address)
    server.publish(NAME, {"share": 2500}, 0.1)
    time.sleep(0.15)
    assert b"share" not in connect().next()[2]


def test_nothing_is_said_before_something_was_published(address: str, connect: Callable[[], Envoy]) -> None:
    """A controller that starts again must look first: an empty answer would end the share that holds."""
    server, envoy = rtds.shared_server(address), connect()
    until(lambda: server.delivery(NAME).connected, "it is connected")
    server.publish(NAME, {"share": 2500}, 30)
    assert b"share" in envoy.next()[2]


def test_a_second_controller_is_refused_the_address(address: str) -> None:
    rtds.shared_server(address)
    with pytest.raises(UnavailableError, match="Another controller on this host may"):
        rtds.RuntimeServer(address)


def test_the_address_is_given_up_when_nothing_holds_any_longer(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtds, "_IDLE_SECONDS", 0.2)
    server = rtds.shared_server(address)
    server.publish(NAME, {"share": 2500}, 0.6)
    time.sleep(0.4)
    assert rtds.running_server(address) is server
    until(lambda: rtds.running_server(address) is None, "it is given up")
    until(lambda: _can_listen(address), "another one can listen")


def _can_listen(address: str) -> bool:
    try:
        rtds.RuntimeServer(address).stop()
    except UnavailableError:
        return False
    return True


@pytest.mark.parametrize("data", [b"\xff\xff", run(3, b"\xff\xfe"), b"\x0a\x05ab"])
def test_what_is_no_request_ends_its_own_stream_only(address: str, connect: Callable[[], Envoy], data: bytes) -> None:
    server = rtds.shared_server(address)
    server.publish(NAME, {"share": 2500}, 30)
    bad, good = connect(), connect()
    bad.next()
    bad.send(data)
    with pytest.raises(grpc.RpcError):
        next(bad.answers)
    assert b"share" in good.next()[2]
    until(lambda: server.delivery(NAME).connected == 1, "one is left")
