"""What holds when versions move, on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from pedigree_testing import Clock, candidate, digest
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError, StaleEvidenceError
from tfx_pedigree.registry import Evidence, PromotionRequest, Registry, State, Verdict

pytestmark = pytest.mark.conformance

PRODUCTION = PromotionRequest()
STAGING = PromotionRequest(State.STAGING)


@pytest.fixture
def three(registry: Registry) -> Registry:
    """A registry with 1.0.0, 1.0.1 and 1.0.2 in development."""
    for seed in "abc":
        registry.add("flight-delay", candidate(seed))
    return registry


def states(registry: Registry) -> dict[str, str]:
    return {v.version: v.state.value for v in registry.versions("flight-delay").items}


def test_promotion_replaces_the_champion_in_one_step(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    three.promote("flight-delay@1.0.1")
    assert states(three) == {"1.0.0": "archived", "1.0.1": "production", "1.0.2": "development"}
    assert three.model("flight-delay").champion == "1.0.1"
    actions = [(e.action, e.subject) for e in three.history("flight-delay", limit=3).items]
    assert actions[:2] == [("promote", "1.0.1"), ("replace", "1.0.0")]


def test_staging_holds_several_and_touches_no_champion(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    three.promote("flight-delay@1.0.1", STAGING)
    three.promote("flight-delay@1.0.2", STAGING)
    assert states(three) == {"1.0.0": "production", "1.0.1": "staging", "1.0.2": "staging"}


def test_promoting_the_champion_again_changes_nothing(three: Registry) -> None:
    first = three.promote("flight-delay@1.0.0").version
    events = three.history("flight-delay").items
    assert three.promote("flight-delay@1.0.0").version == first
    assert three.history("flight-delay").items == events


def test_evidence_against_a_champion_that_was_replaced_is_stale(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    three.attach_evidence("flight-delay@1.0.2", Evidence(digest("c"), digest("a"), Verdict.PASS, "6 % better"))
    three.promote("flight-delay@1.0.1")
    with pytest.raises(StaleEvidenceError) as refused:
        three.promote("flight-delay@1.0.2")
    message = str(refused.value)
    assert "flight-delay 1.0.2 cannot be promoted: its evidence compares it with 1.0.0" in message
    assert "but 1.0.1 is champion since 2026-11-20" in message
    assert "against 1.0.1, or pass `--expect 1.0.1`" in message
    assert states(three)["1.0.1"] == "production"
    three.promote("flight-delay@1.0.2", PromotionRequest(expect="1.0.1"))
    assert states(three)["1.0.2"] == "production"


def test_evidence_without_baseline_is_stale_once_there_is_a_champion(three: Registry) -> None:
    three.attach_evidence("flight-delay@1.0.2", Evidence(digest("c"), None, Verdict.PASS, "meets the floors"))
    three.promote("flight-delay@1.0.0")
    with pytest.raises(StaleEvidenceError, match="found no champion, but 1.0.0 is champion"):
        three.promote("flight-delay@1.0.2")


def test_evidence_is_good_again_after_a_rollback_to_its_champion(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    three.attach_evidence("flight-delay@1.0.2", Evidence(digest("c"), digest("a"), Verdict.PASS, "6 % better"))
    three.promote("flight-delay@1.0.1")
    three.rollback("flight-delay", reason="1.0.1 times out")
    assert three.promote("flight-delay@1.0.2").version.state is State.PRODUCTION


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INSUFFICIENT])
def test_what_the_gate_refuses_needs_an_override_with_a_reason(three: Registry, verdict: Verdict) -> None:
    three.attach_evidence("flight-delay@1.0.0", Evidence(digest("a"), None, verdict, "auc 0.61 is below 0.7"))
    with pytest.raises(ConflictError, match=rf"{verdict.value} \(auc 0.61 is below 0.7\).*--override"):
        three.promote("flight-delay@1.0.0")
    with pytest.raises(InvalidInputError, match="needs a reason"):
        PromotionRequest(override=True)
    three.promote("flight-delay@1.0.0", PromotionRequest(override=True, reason="hotfix for the outage"))
    event = three.history("flight-delay").items[0]
    assert (event.reason, event.details["override"]) == ("hotfix for the outage", True)


def test_expecting_another_champion_is_refused_and_names_the_present_one(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    with pytest.raises(StaleEvidenceError, match="1.0.1 was expected as champion, but 1.0.0 is"):
        three.promote("flight-delay@1.0.2", PromotionRequest(expect="1.0.1"))
    with pytest.raises(StaleEvidenceError, match="expected that there is no champion, but 1.0.0 is"):
        three.promote("flight-delay@1.0.2", PromotionRequest(expect="none"))


def test_reserved_version_cannot_be_promoted(registry: Registry) -> None:
    registry.reserve("flight-delay", candidate("a"))
    with pytest.raises(ConflictError, match="only reserved"):
        registry.promote("flight-delay@1.0.0")


def test_replaced_champion_comes_back_by_rollback_only(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    three.promote("flight-delay@1.0.1")
    with pytest.raises(ConflictError, match="pedigree rollback flight-delay --to 1.0.0"):
        three.promote("flight-delay@1.0.0")
    assert three.rollback("flight-delay", to="1.0.0", reason="complaints").version.version == "1.0.0"


def test_rollbacks_go_back_step_by_step_until_the_first_champion(three: Registry) -> None:
    for version in ("1.0.0", "1.0.1", "1.0.2"):
        three.promote(f"flight-delay@{version}")
    assert three.rollback("flight-delay", reason="slow").version.version == "1.0.1"
    assert three.rollback("flight-delay", reason="slow too").version.version == "1.0.0"
    with pytest.raises(ConflictError, match="1.0.0 is its first champion"):
        three.rollback("flight-delay", reason="hm")
    assert states(three) == {"1.0.0": "production", "1.0.1": "archived", "1.0.2": "archived"}


def test_rollback_after_a_rollback_and_a_new_champion_skips_the_bad_one(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    three.promote("flight-delay@1.0.1")
    three.rollback("flight-delay", reason="1.0.1 is bad")
    three.promote("flight-delay@1.0.2")
    assert three.rollback("flight-delay", reason="1.0.2 is bad as well").version.version == "1.0.0"


def test_rollback_records_why_and_whom_it_replaces(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    three.promote("flight-delay@1.0.1")
    three.rollback("flight-delay", reason="p95 doubled")
    event = three.history("flight-delay").items[0]
    assert (event.action, event.subject, event.reason) == ("rollback", "1.0.0", "p95 doubled")
    assert event.details["replaces"] == "1.0.1"


def test_rollback_to_what_never_served_is_a_promotion(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    with pytest.raises(ConflictError, match="never in production.*pedigree promote flight-delay@1.0.2"):
        three.rollback("flight-delay", to="1.0.2", reason="x")


def test_rollback_to_what_serves_changes_nothing(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    events = three.history("flight-delay").items
    three.rollback("flight-delay", to="1.0.0", reason="x")
    assert three.history("flight-delay").items == events


def test_rollback_with_a_stale_expectation_is_refused(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    three.promote("flight-delay@1.0.1")
    with pytest.raises(StaleEvidenceError, match="1.0.0 was expected"):
        three.rollback("flight-delay", reason="x", expect="1.0.0")


def test_rollback_without_any_champion_says_so(three: Registry) -> None:
    with pytest.raises(ConflictError, match="no champion to go back to"):
        three.rollback("flight-delay", reason="x")


def test_archiving_the_champion_leaves_none_and_the_next_promotion_expects_none(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    three.archive("flight-delay@champion", reason="licence")
    with pytest.raises(NotFoundError, match="no champion now"):
        three.get("flight-delay@champion")
    three.promote("flight-delay@1.0.1", PromotionRequest(expect="none"))
    with pytest.raises(ConflictError):
        three.rollback("flight-delay", reason="x")


def test_archived_on_purpose_stays_out_until_restored(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    three.promote("flight-delay@1.0.1")
    withdrawn = three.archive("flight-delay@1.0.0", reason="trained on wrong data").version
    assert withdrawn.withdrawn
    with pytest.raises(ConflictError, match="archived on purpose.*pedigree restore flight-delay@1.0.0"):
        three.rollback("flight-delay", reason="x")
    with pytest.raises(ConflictError, match="archived on purpose"):
        three.promote("flight-delay@1.0.0")
    assert three.restore("flight-delay@1.0.0").version.state is State.DEVELOPMENT
    assert three.promote("flight-delay@1.0.0").version.state is State.PRODUCTION


def test_archiving_and_restoring_twice_is_once(three: Registry) -> None:
    three.archive("flight-delay@1.0.0", reason="x")
    three.archive("flight-delay@1.0.0", reason="x")
    three.restore("flight-delay@1.0.0")
    three.restore("flight-delay@1.0.0")
    actions = [e.action for e in three.history("flight-delay", "1.0.0").items]
    assert actions == ["restore", "archive", "register", "reserve"]


def test_restored_reservation_is_reserved_again(registry: Registry) -> None:
    registry.reserve("flight-delay", candidate("a"))
    registry.archive("flight-delay@1.0.0", reason="run was cancelled")
    assert registry.restore("flight-delay@1.0.0").version.state is State.RESERVED


def test_champion_in_staging_is_refused_with_the_way_back(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    with pytest.raises(ConflictError, match="in production and cannot go back to staging"):
        three.promote("flight-delay@1.0.0", STAGING)
    with pytest.raises(ConflictError, match="Only archived versions can"):
        three.restore("flight-delay@1.0.0")


def test_at_answers_for_every_moment(three: Registry, clock: Clock) -> None:
    before = clock.advance(minutes=1)
    clock.advance(minutes=1)
    three.promote("flight-delay@1.0.0")
    first = clock.advance(minutes=1)
    clock.advance(minutes=1)
    three.promote("flight-delay@1.0.1")
    second = clock.advance(minutes=1)
    clock.advance(minutes=1)
    three.archive("flight-delay@champion", reason="off")
    after = clock.advance(minutes=1)

    def at(when: datetime) -> str | None:
        found = three.at("flight-delay", when)
        return found.version if found else None

    assert [at(t) for t in (before, first, second, after)] == [None, "1.0.0", "1.0.1", None]


def test_at_finds_no_gap_between_two_champions(three: Registry) -> None:
    three.promote("flight-delay@1.0.0")
    three.promote("flight-delay@1.0.1")
    new, old = three.reigns("flight-delay")
    assert old.ended_at == new.began_at
    just_before = three.at("flight-delay", new.began_at - timedelta(microseconds=1))
    assert just_before is not None
    assert just_before.version == "1.0.0"


def test_time_in_the_log_never_runs_backwards(three: Registry, clock: Clock) -> None:
    three.promote("flight-delay@1.0.0")
    clock.time = datetime(2020, 1, 1, tzinfo=timezone.utc)
    three.promote("flight-delay@1.0.1")
    times = [e.at for e in three.history("flight-delay").items]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == len(times)


def test_alias_moves_and_goes(three: Registry) -> None:
    three.set_alias("canary", "flight-delay@1.0.1")
    three.set_alias("canary", "flight-delay@1.0.2")
    assert three.get("flight-delay@canary").version == "1.0.2"
    three.remove_alias("flight-delay", "canary")
    with pytest.raises(NotFoundError, match="no version or alias 'canary'"):
        three.get("flight-delay@canary")
    with pytest.raises(NotFoundError, match="no alias 'canary'"):
        three.remove_alias("flight-delay", "canary")


@pytest.mark.parametrize("alias", ["champion", "latest", "1.0.0", "Canary", "", "a b", "7"])
def test_aliases_that_would_hide_something_are_refused(three: Registry, alias: str) -> None:
    with pytest.raises(InvalidInputError):
        three.set_alias(alias, "flight-delay@1.0.0")


def test_comparison_shows_numbers_parameters_and_interface(registry: Registry) -> None:
    registry.add("flight-delay", candidate("a", rate=0.1))
    registry.add("flight-delay", candidate("b", features=4, rate=0.2))
    compared = registry.compare("flight-delay@1.0.0", "flight-delay@2.0.0")
    assert compared.bump == "major"
    assert [(r.name, r.old, r.new) for r in compared.parameters] == [("rate", 0.1, 0.2)]
    changed = [r for r in compared.interface if r.differs]
    assert [r.name for r in changed] == ["serving_default input features"]
