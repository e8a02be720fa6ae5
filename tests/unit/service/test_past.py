"""What earlier decisions mean for the next is read from the audit log, counted once, and found there again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tfx_pedigree.comparison import Data, Key, MetricValue, Past, Policy
from tfx_pedigree.comparison.policy_file import parse_policy
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.registry import DECIDED, Evidence, Facts, Reference, Registry, Verdict
from tfx_pedigree.service.audit import verify_audit
from tfx_pedigree.service.judging.comparison import Behaviour, Evaluated, Found, judge
from tfx_pedigree.service.judging.contestants import GivenChampion, contestants
from tfx_pedigree.service.judging.gate import COMPARISON, kept_comparison
from tfx_pedigree.service.judging.past import past_of
from tfx_pedigree.service.judging.replaying import replay_all
from tfx_pedigree.service.runs import push as pushing
from tfx_pedigree.service.runs.judgement import judged
from tfx_pedigree.service.runs.push import Pushed, PushOutcome, PushTarget, register_and_promote
from tfx_pedigree.service.versions.reserving import find_champion, reserve_trained
from tfx_pedigree.service.versions.version_record import Making
from tfx_pedigree.versioning import Request

MODELS = Path(__file__).parents[2] / "goldens" / "saved_models"
NAME = "flight-delay"
ROWS = "sha256:" + "e" * 64
BUDGET = parse_policy("""\
metric: auc
rule: {absolute: 0}
confidence: 0.95
error_budget: {false_promotions: 0.04, decisions: 4}
""")


def reserved(registry: Registry, golden: str) -> Mapping[str, Any]:
    champion, folder = find_champion(registry, NAME), MODELS / golden
    return reserve_trained(
        registry, registry.store, NAME, folder, Making(), request=Request(), champion=champion
    ).record


def compared(record: Mapping[str, Any], gain: float, policy: Policy = BUDGET, rows: str = ROWS) -> Evidence:
    """As VersionComparator judges: a score of .80 for the champion, known to ± .01."""
    key, champion = Key("auc"), record["champion"]
    value = MetricValue(0.8 + gain, (0.79 + gain, 0.81 + gain), 1000)
    evaluated = Evaluated({key: value})
    given = None
    if champion is not None:
        given = GivenChampion(champion["digest"], champion["size"], champion["version"], lambda: None)
        apart = {key: MetricValue(gain, (gain - 0.01, gain + 0.01), 1000)}
        evaluated = Evaluated({key: value}, {key: MetricValue(0.8, (0.79, 0.81), 1000)}, apart)
    found = Found(contestants(record, given), evaluated, Behaviour(), Data("eval", "1", rows, 1000))
    return judge(policy, found)[1]


def push(registry: Registry, record: Mapping[str, Any], evidence: Evidence) -> Pushed:
    reference = Reference(NAME, record["digest"])
    return register_and_promote(
        registry, registry.store, reference, Facts(), judged(record, evidence, {}), target=PushTarget.PRODUCTION
    )


def run(registry: Registry, golden: str, gain: float, policy: Policy = BUDGET, rows: str = ROWS) -> Pushed:
    record = reserved(registry, golden)
    return push(registry, record, compared(record, gain, policy, rows))


def stakes(registry: Registry) -> list[tuple[int, float, bool]]:
    found = [one.decided for one in past_of(registry, NAME).decisions]
    return [(one.stake.number, round(one.stake.level, 6), one.won) for one in found if one.stake is not None]


def test_each_decision_finds_the_stakes_of_those_before_it_in_the_log(registry: Registry) -> None:
    assert run(registry, "keras", 0.0).outcome is PushOutcome.PROMOTED
    assert past_of(registry, NAME).decisions == ()  # a first version is no test of anything
    assert run(registry, "keras_retrained", 0.001).outcome is PushOutcome.REFUSED
    assert run(registry, "keras_tanh", 0.05).outcome is PushOutcome.PROMOTED
    run(registry, "keras_deeper", 0.0)
    run(registry, "keras_deeper", 0.0)  # the same run once more
    run(registry, "keras_retrained", 0.0, rows="sha256:" + "f" * 64)
    assert stakes(registry) == [(1, 0.01, False), (2, 0.01, True), (3, 0.015, False), (4, 0.015, False)]
    (newest, *_) = [one.evidence for one in registry.judgements(NAME).items]
    standing = kept_comparison(newest).basis.standing  # type: ignore[union-attr]
    assert standing is not None
    assert (standing.number, round(standing.lost, 6), standing.reuse.uses) == (4, 0.025, 0)  # type: ignore[union-attr]


def test_two_runs_at_once_do_not_get_the_same_stake(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are compared before either is registered; the second is decided again with what the first has spent."""
    policy = parse_policy("""\
metric: auc
rule: {absolute: 0}
confidence: 0.95
holdout: {uses: 1, then: insufficient}
""")
    run(registry, "keras", 0.0, policy)
    one, other = reserved(registry, "keras_retrained"), reserved(registry, "keras_tanh")
    first, second = compared(one, 0.0, policy), compared(other, 0.05, policy)
    assert second.verdict is Verdict.PASS
    push(registry, one, first)
    late = push(registry, other, second)
    assert (late.outcome, "the same rows have decided 1 times" in late.reason) == (PushOutcome.REFUSED, True)
    # Where the other one comes in after the first look as well, the log itself decides.
    third = reserved(registry, "keras_deeper")
    monkeypatch.setattr(pushing, "decided_now", lambda registry, evidence: evidence)
    raced = push(registry, third, compared(dict(third) | {"past": Past().to_json()}, 0.05, policy))
    assert (raced.outcome, registry.model(NAME).champion) == (PushOutcome.REFUSED, "1.0.0")
    assert [one.evidence.verdict for one in registry.judgements(NAME).items[:2]] == [Verdict.INSUFFICIENT, Verdict.PASS]
    assert replay_all(registry).ok


