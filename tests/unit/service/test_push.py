"""A run's end: what passed is promoted, what did not is kept with the reason, and nothing breaks on a lost race."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tfx_pedigree.errors import DamagedError, ForbiddenError
from tfx_pedigree.registry import Evidence, Identity, Reference, Registry, Role, State, Verdict
from tfx_pedigree.rollout import Ledger, canary
from tfx_pedigree.rollout.state import Ask
from tfx_pedigree.service.runs.judgement import EVALUATOR, INFRA, facts_of, judged
from tfx_pedigree.service.runs.push import Pushed, PushOutcome, PushTarget, register_and_promote
from tfx_pedigree.service.runs.push_rollout import ByRollout, PipelineRollout
from tfx_pedigree.service.versions.reserving import find_champion, reserve_trained
from tfx_pedigree.service.versions.version_record import Making
from tfx_pedigree.versioning import Request

MODELS = Path(__file__).parents[2] / "goldens" / "saved_models"
NAME = "flight-delay"
DATA = "sha256:" + "e" * 64


def reserved(registry: Registry, golden: str) -> Mapping[str, Any]:
    champion = find_champion(registry, NAME)
    folder, asked = MODELS / golden, Request()
    return reserve_trained(registry, registry.store, NAME, folder, Making(), request=asked, champion=champion).record


def evidence(record: Mapping[str, Any], verdict: Verdict = Verdict.PASS, **values: Any) -> Evidence:
    champion = record["champion"]["digest"] if record["champion"] else None
    given = {"evaluation_data": DATA, "reason": f"the gate said {verdict.value}", **values}
    return Evidence(record["digest"], champion, verdict, **given)


def push(
    registry: Registry,
    record: Mapping[str, Any],
    found: Evidence | None,
    target: PushTarget = PushTarget.PRODUCTION,
    **more: Any,
) -> Pushed:
    reference = Reference(NAME, record["digest"])
    facts = facts_of(record, None)
    return register_and_promote(registry, registry.store, reference, facts, found, target=target, **more)


def run(registry: Registry, golden: str, verdict: Verdict = Verdict.PASS, **values: Any) -> Pushed:
    record = reserved(registry, golden)
    return push(registry, record, evidence(record, verdict, **values))


@pytest.fixture
def history(registry: Registry) -> Callable[[], list[str]]:
    return lambda: [event.action for event in registry.history(NAME).items][::-1]


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INSUFFICIENT])
def test_what_does_not_pass_is_kept_with_its_reason(registry: Registry, verdict: Verdict) -> None:
    assert run(registry, "keras").outcome is PushOutcome.PROMOTED
    assert run(registry, "keras_retrained", verdict).outcome is PushOutcome.REFUSED
    loser = registry.get(f"{NAME}@1.0.1")
    assert (loser.state, loser.refusal) == (State.DEVELOPMENT, f"{verdict.value}: the gate said {verdict.value}")
    assert registry.model(NAME).champion == "1.0.0"


def test_a_promotion_that_lost_the_race_is_recorded_until_the_next_evaluation_promotes_it(registry: Registry) -> None:
    run(registry, "keras")
    late = reserved(registry, "keras_retrained")
    run(registry, "keras_tanh")  # another run wins meanwhile
    lost = push(registry, late, evidence(late))
    assert (lost.outcome, lost.serves) == (PushOutcome.STALE, False)
    found = registry.get(f"{NAME}@1.0.1")
    assert found.state is State.DEVELOPMENT
    assert "1.1.0 is champion" in found.tags["not_promoted"]
    won = run(registry, "keras_retrained")
    assert (won.outcome, won.version.version) == (PushOutcome.PROMOTED, "1.0.1")
    assert "not_promoted" not in won.version.tags


def test_a_champion_archived_meanwhile_makes_the_evidence_stale(registry: Registry) -> None:
    run(registry, "keras")
    record = reserved(registry, "keras_retrained")
    registry.archive(f"{NAME}@champion", reason="withdrawn")
    assert push(registry, record, evidence(record)).outcome is PushOutcome.STALE
    assert registry.model(NAME).champion is None


def test_the_same_answer_again_writes_nothing(registry: Registry, history: Callable[[], list[str]]) -> None:
    """Latency is another number each time, and no reason for another line in the log."""
    run(registry, "keras")
    run(registry, "keras_retrained", Verdict.FAIL, details={"latency": 1.0})
    before = history()
    assert run(registry, "keras_retrained", Verdict.FAIL, details={"latency": 1.1}).outcome is PushOutcome.REFUSED
    assert history() == before
    run(registry, "keras_retrained", Verdict.FAIL, evaluation_data="sha256:" + "f" * 64)
    assert history() == [*before, "attach-evidence"]


def test_an_identical_model_that_was_champion_once_is_left_to_a_rollback(registry: Registry) -> None:
    run(registry, "keras")
    run(registry, "keras_retrained")
    again = run(registry, "keras")
    assert again.outcome is PushOutcome.REFUSED
    assert "pedigree rollback" in again.reason
    assert registry.model(NAME).champion == "1.0.1"


def test_a_version_archived_while_it_was_reserved_stays_so(registry: Registry) -> None:
    record = reserved(registry, "keras")
    registry.archive(f"{NAME}@1.0.0", reason="a mistake")
    assert push(registry, record, evidence(record)).outcome is PushOutcome.REFUSED
    assert registry.get(f"{NAME}@1.0.0").withdrawn


@pytest.mark.parametrize("who", [EVALUATOR, INFRA])
def test_a_blessing_that_was_withheld_outweighs_the_comparison_also_in_the_registry(
    registry: Registry, who: str
) -> None:
    record = reserved(registry, "keras")
    pushed = push(registry, record, judged(record, evidence(record), {who: False}))
    assert pushed.outcome is PushOutcome.REFUSED
    found = registry.evidence(f"{NAME}@1.0.0")
    assert found is not None and found.verdict is Verdict.FAIL
    assert found.details["without_them"] == "the gate said PASS"


def test_without_a_comparison_the_swap_is_against_the_champion_of_the_record(registry: Registry) -> None:
    run(registry, "keras")
    record = reserved(registry, "keras_retrained")
    run(registry, "keras_tanh")
    assert push(registry, record, judged(record, None, {EVALUATOR: True})).outcome is PushOutcome.STALE
    assert registry.model(NAME).champion == "1.1.0"


def test_nothing_is_promoted_that_nobody_judged(registry: Registry) -> None:
    record = reserved(registry, "keras")
    assert push(registry, record, judged(record, None, {})).outcome is PushOutcome.REFUSED
    assert registry.get(f"{NAME}@1.0.0").state is State.DEVELOPMENT


def test_it_goes_as_far_as_it_is_told_and_what_failed_goes_nowhere(registry: Registry) -> None:
    record = reserved(registry, "keras")
    assert push(registry, record, evidence(record, Verdict.FAIL), PushTarget.STAGING).outcome is PushOutcome.REFUSED
    found = evidence(record, evaluation_data="sha256:" + "f" * 64)
    assert push(registry, record, found, PushTarget.NONE).version.state is State.DEVELOPMENT
    assert push(registry, record, found, PushTarget.STAGING).version.state is State.STAGING


def test_two_runs_at_once_make_one_champion_and_break_neither(registry: Registry) -> None:
    records = [reserved(registry, one) for one in ("keras", "keras_tanh")]
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda record: push(registry, record, evidence(record)).outcome, records))
    assert sorted(outcomes) == [PushOutcome.PROMOTED, PushOutcome.STALE]
    assert sorted(str(one.state) for one in registry.versions(NAME).items) == ["development", "production"]


def test_bytes_are_read_after_the_role_and_healed_from_the_models_folder(tmp_path: Path) -> None:
    with Registry.create(tmp_path, actor="ada") as registry:
        registry.grant("ci", Role.CONTRIBUTOR)
        record = reserved(registry, "keras")
        largest = max(
            (tmp_path / "store" / "objects").rglob("*"), key=lambda path: path.is_file() and path.stat().st_size
        )
        largest.chmod(0o600)
        largest.write_bytes(b"x" * largest.stat().st_size)
        with Registry.open(tmp_path, actor="ci") as robot, pytest.raises(ForbiddenError):
            push(robot, record, evidence(record))
        with pytest.raises(DamagedError, match="pedigree register"):
            push(registry, record, evidence(record))
        assert registry.get(f"{NAME}@1.0.0").state is State.DEVELOPMENT
        pushed = push(registry, record, evidence(record), files=lambda: nullcontext(MODELS / "keras"))
        assert (pushed.outcome, pushed.healed) == (PushOutcome.PROMOTED, True)
        assert registry.store.verify().ok


def test_where_the_model_is_protected_a_request_is_filed_and_an_approved_one_promotes(registry: Registry) -> None:
    """Also by a pipeline that may not promote by itself."""
    assert run(registry, "keras").outcome is PushOutcome.PROMOTED
    registry.protect(NAME, 1)
    for name, role in (("pipeline", Role.CONTRIBUTOR), ("rea", Role.REVIEWER)):
        registry.grant(name, role)
    pipeline = registry.acting_as(Identity("pipeline"))
    asked = run(pipeline, "keras_retrained")
    assert (asked.outcome, asked.serves) == (PushOutcome.REQUESTED, False)
    assert "request 1 to promote" in asked.reason
    assert asked.version.tags["not_promoted"] == asked.reason
    request = registry.approval_request(NAME, 1)
    assert (request.requested_by, request.version) == ("pipeline", asked.version.version)
    assert run(pipeline, "keras_retrained").outcome is PushOutcome.REQUESTED, "and no second one"
    assert len(registry.approval_requests(NAME, only_open=False).items) == 1
    registry.acting_as(Identity("rea")).approve(NAME, 1)
    waiting = run(pipeline, "keras_retrained")
    assert (waiting.outcome, "is approved" in waiting.reason) == (PushOutcome.REQUESTED, True)
    registry.grant("pipeline", Role.RELEASER)
    done = run(pipeline, "keras_retrained")
    assert (done.outcome, done.version.tags) == (PushOutcome.PROMOTED, {})
    assert registry.verify_audit().ok


EDGE = PipelineRollout("edge", canary())


def rolled(registry: Registry, golden: str, found: Evidence | None = None, actor: str = "ada") -> Pushed:
    """A run that orders a rollout."""
    acting = registry.acting_as(Identity(actor))
    record = reserved(acting, golden)
    return push(acting, record, found or evidence(record), move=ByRollout(Ledger(acting), EDGE))


def test_the_first_version_of_a_model_is_promoted_and_its_traffic_ordered_in_one_decision(
    registry: Registry, history: Callable[[], list[str]]
) -> None:
    first = rolled(registry, "keras")
    assert (first.outcome, first.rollout, first.version.state) == (PushOutcome.PROMOTED, 1, State.PRODUCTION)
    deployment = Ledger(registry).current(NAME)
    assert deployment is not None and deployment.is_deployment and deployment.order.target == "edge"
    assert history()[-2:] == ["promote", "roll-out"]
    assert rolled(registry, "keras").outcome is PushOutcome.THERE_ALREADY


def test_a_run_orders_one_rollout_of_its_version_however_often_it_is_repeated(registry: Registry) -> None:
    run(registry, "keras")
    ordered = rolled(registry, "keras_retrained")
    assert (ordered.outcome, ordered.rollout, ordered.serves) == (PushOutcome.ROLLING_OUT, 1, False)
    assert f"`pedigree rollout watch {NAME}`" in ordered.reason
    assert registry.model(NAME).champion == "1.0.0"
    ledger, before = Ledger(registry), registry.history(NAME)
    assert rolled(registry, "keras_retrained") == ordered
    assert registry.history(NAME) == before
    ledger.ask(NAME, Ask.PAUSE, "a holiday")
    assert rolled(registry, "keras_retrained").outcome is PushOutcome.ROLLING_OUT
    ledger.ask(NAME, Ask.ABORT, "a complaint")
    back = rolled(registry, "keras_retrained")
    assert (back.outcome, "a complaint" in back.reason) == (PushOutcome.REFUSED, True)
    assert len(ledger.rollouts(NAME)) == 1


def test_a_rollout_that_is_going_on_is_said_and_not_harmed(registry: Registry) -> None:
    run(registry, "keras")
    going = rolled(registry, "keras_retrained")
    other = rolled(registry, "keras_tanh")
    assert (other.outcome, "has a rollout that is going on" in other.reason) == (PushOutcome.REFUSED, True)
    assert registry.get(f"{NAME}@{other.version.version}").tags["not_promoted"] == other.reason
    current = Ledger(registry).current(NAME)
    assert current is not None
    assert (current.candidate.digest, current.state.revision) == (going.version.digest, 1)


def test_what_does_not_pass_or_may_not_is_not_rolled_out(registry: Registry) -> None:
    run(registry, "keras")
    record = reserved(registry, "keras_retrained")
    assert rolled(registry, "keras_retrained", evidence(record, Verdict.FAIL)).outcome is PushOutcome.REFUSED
    registry.grant("ci", Role.REVIEWER)
    with pytest.raises(ForbiddenError, match="ci"):
        rolled(registry, "keras_tanh", actor="ci")
    assert Ledger(registry).rollouts(NAME) == ()


def test_an_approved_request_of_a_protected_model_leads_to_the_rollout(registry: Registry) -> None:
    run(registry, "keras")
    registry.protect(NAME, 1)
    registry.grant("rea", Role.REVIEWER)
    asked = rolled(registry, "keras_retrained")
    assert asked.outcome is PushOutcome.REQUESTED
    registry.acting_as(Identity("rea")).approve(NAME, 1)
    assert rolled(registry, "keras_retrained").outcome is PushOutcome.ROLLING_OUT
    assert Ledger(registry).current(NAME) is not None
    assert registry.verify_audit().ok
