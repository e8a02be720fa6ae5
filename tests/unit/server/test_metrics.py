"""Metrics: what they say is what the registry holds, and every alert and every panel of the dashboard rests on one."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pedigree_testing import candidate
from programs_testing import program
from prometheus_testing import ask, prometheus, until
from server_testing import Switch
from tfx_pedigree.errors import ForbiddenError
from tfx_pedigree.registry import Evidence, Identity, NewObservation, PromotionRequest, Registry, Role, Verdict
from tfx_pedigree.registry.roles import EVERYBODY

MONITORING = Path(__file__).parents[3] / "configs" / "monitoring"
MODEL = "flight-delay"


@pytest.fixture
def told(registry: Registry) -> Registry:
    """A history in which everything happened that a metric counts."""
    for seed in "abc":
        registry.add(MODEL, candidate(seed))
    first, second, third = (registry.get(f"{MODEL}@{number}").digest for number in ("1.0.0", "1.0.1", "1.0.2"))
    registry.promote(f"{MODEL}@1.0.0")
    now = registry.transactions.clock()
    for number, value in (("1.0.0", 0.1), ("1.0.1", 0.84), ("1.0.1", 0.79)):
        now += timedelta(seconds=1)
        registry.observe(f"{MODEL}@{number}", NewObservation({"auc": value, "loss": 0.3}, now, now, 1000))
    registry.attach_evidence(f"{MODEL}@1.0.1", Evidence(second, first, Verdict.PASS, "better"))
    registry.promote(f"{MODEL}@1.0.1")
    registry.attach_evidence(f"{MODEL}@1.0.2", Evidence(third, second, Verdict.FAIL, 'not "better"'))
    registry.promote(f"{MODEL}@1.0.2", PromotionRequest(override=True, reason="must be"))
    registry.rollback(MODEL, reason="slow")
    with pytest.raises(ForbiddenError):
        registry.acting_as(Identity("eve")).rollback(MODEL, reason="for fun")
    return registry


@pytest.fixture
def served(told: Registry, address: str, switch: Switch, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setattr("tfx_pedigree.server.metrics.FRESH", 0.0)
    with (
        switch.registry(told, address) as at,
        httpx.Client(base_url=at, headers={"authorization": "Bearer ada"}) as client,
    ):
        yield client


def values(client: httpx.Client, name: str) -> dict[tuple[str, ...], float]:
    """By the values of the labels, in the order of their names."""
    found = text_string_to_metric_families(client.get("/metrics").text)
    samples = [one for family in found for one in family.samples if one.name == name]
    return {tuple(value for _, value in sorted(one.labels.items())): one.value for one in samples}


def test_metrics_say_what_the_registry_holds(served: httpx.Client, told: Registry) -> None:
    champion = told.get(f"{MODEL}@champion")
    assert values(served, "pedigree_champion_info") == {(champion.digest, MODEL, "1.0.1"): 1}
    assert values(served, "pedigree_champion_created_timestamp_seconds") == {(MODEL,): champion.created_at.timestamp()}
    assert values(served, "pedigree_versions") == {(MODEL, "archived"): 2, (MODEL, "production"): 1}
    assert values(served, "pedigree_promotions_total") == {
        (MODEL, "override"): 1,
        (MODEL, "pass"): 1,
        (MODEL, "unjudged"): 1,
    }
    assert values(served, "pedigree_gate_verdicts_total") == {(MODEL, "PASS"): 1, (MODEL, "FAIL"): 1}
    assert values(served, "pedigree_rollbacks_total") == {(MODEL,): 1}
    assert values(served, "pedigree_registrations_total") == {(MODEL,): 3}
    # By metric, model and version: the newest of the champion's.
    assert values(served, "pedigree_observed_value") == {("auc", MODEL, "1.0.1"): 0.79, ("loss", MODEL, "1.0.1"): 0.3}
    assert set(values(served, "pedigree_observed_timestamp_seconds").values()) == {
        told.observations(MODEL, "1.0.1", limit=1).items[0].ended_at.timestamp()
    }


def test_series_of_observations_are_no_more_than_somebody_looks_at(served: httpx.Client, told: Registry) -> None:
    now = told.transactions.clock() + timedelta(minutes=1)
    told.observe(f"{MODEL}@champion", NewObservation({f"m{number:02}": 1.0 for number in range(40)}, now, now))
    assert len(values(served, "pedigree_observed_value")) == 20


def test_counts_grow_with_the_log_and_are_the_same_in_every_process(told: Registry) -> None:
    running = told.log_counts()
    before = running.up_to_date()
    assert sum(before.values()) == events_of(told)
    told.add("other", candidate("z"))
    told.rollback(MODEL, reason="again", to="1.0.0")
    after = running.up_to_date()
    assert after == told.log_counts().up_to_date()
    assert sum(after.values()) == events_of(told) > sum(before.values())


def test_who_may_not_read_the_registry_may_not_read_its_metrics(served: httpx.Client, told: Registry) -> None:
    told.revoke(EVERYBODY)
    told.grant("bob", Role.VIEWER, MODEL)
    refused = served.get("/metrics", headers={"authorization": "Bearer bob"})
    assert refused.status_code == 403
    assert "bob may not read" in refused.json()["detail"]
    assert served.get("/metrics", headers={"authorization": ""}).status_code == 401


def test_requests_are_counted_by_operation_and_never_by_what_was_asked(served: httpx.Client) -> None:
    for selector in ("champion", "nowhere", "1.0.0"):
        served.get(f"/api/v1/models/{MODEL}/versions/{selector}")
    counted = values(served, "pedigree_http_request_duration_seconds_count")
    assert counted[("get", "2xx")] >= 2
    assert counted[("get", "4xx")] >= 1
    assert "nowhere" not in served.get("/metrics").text


@pytest.mark.system
def test_alerts_do_what_they_say() -> None:
    for words in (("check", "rules", "alerts.yaml"), ("test", "rules", "alerts_test.yaml")):
        done = subprocess.run(
            [program("promtool"), *words], cwd=MONITORING, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    rules = [one["alert"] for group in alerts()["groups"] for one in group["rules"]]
    tests = yaml.safe_load((MONITORING / "alerts_test.yaml").read_text())["tests"]
    fired = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one.get("exp_alerts")}
    assert fired == set(rules)


def test_dashboard_is_whole() -> None:
    board = dashboard()
    assert board["schemaVersion"] >= 36
    assert board["uid"]
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken = [
        {(x, y) for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])} for p in places(board)
    ]
    assert sum(map(len, taken)) == len(set().union(*taken))
    assert all(p["x"] + p["w"] <= 24 for p in places(board))
    assert "__inputs" not in board


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
@pytest.mark.system
def test_real_prometheus_answers_every_panel_and_every_alert(served: httpx.Client, tmp_path: Path) -> None:
    config = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"},
        "rule_files": [str(MONITORING / "alerts.yaml")],
        "scrape_configs": [
            {
                "job_name": "pedigree",
                "authorization": {"credentials": "ada"},
                "static_configs": [{"targets": [served.base_url.netloc.decode()]}],
            }
        ],
    }
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with prometheus(tmp_path) as asked:
        served.get(f"/api/v1/models/{MODEL}/versions/champion")
        until(lambda: ask(asked, "pedigree_champion_info"))
        until(lambda: ask(asked, 'rate(pedigree_http_request_duration_seconds_count{operation="get"}[10s])'))
        for expression in expressions():
            assert ask(asked, expression), expression
        groups = asked.get("/api/v1/rules").json()["data"]["groups"]
        until(lambda: all(rule["health"] == "ok" for group in asked_rules(asked) for rule in group["rules"]))
        assert len(groups[0]["rules"]) == len(alerts()["groups"][0]["rules"])


def events_of(registry: Registry) -> int:
    return sum(head.length for head in registry.anchor().heads.values())


def asked_rules(asked: httpx.Client) -> Any:
    return asked.get("/api/v1/rules").json()["data"]["groups"]


def alerts() -> Any:
    return yaml.safe_load((MONITORING / "alerts.yaml").read_text())


def dashboard() -> Any:
    return json.loads((MONITORING / "grafana-dashboard.json").read_text())


def places(board: Any) -> list[dict[str, int]]:
    return [panel["gridPos"] for panel in board["panels"]]


def expressions() -> Iterator[str]:
    """Of the dashboard, with what Grafana fills in."""
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield re.sub(
                r"\[(1d|1h)\]", "[10s]", target["expr"].replace("$model", ".*").replace("$__rate_interval", "10s")
            )
