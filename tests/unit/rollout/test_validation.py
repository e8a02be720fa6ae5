"""Recorded requests and numbers from elsewhere: what does not answer is not known, and what is wrong stops it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.rollout.plan import Direction, MetricRule, Validation, canary
from tfx_pedigree.rollout.prometheus import PrometheusMetrics
from tfx_pedigree.rollout.state import Phase, Rollout, RolloutOrder, RolloutState
from tfx_pedigree.rollout.traffic.api import ArmState, Readiness, RouteState, ServedVersion
from tfx_pedigree.rollout.validation import Validator

STABLE = ServedVersion("penguin", "sha256:" + "a" * 64, "1.0.0", 1)
CANDIDATE = ServedVersion("penguin", "sha256:" + "b" * 64, "1.1.0", 2)
NOW = datetime(2026, 11, 30, tzinfo=timezone.utc)


class Answering(BaseHTTPRequestHandler):
    """A model: it doubles what it is given, and adds `server.off`. The server may also be broken, or be Prometheus."""

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer({"predictions": [2 * one + self.server.off for one in given["instances"]]})  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self._answer(self.server.says)  # type: ignore[attr-defined]

    def _answer(self, value: Any) -> None:
        self.send_response(self.server.code)  # type: ignore[attr-defined]
        self.send_header("Location", str(self.server.elsewhere))  # type: ignore[attr-defined]
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    off, code = 0.0, 200
    says: Any = None
    elsewhere = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    made = Server(("127.0.0.1", 0), Answering), Server(("127.0.0.1", 0), Answering)
    for one in made:
        one.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    for one in made:
        one.shutdown()
        one.server_close()


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    file = tmp_path / "requests.jsonl"
    file.write_text("".join(json.dumps({"instances": [n, n + 0.5]}) + "\n" for n in range(10)))
    return file


def rollout(recorded: Path, **values: Any) -> Rollout:
    plan = replace(canary(), validation=Validation(recorded.name, "/predict", **values))
    order = RolloutOrder("eu", plan, STABLE, CANDIDATE)
    return Rollout("penguin", 1, order, RolloutState(Phase.VALIDATING, 2, NOW, None), NOW, "ann")


def state(servers: tuple[Server, Server]) -> RouteState:
    arms = [
        ArmState(place, version.digest, 0, Readiness.READY, address=server.address)
        for place, version, server in zip(("blue", "green"), (STABLE, CANDIDATE), servers, strict=True)
    ]
    return RouteState(tuple(arms))


def validator(recorded: Path) -> Validator:
    return Validator(lambda _: recorded.parent)


def test_answers_that_agree_let_it_through(servers: tuple[Server, Server], recorded: Path) -> None:
    found, said = validator(recorded).validate(rollout(recorded, agreement=1.0), state(servers))
    assert (found, "10 of 10 answers agree" in str(said)) == (True, True)


@pytest.mark.parametrize(("agreement", "passes"), [(0.0, True), (0.5, False)])
def test_other_answers_stop_it_where_the_plan_wants_them_to_agree(
    servers: tuple[Server, Server], recorded: Path, agreement: float, passes: bool
) -> None:
    servers[1].off = 0.1
    found, said = validator(recorded).validate(rollout(recorded, agreement=agreement), state(servers))
    assert found is passes
    assert "0 of 10" in str(said)


def test_answers_within_the_tolerance_agree(servers: tuple[Server, Server], recorded: Path) -> None:
    servers[1].off = 0.001
    assert validator(recorded).validate(rollout(recorded, agreement=1.0, tolerance=0.01), state(servers))[0] is True


def test_a_candidate_that_fails_where_the_stable_version_answers_is_stopped(
    servers: tuple[Server, Server], recorded: Path
) -> None:
    servers[1].code = 500
    found, said = validator(recorded).validate(rollout(recorded), state(servers))
    assert found is False
    assert "did not answer recorded request 1" in str(said)


def test_without_an_address_nothing_is_said_to_be_right(servers: tuple[Server, Server], recorded: Path) -> None:
    nowhere = RouteState(tuple(replace(arm, address=None) for arm in state(servers).arms))
    assert validator(recorded).validate(rollout(recorded), nowhere)[0] is None


@pytest.mark.parametrize("what", ["none", "empty", "pipe", "folder"])
def test_requests_that_are_not_there_say_nothing_about_the_candidate(
    servers: tuple[Server, Server], recorded: Path, what: str
) -> None:
    file = recorded.with_name(what)
    {
        "none": lambda: None,
        "empty": lambda: file.write_text("\n"),
        "pipe": lambda: os.mkfifo(file),
        "folder": file.mkdir,
    }[what]()
    with pytest.raises(UnavailableError, match=str(file)):
        validator(recorded).validate(rollout(file), state(servers))


def test_what_neither_version_answers_proves_nothing(servers: tuple[Server, Server], recorded: Path) -> None:
    """As with a wrong path: two refusals are the same answer, and no agreement."""
    for one in servers:
        one.code = 404
    with pytest.raises(UnavailableError, match="answered none of 10 recorded requests at /predict"):
        validator(recorded).validate(rollout(recorded), state(servers))


def test_a_servers_redirect_is_not_followed(servers: tuple[Server, Server], recorded: Path) -> None:
    servers[1].code, servers[1].elsewhere = 302, f"{servers[0].address}/secret"
    found, _ = validator(recorded).validate(rollout(recorded), state(servers))
    assert (found, servers[0].asked) == (False, [])  # type: ignore[attr-defined]


RULE = MetricRule("score", Direction.HIGHER, query='avg(score{version="$version"})')


def sample(value: str, count: int = 1) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": [{"value": [1, value]}] * count}}


def test_prometheus_is_asked_about_each_version(servers: tuple[Server, Server]) -> None:
    servers[0].says = sample("0.25")
    metrics = PrometheusMetrics({"PEDIGREE_PROMETHEUS": servers[0].address})
    assert metrics.measure(str(RULE.query), CANDIDATE) == 0.25
    assert "version%3D%221.1.0%22" in servers[0].asked[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "says", [sample("NaN"), sample("1", 2), sample("1", 0), {"data": []}, [], "x", {"data": {"result": [{"value": 1}]}}]
)
def test_what_is_not_one_number_is_not_known(servers: tuple[Server, Server], says: Any) -> None:
    servers[0].says = says
    metrics = PrometheusMetrics({"PEDIGREE_PROMETHEUS": servers[0].address})
    assert metrics.measure(str(RULE.query), CANDIDATE) is None
    servers[0].code = 503
    assert metrics.measure(str(RULE.query), CANDIDATE) is None


def test_without_prometheus_no_number_is_known_and_a_wrong_address_is_refused() -> None:
    assert PrometheusMetrics({}).measure("up", CANDIDATE) is None
    with pytest.raises(InvalidInputError, match="PEDIGREE_PROMETHEUS"):
        PrometheusMetrics({"PEDIGREE_PROMETHEUS": "file:///etc/passwd"})
