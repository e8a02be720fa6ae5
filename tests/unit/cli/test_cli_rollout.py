"""Rollouts from the command line: ordered, driven, looked at, aborted; and moves that the traffic follows.

The load balancer is one in memory, reached as a traffic manager of the user's own (`kind: python`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from cli_testing import Pedigree, Said, evidence, write_json

from tfx_pedigree.rollout.traffic.api import WHOLE, ManagerContext, RouteState
from tfx_pedigree.rollout.traffic.memory import Behaviour, MemoryBalancer, MemoryTraffic

MODEL = "flight-delay"
CONFIG = """
serving:
  eu: {model: flight-delay, kind: python, factory: "test_cli_rollout:made"}
"""
FAST = """
steps: [{share: 25 %}, {share: 100 %}]
bake: {requests: 20, time: 0}
judge: {errors: {acceptable: 40 %}}
keep: 0
"""
# Who owns the traffic while a test runs.
BALANCER: list[MemoryBalancer] = []


class Busy(MemoryTraffic):
    """Requests come in all the time."""

    def observe(self) -> RouteState:
        self._b.send(40, seed=len(self._b.calls))
        return super().observe()


def made(settings: Mapping[str, Any], context: ManagerContext) -> Busy:
    return Busy(BALANCER[-1])


class Now:
    def __call__(self) -> datetime:
        return datetime.now(timezone.utc)


@pytest.fixture
def balancer() -> Iterator[MemoryBalancer]:
    BALANCER.append(MemoryBalancer())
    yield BALANCER[-1]
    BALANCER.pop()


@pytest.fixture
def pedigree(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, balancer: MemoryBalancer) -> Pedigree:
    """1.0.1 serves, and 1.0.2 has passed against it; the traffic is where it belongs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tfx_pedigree.service.rollouts.desk.PERIOD_SECONDS", 0.0)
    (tmp_path / "pedigree.yaml").write_text(CONFIG)
    (tmp_path / "fast.yaml").write_text(FAST)
    found = Pedigree(registry, clock=Now())  # type: ignore[arg-type]
    monkeypatch.setenv("PEDIGREE_CONFIG", str(tmp_path / "pedigree.yaml"))
    stable, candidate = (found("show", f"{MODEL}@{n}", "--json").json["digest"] for n in ("1.0.1", "1.1.0"))
    passed = write_json(tmp_path / "passed.json", evidence(candidate, stable))
    found("evidence", "attach", f"{MODEL}@1.1.0", passed)
    served(found, "deploy", MODEL)
    return found


def served(pedigree: Pedigree, *words: object, code: int = 0) -> Said:
    return pedigree(*words, code=code, PEDIGREE_CONFIG="pedigree.yaml")


def digest(pedigree: Pedigree, number: str) -> str:
    return str(pedigree("show", f"{MODEL}@{number}", "--json").json["digest"])


def shares(balancer: MemoryBalancer) -> dict[str, int]:
    return {share.digest: share.points for share in balancer.shares() if share.points}


def test_a_canary_goes_from_the_first_share_to_the_champion(pedigree: Pedigree, balancer: MemoryBalancer) -> None:
    said = served(pedigree, "rollout", "start", f"{MODEL}@1.1.0", "--plan", "fast.yaml")
    assert "flight-delay 1.1.0 has 0 %: preparing." in said.out
    assert "pedigree rollout run flight-delay" in said.err
    said = served(pedigree, "rollout", "run", MODEL)
    assert "has 100 %: done." in said.out
    assert "has 25 % (step 1 of 2)" in said.err
    assert pedigree("show", f"{MODEL}@champion", "--json").json["version"] == "1.1.0"
    assert shares(balancer) == {digest(pedigree, "1.1.0"): WHOLE}
    assert served(pedigree, "serving", MODEL, "--json").json["agrees"] is True
    assert "done" in served(pedigree, "rollout", "status", MODEL).out
    assert "done" in served(pedigree, "rollout", "watch", MODEL).out
    events = served(pedigree, "rollout", "history", MODEL, "--json").json["events"]
    assert [event["to"] for event in events][-3:] == ["promoting", "keeping", "done"]
    assert "promoting" in served(pedigree, "rollout", "history", MODEL).out
    items = served(pedigree, "rollout", "list", MODEL, "--json").json["items"]
    assert [(one["number"], one["state"]["phase"]) for one in items] == [(2, "done"), (1, "done")]
    assert "roll-out 1.1.0: done (rollout 2)" in pedigree("history", MODEL).out
    assert "It was deployed to eu: 25 % to 100 % since " in pedigree("explain", f"{MODEL}@1.1.0").out
    assert pedigree("audit", "verify").code == 0


