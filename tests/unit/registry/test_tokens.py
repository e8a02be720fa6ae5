"""Tokens: kept as digests, narrower than their owners, good until they expire or are revoked, and sealed in the log."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from pedigree_testing import Clock, candidate, digest
from tfx_pedigree.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError, UnauthenticatedError
from tfx_pedigree.registry import Action, Facts, Identity, NewToken, Registry, Role, RolesCap, Token, TokenText
from tfx_pedigree.registry.tokens import GROUPS_LAST, MOST_TOKENS, decide_token
from tfx_pedigree.secrets import clean_text
from tfx_pedigree.service.tokens import MadeToken, make_token

MODEL = "flight-delay"
SCOPES = st.builds(
    RolesCap, st.sampled_from(Role), st.none() | st.lists(st.sampled_from(["a", "b"]), max_size=2).map(tuple)
)
EVERY_ROLE = [*Role, None]


def acting(registry: Registry, made: MadeToken) -> Registry:
    return registry.acting_as(registry.token_presented(made.text).identity)


def test_whoever_holds_a_token_acts_for_its_owner(registry: Registry) -> None:
    registry.grant("bob", Role.CONTRIBUTOR)
    made = make_token(registry, "nightly job", principal="bob")
    acting(registry, made).add(MODEL, candidate("a"))
    event = registry.history(MODEL, limit=1).items[0]
    assert (event.actor, event.token) == ("bob", made.token.id)
    assert registry.tokens("bob").items == (made.token,)
    assert registry.verify_audit().ok


def test_nothing_but_the_digest_of_the_secret_is_kept(registry: Registry) -> None:
    made = make_token(registry, "laptop")
    secret = made.text.rpartition("_")[2]
    told = json.dumps([event.to_json() for event in registry.history(None).items])
    with registry.transactions.reading(None) as connection:
        rows = repr(connection.execute(sa.text("SELECT * FROM tokens")).all())
    held = TokenText.parse(made.text)
    assert held is not None
    assert secret not in told + rows + repr(made) + repr(held)
    assert held.digest in rows
    assert held.digest not in told
    assert secret not in clean_text(f"used {made.text} here")


def test_two_tokens_have_nothing_in_common() -> None:
    made = {TokenText.new().text for _ in range(50)}
    assert len(made) == 50
    assert all(TokenText.parse(text) is not None for text in made)


@pytest.mark.parametrize("change", ["short", "long", "case", "unknown", "other secret", "line", "empty", "basic"])
def test_what_is_not_a_whole_token_of_here_is_refused_alike(registry: Registry, change: str) -> None:
    text = make_token(registry, "laptop").text
    letter = "a" if text[-1] != "a" else "b"
    wrong = {
        "short": text[:-1],
        "long": text + "a",
        "case": text.upper(),
        "unknown": TokenText.new().text,
        "other secret": text[:-1] + letter,
        "line": text + "\n",
        "empty": "",
        "basic": f"ada:{text}",
    }
    with pytest.raises(UnauthenticatedError) as refused:
        registry.token_presented(wrong[change])
    assert "copied whole" in str(refused.value)
    assert text[20:] not in str(refused.value)


def test_a_revoked_token_is_good_for_nothing_and_its_owner_is_told(registry: Registry, clock: Clock) -> None:
    made = make_token(registry, "laptop")
    assert registry.revoke_token(made.token.id).changed
    again = registry.revoke_token(made.token.id)
    assert (again.changed, again.token.revoked_by) == (False, "ada")
    with pytest.raises(
        UnauthenticatedError, match=rf"token {made.token.id} \(laptop\) of ada was revoked on .* by ada"
    ):
        registry.token_presented(made.text)
    assert registry.verify_audit().ok


def test_an_expired_token_is_good_for_nothing(registry: Registry, clock: Clock) -> None:
    made = make_token(registry, "laptop", days=2)
    clock.advance(days=2, seconds=-10)
    registry.token_presented(made.text)
    clock.advance(seconds=20)
    with pytest.raises(UnauthenticatedError, match="expired on 2026-11-22"):
        registry.token_presented(made.text)
    forever = make_token(registry, "machine", days=None)
    clock.advance(days=4000)
    registry.token_presented(forever.text)


def test_of_their_own_everybody_takes_care_and_an_admin_of_all(
    registry: Registry, open_as: Callable[[str], Registry]
) -> None:
    bob, hers = open_as("bob"), make_token(registry, "hers")
    his = make_token(bob, "his")
    for ask in (
        lambda: make_token(bob, "x", principal="ada"),
        lambda: bob.revoke_token(hers.token.id),
        lambda: bob.tokens("ada"),
        lambda: bob.tokens("*"),
    ):
        with pytest.raises(ForbiddenError, match="manage tokens of others.*needs admin"):
            ask()
    assert [token.name for token in registry.tokens("*").items] == ["his", "hers"]
    page = registry.tokens("*", limit=1)
    assert [token.name for token in registry.tokens("*", limit=1, after=page.next).items] == ["hers"]
    registry.revoke_token(his.token.id)
    with pytest.raises(NotFoundError, match="no token aaaaaaaaaaaa"):
        registry.revoke_token("a" * 12)
    with pytest.raises(InvalidInputError, match="not the id of a token"):
        registry.revoke_token(hers.text)
    assert registry.verify_audit().ok


def test_who_has_a_role_on_one_model_only_may_have_a_token(
    registry: Registry, open_as: Callable[[str], Registry]
) -> None:
    registry.revoke("*")
    registry.grant("bob", Role.REVIEWER, MODEL)
    make_token(open_as("bob"), "laptop")
    with pytest.raises(ForbiddenError, match="eve has no role there"):
        make_token(open_as("eve"), "laptop")


def test_a_token_made_with_a_token_reaches_no_further_and_lasts_no_longer(registry: Registry, clock: Clock) -> None:
    registry.grant("bob", Role.RELEASER)
    narrow = make_token(registry, "ci", principal="bob", scope=RolesCap(Role.REVIEWER, (MODEL, "b")), days=3)
    ci = acting(registry, narrow)
    registry.add(MODEL, candidate("a"))
    for scope in (RolesCap(Role.RELEASER, (MODEL,)), RolesCap(Role.VIEWER), RolesCap(Role.VIEWER, ("other",))):
        with pytest.raises(ForbiddenError, match="no further than reviewer on flight-delay, b"):
            make_token(ci, "wider", scope=scope)
    clock.advance(hours=1)
    made = make_token(ci, "step", days=None)
    assert made.token.scope == narrow.token.scope
    assert made.token.expires_at == narrow.token.expires_at
    narrower = make_token(ci, "step", scope=RolesCap(Role.VIEWER, (MODEL,)), days=1)
    assert narrower.token.expires_at == narrower.token.created_at + timedelta(days=1)
    with pytest.raises(ForbiddenError, match=narrower.token.id):
        acting(registry, narrower).annotate(MODEL, Facts(tags={"a": "b"}))


def test_a_narrow_token_ends_itself_and_no_wider_one(registry: Registry) -> None:
    wide, narrow = make_token(registry, "laptop"), make_token(registry, "ci", scope=RolesCap(Role.REVIEWER, (MODEL,)))
    narrower = make_token(registry, "step", scope=RolesCap(Role.VIEWER, (MODEL,)))
    found = acting(registry, narrow)
    with pytest.raises(ForbiddenError, match=f"may not revoke the token {wide.token.id}.*no further than reviewer"):
        found.revoke_token(wide.token.id)
    registry.token_presented(wide.text)
    for made in (narrower, narrow):
        assert found.revoke_token(made.token.id).changed
    assert acting(registry, wide).revoke_token(wide.token.id).changed


@given(cap=st.none() | SCOPES, asked=st.none() | SCOPES, role=st.sampled_from(EVERY_ROLE), admin=st.booleans())
def test_no_token_ever_reaches_further_than_what_it_was_made_with(
    cap: RolesCap | None, asked: RolesCap | None, role: Role | None, admin: bool
) -> None:
    maker, now = Identity("bob", "1" * 12, cap), Clock()()
    try:
        token = decide_token(maker, NewToken("2" * 12, digest("x"), "x", scope=asked), admin=admin, now=now)
    except ForbiddenError:
        return
    for model in ("a", "b", "c", None):
        before = role if cap is None else cap.of(role, model)
        after_cap = token.identity.roles_cap
        after = role if after_cap is None else after_cap.of(role, model)
        assert (after or 0) <= (before or 0)
        if asked is not None:
            assert (after or 0) <= (asked.of(role, model) or 0)


def test_a_role_of_a_group_lasts_a_month_in_a_token(registry: Registry, clock: Clock) -> None:
    registry.grant("group:flights", Role.CONTRIBUTOR)
    member = registry.acting_as(Identity("bob", groups=("flights",)))
    made = make_token(member, "laptop", days=None)
    assert made.token.expires_at == made.token.created_at + GROUPS_LAST
    acting(registry, made).add(MODEL, candidate("a"))
    hers = make_token(registry, "for bob", principal="bob")
    assert hers.token.groups == ()
    assert Token.from_json(made.token.to_json()) == made.token


def test_the_same_id_again_is_the_same_token_and_never_that_of_somebody_else(
    registry: Registry, open_as: Callable[[str], Registry]
) -> None:
    asked = NewToken("a" * 12, digest("a"), "laptop")
    first = registry.create_token(asked)
    again = registry.create_token(asked)
    assert (first.changed, again.changed, again.token) == (True, False, first.token)
    for other in (NewToken("a" * 12, digest("b"), "laptop"), NewToken("a" * 12, digest("a"), "laptop", "bob")):
        with pytest.raises(ConflictError, match="already"):
            registry.create_token(other)
    with pytest.raises(ConflictError, match="already"):
        open_as("bob").create_token(asked)


def test_nobody_has_any_number_of_tokens(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_TOKENS == 200
    monkeypatch.setattr("tfx_pedigree.registry.tokens.MOST_TOKENS", 2)
    first = make_token(registry, "1")
    make_token(registry, "2")
    with pytest.raises(ConflictError, match="ada has 2 tokens"):
        make_token(registry, "3")
    registry.revoke_token(first.token.id)
    make_token(registry, "3")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"name": " "}, "needs a name"),
        ({"name": "x" * 201}, "needs a name"),
        ({"name": "a\nb"}, "needs a name"),
        ({"id": "A" * 12}, "not the id of a token"),
        ({"secret_digest": "sha256:0"}, "digest"),
        ({"principal": "group:ops"}, "several people"),
        ({"principal": ""}, "cannot name an actor"),
    ],
)
def test_what_cannot_be_a_token_is_refused(registry: Registry, values: dict[str, str], sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        registry.create_token(NewToken(**{"id": "a" * 12, "secret_digest": digest("a"), "name": "laptop", **values}))


def test_use_is_noted_once_in_an_hour(registry: Registry, clock: Clock) -> None:
    made = make_token(registry, "laptop")
    registry.note_use(registry.token_presented(made.text))
    first = registry.tokens().items[0].used_at
    clock.advance(minutes=59)
    registry.note_use(registry.token_presented(made.text))
    assert registry.tokens().items[0].used_at == first
    clock.advance(minutes=2)
    registry.note_use(registry.token_presented(made.text))
    assert registry.tokens().items[0].used_at == clock()
    assert registry.verify_audit().ok


FORGED = {
    "a wider role": "UPDATE tokens SET role = 'admin' WHERE name = 'ci'",
    "all models": "UPDATE tokens SET models = NULL WHERE name = 'ci'",
    "another owner": "UPDATE tokens SET principal = 'ada' WHERE name = 'ci'",
    "another secret": f"UPDATE tokens SET secret_digest = '{digest('mine')}' WHERE name = 'ci'",
    "no end": "UPDATE tokens SET expires_at = NULL WHERE name = 'ci'",
    "groups": """UPDATE tokens SET "groups" = '["ops"]' WHERE name = 'ci'""",
    "not revoked": "UPDATE tokens SET revoked_at = NULL, revoked_by = NULL WHERE name = 'old'",
    "revoked": "UPDATE tokens SET revoked_at = created_at, revoked_by = 'ada' WHERE name = 'ci'",
    "gone": "DELETE FROM tokens WHERE name = 'ci'",
    "new": 'INSERT INTO tokens (id, name, principal, role, "groups", secret_digest, created_at, created_by) '
    f"SELECT 'aaaaaaaaaaaa', 'x', 'ada', 'admin', '[]', '{digest('mine')}', created_at, 'ada' FROM tokens LIMIT 1",
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_token_that_somebody_wrote_into_the_database_is_found(registry: Registry, forged: str) -> None:
    make_token(registry, "ci", principal="bob", scope=RolesCap(Role.VIEWER, (MODEL,)))
    registry.revoke_token(make_token(registry, "old").token.id)
    assert registry.verify_audit().ok
    with registry.transactions.database.writing() as connection:
        connection.execute(sa.text(FORGED[forged]))
    problems = registry.verify_audit().problems
    assert len(problems) == 1
    assert "token" in problems[0]


def test_who_may_not_is_refused_before_anything_is_written(registry: Registry) -> None:
    scoped = registry.acting_as(Identity("ada", "1" * 12, RolesCap(Role.REVIEWER)))
    with pytest.raises(ForbiddenError):
        make_token(scoped, "x", principal="bob")
    assert registry.tokens("*").items == ()
    refused = registry.history(None, limit=1).items[0]
    assert (refused.action, refused.details["operation"]) == ("refuse", str(Action.MANAGE_TOKENS))