def test_all_decisions_on_file_come_out_again_and_the_audit_says_which_cannot(registry: Registry) -> None:
    run(registry, "keras", 0.0)
    run(registry, "keras_tanh", 0.05)
    record = reserved(registry, "keras_deeper")
    withheld = judged(record, compared(record, 0.05), {"The Evaluator": False})
    assert withheld is not None
    register_and_promote(
        registry, registry.store, Reference(NAME, record["digest"]), Facts(), withheld, target=PushTarget.PRODUCTION
    )
    found = replay_all(registry, NAME)
    assert (found.same, found.others, found.ok) == (3, (), True)
    by_hand = Evidence(record["digest"], None, Verdict.PASS, "looked good")
    registry.attach_evidence(f"{NAME}@latest", by_hand)
    findings = verify_audit(registry, Lineage(registry), None, lambda unit: nullcontext(lambda *_: None))
    assert findings.problems == ()
    (said,) = findings.not_on_file
    assert said.startswith(f"{NAME}@") and "it keeps no comparison: attached by hand" in said


def alter(evidence: Evidence, **standing: Any) -> Evidence:
    comparison = dict(evidence.details[COMPARISON])
    basis = dict(comparison["basis"])
    basis["standing"] = {**basis["standing"], **standing}
    return replace(evidence, details={**evidence.details, COMPARISON: {**comparison, "basis": basis}})


def test_a_pass_that_counted_fewer_decisions_than_the_log_holds_is_a_problem(registry: Registry) -> None:
    run(registry, "keras", 0.0)
    run(registry, "keras_retrained", 0.0)
    record = reserved(registry, "keras_tanh")
    evidence = compared(dict(record) | {"past": Past().to_json()}, 0.05)
    registry.register(Reference(NAME, record["digest"]), Facts(), evidence)  # past the pipeline
    found = replay_all(registry)
    assert [one.wrong for one in found.others] == [True]
    assert "the earlier decisions that it counted are not those in the log" in str(found.others[0])
    findings = verify_audit(registry, Lineage(registry), None, lambda unit: nullcontext(lambda *_: None))
    assert findings.problems == tuple(map(str, found.others))


def test_a_standing_that_cannot_be_is_refused_with_its_place(registry: Registry) -> None:
    run(registry, "keras", 0.0)
    record = reserved(registry, "keras_tanh")
    evidence = alter(compared(record, 0.05), number="many")
    registry.register(Reference(NAME, record["digest"]), Facts(), evidence)
    (found,) = replay_all(registry).others
    assert "number" in str(found)


def test_what_a_log_says_to_later_decisions_is_bounded_and_checked(registry: Registry) -> None:
    """Whoever may attach evidence writes what he likes: it is counted only where it can be read."""
    run(registry, "keras", 0.0)
    digest = registry.get(f"{NAME}@1.0.0").digest
    for at, told in enumerate([{"challenger": "x" * 5000}, {"challenger": 7}, "no table", {}]):
        evidence = Evidence(digest, None, Verdict.PASS, f"try {at}", details={DECIDED: told})
        registry.attach_evidence(f"{NAME}@1.0.0", evidence)
    assert past_of(registry, NAME).decisions == ()
    assert past_of(registry, "nothing-of-that-name") == Past()
    assert registry.verify_audit().ok
