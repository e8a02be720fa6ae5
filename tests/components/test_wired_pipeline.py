"""A pipeline that Pedigree was added to by one call, run by the local runner from the examples to what is served."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from components_testing import NAME, Place, write_rows
from wired_testing import PEDIGREES, ready_model, run_wired

from forking_testing import forking
from tfx_pedigree.lineage.graph import NodeKind
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.registry import Registry
from tfx_pedigree.rollout.ledger import Ledger
from tfx_pedigree.rollout.state import Ask

# A run that dies after one of them has promoted its model already.
PROMOTED_BEFORE = ("registry_pusher", "lineage_recorder")


@pytest.fixture
def run(place: Place, local_registry: Registry, tmp_path: Path) -> Callable[..., Any]:
    """Runs the pipeline with a model that is ready; gives what was pushed."""
    (tmp_path / "data").mkdir()
    write_rows(tmp_path / "data" / "rows.gz", [{"x": n / 40, "y": n / 20} for n in range(1, 200)])
    where = {key: place.properties[key] for key in ("registry", "store")}
    return lambda ready, **lineage: run_wired(tmp_path, ready, **where, **lineage)


def test_versions_follow_one_another_through_the_gate(
    run: Callable[..., Any], local_registry: Registry, tmp_path: Path
) -> None:
    models = {
        "first": ready_model(tmp_path / "first", 1.0),
        "worse": ready_model(tmp_path / "worse", 0.5),
        "better": ready_model(tmp_path / "better", 1.9, weights=2),
    }
    first = run(models["first"])
    assert (first["pushed"], first["version"], first["outcome"]) == (1, "1.0.0", "promoted")
    assert local_registry.evidence(f"{NAME}@1.0.0").champion is None

    worse = run(models["worse"])
    assert (worse["pushed"], worse["version"], worse["outcome"]) == (0, "1.0.1", "refused")
    assert local_registry.get(f"{NAME}@1.0.1").refusal.startswith("FAIL")

    better = run(models["better"])
    assert (better["pushed"], better["version"], better["outcome"]) == (1, "1.1.0", "promoted")
    evidence = local_registry.evidence(f"{NAME}@1.1.0")
    assert evidence.champion == local_registry.get(f"{NAME}@1.0.0").digest
    assert sorted(path.name for path in (tmp_path / "serving" / NAME).iterdir()) == ["1", "3"]

    before = local_registry.history(NAME)
    again = run(models["better"])
    assert (again["pushed"], again["version"], again["outcome"]) == (1, "1.1.0", "there already")
    assert local_registry.history(NAME) == before

    local_registry.rollback(NAME, reason="a complaint")
    third = run(ready_model(tmp_path / "third", 0.9), mlmd=str(tmp_path / "mlmd.db"), on_failure="fail")
    assert third["outcome"] == "refused"
    judged = local_registry.evidence(f"{NAME}@{third['version']}")
    assert judged.champion == local_registry.get(f"{NAME}@1.0.0").digest
    written = [json.loads(path.read_text()) for path in (tmp_path / "root").rglob("comparison.json")]
    assert {one["format"] for one in written} == {"pedigree.comparison/1"}

    lineage = Lineage(local_registry)
    trained = {one.node.fact("version") for one in lineage.impact("data:split=train").versions}
    assert trained >= {"1.0.0", "1.0.1", "1.1.0"}
    up = lineage.get_upstream(f"{NAME}@{third['version']}")
    runs = [node for node in up.nodes.values() if node.kind is NodeKind.RUN and up.depth[node.key] == 1]
    assert [(node.fact("pipeline"), node.fact("complete")) for node in runs] == [("flights", "yes")]
    path = lineage.path(f"{NAME}@{third['version']}", f"{NAME}@1.0.0")
    assert path is not None
    assert len(path.edges) == 1, "it follows the champion"


def test_a_run_can_order_a_rollout_and_does_not_wait_for_it(
    run: Callable[..., Any], local_registry: Registry, tmp_path: Path
) -> None:
    """The first version is promoted and its traffic ordered; the next one is rolled out, once however often it runs."""
    ledger, plan = Ledger(local_registry), {"target": "edge", "steps": ["25 %", "100 %"]}
    first = run(ready_model(tmp_path / "first", 1.0), rollout=plan)
    assert (first["pushed"], first["outcome"], first["rollout"]) == (0, "promoted", "1")
    assert ledger.newest(NAME).is_deployment
    ledger.ask(NAME, Ask.ABORT, "there is no such place in a test")

    better = ready_model(tmp_path / "better", 1.9)
    ordered = run(better, rollout=plan)
    assert (ordered["pushed"], ordered["outcome"], ordered["rollout"]) == (0, "rollout started", "2")
    assert f"`pedigree rollout watch {NAME}`" in ordered["reason"]
    rollout = ledger.current(NAME)
    assert rollout is not None
    assert (rollout.candidate.version, rollout.order.target) == (ordered["version"], "edge")
    assert [step.points for step in rollout.order.plan.steps] == [2500, 10_000]
    assert local_registry.model(NAME).champion == first["version"]

    before = local_registry.history(NAME)
    again = run(better, rollout=plan)
    assert {key: again[key] for key in ("outcome", "rollout", "version")} == {
        key: ordered[key] for key in ("outcome", "rollout", "version")
    }
    assert local_registry.history(NAME) == before


def test_killed_after_any_component_and_started_again_it_ends_as_if_nothing_had_been(
    run: Callable[[str], Any], place: Place, local_registry: Registry, tmp_path: Path
) -> None:
    """kill -9 between any two of our components; the run after it finishes what the dead one began, once."""
    where = [place.properties[key] for key in ("registry", "store")]
    with forking("wired_testing") as call:
        run(ready_model(tmp_path / "first", 1.0))
        for number, component in enumerate(PEDIGREES):
            ready = ready_model(tmp_path / component, 1.1 + number / 6)
            dead = call("run_and_die", component, str(tmp_path), ready, *where)
            assert dead.code == -signal.SIGKILL, dead.err
            assert local_registry.verify_audit().ok
            pushed = run(ready)
            assert pushed["version"] == f"1.0.{number + 1}", "a dead run's number is used by the run that finishes it"
            assert pushed["outcome"] == ("there already" if component in PROMOTED_BEFORE else "promoted")
            assert local_registry.model(NAME).champion == pushed["version"]
            told = [event.action for event in local_registry.history(NAME, pushed["version"]).items]
            assert told == ["promote", "attach-evidence", "register", "reserve"], "each step is in the log once"
    served = sorted(int(path.name) for path in (tmp_path / "serving" / NAME).iterdir())
    assert served == list(range(1, len(PEDIGREES) + 2))
    assert local_registry.verify_audit().ok
    assert local_registry.store.verify().ok
