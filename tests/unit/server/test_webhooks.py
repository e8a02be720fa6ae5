"""Webhooks: every event is told to whom it concerns, once it is true, until it was taken, and to nobody within."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from pedigree_testing import Clock, candidate
from server_testing import NamedByToken, in_own_loop
from tfx_pedigree.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import TOLD, Identity, NewWebhook, Outcome, Registry
from tfx_pedigree.registry.model_replay import ModelReplay
from tfx_pedigree.registry.registry_replay import RegistryReplay
from tfx_pedigree.server import Server, ServerSettings
from tfx_pedigree.server.webhooks import LEASE, Teller
from tfx_pedigree.service import outgoing, telling

MODEL = "flight-delay"
SECRET = "whsec_" + "c2VjcmV0" * 5


class Receiver:
    """A server that keeps what it was sent, and answers what it is told to."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.answer = 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.answer)
                if receiver.answer == 302:
                    self.send_header("location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook?to=team"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def events(self) -> list[str]:
        return [json.loads(body)["type"].removeprefix("pedigree.") for _, body in self.taken]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def teller(registry: Registry, address: str) -> Iterator[Teller]:
    with_server = Server(ServerSettings(address), registry, NamedByToken())
    yield Teller(with_server)
    for pool in (with_server.questions, with_server.changes, with_server.bytes):
        pool.close()


def webhook(url: str, **more: Any) -> NewWebhook:
    return NewWebhook("team", url, SECRET, private=True, **more)


def tell(teller: Teller) -> int:
    return in_own_loop(_rounds(teller))


async def _rounds(teller: Teller) -> int:
    count = 0
    while tried := await teller.round():
        count += tried
    return count


def test_what_happens_is_told_and_a_receiver_can_tell_that_it_is_ours(
    registry: Registry, teller: Teller, receiver: Receiver, clock: Clock
) -> None:
    registry.add(MODEL, candidate("before"))
    clock.advance(seconds=1)
    registry.add_webhook(webhook(receiver.url, events=("promote", "register"), model=MODEL))
    registry.add(MODEL, candidate("a"))
    registry.add("other", candidate("b"))
    registry.promote(f"{MODEL}@1.0.1")
    tell(teller)
    assert sorted(receiver.events) == ["promote", "register"]
    for headers, body in receiver.taken:
        # The clock of the test stands still in the past, so only the signature is looked at.
        signed = standardwebhooks.Webhook(SECRET)
        stamp = datetime.fromtimestamp(int(headers["webhook-timestamp"]), timezone.utc)
        assert headers["webhook-signature"] == signed.sign(headers["webhook-id"], stamp, body.decode())
        event = json.loads(body)
        assert event["specversion"] == "1.0"
        assert event["subject"] == f"{MODEL}@1.0.1"
        assert event["id"] == headers["webhook-id"] == f"{MODEL}/{event['data']['position']}"
        assert registry.history(MODEL, "1.0.1").items[0].hash in {
            event["data"]["hash"],
            *[e.hash for e in registry.history(MODEL).items],
        }
    (found,) = registry.webhooks()
    assert (found.delivered, found.pending, found.dead) == (2, 0, 0)
    assert tell(teller) == 0
    assert registry.verify_audit().problems == ()


def test_official_verifier_takes_what_is_sent_now(registry: Registry, receiver: Receiver, address: str) -> None:
    registry.add_webhook(webhook(receiver.url, events=("create-model",)))
    registry.add(MODEL, candidate("a"))
    outbox, now = registry.outbox(), datetime.now(timezone.utc)
    outbox.collect(now)
    for due in outbox.due(now):
        assert telling.send(due, "urn:x", lambda: now).taken
    headers, body = receiver.taken[0]
    assert standardwebhooks.Webhook(SECRET).verify(body.decode(), headers)["type"] == "pedigree.create-model"
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook("whsec_" + "b3RoZXIh" * 5).verify(body.decode(), headers)


def test_what_is_not_taken_is_tried_again_less_and_less_often_then_waits_for_a_person(
    registry: Registry, teller: Teller, receiver: Receiver, clock: Clock
) -> None:
    registry.add_webhook(webhook(receiver.url, events=("register",)))
    registry.add(MODEL, candidate("a"))
    receiver.answer = 500
    for wait in (0, *telling.WAITS):
        clock.advance(seconds=wait)
        assert tell(teller) == 1
        clock.advance(seconds=-1e-3)
        assert tell(teller) == 0
        clock.advance(seconds=1e-3)
    assert len({headers["webhook-id"] for headers, _ in receiver.taken}) == 1
    (dead,) = registry.deliveries("team")
    assert (dead.state, dead.attempts, dead.last_error) == ("dead", 8, "answered 500")
    clock.advance(days=30)
    assert tell(teller) == 0
    receiver.answer = 200
    assert registry.retry_webhook("team") == 1
    assert tell(teller) == 1
    assert registry.deliveries("team") == ()


def test_receiver_that_wants_nothing_more_gets_nothing_more(
    registry: Registry, teller: Teller, receiver: Receiver
) -> None:
    registry.add_webhook(webhook(receiver.url))
    registry.add(MODEL, candidate("a"))
    receiver.answer = 410
    tell(teller)
    seen = len(receiver.taken)
    registry.promote(f"{MODEL}@latest")
    assert tell(teller) == 0
    assert registry.webhooks()[0].stopped == "the receiver answered 410: it wants nothing more"
    assert len(receiver.taken) == seen


def test_redirection_is_no_way_to_somewhere_else(registry: Registry, teller: Teller, receiver: Receiver) -> None:
    registry.add_webhook(webhook(receiver.url, events=("register",)))
    registry.add(MODEL, candidate("a"))
    receiver.answer = 302
    tell(teller)
    assert registry.deliveries("team")[0].last_error == "answered 302"


@pytest.mark.parametrize("step", ["collected", "sent"])
def test_killed_sender_loses_nothing_and_tells_nothing_that_was_not_committed(
    registry: Registry, teller: Teller, receiver: Receiver, clock: Clock, step: str
) -> None:
    registry.add_webhook(webhook(receiver.url, events=("register", "promote")))
    registry.add(MODEL, candidate("a"))
    with pytest.raises(ConflictError):
        registry.promote(f"{MODEL}@latest")
        registry.rollback(MODEL, reason="there is nothing before it")
    outbox = registry.outbox()
    outbox.collect(clock())
    if step == "sent":
        for due in outbox.due(clock()):
            telling.send(due, "urn:x", clock)
    # Whoever did that is dead; its lease ends.
    clock.advance(seconds=LEASE + 1)
    tell(teller)
    assert set(receiver.events) == {"register", "promote"}
    assert registry.webhooks()[0].delivered == 2


def test_only_one_process_sends(registry: Registry, teller: Teller, receiver: Receiver, clock: Clock) -> None:
    registry.add_webhook(webhook(receiver.url, events=("register",)))
    registry.add(MODEL, candidate("a"))
    assert registry.lease("webhooks", "another process", LEASE) is not None
    assert tell(teller) == 0
    clock.advance(seconds=LEASE + 1)
    assert tell(teller) == 1


def test_both_secrets_sign_for_a_day_after_a_new_one(
    registry: Registry, teller: Teller, receiver: Receiver, clock: Clock
) -> None:
    registry.add_webhook(webhook(receiver.url, events=("register",)))
    newer = "whsec_" + "bmV3bmV3" * 5
    registry.rotate_webhook("team", newer)
    registry.add(MODEL, candidate("a"))
    tell(teller)
    assert receiver.taken[-1][0]["webhook-signature"].count("v1,") == 2
    clock.advance(hours=25)
    registry.add(MODEL, candidate("b"))
    tell(teller)
    headers, body = receiver.taken[-1]
    stamp = datetime.fromtimestamp(int(headers["webhook-timestamp"]), timezone.utc)
    expected = standardwebhooks.Webhook(newer).sign(headers["webhook-id"], stamp, body.decode())
    assert headers["webhook-signature"] == expected


@pytest.mark.parametrize(
    ("url", "private", "says"),
    [
        ("http://example.com/", False, "begins with https"),
        ("ftp://example.com/", True, "begins with https"),
        ("https://user:pw@example.com/", False, "no user or password"),
        ("https://example.com/a?token=abcdefgh12345678", False, "must hold no secret"),
        ("https://example.com/ghp_abcdefghijklmnopqrstuvwxyz0123456789", False, "must hold no secret"),
        ("https://127.0.0.1/", False, "no public address"),
        ("https://[::1]/", False, "no public address"),
        ("https://10.1.2.3/x", False, "no public address"),
        ("https://169.254.169.254/latest/meta-data", False, "no public address"),
        ("https://localhost/", False, "no public address"),
        ("https://registry/", False, "no public address"),
        ("https://exa mple.com/", False, "is no address"),
        ("https://example.com/\r\nx: y", False, "is no address"),
        ("https://example.com:99999/", False, "is no address"),
        ("https:///x", False, "is no address"),
        ("x" * 3000, False, "is no address"),
    ],
)
def test_address_that_leads_nowhere_good_is_refused(url: str, private: bool, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        NewWebhook("team", url, SECRET, private=private)


@pytest.mark.parametrize(
    "within",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:10.0.0.1",
        "0.0.0.0",  # noqa: S104  never bound to
        "224.0.0.1",
        "100.64.0.1",
    ],
)
def test_name_that_means_something_within_gets_nothing(
    monkeypatch: pytest.MonkeyPatch, registry: Registry, clock: Clock, within: str
) -> None:
    """Also where only one of its addresses does."""
    found = [(0, 0, 0, "", (one, 443)) for one in ("93.184.215.14", within)]
    monkeypatch.setattr(outgoing.socket, "getaddrinfo", lambda *_, **__: found)
    registry.add_webhook(NewWebhook("team", "https://example.com/hook", SECRET, events=("register",)))
    registry.add(MODEL, candidate("a"))
    outbox = registry.outbox()
    outbox.collect(clock())
    (due,) = outbox.due(clock())
    outcome = telling.send(due, "urn:x", clock)
    assert not outcome.taken
    assert outcome.error == f"example.com leads to {within}, which is not public; nothing was sent there"


def test_webhooks_are_an_admins_and_their_secrets_nobodys(registry: Registry, receiver: Receiver) -> None:
    registry.add_webhook(webhook(receiver.url))
    bob = registry.acting_as(Identity("bob"))
    attempts: list[Callable[[], object]] = [
        bob.webhooks,
        lambda: bob.add_webhook(webhook(receiver.url)),
        lambda: bob.remove_webhook("team"),
        lambda: bob.rotate_webhook("team", SECRET),
        lambda: bob.deliveries("team"),
        lambda: bob.retry_webhook("team"),
    ]
    for attempt in attempts:
        with pytest.raises(ForbiddenError, match="bob may not manage webhooks"):
            attempt()
    told = [str(event.to_json()) for event in registry.history(None).items]
    assert not any("whsec" in text for text in told)
    assert "whsec" not in repr(webhook(receiver.url))


def test_unknown_or_second_webhook_and_wrong_words_are_refused(registry: Registry, receiver: Receiver) -> None:
    registry.add_webhook(webhook(receiver.url))
    with pytest.raises(ConflictError, match="already"):
        registry.add_webhook(webhook(receiver.url))
    with pytest.raises(NotFoundError, match="Did you mean `team`"):
        registry.remove_webhook("tea")
    with pytest.raises(InvalidInputError, match="Did you mean `promote`"):
        webhook(receiver.url, events=("promot",))
    for secret in ("", "whsec_", "secret", "whsec_c2hvcnQ=", "whsec_***"):
        with pytest.raises(InvalidInputError, match="24 to 64 random bytes"):
            NewWebhook("team", receiver.url, secret, private=True)
    registry.remove_webhook("team")
    assert registry.webhooks() == ()


def test_every_event_that_can_be_asked_for_exists() -> None:
    assert set(TOLD) <= {*ModelReplay("m")._steps, *RegistryReplay("*")._steps}


@given(st.integers(200, 599), st.integers(0, 20))
def test_what_was_not_taken_is_due_later_or_dead_and_never_lost(status: int, attempts: int) -> None:
    now = datetime(2026, 11, 30, tzinfo=timezone.utc)
    outcome = telling.outcome_of(status, "", attempts, now)
    assert outcome.taken == (status < 300)
    if not outcome.taken:
        assert isinstance(outcome, Outcome)
        later = outcome.next_at is not None and outcome.next_at > now
        assert later or status == 410 or attempts >= len(telling.WAITS)
        assert outcome.next_at is None or outcome.next_at <= now + timedelta(days=1)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"),  # noqa: S104
        *("::1", "::", "fe80::1%eth0", "fec0::1", "fd00::1", "ff02::1", "2001:db8::1", "4000::1"),
        # All of these lead to 10.0.0.1, where a gateway knows how.
        *("::ffff:10.0.0.1", "::10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::10.0.0.1"),
        *("2002:a00:1::1", "2001:0:a00:1::"),
    ],
)
def test_an_address_within_is_not_public_however_it_is_written(address: str) -> None:
    assert outgoing.not_public(["8.8.8.8", address]) == address


def test_addresses_of_the_world_are_public() -> None:
    assert outgoing.not_public(["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808", "2002:808:808::1"]) is None
