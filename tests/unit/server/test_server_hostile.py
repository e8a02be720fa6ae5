"""What nobody with good intentions sends: half requests, endless ones, and bytes that mean something elsewhere."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from server_testing import Switch
from tfx_pedigree.registry import Identity, Registry
from tfx_pedigree.server import Server, ServerSettings, api, application, bodies, protocol
from tfx_pedigree.server.authentication import Everybody
from tfx_pedigree.server.protocol import LEAST_TAKEN, PatientProtocol


@pytest.fixture
def at(tmp_path: Path, switch: Switch) -> Iterator[str]:
    registry = Registry.create(tmp_path / "registry", actor="ada")
    with switch.registry(registry, "registry") as address:
        yield address


@contextlib.contextmanager
def connected(at: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", urlsplit(at).port or 0), timeout=10) as connection:
        yield connection


def all_of(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            found += piece
    return found


def asked(at: str, request: bytes) -> bytes:
    with connected(at) as connection:
        connection.sendall(request)
        return all_of(connection)


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\n", b"GET /heal"])
def test_whoever_sends_no_whole_request_is_cut_off(at: str, monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(protocol, "HEADERS_WITHIN", 0.2)
    with connected(at) as connection:
        connection.sendall(begun)
        began = time.monotonic()
        assert all_of(connection) == b""
        assert time.monotonic() - began < 5


def test_a_connection_that_is_kept_open_is_cut_off_in_its_next_request_alone(
    at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEADERS_WITHIN", 0.2)
    with connected(at) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        time.sleep(0.4)  # idle, and welcome to be
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /hea")
        assert all_of(connection).count(b"HTTP/1.1 200") == 1


def test_headers_without_end_are_cut_off(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LARGEST_HEADERS", 10_000)
    with connected(at) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        for number in range(1000):
            connection.sendall(f"x-{number}: {'y' * 1000}\r\n".encode())
            time.sleep(0.001)
        pytest.fail("the server went on reading")


def test_headers_are_as_large_as_the_limit_says_and_no_larger(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they come in one piece, and a body beside them is none of them."""
    monkeypatch.setattr(protocol, "LARGEST_HEADERS", 10_000)
    head = b"POST /api/v1/audit/verify HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    many = b"x-y: " + b"y" * 11_000 + b"\r\n\r\n"
    assert asked(at, head + many).startswith(b"HTTP/1.1 400")
    fits = b"content-length: 9000\r\nx-y: " + b"y" * 9_000 + b"\r\n\r\n" + b" " * 9000
    assert asked(at, head + fits).startswith(b"HTTP/1.1 401")