def test_a_harmful_canary_is_rolled_back_and_the_exit_code_says_so(
    pedigree: Pedigree, balancer: MemoryBalancer
) -> None:
    balancer.behaviour[digest(pedigree, "1.1.0")] = Behaviour(failing=1.0)
    served(pedigree, "rollout", "start", f"{MODEL}@1.1.0", "--plan", "fast.yaml")
    said = served(pedigree, "rollout", "run", MODEL, code=1)
    assert "rolled-back" in said.out
    assert "Errors: the candidate has" in said.err
    assert shares(balancer) == {digest(pedigree, "1.0.1"): WHOLE}
    assert "rolled-back" in served(pedigree, "rollout", "list").out


def test_a_rollout_that_cron_drives_is_told_to_the_lineage(pedigree: Pedigree) -> None:
    served(pedigree, "rollout", "start", f"{MODEL}@1.1.0", "--plan", "fast.yaml")
    for _ in range(40):
        said = served(pedigree, "rollout", "step", MODEL, "--json").json
        if said["rollout"] is None or said["rollout"]["state"]["phase"] == "done":
            break
    assert pedigree("show", f"{MODEL}@champion", "--json").json["version"] == "1.1.0"
    assert "It was deployed to eu: 25 % to 100 % since " in pedigree("explain", f"{MODEL}@1.1.0").out


def test_what_is_promoted_and_deployed_is_read_before(pedigree: Pedigree, registry: Path) -> None:
    words = ("promote", f"{MODEL}@1.1.0", "--deploy", "eu")
    for file in (registry / "store" / "objects").rglob("*"):
        if file.is_file():
            file.chmod(0o600)
            file.write_bytes(b"x" * max(1, file.stat().st_size))
    assert "cannot be used" in served(pedigree, *words, code=7).err
    assert pedigree("show", f"{MODEL}@champion", "--json").json["version"] == "1.0.1"


def test_a_dry_run_shows_the_plan_and_what_stands_in_the_way(pedigree: Pedigree) -> None:
    said = served(pedigree, "rollout", "start", f"{MODEL}@1.1.0", "--plan", "fast.yaml", "--dry-run")
    assert "25 %" in said.out
    assert "20 requests and 0 s" in said.out
    said = served(pedigree, "rollout", "start", f"{MODEL}@1.0.0", "--dry-run", code=1)
    assert "It would be refused" in said.out
    found = served(pedigree, "rollout", "start", f"{MODEL}@1.0.0", "--dry-run", "--json", code=1).json
    assert (found["dry_run"], found["allowed"]) == (True, False)
    assert served(pedigree, "rollout", "list", "--open", "--json").json["items"] == []


