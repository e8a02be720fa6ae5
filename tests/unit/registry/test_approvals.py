"""Protected models: no version becomes champion there unless enough people approved just what becomes champion."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from pedigree_testing import Clock, candidate, digest
from tfx_pedigree.errors import ApprovalNeededError, ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import (
    ApprovalRequest,
    Evidence,
    Identity,
    PromotionRequest,
    Registry,
    RequestStatus,
    Role,
    RolesCap,
    State,
    Verdict,
)

MODEL = "flight-delay"
NEXT = f"{MODEL}@1.0.1"
Team = dict[str, Registry]


def judged(
    registry: Registry, seed: str, baseline: str | None, verdict: Verdict = Verdict.PASS, why: str = "ok"
) -> str:
    """A version with its evidence; its reference."""
    evidence = Evidence(digest(seed), baseline and digest(baseline), verdict, why)
    version = registry.add(MODEL, candidate(seed), evidence=evidence).version
    return f"{MODEL}@{version.version}"


@pytest.fixture
def team(registry: Registry, open_as: Callable[[str], Registry]) -> Team:
    """ada (admin), cy (contributor), two reviewers and a releaser; `a` is champion, `b` waits, two must approve."""
    roles = {"cy": Role.CONTRIBUTOR, "rea": Role.REVIEWER, "ron": Role.REVIEWER, "rel": Role.RELEASER}
    for name, role in roles.items():
        registry.grant(name, role)
    judged(registry, "a", None)
    registry.promote(f"{MODEL}@1.0.0")
    judged(registry, "b", "a")
    registry.protect(MODEL, 2)
    return {"ada": registry, **{name: open_as(name) for name in roles}}


def approved(team: Team, reference: str = NEXT) -> ApprovalRequest:
    request = team["cy"].request_promotion(reference, comment="better").request
    team["rea"].approve(MODEL, request.number)
    return team["ron"].approve(MODEL, request.number, comment="looked at it").request


def test_enough_approvals_let_a_version_become_champion(team: Team) -> None:
    with pytest.raises(
        ApprovalNeededError, match=r"needs 2 approvals by reviewer. Ask for approval with `pedigree request"
    ):
        team["rel"].promote(NEXT)
    filed = team["cy"].request_promotion(NEXT, comment="better")
    request = filed.request
    assert (filed.changed, request.number, request.status, request.replaces) == (True, 1, "waiting", "1.0.0")
    assert (request.digest, request.evidence is not None, request.needed) == (digest("b"), True, 2)
    with pytest.raises(ApprovalNeededError, match="it has 0 of 2 approvals. Approve it with `pedigree approve"):
        team["rel"].promote(NEXT)
    assert team["rea"].approve(MODEL, 1).request.status is RequestStatus.WAITING
    assert not team["rea"].approve(MODEL, 1).changed, "one person counts once"
    with pytest.raises(ApprovalNeededError, match="1 of 2"):
        team["rel"].promote(NEXT)
    done = team["ron"].approve(MODEL, 1, comment="looked at it").request
    assert (done.status, [one.by for one in done.approvals]) == (RequestStatus.APPROVED, ["rea", "ron"])
    change = team["rel"].promote(NEXT)
    assert (change.version.state, change.replaced) == (State.PRODUCTION, "1.0.0")
    event = team["ada"].history(MODEL, limit=1).items[0]
    assert event.details["request"] == 1
    closed = team["ada"].approval_request(MODEL, 1)
    assert (closed.status, closed.closed_by) == (RequestStatus.PROMOTED, "rel")
    assert not team["rel"].promote(NEXT).changed, "repeating it changes nothing"
    assert team["ada"].verify_audit().problems == ()


def test_who_filed_it_never_approves_it(team: Team) -> None:
    team["rea"].request_promotion(NEXT)
    with pytest.raises(ForbiddenError, match="rea may not approve the request 1 .* who filed it is never one"):
        team["rea"].approve(MODEL, 1)
    token = team["ada"].acting_as(Identity("rea", "tok1"))
    with pytest.raises(ForbiddenError, match="who filed it"):
        token.approve(MODEL, 1)
    refused = team["ada"].history(MODEL, limit=1).items[0]
    assert (refused.action, refused.details["operation"]) == ("refuse", "approve")
    assert team["ada"].verify_audit().ok


@pytest.mark.parametrize(
    ("approvers", "identity", "may"),
    [
        ("reviewer", Identity("rea"), True),
        ("reviewer", Identity("cy"), False),
        ("reviewer", Identity("rel", "t", RolesCap(Role.CONTRIBUTOR)), False),
        ("reviewer", Identity("rel", "t", RolesCap(Role.REVIEWER, ("other",))), False),
        ("releaser", Identity("rea"), False),
        ("releaser", Identity("rel"), True),
        ("group:leads", Identity("rea", groups=("leads",)), True),
        ("group:leads", Identity("rea", groups=("lead",)), False),
        ("group:leads", Identity("cy", groups=("leads",)), False),
        ("group:leads", Identity("ada"), False),
    ],
)
def test_only_those_whom_the_protection_names_approve(
    team: Team, approvers: str, identity: Identity, may: bool
) -> None:
    team["ada"].protect(MODEL, 1, approvers)
    asking = team["ada"].acting_as(Identity("bot"))
    team["ada"].grant("bot", Role.CONTRIBUTOR)
    asking.request_promotion(NEXT)
    actor = team["ada"].acting_as(identity)
    if may:
        assert actor.approve(MODEL, 1).request.status is RequestStatus.APPROVED
        return
    with pytest.raises(ForbiddenError):
        actor.approve(MODEL, 1)
    with pytest.raises(ForbiddenError):
        actor.reject(MODEL, 1, reason="no")
    assert team["ada"].approval_request(MODEL, 1).approvals == ()


VOIDING: dict[str, tuple[Callable[[Team], object], str]] = {
    "another champion": (
        lambda t: (judged(t["ada"], "c", "a"), t["ada"].promote(f"{MODEL}@1.0.2", overriding("urgent"))),
        "the champion has changed",
    ),
    "the champion went and came back": (
        lambda t: (
            judged(t["ada"], "c", "a"),
            t["ada"].promote(f"{MODEL}@1.0.2", overriding("urgent")),
            t["rel"].rollback(MODEL, reason="bad"),
        ),
        "the champion has changed",
    ),
    "no champion": (lambda t: t["ada"].archive(f"{MODEL}@champion", reason="wrong data"), "the champion has changed"),
    "newer evidence": (
        lambda t: t["cy"].attach_evidence(NEXT, Evidence(digest("b"), digest("a"), Verdict.PASS, "again")),
        "newer evidence",
    ),
    "another protection": (lambda t: t["ada"].protect(MODEL, 1), "the protection of the model has changed"),
    "protected again": (
        lambda t: (t["ada"].unprotect(MODEL, reason="x"), t["ada"].protect(MODEL, 2)),
        "the protection of the model has changed",
    ),
    "archived": (lambda t: t["ada"].archive(NEXT, reason="wrong data"), "the version is in archived now"),
}


def overriding(reason: str) -> PromotionRequest:
    return PromotionRequest(override=True, reason=reason)


@pytest.mark.parametrize("what", VOIDING)
def test_what_was_approved_must_still_be_what_it_was(team: Team, what: str) -> None:
    happens, why = VOIDING[what]
    approved(team)
    happens(team)
    request = team["ada"].approval_request(MODEL, 1)
    assert (request.status, why in request.detail) == (RequestStatus.VOID, True)
    with pytest.raises(ConflictError):
        team["rel"].promote(NEXT)
    with pytest.raises(ConflictError, match=f"is closed: {why}"):
        team["rea"].approve(MODEL, 1)
    assert team["ada"].approval_requests(MODEL).items == ()
    assert team["ada"].verify_audit().problems == ()


def test_a_request_that_is_void_makes_room_for_a_new_one(team: Team) -> None:
    approved(team)
    team["cy"].attach_evidence(NEXT, Evidence(digest("b"), digest("a"), Verdict.PASS, "again"))
    again = team["cy"].request_promotion(NEXT)
    assert (again.changed, again.request.number, again.request.approvals) == (True, 2, ())
    assert not team["rel"].request_promotion(NEXT).changed, "the one that is open stays"
    with pytest.raises(ApprovalNeededError, match="0 of 2"):
        team["rel"].promote(NEXT)


def test_a_request_expires(team: Team, clock: Clock) -> None:
    approved(team)
    clock.advance(days=7, seconds=1)
    with pytest.raises(ApprovalNeededError, match="is expired: it expired on 2026-11-27"):
        team["rel"].promote(NEXT)
    with pytest.raises(ConflictError, match="expired"):
        team["rea"].approve(MODEL, 1)
    assert team["ada"].approval_requests(only_open=False).items[0].status is RequestStatus.EXPIRED
    assert team["cy"].request_promotion(NEXT, days=1).request.expires_at < clock() + timedelta(days=1, seconds=1)


def test_a_rejected_request_is_over_and_one_can_take_back_ones_own(team: Team) -> None:
    team["cy"].request_promotion(NEXT)
    assert team["rea"].reject(MODEL, 1, reason="not now").request.status is RequestStatus.REJECTED
    assert not team["rea"].reject(MODEL, 1, reason="not now").changed
    with pytest.raises(ConflictError, match="it was rejected by rea"):
        team["ron"].approve(MODEL, 1)
    team["cy"].request_promotion(NEXT)
    assert team["cy"].reject(MODEL, 2, reason="a mistake").request.status is RequestStatus.WITHDRAWN
    assert team["ada"].verify_audit().problems == ()
    with pytest.raises(NotFoundError, match="no request 9"):
        team["rea"].reject(MODEL, 9, reason="x")


def test_only_an_admin_overrides_and_the_log_says_so(team: Team) -> None:
    with pytest.raises(ForbiddenError, match="rel may not override approvals on flight-delay.*needs admin"):
        team["rel"].promote(NEXT, overriding("it burns"))
    team["ada"].promote(NEXT, overriding("it burns"))
    event = team["ada"].history(MODEL, limit=1).items[0]
    assert (event.details["override"], event.details["request"], event.reason) == (True, None, "it burns")
    assert team["ada"].verify_audit().problems == ()


def test_a_rollback_and_staging_need_nobody(team: Team) -> None:
    approved(team)
    team["rel"].promote(NEXT)
    assert team["rel"].rollback(MODEL, reason="slow").version.version == "1.0.0"
    judged(team["ada"], "c", "a")
    team["rea"].promote(f"{MODEL}@latest", PromotionRequest(State.STAGING))


def test_what_the_gate_refuses_nobody_is_asked_to_approve(team: Team) -> None:
    worse = judged(team["cy"], "c", "a", Verdict.FAIL, "auc fell")
    with pytest.raises(ConflictError, match="verdict is FAIL"):
        team["cy"].request_promotion(worse)
    with pytest.raises(ConflictError, match="champion already"):
        team["cy"].request_promotion(f"{MODEL}@champion")
    team["ada"].unprotect(MODEL, reason="small")
    with pytest.raises(ConflictError, match=r"not protected.*`pedigree promote flight-delay@1.0.1`"):
        team["cy"].request_promotion(NEXT)
    team["rel"].promote(NEXT)


def test_protection_is_an_admins_and_changes_only_when_it_does(team: Team) -> None:
    with pytest.raises(ForbiddenError, match="needs admin"):
        team["rel"].protect(MODEL, 1)
    with pytest.raises(ForbiddenError, match="needs admin"):
        team["rel"].unprotect(MODEL, reason="x")
    assert not team["ada"].protect(MODEL, 2).changed
    change = team["ada"].protect(MODEL, 3, "group:leads")
    assert change.before is not None
    assert (change.before.approvals, change.protection) == (2, team["cy"].protection(MODEL))
    assert team["ada"].unprotect(MODEL, reason="x").changed
    assert not team["ada"].unprotect(MODEL, reason="x").changed
    assert team["cy"].protection(MODEL) is None
    for approvals, approvers in ((0, "reviewer"), (21, "reviewer"), (1, "boss"), (1, "viewer"), (1, "group:")):
        with pytest.raises(InvalidInputError):
            team["ada"].protect(MODEL, approvals, approvers)
    assert team["ada"].verify_audit().problems == ()


def test_a_preview_says_what_is_missing(team: Team) -> None:
    def check(name: str) -> tuple[bool, str]:
        checks = {one.name: one for one in team[name].preview_promotion(NEXT).checks}
        return checks["approvals"].passed, checks["approvals"].detail

    assert check("rel") == (False, check("rel")[1])
    assert "pedigree request" in check("rel")[1]
    approved(team)
    assert check("rel") == (True, "The request 1: it has 2 of 2 approvals.")
    assert team["rel"].preview_promotion(NEXT).allowed
    judged(team["ada"], "c", "a")
    assert team["ada"].preview_promotion(f"{MODEL}@latest", overriding("x")).allowed
    assert not team["rel"].preview_promotion(f"{MODEL}@latest", overriding("x")).allowed


def test_requests_come_in_pages_newest_first(team: Team) -> None:
    for number in range(3):
        team["cy"].request_promotion(NEXT)
        team["cy"].reject(MODEL, number + 1, reason="x")
    approved(team)
    first = team["ada"].approval_requests(only_open=False, limit=3)
    rest = team["ada"].approval_requests(only_open=False, limit=3, after=first.next)
    assert [one.number for one in (*first.items, *rest.items)] == [4, 3, 2, 1]
    assert rest.next is None
    assert [one.number for one in team["ada"].approval_requests(MODEL).items] == [4]
    one = first.items[0]
    assert ApprovalRequest.from_json(json.loads(json.dumps(one.to_json()))) == one


FORGED = {
    "fewer approvals": "UPDATE protections SET approvals = 1",
    "other approvers": "UPDATE protections SET approvers = 'group:mine'",
    "no protection": "DELETE FROM protections",
    "another version": "UPDATE promotion_requests SET version_id = (SELECT MIN(id) FROM model_versions)",
    "an approval": "UPDATE promotion_requests SET approvals = '[]'",
    "no end": "UPDATE promotion_requests SET expires_at = '2036-11-20T12:00:00.000000Z'",
    "open again": "UPDATE promotion_requests SET outcome = NULL, closed_at = NULL, closed_by = NULL WHERE number = 1",
    "another evidence": "UPDATE promotion_requests SET evidence = champion",
    "gone": "DELETE FROM promotion_requests",
}


@pytest.mark.parametrize("forged", FORGED)
def test_what_somebody_wrote_into_the_database_is_found(team: Team, forged: str) -> None:
    approved(team)
    team["rel"].promote(NEXT)
    assert team["ada"].verify_audit().problems == ()
    with team["ada"].transactions.database.writing() as connection:
        connection.execute(sa.text(FORGED[forged]))
    assert len(team["ada"].verify_audit().problems) == 1


def test_events_that_the_registry_would_not_have_written_are_found(team: Team) -> None:
    team["cy"].request_promotion(NEXT)
    for who in ("cy", "rea"):
        with team[who].transactions.recording(MODEL) as write:
            write.log("approve", "1.0.1", details={"request": 1 if who == "cy" else 0})
    problems = team["ada"].verify_audit().problems
    assert sum("(approve) does not follow from those before" in one for one in problems) == 2


@pytest.mark.parametrize("number", [None, 0, 1, 2, True])
def test_a_champion_that_nobody_approved_does_not_follow(team: Team, number: int | None) -> None:
    team["cy"].request_promotion(NEXT)
    details = {"evidence": None, "expect": None, "override": False, "replaces": "1.0.0", "request": number}
    evidence = team["ada"].evidence(NEXT)
    assert evidence is not None
    with team["ada"].transactions.recording(MODEL) as write:
        write.log("replace", "1.0.0", before="production", after="archived", details={"by": "1.0.1"})
        details |= {"evidence": evidence.digest}
        write.log("promote", "1.0.1", before="development", after="production", details=details)
    assert any("(promote) does not follow" in one for one in team["ada"].verify_audit().problems)
