"""Roles: what each may do, that refusals change nothing, and that they are logged."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedigree_testing import Clock, candidate, digest
from signing_testing import make_key, public, signature_of
from tfx_pedigree.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import (
    Action,
    Evidence,
    Facts,
    NewObservation,
    NewToken,
    PromotionRequest,
    Registry,
    Role,
    State,
    Verdict,
)
from tfx_pedigree.registry.roles import EVERYBODY, EVERYWHERE, LEAST_ROLE, allows, highest

pytestmark = pytest.mark.conformance

MODEL = "flight-delay"
# Needs an approval, for which somebody has asked.
GUARDED = "guarded"


def record_lineage(registry: Registry) -> None:
    with registry.transactions.recording(MODEL) as write:
        write.log("record-lineage", details={"nodes": 1})


@functools.cache
def key() -> Path:
    return make_key(Path(tempfile.mkdtemp()), "key")


def sign(registry: Registry) -> None:
    registry.sign(MODEL, signature_of(digest("y"), key()))


def observe(registry: Registry) -> None:
    made = registry.get(MODEL).created_at
    registry.observe(MODEL, NewObservation({"auc": 0.7}, made, made, 100))


OPERATIONS: dict[Action, Callable[[Registry], object]] = {
    Action.READ: lambda r: r.get(MODEL),
    Action.RESERVE: lambda r: r.reserve(MODEL, candidate("new")),
    Action.REGISTER: lambda r: r.add(MODEL, candidate("new")),
    Action.ANNOTATE: lambda r: r.annotate(MODEL, Facts(tags={"a": "b"})),
    Action.DESCRIBE: lambda r: r.note(MODEL, Action.DESCRIBE, reason=None, details={"text": "What it is for."}),
    Action.ATTACH_EVIDENCE: lambda r: r.attach_evidence(MODEL, Evidence(digest("b"), None, Verdict.PASS, "good")),
    Action.RECORD_LINEAGE: record_lineage,
    Action.REPRODUCE: lambda r: r.note(MODEL, Action.REPRODUCE, reason="the same bytes", details={}, subject="1.0.0"),
    Action.OBSERVE: observe,
    Action.RETRAIN: lambda r: r.note(MODEL, Action.RETRAIN, reason="new data", details={}),
    Action.PROMOTE_TO_STAGING: lambda r: r.promote(MODEL, PromotionRequest(State.STAGING)),
    Action.SET_ALIAS: lambda r: r.set_alias("canary", MODEL),
    Action.SIGN: sign,
    Action.TRUST_KEY: lambda r: r.trust_key(MODEL, public(key()).read_text()),
    Action.ARCHIVE: lambda r: r.archive(f"{MODEL}@1.0.1", reason="x"),
    Action.RESTORE: lambda r: r.restore(f"{MODEL}@1.0.2"),
    Action.PROMOTE_TO_PRODUCTION: lambda r: r.promote(f"{MODEL}@1.0.1"),
    Action.ARCHIVE_CHAMPION: lambda r: r.archive(f"{MODEL}@champion", reason="x"),
    Action.ROLLBACK: lambda r: r.rollback(MODEL, reason="x"),
    Action.ROLL_OUT: lambda r: r.require(Action.ROLL_OUT, MODEL),
    Action.REQUEST_PROMOTION: lambda r: r.request_promotion(f"{GUARDED}@2"),
    Action.REJECT: lambda r: r.reject(GUARDED, 1, reason="no"),
    Action.APPROVE: lambda r: r.approve(GUARDED, 1),
    Action.PROTECT: lambda r: r.protect(MODEL, 1),
    Action.OVERRIDE_APPROVALS: lambda r: r.promote(f"{GUARDED}@1", PromotionRequest(override=True, reason="x")),
    Action.CREATE_TOKEN: lambda r: r.create_token(NewToken("a" * 12, digest("a"), "mine")),
    Action.REVOKE_TOKEN: lambda r: r.revoke_token("c" * 12),
    Action.MANAGE_TOKENS: lambda r: r.create_token(NewToken("b" * 12, digest("a"), "hers", "ada")),
    Action.MANAGE_WEBHOOKS: lambda r: r.webhooks(),
    Action.GRANT: lambda r: r.grant("eve", Role.ADMIN),
    Action.COLLECT_GARBAGE: lambda r: r.require(Action.COLLECT_GARBAGE),
    Action.IMPORT: lambda r: r.require(Action.IMPORT),
}


@pytest.fixture
def prepared(registry: Registry) -> Registry:
    """Two champions one after the other, one version in development, one archived on purpose."""
    for seed in ("x", "b", "c", "y"):
        registry.add(MODEL, candidate(seed))
    registry.promote(f"{MODEL}@1.0.0")
    registry.promote(f"{MODEL}@1.0.3")
    registry.archive(f"{MODEL}@1.0.2", reason="wrong data")
    registry.set_alias("spare", f"{MODEL}@1.0.1")
    for seed in ("x", "b"):
        registry.add(GUARDED, candidate(seed))
    registry.protect(GUARDED, 1)
    registry.request_promotion(f"{GUARDED}@1")
    registry.create_token(NewToken("c" * 12, digest("c"), "laptop", "bob"))
    return registry


def test_every_action_has_an_operation_here_and_a_least_role() -> None:
    assert set(OPERATIONS) == set(Action) == set(LEAST_ROLE)


@pytest.mark.database
def test_each_role_may_do_its_part_and_no_more_and_refusals_are_logged(
    prepared: Registry, open_as: Callable[[str], Registry]
) -> None:
    prepared.revoke(EVERYBODY)
    bob = open_as("bob")
    for action, needed in LEAST_ROLE.items():
        lower = Role(needed - 1) if needed > Role.VIEWER else None
        if lower:
            prepared.grant("bob", lower)
        before = prepared.versions(MODEL).items
        with pytest.raises(ForbiddenError, match=f"needs {needed}") as refused:
            OPERATIONS[action](bob)
        assert prepared.versions(MODEL).items == before
        logged = [event for chain in (MODEL, GUARDED, None) for event in prepared.history(chain, limit=1).items]
        mine = [e for e in logged if e.action == "refuse" and e.details["operation"] == str(action)]
        assert [(e.actor, e.reason) for e in mine] == [("bob", str(refused.value))]
    assert prepared.verify_audit().problems == ()


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.database
def test_least_role_is_enough(prepared: Registry, open_as: Callable[[str], Registry], action: Action) -> None:
    prepared.grant("bob", LEAST_ROLE[action])
    if action is Action.ATTACH_EVIDENCE:
        open_as("bob").attach_evidence(f"{MODEL}@1.0.1", Evidence(digest("b"), None, Verdict.PASS, "good"))
    elif action is Action.REJECT:
        # Who may not approve takes back only what he filed himself.
        prepared.add(GUARDED, candidate("y"))
        open_as("bob").request_promotion(f"{GUARDED}@3")
        open_as("bob").reject(GUARDED, 2, reason="a mistake")
    elif action in (Action.PROMOTE_TO_STAGING, Action.ANNOTATE, Action.SET_ALIAS):
        prepared.add(MODEL, candidate("z"))
        OPERATIONS[action](open_as("bob"))
    else:
        OPERATIONS[action](open_as("bob"))


def test_role_on_one_model_reaches_no_other(registry: Registry, open_as: Callable[[str], Registry]) -> None:
    registry.grant("bob", Role.CONTRIBUTOR, scope="bobs-model")
    bob = open_as("bob")
    assert bob.add("bobs-model", candidate("a")).version.version == "1.0.0"
    with pytest.raises(ForbiddenError, match="bob may not reserve on other-model.*--model other-model"):
        bob.add("other-model", candidate("a"))
    assert [m.name for m in registry.models().items] == ["bobs-model"]


def test_everybody_may_read_a_new_registry_and_nobody_else_may_write(open_as: Callable[[str], Registry]) -> None:
    stranger = open_as("stranger")
    assert stranger.models().items == ()
    with pytest.raises(ForbiddenError, match="has the role viewer"):
        stranger.add("m", candidate("a"))


def test_reading_can_be_closed(registry: Registry, open_as: Callable[[str], Registry]) -> None:
    registry.revoke(EVERYBODY)
    with pytest.raises(ForbiddenError, match="has no role"):
        open_as("stranger").models()


def test_last_admin_stays(registry: Registry) -> None:
    with pytest.raises(ConflictError, match="only admin"):
        registry.revoke("ada")
    with pytest.raises(ConflictError, match="only admin"):
        registry.grant("ada", Role.VIEWER)
    registry.grant("grace", Role.ADMIN)
    registry.revoke("ada")
    assert {g.binding.principal for g in registry.grants()} == {"grace", EVERYBODY}


def test_granting_again_changes_nothing_and_another_role_takes_its_place(registry: Registry, clock: Clock) -> None:
    registry.grant("bob", Role.REVIEWER)
    granted = registry.grants()
    clock.advance(hours=1)
    registry.grant("bob", Role.REVIEWER)
    assert registry.grants() == granted
    registry.grant("bob", Role.RELEASER)
    assert [g.binding.role for g in registry.grants() if g.binding.principal == "bob"] == [Role.RELEASER]


def test_roles_and_principals_that_are_none_are_refused(registry: Registry) -> None:
    with pytest.raises(InvalidInputError, match="no role 'boss'.*viewer, contributor"):
        Role.parse("boss")
    with pytest.raises(InvalidInputError, match="cannot name an actor"):
        registry.grant(" ", Role.VIEWER)
    with pytest.raises(NotFoundError, match="eve has no role on the whole registry"):
        registry.revoke("eve")


@given(st.lists(st.sampled_from(Role)), st.lists(st.sampled_from(Role)), st.sampled_from(Action))
def test_more_roles_never_forbid_more(some: list[Role], more: list[Role], action: Action) -> None:
    def held(roles: list[Role]) -> Role | None:
        return highest(" ".join(map(str, roles)))

    if allows(held(some), action):
        assert allows(held([*some, *more]), action)


@pytest.mark.parametrize("principal", ["bob", EVERYBODY, "eve"])
@pytest.mark.parametrize("scope", [MODEL, EVERYWHERE, "other"])
def test_a_role_counts_for_its_principal_and_its_scope_alone(
    prepared: Registry, open_as: Callable[[str], Registry], principal: str, scope: str
) -> None:
    prepared.grant(principal, Role.RELEASER, scope)
    bob = open_as("bob")
    for model in (MODEL, None):
        if principal != "eve" and scope in (model, EVERYWHERE):
            bob.require(Action.ROLLBACK, model)
        else:
            with pytest.raises(ForbiddenError):
                bob.require(Action.ROLLBACK, model)
