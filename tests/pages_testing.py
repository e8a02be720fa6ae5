"""A registry with something to look at: models with a history, evidence with whole comparisons, lineage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from comparison_testing import retrained
from rollout_testing import MODEL as ROLLED
from rollout_testing import World, make_registry

from lineage_testing import make_versions, record_story
from pedigree_testing import Clock, candidate
from tfx_pedigree.comparison import Comparison, MajorChange, Policy
from tfx_pedigree.registry import (
    Action,
    Evidence,
    Facts,
    Identity,
    NewObservation,
    PromotionRequest,
    Registry,
    Role,
    State,
    Verdict,
    Version,
)
from tfx_pedigree.rollout.answers import Answered, Duel
from tfx_pedigree.rollout.controller import Controller
from tfx_pedigree.rollout.plan import AnswerRule, Bake, JudgePlan, Plan, Rate, Step, Strategy
from tfx_pedigree.service.judging.gate import COMPARISON
from tfx_pedigree.service.versions.registering import register_model
from tfx_pedigree.service.workspace import connect

MODEL = "flight-delay"
OTHER = "taxi-fare"
EMPTY = "reserved-only"
GUARDED = "house-price"
REAL = "with-files"
LONG = "a-model-whose-name-is-as-long-as-names-may-be-or-nearly-so"
TEXT = "**Night flights** left out, see [the notes](https://example.com/notes).\n\n- `auc` on 24,951 rows\n"


PLAN = Plan(
    Strategy.CANARY,
    (Step(2500, Bake(requests=2000, seconds=3600)), Step(10_000, Bake(requests=10, seconds=1))),
    judge=JudgePlan(errors=Rate(acceptable=0.4), answers=AnswerRule(agreement=0.95, shift=0.2)),
)


def rolling_out(folder: Path, clock: Clock) -> World:
    """A registry whose penguin 1.0.1 has a quarter of the traffic, with some requests counted, and answers of both."""
    make_registry(folder)
    world, answered = World(folder, clock=clock), Answered(3, 0, (Duel(0.2, 0.3), Duel(0.4, 0.1)))
    with world.process() as (ledger, _):
        controller = Controller(ledger, world.open, holder="one", read_answers=lambda *_: (answered, None))
        ledger.start_rollout(ROLLED, "1.0.1", "memory", PLAN, PromotionRequest())
        for number in range(14):
            controller.tick(ROLLED)
            world.balancer.send(60, seed=number)
            clock.advance(seconds=1)
    return world


def fill(registry: Registry, clock: Clock, *, versions: int = 7) -> None:
    """flight-delay: champions, a refusal, a rollback, lineage. taxi-fare: a series of versions with intervals.
    reserved-only: nothing that serves."""
    make_versions(registry, clock)
    record_story(registry)
    clock.advance(days=2)
    registry.rollback(MODEL, reason="1.0.1 is slow at `p95` since the new images", expect="1.0.1")
    registry.set_alias("canary", f"{MODEL}@1.1.0")
    registry.annotate(f"{MODEL}@1.1.0", Facts(tags={"description": TEXT, "span": "3", "team": "ops"}))
    _series(registry, clock, versions)
    _long(registry)
    registry.reserve(EMPTY, candidate("waiting"))
    _observed(registry, clock)
    _protected(registry, clock)


def _long(registry: Registry) -> None:
    """A name, metrics, tags and reasons that are as long as such things get."""
    metrics = {"precision_at_recall(0.8)@class_id=3_of_the_late_flights_only": 0.8123, "auc": 0.7}
    tags = {"description": TEXT + "\n```\n" + "code " * 60 + "\n```", "owner": "team-" * 36}
    for number in range(2):
        registry.add(LONG, candidate(f"l{number}", rate=number), facts=Facts(metrics, tags))
    registry.promote(f"{LONG}@1.0.0", PromotionRequest(reason="because " * 40))
    registry.set_alias("an-alias-of-some-length", f"{LONG}@latest")
    registry.note(LONG, Action.DESCRIBE, reason=None, details={"text": f"# What for\n\n{TEXT * 4}\n{'y' * 120}"})


def with_files(folder: Path, store: Path) -> None:
    """A version whose bytes are there."""
    (store / "variables").mkdir(parents=True)
    (store / "weights.bin").write_bytes(b"weights" * 300)
    (store / "variables" / "index").write_bytes(b"1")
    with connect(folder, actor="ada") as workspace:
        register_model(workspace, REAL, store)


def _protected(registry: Registry, clock: Clock) -> None:
    """house-price needs two approvals; one version waits with one of them."""
    registry.add(GUARDED, candidate("h0"))
    registry.promote(f"{GUARDED}@latest", PromotionRequest(reason="first model"))
    registry.protect(GUARDED, 2)
    clock.advance(hours=1)
    registry.add(GUARDED, candidate("h1", rate=0.2))
    registry.grant("cora", Role.CONTRIBUTOR)
    registry.acting_as(Identity("cora")).request_promotion(f"{GUARDED}@latest", comment="Trained on `May`, please look")
    registry.approve(GUARDED, 1, comment="looks right")


def _observed(registry: Registry, clock: Clock) -> None:
    """Three weeks of taxi-fare's champion, of which the last days are worse, and a value of the one before."""
    before, after = (one.version for one in (registry.reigns(OTHER)[1], registry.reigns(OTHER)[0]))
    for day in range(21):
        began, ended = clock(), clock.advance(days=1)
        value = 0.75 + 0.002 * (day % 3) - (0.01 * max(day - 14, 0))
        seen = NewObservation({"auc": value, "loss": 1.1 - value}, began, ended, 11_000 + day, "monitor prometheus")
        registry.observe(f"{OTHER}@{after}", seen)
        if day == 10:
            registry.observe(f"{OTHER}@{before}", NewObservation({"auc": 0.71}, began, ended))