def test_people_pause_resume_advance_and_abort(pedigree: Pedigree, balancer: MemoryBalancer) -> None:
    served(pedigree, "rollout", "start", f"{MODEL}@1.1.0", "--json")
    for _ in range(3):
        served(pedigree, "rollout", "step", MODEL, "--json")
    assert served(pedigree, "rollout", "status", MODEL, "--json").json["rollout"]["share"] == 1000
    assert "paused" in served(pedigree, "rollout", "pause", MODEL, "--reason", "lunch").out
    assert "Nothing changed" in served(pedigree, "rollout", "pause", MODEL, "--reason", "lunch").out
    served(pedigree, "rollout", "resume", MODEL, "--reason", "back")
    said = served(pedigree, "rollout", "advance", MODEL, "--reason", "we know it", "--json")
    assert said.json["rollout"]["share"] == 2000
    said = served(pedigree, "rollout", "abort", MODEL, "--reason", "no")
    assert "rolling-back" in said.out
    assert "pedigree rollout run flight-delay" in said.err
    served(pedigree, "rollout", "run", MODEL, code=1)
    assert shares(balancer) == {digest(pedigree, "1.0.1"): WHOLE}
    assert "nothing to abort" in served(pedigree, "rollout", "abort", MODEL, "--reason", "no", code=3).err


