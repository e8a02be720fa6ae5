"""The server over real sockets: what it answers, how it refuses, and what it tells of itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from pedigree_testing import candidate
from server_testing import Switch
from tfx_pedigree.json_form import to_json
from tfx_pedigree.registry import Facts, PromotionRequest, Registry, Role, State
from tfx_pedigree.wire import PROBLEM

# What a database promises is tested elsewhere.
pytestmark = pytest.mark.parametrize("address", ["sqlite"], indirect=True)
MODEL = "flight-delay"


@pytest.fixture
def api(registry: Registry, address: str, switch: Switch) -> Iterator[httpx.Client]:
    """A client that acts as ada, who is admin."""
    with (
        switch.registry(registry, address) as at,
        httpx.Client(base_url=at, headers={"authorization": "Bearer ada"}) as client,
    ):
        yield client


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == PROBLEM
    found: dict[str, Any] = response.json()
    assert found["status"] == response.status_code
    return found


def test_get_by_alias_is_the_version(api: httpx.Client, registry: Registry) -> None:
    registry.add(MODEL, candidate("a"), facts=Facts({"auc": 0.9}))
    registry.promote(f"{MODEL}@latest")
    answer = api.get(f"/api/v1/models/{MODEL}/versions/champion")
    assert answer.status_code == 200
    assert answer.json() == to_json(registry.get(f"{MODEL}@champion"))


def test_what_has_not_changed_is_not_sent_again(api: httpx.Client, registry: Registry) -> None:
    registry.add(MODEL, candidate("a"))
    where = f"/api/v1/models/{MODEL}/versions/latest"
    tag = api.get(where).headers["etag"]
    same = api.get(where, headers={"if-none-match": f'"other", W/{tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    registry.annotate(f"{MODEL}@latest", Facts(tags={"team": "ops"}))
    assert api.get(where, headers={"if-none-match": tag}).json()["tags"] == {"team": "ops"}


def test_who_acts_is_who_the_credential_says(api: httpx.Client, registry: Registry) -> None:
    registry.add(MODEL, candidate("a"))
    registry.grant("bob", Role.RELEASER, MODEL)
    request = to_json(PromotionRequest(State.PRODUCTION, reason="better"))
    where = f"/api/v1/models/{MODEL}/versions/1.0.0/promote"
    answer = api.post(where, json={"request": request}, headers={"authorization": "Bearer bob"})
    assert answer.json()["changed"]
    assert registry.history(MODEL, limit=1).items[0].actor == "bob"


@pytest.mark.parametrize(
    ("path", "status", "kind", "sentence"),
    [
        ("/api/v1/models/other", 404, "not-found", "There is no model 'other'"),
        (f"/api/v1/models/{MODEL}/versions/champion", 404, "not-found", "has no champion now"),
        ("/api/v1/models/NO/versions/1", 400, "invalid-input", "cannot name a model"),
        ("/api/v1/models?limit=0", 400, "invalid-input", "`limit`"),
        ("/api/v1/roles/require?action=grant", 403, "forbidden", "eve may not grant"),
        ("/api/v1/nowhere", 404, "not-found", "no operation at this path"),
        ("/nowhere", 404, "not-found", "/nowhere"),
    ],
)
def test_refusals_are_problems_with_our_sentence(
    api: httpx.Client, registry: Registry, *, path: str, status: int, kind: str, sentence: str
) -> None:
    registry.add(MODEL, candidate("a"))
    answer = api.get(path, headers={"authorization": "Bearer eve"})
    assert answer.status_code == status
    told = problem(answer)
    assert (told["kind"], sentence in told["detail"]) == (kind, True)


def test_nobody_is_told_anything_without_a_credential(api: httpx.Client) -> None:
    answer = api.get("/api/v1/models", headers={"authorization": ""})
    assert problem(answer)["kind"] == "unauthenticated"
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_wrong_method_is_told_the_right_ones(api: httpx.Client) -> None:
    answer = api.delete("/api/v1/models")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert "knows GET" in problem(answer)["detail"]


def test_head_answers_as_get_without_the_content(api: httpx.Client, registry: Registry) -> None:
    registry.add(MODEL, candidate("a"))
    where = f"/api/v1/models/{MODEL}/versions/latest"
    got, head = api.get(where), api.head(where)
    assert (head.status_code, head.content) == (200, b"")
    assert [head.headers[name] for name in ("etag", "content-length")] == [
        got.headers[name] for name in ("etag", "content-length")
    ]


@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_body_that_is_too_large_is_not_read(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch, in_pieces: bool
) -> None:
    monkeypatch.setattr("tfx_pedigree.server.api.LARGEST_BODY", 50)
    content: Any = iter([b"x" * 30, b"x" * 21]) if in_pieces else b"x" * 51
    answer = api.post(f"/api/v1/models/{MODEL}/rollback", content=content)
    assert answer.status_code == 413
    assert "larger than" in problem(answer)["detail"]


def test_a_bug_is_told_in_a_sentence_and_not_in_a_traceback(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(Registry, "models", broken)
    answer = api.get("/api/v1/models")
    assert answer.status_code == 500
    told = problem(answer)
    assert told["kind"] == "internal"
    assert "hunter2" not in json.dumps(told)
    assert "hunter2" in caplog.text, "whoever runs the server finds it in the log"


def test_health_needs_no_credential_and_readiness_asks_the_database(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.get("/healthz", headers={"authorization": ""}).json() == {"status": "ok"}
    assert api.get("/readyz", headers={"authorization": "", "host": "10.0.0.7"}).json() == {"status": "ok"}


def test_only_its_own_names_reach_it(api: httpx.Client) -> None:
    answer = api.get("/api/v1/models", headers={"host": "evil.example:80"})
    assert answer.status_code == 421
    assert "--allow-host" in problem(answer)["detail"]
    assert api.get("/api/v1/models", headers={"host": "LOCALHOST:1"}).status_code == 200


def test_each_request_acts_for_itself_however_many_come_at_once(
    api: httpx.Client, open_as: Callable[[str], Registry]
) -> None:
    ada = open_as("ada")
    for name in ("bob", "eve", "joe"):
        ada.grant(name, Role.CONTRIBUTOR)

    def register(name: str, number: int) -> None:
        body = {"candidate": to_json(candidate(f"{name}-{number}"))}
        answer = api.post(f"/api/v1/models/{name}/versions", json=body, headers={"authorization": f"Bearer {name}"})
        assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(register, name, number) for number in range(4) for name in ("bob", "eve", "joe")]
        for job in jobs:
            job.result()
    for name in ("bob", "eve", "joe"):
        assert {version.created_by for version in ada.versions(name).items} == {name}
    assert ada.verify_audit().ok
