"""The verdict as Argo Rollouts' web metrics and Flagger's webhooks ask for it, over plain HTTP."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from pedigree_testing import candidate
from server_testing import Switch, opened
from tfx_pedigree.errors import ConflictError, ForbiddenError, InvalidInputError, UnavailableError
from tfx_pedigree.registry import PromotionRequest, Registry, Role

MODEL = "penguin"
HARMFUL, GOOD, LITTLE = "1200:300", "1200:0", "3:0"


@pytest.fixture
def address(switch: Switch, tmp_path: Path) -> Iterator[str]:
    registry = Registry.create(tmp_path / "registry", actor="ada")
    for seed in "ab":
        registry.add(MODEL, candidate(seed))
    registry.promote(f"{MODEL}@1.0.0", PromotionRequest(expect="none"))
    registry.revoke("*")
    registry.grant("viewer", Role.VIEWER, MODEL)
    with switch.registry(registry, "") as at:
        yield at


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{address}/api/v1", headers={"authorization": "Bearer ada"}) as found:
        yield found


@pytest.mark.parametrize(("counted", "value"), [(HARMFUL, -1), (GOOD, 1), (LITTLE, 0)])
def test_a_web_metric_reads_a_number(client: httpx.Client, counted: str, value: int) -> None:
    asked = {"share": "10", "candidate": counted, "stable": "10800:2"}
    answer = client.get(f"/models/{MODEL}/rollouts/verdict", params=asked)
    assert (answer.status_code, answer.json()["value"]) == (200, value)
    assert (answer.json()["harm"] is not None) == (value == -1)


def flagger(client: httpx.Client, **metadata: str) -> httpx.Response:
    """As Flagger calls a webhook."""
    told = {"share": "10", "stable": "10800:2", **metadata}
    payload = {"name": "penguin", "namespace": "models", "phase": "Progressing", "checksum": "85d557f47b"}
    return client.post(f"/models/{MODEL}/rollouts/verdict-hook", json={**payload, "metadata": told})


def test_a_webhook_is_answered_by_its_status_and_says_why(client: httpx.Client) -> None:
    assert flagger(client, candidate=GOOD).status_code == 200
    assert flagger(client, candidate=LITTLE).status_code == 200
    assert flagger(client, candidate=GOOD, until="healthy").status_code == 200
    early = flagger(client, candidate=LITTLE, until="healthy")
    assert (early.status_code, "Not known yet" in early.json()["detail"]) == (409, True)
    harm = flagger(client, candidate=HARMFUL)
    assert (harm.status_code, "Harm. Errors" in harm.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    "asked",
    [
        {"share": "0"},
        {"share": "100"},
        {"share": "ten"},
        {"candidate": "3:4"},
        {"candidate": "1.0.1"},
        {"stable": "1e3:0"},
        {"requests": "sum(up)"},
    ],
)
def test_what_cannot_be_counts_is_refused(client: httpx.Client, asked: dict[str, str]) -> None:
    given = {"share": "10", "candidate": GOOD, "stable": "10800:2", **asked}
    assert client.get(f"/models/{MODEL}/rollouts/verdict", params=given).status_code == 400
    assert flagger(client, **given).status_code == 400


def test_metadata_that_is_not_known_is_named(client: httpx.Client) -> None:
    answer = flagger(client, candidate=GOOD, shares="10")
    assert (answer.status_code, "`shares`" in answer.json()["detail"]) == (400, True)


def test_the_role_decides_who_may_ask_and_who_may_have_prometheus_asked(address: str) -> None:
    counts = ("10", GOOD, "10800:2")
    assert opened(address, "viewer").rollouts.verdict(MODEL, *counts).value == 1  # type: ignore[attr-defined]
    with pytest.raises(ForbiddenError):
        opened(address, "nobody").rollouts.verdict(MODEL, *counts)  # type: ignore[attr-defined]
    with pytest.raises(ForbiddenError):
        opened(address, "viewer").rollouts.verdict(MODEL, *counts, requests="a", failed="b")  # type: ignore[attr-defined]


@contextlib.contextmanager
def prometheus(numbers: dict[str, float]) -> Iterator[str]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            from urllib.parse import parse_qs, urlsplit

            query = parse_qs(urlsplit(self.path).query)["query"][0]
            result: list[Any] = [{"value": [0, str(numbers[query])]}] if query in numbers else []
            body = json.dumps({"data": {"result": result}}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.system
def test_the_counts_of_versions_are_asked_of_prometheus(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rollouts: Any = opened(address, "ada").rollouts  # type: ignore[attr-defined]
    queries = {"requests": 'n{v="$version"}', "failed": 'bad{v="$version"}'}
    numbers = {'n{v="1.0.1"}': 1200.0, 'bad{v="1.0.1"}': 300.0, 'n{v="1.0.0"}': 10800.0, 'bad{v="1.0.0"}': 2.0}
    with prometheus(numbers) as at:
        monkeypatch.setenv("PEDIGREE_PROMETHEUS", at)
        assert rollouts.verdict(MODEL, "10", "1.0.1", "1.0.0", **queries).verdict == "harm"
        with pytest.raises(ConflictError, match="Harm"):
            rollouts.verdict_hook(MODEL, {"share": "10", "candidate": "1.0.1", "stable": "1.0.0", **queries})
        del numbers['n{v="1.0.0"}']
        with pytest.raises(UnavailableError, match="are not known"):
            rollouts.verdict(MODEL, "10", "1.0.1", "1.0.0", **queries)
    monkeypatch.delenv("PEDIGREE_PROMETHEUS")
    with pytest.raises(UnavailableError, match="is not set"):
        rollouts.verdict(MODEL, "10", "1.0.1", "1.0.0", **queries)
    with pytest.raises(InvalidInputError, match="Give both queries"):
        rollouts.verdict(MODEL, "10", GOOD, GOOD, requests="a")