def _series(registry: Registry, clock: Clock, versions: int) -> None:
    champion = registry.add(OTHER, candidate("t0", rate=0.1), facts=Facts({"auc": 0.7012, "loss": 0.52})).version
    registry.promote(f"{OTHER}@latest", PromotionRequest(reason="first model"))
    for number in range(1, versions):
        clock.advance(days=1)
        gain = 0.051 if number % 3 == 2 else 0.02
        tags = {"span": str(number), "commit": "4f1d2c3b" * 5}
        facts = Facts({"auc": 0.7012 + gain, "loss": 0.52}, tags)
        made = registry.add(OTHER, candidate(f"t{number}", rate=number), facts=facts).version
        judged = judgement(made, champion, gain)
        registry.attach_evidence(f"{OTHER}@{made.version}", judged)
        if judged.verdict is Verdict.PASS:
            clock.advance(hours=1)
            registry.promote(f"{OTHER}@{made.version}", PromotionRequest(reason=f"better on span {number}"))
            champion = registry.get(f"{OTHER}@champion")
    if registry.get(f"{OTHER}@latest").state is State.DEVELOPMENT:
        registry.promote(f"{OTHER}@latest", PromotionRequest(State.STAGING))


def judgement(new: Version, old: Version, gain: float) -> Evidence:
    compared = _between(new, old, retrained(policy=Policy("auc", confidence=0.95, major=MajorChange.ALLOW), gain=gain))
    decision, sides = compared.decision, {"challenger": {}, "champion": {}}
    for row in compared.metrics:
        if row.slice.is_overall and row.challenger and row.champion:
            sides["challenger"][row.metric] = row.challenger.value
            sides["champion"][row.metric] = row.champion.value
    checks = [check.to_json() for check in decision.checks]
    return Evidence(
        new.digest,
        old.digest,
        decision.verdict,
        decision.reason,
        metrics=sides,
        policy=compared.policy.digest,
        details={COMPARISON: compared.to_json(), "checks": checks},
    )


def _between(new: Version, old: Version, compared: Comparison) -> Comparison:
    assert compared.champion is not None
    return replace(
        compared,
        model=new.model,
        challenger=replace(compared.challenger, version=new.version, digest=new.digest),
        champion=replace(compared.champion, version=old.version, digest=old.digest),
    )
