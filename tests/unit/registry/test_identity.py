"""Who acts: groups give roles, a credential's scope only takes away, and events name the token."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from pedigree_testing import candidate
from tfx_pedigree.errors import ConflictError, ForbiddenError, InvalidInputError
from tfx_pedigree.registry import Action, Event, Identity, Registry, Role, RolesCap
from tfx_pedigree.registry.events import BEGINNING
from tfx_pedigree.registry.roles import EVERYBODY, LEAST_ROLE

MODEL = "flight-delay"
ROLES = st.sampled_from(Role)


def test_a_role_of_a_group_counts_for_its_members_only(registry: Registry) -> None:
    registry.grant("group:ml 'platform'", Role.CONTRIBUTOR)
    registry.grant("group:flights", Role.REVIEWER, MODEL)
    member = registry.acting_as(Identity("bob", groups=("ml 'platform'", "flights")))
    member.add(MODEL, candidate("a"))
    member.set_alias("canary", MODEL)
    with pytest.raises(ForbiddenError, match="bob has the role contributor there, and this needs reviewer"):
        member.require(Action.SET_ALIAS, "other")
    with pytest.raises(ForbiddenError, match="bob has the role viewer"):
        registry.acting_as(Identity("bob", groups=("flight", "group:flights"))).add(MODEL, candidate("b"))
    assert registry.verify_audit().ok


def test_nobody_acts_as_a_group_or_as_everybody() -> None:
    for name in ("group:flights", EVERYBODY, "", " bob", "bob\n"):
        with pytest.raises(InvalidInputError):
            Identity(name)
    with pytest.raises(InvalidInputError, match="201 groups"):
        Identity("bob", groups=tuple(map(str, range(201))))
    with pytest.raises(InvalidInputError, match="cannot name a group"):
        Identity("bob", groups=("a\0b",))


def test_a_group_is_not_the_last_admin(registry: Registry) -> None:
    registry.grant("group:ops", Role.ADMIN)
    with pytest.raises(ConflictError, match="ada is the only admin"):
        registry.revoke("ada")
    registry.grant("bob", Role.ADMIN)
    registry.revoke("ada")


@given(held=ROLES, cap=ROLES, models=st.none() | st.lists(st.sampled_from(["a", "b"]), max_size=2).map(tuple))
def test_a_scope_only_ever_takes_away(held: Role, cap: Role, models: tuple[str, ...] | None) -> None:
    scope = RolesCap(cap, models)
    for model in ("a", "b", "c", None):
        left = scope.of(held, model)
        assert scope.of(None, model) is None
        if models is None or model in models:
            assert left == min(held, cap)
        else:
            assert left is None
    assert RolesCap.from_json(scope.to_json()) == scope


def test_a_scope_holds_for_questions_writes_and_the_registry_itself(registry: Registry) -> None:
    for model in (MODEL, "penguin"):
        registry.add(model, candidate("a"))
    scoped = registry.acting_as(Identity("ada", "tok1", RolesCap(Role.REVIEWER, (MODEL,))))
    scoped.set_alias("canary", MODEL)
    assert scoped.get(f"{MODEL}@canary").version == "1.0.0"
    refused = [
        lambda: scoped.promote(MODEL),
        lambda: scoped.get("penguin@latest"),
        lambda: scoped.set_alias("canary", "penguin"),
        scoped.models,
        scoped.grants,
        lambda: scoped.history(None),
        lambda: scoped.grant("eve", Role.ADMIN),
        scoped.anchor,
    ]
    for ask in refused:
        with pytest.raises(ForbiddenError, match="token tok1: it reaches no further than reviewer on flight-delay"):
            ask()
    assert [event.token for event in registry.history(None, limit=1).items] == ["tok1"]
    assert registry.verify_audit().ok


def test_a_scope_wider_than_the_owners_roles_adds_none(registry: Registry) -> None:
    registry.add(MODEL, candidate("a"))
    wide = registry.acting_as(Identity("bob", "tok1", RolesCap(Role.ADMIN)))
    assert wide.get(MODEL).version == "1.0.0"
    for action in (one for one in Action if LEAST_ROLE[one] > Role.VIEWER):
        with pytest.raises(ForbiddenError, match=f"bob has the role viewer there, and this needs {LEAST_ROLE[action]}"):
            wide.require(action, MODEL)


def test_events_name_the_principal_and_the_token(registry: Registry) -> None:
    bot = registry.acting_as(Identity("ada", "tok1"))
    version = bot.add(MODEL, candidate("a")).version
    registry.promote(f"{MODEL}@{version.version}")
    events = registry.history(MODEL).items
    assert [(event.action, event.actor, event.token) for event in events] == [
        ("promote", "ada", None),
        ("register", "ada", "tok1"),
        ("reserve", "ada", "tok1"),
        ("create-model", "ada", "tok1"),
    ]
    assert all(Event.from_json(event.to_json()) == event for event in events)
    assert registry.verify_audit().ok
    with registry.transactions.database.writing() as connection:
        connection.execute(sa.text("UPDATE events SET token = NULL WHERE action = 'reserve'"))
    assert any("altered" in problem for problem in registry.verify_audit().problems)


def test_an_event_without_a_token_has_the_hash_that_it_always_had() -> None:
    day = datetime(2026, 11, 20, tzinfo=timezone.utc)
    event = Event(MODEL, 1, day, "ada", "create-model", None, None, None, None, {}, BEGINNING)
    assert "token" not in event.to_json()
    assert event.computed_hash() == "sha256:a20de5c5a3ca52ae651908698870eaa0d119533ffc5a85c53ec18b0194499499"


def test_whoever_acts_shares_what_is_open(registry: Registry, address: str) -> None:
    registry.add(MODEL, candidate("a"))
    other = registry.acting_as(Identity("bob"))
    assert (other.actor, registry.actor, other.url) == ("bob", "ada", registry.url)
    assert other.store is registry.store
    assert other.transactions.database is registry.transactions.database
    with other:
        pass
    assert registry.get(MODEL).version == "1.0.0"