def test_what_the_answers_say_is_shown_while_nothing_fails(pedigree: Pedigree, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    plan = "steps: [{share: 25 %, requests: 100000}, {share: 100 %}]\njudge: {answers: {agreement: 98 %}}"
    (tmp_path / "pedigree.yaml").write_text(CONFIG.replace('made"', f'made", responses: {log}'))
    (tmp_path / "answers.yaml").write_text(plan)
    log.touch()
    served(pedigree, "rollout", "start", f"{MODEL}@1.1.0", "--plan", "answers.yaml")
    for _ in range(3):
        served(pedigree, "rollout", "step", MODEL)
    lines = [
        json.dumps(
            {"version": version, "id": f"r{at}", "outputs": {"late": at % 7 / 10 + (version == "1.1.0") * wrong}}
        )
        for at in range(60)
        for wrong in [0.5 * (at % 20 == 0)]
        for version in ("1.0.1", "1.1.0")
    ]
    log.write_text("\n".join(lines) + "\n")
    served(pedigree, "rollout", "step", MODEL)
    found = served(pedigree, "rollout", "status", MODEL, "--json").json
    agreement, scores, usable = found["tests"]
    assert agreement["counted"] == "both versions disagree on 3 of 60 requests"
    assert agreement["harm"] < agreement["harm_needed"]
    assert "is the higher one in" in scores["counted"]
    assert usable["health"] is None
    assert "proof that the scores are distributed alike" in found["judgement"]["waits_for"]
    assert found["evidence"][0]["candidate"]["requests"] > 0
    said = served(pedigree, "rollout", "status", MODEL).out
    assert "disagree on 3 of 60" in " ".join(said.split())
    assert "waits for" in said


def test_a_rollback_moves_the_traffic_with_the_registry(pedigree: Pedigree, balancer: MemoryBalancer) -> None:
    said = served(pedigree, "rollback", MODEL, "--reason", "complaints")
    assert "flight-delay 1.0.0 is champion now; it replaces 1.0.1." in said.out
    assert shares(balancer) == {digest(pedigree, "1.0.0"): WHOLE}
    served(pedigree, "promote", f"{MODEL}@1.1.0", "--expect", "1.0.0", "--deploy", "eu")
    assert shares(balancer) == {digest(pedigree, "1.1.0"): WHOLE}
    served(pedigree, "rollback", MODEL, "--reason", "only on paper", "--registry-only")
    assert shares(balancer) == {digest(pedigree, "1.1.0"): WHOLE}
    said = served(pedigree, "serving", MODEL, code=1)
    assert "serves something else" in said.out
    assert "pedigree deploy flight-delay" in said.err
    said = served(pedigree, "deploy", MODEL)
    assert f"{said.out}{said.err}".count("The deployment of flight-delay 1.0.0 to eu is done.") == 1
    assert served(pedigree, "serving", MODEL).code == 0


def test_a_deployment_that_was_ordered_only_is_finished_by_a_controller(
    pedigree: Pedigree, balancer: MemoryBalancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(pedigree, "rollback", MODEL, "--reason", "why", "--registry-only")
    served(pedigree, "deploy", MODEL, "--no-wait")
    assert shares(balancer) == {digest(pedigree, "1.0.1"): WHOLE}
    from tfx_pedigree.service.rollouts.desk import RolloutDesk
    from tfx_pedigree.service.workspace import connect

    with connect(pedigree.registry, actor="mia") as workspace:
        desk = RolloutDesk(workspace, Path("pedigree.yaml"))
        looks = iter(range(10))
        desk.run_controller(lambda tick: None, lambda: next(looks) == 9, period=0.0)
    assert shares(balancer) == {digest(pedigree, "1.0.0"): WHOLE}


def test_what_cannot_be_started_says_what_to_do(pedigree: Pedigree, balancer: MemoryBalancer, tmp_path: Path) -> None:
    said = served(pedigree, "rollout", "start", f"{MODEL}@1.0.1", code=4)
    assert "pedigree deploy flight-delay" in said.err
    served(pedigree, "rollback", MODEL, "--reason", "why", "--registry-only")
    said = served(pedigree, "rollout", "start", f"{MODEL}@1.1.0", code=4)
    assert "Bring it there first: `pedigree deploy flight-delay`" in said.err
    said = pedigree("rollout", "start", f"{MODEL}@1.1.0", code=3, PEDIGREE_CONFIG=None)
    assert "serving" in said.err
    (tmp_path / "bad.yaml").write_text("stepps: [10 %]")
    said = served(pedigree, "rollout", "start", f"{MODEL}@1.1.0", "--plan", "bad.yaml", code=2)
    assert "line 1: `stepps` is not known. Did you mean `steps`?" in said.err


def test_a_simulation_tells_before_anything_is_moved(pedigree: Pedigree) -> None:
    said = pedigree("rollout", "simulate", "fast.yaml", "--runs", "10", "--error-rate", "0.05")
    assert "rolled back" in said.out
    found = pedigree("rollout", "simulate", "fast.yaml", "--runs", "10", "--error-rate", "0.05", "--json").json
    assert found["harmless"]["runs"] == 10
    said = pedigree("rollout", "simulate", "--runs", "10", "--per-second", "0.001")
    assert "it can never end well" in said.out
    assert "more than 0" in pedigree("rollout", "simulate", "--per-second", "0", code=2).err


def test_others_who_move_the_traffic_get_the_verdict(pedigree: Pedigree) -> None:
    def verdict(candidate: str, stable: str, code: int) -> str:
        words = ("rollout", "verdict", "--share", "10", "--candidate", candidate, "--stable", stable, "--json")
        return str(pedigree(*words, code=code).json["verdict"])

    assert verdict("1000:1", "9000:10", 0) == "healthy"
    assert verdict("100:30", "900:3", 1) == "harm"
    assert verdict("10:0", "90:0", 4) == "unknown"
    assert verdict("0:0", "0:0", 4) == "unknown"
    assert verdict("1000:0", "1000:0", 4) == "unknown"  # half of the requests is not a tenth of them
    assert (
        "REQUESTS:FAILED"
        in pedigree(*("rollout", "verdict", "--share", "10", "--candidate", "1:2", "--stable", "1:0"), code=2).err
    )


def test_bytes_come_to_the_backend_verified(pedigree: Pedigree, tmp_path: Path) -> None:
    from tfx_pedigree.rollout.ledger import served as as_served
    from tfx_pedigree.service.rollouts.desk import RolloutDesk
    from tfx_pedigree.service.workspace import connect

    with connect(pedigree.registry, actor="mia") as workspace:
        desk, version = RolloutDesk(workspace, None), workspace.registry.get(f"{MODEL}@1.1.0")
        desk._materialise(as_served(version), tmp_path / "7")
    assert (tmp_path / "7" / "saved_model.pb").exists()
