"""Promotion as a pure decision: laws that hold for every state of a registry."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedigree_testing import digest
from tfx_pedigree.errors import ConflictError, InvalidInputError, PedigreeError, StaleEvidenceError
from tfx_pedigree.registry import PromotionRequest, State, Verdict
from tfx_pedigree.registry.decisions import (
    Champion,
    GateResult,
    SignatureCheck,
    VersionSnapshot,
    check_promotion,
    decide_promotion,
)
from tfx_pedigree.states import TRANSITIONS, leads

SINCE = datetime(2026, 11, 20, 14, 2, tzinfo=timezone.utc)
OLD, NEW = digest("old"), digest("new")

subjects = st.builds(
    VersionSnapshot, st.just("m"), st.just("1.3.0"), st.just(NEW), st.sampled_from(State), st.booleans()
)
champions = st.none() | st.builds(Champion, st.sampled_from(["1.2.0", "1.2.1"]), st.sampled_from([OLD]), st.just(SINCE))
gates = st.none() | st.builds(
    GateResult, st.sampled_from(Verdict), st.just("r"), st.sampled_from([None, OLD, digest("x")]), st.just("1.2.0")
)
signings = st.builds(SignatureCheck, st.integers(0, 2), st.booleans())
requests = st.builds(
    PromotionRequest,
    st.sampled_from([State.STAGING, State.PRODUCTION]),
    st.sampled_from([None, "none", "1.2.0", "1.2.1"]),
    st.booleans(),
    st.just("because"),
)


@given(subjects, champions, gates, signings, requests)
def test_whatever_is_promoted_went_a_way_that_states_allow(
    subject: VersionSnapshot,
    champion: Champion | None,
    gate: GateResult | None,
    signature: SignatureCheck,
    request: PromotionRequest,
) -> None:
    try:
        promoted = decide_promotion(subject, champion, gate, signature, request)
    except PedigreeError as refused:
        assert str(refused).startswith("m 1.3.0 ")
        assert str(refused).endswith(".")
    else:
        assert promoted is (subject.state is not request.target)
        if promoted:
            assert leads(subject.state, request.target)
            assert subject.state not in (State.RESERVED, State.ARCHIVED)


@given(subjects, champions, gates, signings, requests)
def test_nothing_reaches_production_past_champion_gate_or_signature_unseen(
    subject: VersionSnapshot,
    champion: Champion | None,
    gate: GateResult | None,
    signature: SignatureCheck,
    request: PromotionRequest,
) -> None:
    try:
        promoted = decide_promotion(subject, champion, gate, signature, request)
    except PedigreeError:
        return
    if promoted and request.target is State.PRODUCTION:
        now = champion.version if champion else "none"
        assert request.expect in (None, now)
        if request.expect is None and gate is not None:
            assert gate.champion_digest == (champion.digest if champion else None)
        assert gate is None or gate.verdict is Verdict.PASS or request.override
        assert signature.signed or not signature.trusted


@given(champions, gates, st.sampled_from([None, "1.2.0"]))
def test_override_outranks_the_gate_but_never_the_swap(
    champion: Champion | None, gate: GateResult | None, expect: str | None
) -> None:
    subject = VersionSnapshot("m", "1.3.0", NEW, State.STAGING)
    plain, forced = (PromotionRequest(expect=expect, override=o, reason="because") for o in (False, True))
    try:
        decide_promotion(subject, champion, gate, SignatureCheck(), forced)
    except StaleEvidenceError:
        with pytest.raises(StaleEvidenceError):
            decide_promotion(subject, champion, gate, SignatureCheck(), plain)


def test_stale_evidence_is_told_as_a_person_would() -> None:
    subject = VersionSnapshot("flight-delay", "1.3.0", NEW, State.DEVELOPMENT)
    gate = GateResult(Verdict.PASS, "better", OLD, "1.2.0")
    with pytest.raises(StaleEvidenceError) as refused:
        decide_promotion(subject, Champion("1.2.1", digest("z"), SINCE), gate, SignatureCheck(), PromotionRequest())
    assert str(refused.value) == (
        "flight-delay 1.3.0 cannot be promoted: its evidence compares it with 1.2.0, but 1.2.1 is champion since "
        "2026-11-20 14:02:00 UTC. Run the evaluation against 1.2.1, or pass `--expect 1.2.1`."
    )


@pytest.mark.parametrize("target", [State.RESERVED, State.DEVELOPMENT, State.ARCHIVED])
def test_promotion_leads_up_only(target: State) -> None:
    with pytest.raises(InvalidInputError, match="promoted to staging or production"):
        PromotionRequest(target)


def test_every_state_has_a_way_on_and_only_archived_leads_back() -> None:
    order = [State.RESERVED, State.DEVELOPMENT, State.STAGING, State.PRODUCTION, State.ARCHIVED]
    assert set(TRANSITIONS) == set(State)
    for before, afters in TRANSITIONS.items():
        assert afters
        if before is not State.ARCHIVED:
            assert all(order.index(after) > order.index(before) for after in afters)


def test_archived_by_hand_and_archived_by_replacement_are_told_apart() -> None:
    for withdrawn, step in ((True, "pedigree restore m@1.3.0"), (False, "pedigree rollback m --to 1.3.0")):
        with pytest.raises(ConflictError, match=step):
            decide_promotion(
                VersionSnapshot("m", "1.3.0", NEW, State.ARCHIVED, withdrawn),
                None,
                None,
                SignatureCheck(),
                PromotionRequest(),
            )


@given(subjects, champions, gates, signings, requests)
def test_checks_fail_exactly_where_the_decision_refuses_and_in_its_words(
    subject: VersionSnapshot,
    champion: Champion | None,
    gate: GateResult | None,
    signature: SignatureCheck,
    request: PromotionRequest,
) -> None:
    checks = check_promotion(subject, champion, gate, signature, request)
    failed = [check.detail for check in checks if not check.passed]
    try:
        decide_promotion(subject, champion, gate, signature, request)
    except ConflictError as refusal:
        assert failed[0] == str(refusal)
    else:
        assert failed == []