def test_a_body_that_stops_is_answered_and_not_waited_for(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.2)
    head = b"POST /api/v1/models/m/rollback HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ada\r\n"
    answer = asked(at, head + b"content-length: 100\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"stopped coming" in answer


def test_a_body_that_comes_byte_by_byte_is_not_waited_for_to_its_end(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer may be lost when the connection is cut under a byte that was just sent; that it is cut may not."""
    monkeypatch.setattr(bodies, "WHOLE", 0.2)
    head = b"POST /api/v1/models/m/rollback HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ada\r\n"
    with connected(at) as connection:
        connection.sendall(head + b"content-length: 100000\r\n\r\n")
        connection.settimeout(0.05)
        answer, cut, give_up = b"", False, time.monotonic() + 20
        while not (answer or cut):
            assert time.monotonic() < give_up, "the server went on waiting"
            try:
                connection.sendall(b" ")
                answer = connection.recv(65536)
                cut = not answer
            except TimeoutError:
                continue
            except ConnectionError:
                cut = True
    assert cut or (answer.startswith(b"HTTP/1.1 400") and b"did not come whole" in answer)


LARGE = 24 << 20  # more than a system keeps for a connection by itself


@pytest.fixture(params=["in pieces", "at once"])
def large_answer(request: pytest.FixtureRequest, switch: Switch) -> Iterator[Switch]:
    async def answer(_: Request) -> Response:
        if request.param == "at once":
            return Response(b"x" * LARGE)
        return StreamingResponse((b"x" * (1 << 20) for _ in range(LARGE >> 20)), headers={"content-length": str(LARGE)})

    switch.app = Starlette(routes=[Route("/", answer)])
    yield switch
    switch.app = None


@contextlib.contextmanager
def with_little_room(switch: Switch) -> Iterator[tuple[socket.socket, PatientProtocol]]:
    """A connection that has asked, as the client has it and as the server has it."""
    before = set(switch.connections)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", urlsplit(switch.address).port or 0))
        connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        within_seconds(lambda: len(switch.connections - before) == 1)
        (held,) = switch.connections - before
        yield connection, held


def within_seconds(true: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_whoever_does_not_take_his_answer_is_cut_off(large_answer: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "TAKEN_WITHIN", 0.1)
    with with_little_room(large_answer) as (connection, held):
        within_seconds(lambda: held not in large_answer.connections)
        assert len(all_of(connection)) < LARGE


def test_whoever_takes_his_answer_slowly_is_not_cut_off_until_he_stops(large_answer: Switch) -> None:
    with with_little_room(large_answer) as (connection, held):
        for _ in range(30):
            taken = 0
            while taken < 2 * LEAST_TAKEN:
                taken += len(connection.recv(8192))
            in_loop_of(held, held.look)
            assert held in large_answer.connections
        for _ in range(2):
            in_loop_of(held, held.look)
        within_seconds(lambda: held not in large_answer.connections)


def in_loop_of(held: PatientProtocol, work: Callable[[], None]) -> None:
    done = threading.Event()
    held.loop.call_soon_threadsafe(lambda: (work(), done.set()))
    assert done.wait(20)


@pytest.mark.parametrize("rest", [b"x", b"\r\n"])
def test_a_body_that_nobody_waits_for_has_an_end_too(at: str, monkeypatch: pytest.MonkeyPatch, rest: bytes) -> None:
    """What comes after an answer would otherwise hold the connection for as long as it comes."""
    monkeypatch.setattr(protocol, "REST_WITHIN", 0.2)
    length = b"content-length: 1000000\r\n" if rest == b"x" else b""
    with connected(at) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n" + length + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        give_up = time.monotonic() + 20
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < give_up:
                connection.sendall(rest)
                time.sleep(0.02)
    assert time.monotonic() < give_up


def test_a_body_without_a_length_is_read_to_its_bound(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the last line would wait in vain for an answer."""
    monkeypatch.setattr(api, "LARGEST_BODY", 10_000)
    head = b"POST /api/v1/models/m/rollback HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ada\r\n"
    with connected(at) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(head + b"transfer-encoding: chunked\r\n\r\n")
            for _ in range(20):
                connection.sendall(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        answer = all_of(connection)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"POST /api HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx : y\r\n\r\n",
        b"GET\t/healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_two_servers_could_read_in_two_ways_is_not_read(at: str, request_: bytes) -> None:
    assert b"HTTP/1.1 200" not in asked(at, request_)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/models/x%0d%0aset-cookie:%20a=b",
        "/api/v1/models/..%2f..%2f..%2fetc%2fpasswd",
        "/api/v1/models/%00",
        "/api/v1/models/%ed%a0%80",
        "/api/v1/models/%c3%28/versions/latest",
        "/api/v1//models",
        "/api/v1/../../etc/passwd",
        "/api/v1/models/" + "a" * 50_000,
        "/static/..%2f..%2fapp.py",
    ],
)
def test_paths_lead_nowhere_else_and_put_nothing_into_headers(at: str, path: str) -> None:
    close = "connection: close\r\nauthorization: Bearer ada\r\n\r\n"
    answer = asked(at, f"GET {path} HTTP/1.1\r\nhost: localhost\r\n{close}".encode())
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] in (b"400", b"404")
    assert b"set-cookie" not in head.lower()
    assert b"root:" not in content
    assert b"Traceback" not in content


def test_a_second_host_is_no_host(at: str) -> None:
    answer = asked(at, b"GET /api HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n")
    assert answer.split(b" ")[1] in (b"400", b"421")


@pytest.mark.parametrize("told", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "models/m/notes/retrain"), ("PUT", f"store/objects/{'0' * 64}"), ("DELETE", "models/m/aliases/canary")],
)
def test_a_page_of_another_site_changes_nothing(
    tmp_path: Path, switch: Switch, told: dict[str, str], method: str, path: str
) -> None:
    """A browser on the same computer reaches a server that listens there alone and asks for no credential."""
    registry = Registry.create(tmp_path / "registry", actor="ada")
    server = Server(ServerSettings("registry"), registry, Everybody(Identity("ada")))
    with switch.serving(application(server)) as at:
        answer = httpx.request(method, f"{at}/api/v1/{path}", headers=told)
    assert answer.status_code == 403
    assert "page of another site" in answer.text
