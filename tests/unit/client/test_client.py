"""The client by itself: where it sends a token, what it sends again, and what it makes of answers that are none."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from pedigree_testing import candidate
from server_testing import Switch
from tfx_pedigree import client
from tfx_pedigree.client.address import ServerAddress
from tfx_pedigree.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    PedigreeError,
    StaleEvidenceError,
    UnauthenticatedError,
    UnavailableError,
)
from tfx_pedigree.json_form import to_json
from tfx_pedigree.lineage.graph import Node, NodeKind
from tfx_pedigree.registry import Page
from tfx_pedigree.wire import KEY_HEADER, error_of, problem_of

NO_MODELS = json.dumps(to_json(Page((), None))).encode()


class Answers:
    """An application that answers with what it is given, one after the other, and keeps what it was asked."""

    def __init__(self, *answers: tuple[int, bytes, dict[str, str]]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        self.asked.append({name.decode(): text.decode() for name, text in scope["headers"]})
        status, content, headers = self.answers.pop(0)
        lines = [(name.encode(), text.encode()) for name, text in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": content})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0.05")
    monkeypatch.delenv("PEDIGREE_TOKEN", raising=False)


@contextlib.contextmanager
def answering(switch: Switch, *answers: tuple[int, bytes, dict[str, str]]) -> Iterator[Answers]:
    switch.app = found = Answers(*answers)
    yield found
    switch.app = None


def refusal(status: int, error: PedigreeError) -> tuple[int, bytes, dict[str, str]]:
    return status, json.dumps(to_json(problem_of(error))).encode(), {"content-type": "application/problem+json"}


OK = (200, NO_MODELS, {"content-type": "application/json"})
GONE = (503, b"<html>no healthy upstream</html>", {"content-type": "text/html"})
# Few bytes that become many, for whoever takes them apart.
BOMB = gzip.compress(bytes(64 << 20))


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://pedigree.example.com", "is not encrypted.*https://, or set PEDIGREE_ALLOW_HTTP"),
        ("https://ada:secret@pedigree.example.com", "holds a user or a password.*PEDIGREE_TOKEN"),
        ("https://pedigree.example.com/?x=1", "no address of a server"),
        ("https://pedigree.example.com:port", "no address of a server"),
        ("https://", "no address of a server"),
        ("https://pedigree\u0301.example.com", "no address of a server"),
    ],
)
def test_addresses_to_which_no_token_may_go_are_refused(address: str, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told) as refused:
        ServerAddress.of(address, "ped_1_secret", {})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8321/", "http://[::1]:8321", "HTTP://localhost", "https://a.b/c/"]
)
def test_loopback_needs_no_tls(address: str) -> None:
    assert not ServerAddress.of(address, None, {}).url.endswith("/")


def test_where_the_network_is_trusted_plain_http_can_be_allowed() -> None:
    assert ServerAddress.of("http://registry", None, {"PEDIGREE_ALLOW_HTTP": "1"}).url == "http://registry"


def test_the_token_is_that_of_the_environment_and_is_never_shown() -> None:
    found = ServerAddress.of("https://a.b", None, {"PEDIGREE_TOKEN": "ped_1_secret\n"})
    assert found.token == "ped_1_secret"  # noqa: S105
    assert "secret" not in repr(found)
    with pytest.raises(InvalidInputError, match="no token has") as refused:
        ServerAddress.of("https://a.b", None, {"PEDIGREE_TOKEN": "two words\r\nhost: evil"})
    assert "words" not in str(refused.value)


def test_a_question_is_asked_again_while_the_server_is_away(switch: Switch) -> None:
    with answering(switch, GONE, GONE, OK) as server, client.connect(switch.address) as registry:
        assert registry.models().items == ()
    assert len(server.asked) == 3


def test_a_change_is_sent_again_with_the_same_key(switch: Switch) -> None:
    with answering(switch, GONE, refusal(409, ConflictError("no"))) as server:
        with client.connect(switch.address) as registry, pytest.raises(ConflictError, match="^no$"):
            registry.rollback("m", reason="slow")
        first, second = (asked[KEY_HEADER] for asked in server.asked)
        assert first == second


def test_two_changes_have_two_keys(switch: Switch) -> None:
    no = refusal(409, ConflictError("no"))
    with answering(switch, no, no) as server, client.connect(switch.address) as registry:
        for _ in range(2):
            with pytest.raises(ConflictError):
                registry.add("m", candidate("a"))
    assert len({asked[KEY_HEADER] for asked in server.asked}) == 2


@pytest.mark.parametrize(
    "error",
    [
        InvalidInputError("bad"),
        ConflictError("not now"),
        StaleEvidenceError("somebody was first"),
        ForbiddenError("you may not", "promote"),
        UnavailableError("the database is away"),
    ],
)
def test_a_refusal_comes_back_as_it_was(error: PedigreeError) -> None:
    found = error_of(problem_of(error))
    assert (type(found), str(found), vars(found)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, b"<html>", {"content-type": "text/html"}), "no answer.*not JSON.*not as a Pedigree server does"),
        ((200, BOMB, {"content-encoding": "gzip"}), "in the coding gzip, and not as a Pedigree"),
        ((403, BOMB, {"content-encoding": "deflate, gzip"}), "in the coding deflate, gzip, and not"),
        ((403, b" " * (2 << 20), {"content-type": "application/problem+json"}), "answers 403"),
        ((302, b"", {"location": "https://evil.example/"}), "answers 302"),
        ((404, b"no such page", {"content-type": "text/plain"}), "answers 404"),
        ((500, b"{}", {"content-type": "application/problem+json"}), "answers 500"),
        ((200, b'{"items": [1], "next": null}', {"content-type": "application/json"}), "must be an object"),
        ((200, b'{"items": [], "next": null, "x": 1}', {}), r"this release.*unknown field `x`.*install that one here"),
    ],
)
def test_what_is_no_pedigree_server_is_told_as_that(switch: Switch, answer: Any, told: str) -> None:
    refused = pytest.raises(UnavailableError, match=told)
    with answering(switch, answer) as server, client.connect(switch.address, "ped_1_x") as registry, refused:
        registry.models()
    assert len(server.asked) == 1, "the token goes nowhere else"


def test_a_missing_token_is_told_with_the_variable_to_set(switch: Switch) -> None:
    refused = pytest.raises(UnauthenticatedError, match="environment variable PEDIGREE_TOKEN")
    answer = refusal(401, UnauthenticatedError("no token"))
    with answering(switch, answer), client.connect(switch.address) as registry, refused:
        registry.models()


def test_a_server_that_is_not_there_is_told_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with client.connect(f"http://127.0.0.1:{port}") as registry:
        with pytest.raises(UnavailableError, match=f"127.0.0.1:{port} cannot be reached.*Nothing was changed"):
            registry.models()
        with pytest.raises(UnavailableError, match="cannot be reached.*Nothing was changed"):
            registry.remove_alias("m", "canary")


@contextlib.contextmanager
def saying(*answers: bytes) -> Iterator[str]:
    """The address of a server that reads a request and sends these bytes, whatever they are. After an empty answer the
    connection stays open."""
    held = socket.create_server(("127.0.0.1", 0))
    kept = []

    def serve() -> None:
        for answer in answers:
            connection, _ = held.accept()
            kept.append(connection)
            while b"\r\n\r\n" not in connection.recv(1 << 16):
                pass
            connection.sendall(answer)
            if answer:
                connection.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{held.getsockname()[1]}"
    thread.join(20)
    for one in (held, *kept):
        one.close()


HALF = b'HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{"items": ['


@pytest.mark.parametrize("answer", [HALF, b"\x00SSH-2.0\r\n"])
def test_whether_something_may_be_changed_is_told_of_what_was_asked(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0")
    with saying(answer, answer) as address, client.connect(address) as registry:
        with pytest.raises(UnavailableError, match="Nothing was changed"):
            registry.models()
        with pytest.raises(UnavailableError, match="either whole or not there"):
            registry.remove_alias("m", "canary")


def test_a_server_that_takes_a_request_and_is_silent_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfx_pedigree.client.transport._SOON", 0.2)
    with saying(b"", b"") as address, client.connect(address) as registry:
        with pytest.raises(UnavailableError, match=r"did not answer within .*Nothing was changed"):
            registry.models()
        with pytest.raises(UnavailableError, match=r"did not answer within .*either whole or not there"):
            registry.remove_alias("m", "canary")


NODE = json.dumps(to_json(Node(NodeKind.DATA, {"span": 1}))).encode()


@pytest.mark.parametrize(
    ("lines", "error", "told"),
    [
        (NODE + b"\n", UnavailableError, "cut off"),
        (NODE + b"\n" + NODE[:9], InvalidInputError, "not JSON"),
        (
            NODE + b'\n{"problem": ' + json.dumps(to_json(problem_of(ConflictError("gone")))).encode() + b"}\n",
            ConflictError,
            "gone",
        ),
    ],
)
def test_a_stream_that_does_not_end_well_is_not_taken_for_whole(
    switch: Switch, lines: bytes, error: type[Exception], told: str
) -> None:
    with answering(switch, (200, lines, {})), client.connect(switch.address) as registry:
        parts = client.RemoteLineage(registry).stream("span:1")
        assert isinstance(next(parts), Node)
        with pytest.raises(error, match=told):
            list(parts)


def test_signatures_and_words_are_those_of_the_interface() -> None:
    import inspect

    from tfx_pedigree.registry import RegistryApi

    for name in ("get", "promote", "history"):
        ours, declared = getattr(client.RemoteRegistry, name), getattr(RegistryApi, name)
        assert inspect.signature(ours) == inspect.signature(declared)
        assert inspect.getdoc(ours) == inspect.getdoc(declared)
