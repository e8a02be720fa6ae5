"""A change that is sent twice with one key is carried out once, also when the first answer was lost."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from pedigree_testing import Clock, candidate, digest
from server_testing import Switch
from tfx_pedigree.json_form import to_json
from tfx_pedigree.registry import Evidence, Registry, Role, Verdict, once

MODEL = "flight-delay"
NOTE = f"/api/v1/models/{MODEL}/notes/retrain"
Post = Callable[..., httpx.Response]


@pytest.fixture
def post(registry: Registry, address: str, switch: Switch) -> Iterator[Post]:
    with switch.registry(registry, address) as at, httpx.Client(base_url=at) as client:

        def send(path: str, body: Any, key: str, *, actor: str = "ada") -> httpx.Response:
            return client.post(path, json=body, headers={"authorization": f"Bearer {actor}", "idempotency-key": key})

        yield send


def key() -> str:
    return str(uuid.uuid4())


def note(reason: str = "new data") -> dict[str, Any]:
    return {"reason": reason, "details": {"span": 7}}


def notes(registry: Registry) -> list[str | None]:
    return [event.reason for event in registry.history(MODEL).items if event.action == "retrain"]


def test_the_same_request_again_gets_the_first_answer_and_changes_nothing(post: Post, registry: Registry) -> None:
    one = key()
    first, second = post(NOTE, note(), one), post(NOTE, note(), one)
    assert (first.status_code, second.content) == (200, first.content)
    assert post(NOTE, note(), key()).json()["position"] == first.json()["position"] + 1
    assert len(notes(registry)) == 2
    assert registry.verify_audit().ok


def test_the_answer_is_that_of_then_and_not_of_now(post: Post, registry: Registry) -> None:
    registry.add(MODEL, candidate("a"))
    registry.add(MODEL, candidate("b"))
    one, where = key(), f"/api/v1/models/{MODEL}/versions/1.0.0/promote"
    promoted = post(where, {}, one).json()
    registry.promote(f"{MODEL}@1.0.1")
    again = post(where, {}, one).json()
    assert again == promoted
    assert registry.get(f"{MODEL}@champion").version == "1.0.1", "a late repetition takes nobody's place"


def test_a_key_means_one_request_of_one_principal(post: Post, registry: Registry) -> None:
    registry.grant("bob", Role.CONTRIBUTOR)
    one = key()
    post(NOTE, note(), one)
    other = post(NOTE, note("something else"), one)
    assert other.status_code == 409
    assert "was used for another request" in other.json()["detail"]
    assert post(NOTE, note(), one, actor="bob").status_code == 200
    assert len(notes(registry)) == 2


def test_what_is_refused_is_not_kept_and_is_logged_each_time(post: Post, registry: Registry) -> None:
    registry.add(MODEL, candidate("a"))
    one = key()
    assert [post(NOTE, note(), one, actor="eve").status_code for _ in range(2)] == [403, 403]
    refused = [event.actor for event in registry.history(MODEL).items if event.action == "refuse"]
    assert refused == ["eve", "eve"]
    registry.grant("eve", Role.CONTRIBUTOR)
    assert post(NOTE, note(), one, actor="eve").status_code == 200
    assert registry.verify_audit().ok


def test_a_model_is_made_with_its_first_version_or_not_at_all(post: Post, registry: Registry) -> None:
    where = f"/api/v1/models/{MODEL}/versions"
    of_another = Evidence(digest("b"), None, Verdict.PASS, "good")
    body = {"candidate": to_json(candidate("a")), "evidence": to_json(of_another)}
    assert post(where, body, key()).status_code == 400
    assert registry.models().items == ()
    assert post(where, {"candidate": to_json(candidate("a"))}, key()).json()["version"]["version"] == "1.0.0"
    assert registry.verify_audit().ok


def test_of_many_at_once_one_is_carried_out(post: Post, registry: Registry) -> None:
    registry.add(MODEL, candidate("a"))
    one = key()
    with ThreadPoolExecutor(6) as pool:
        answers = {job.result().content for job in [pool.submit(post, NOTE, note(), one) for _ in range(6)]}
    assert len(answers) == 1
    assert len(notes(registry)) == 1


@pytest.mark.parametrize("bad", ["", "two words", "x" * 201])
def test_keys_have_a_form(post: Post, registry: Registry, bad: str) -> None:
    registry.add(MODEL, candidate("a"))
    answer = post(NOTE, note(), bad)
    assert (answer.status_code, notes(registry)) == (400, [])


def test_a_change_that_dies_before_its_end_leaves_neither_event_nor_key(
    post: Post, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add(MODEL, candidate("a"))
    one = key()
    with monkeypatch.context() as broken:
        broken.setattr(once, "_ANSWER", None)
        assert post(NOTE, note(), one).status_code == 500
    assert notes(registry) == []
    assert post(NOTE, note(), one).status_code == 200
    assert len(notes(registry)) == 1


def test_keys_are_forgotten_after_some_days(post: Post, registry: Registry, clock: Clock) -> None:
    one = key()
    post(NOTE, note(), one)
    clock.advance(days=2)
    registry.forget_requests()
    post(NOTE, note(), one)
    assert len(notes(registry)) == 1
    clock.advance(days=2)
    registry.forget_requests()
    post(NOTE, note(), one)
    assert len(notes(registry)) == 2
