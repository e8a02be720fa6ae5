"""What comes of a sign-in: a session that reaches as far as the issuer allows, on each database."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from oidc_testing import SECRET, Provider
from pedigree_testing import Clock
from signing_in_testing import HTTP, WHO, Browser, refused
from tfx_pedigree.errors import UnauthenticatedError
from tfx_pedigree.registry import Identity, Registry, Role, RolesCap, UsedSignIn
from tfx_pedigree.server.code_flow import COOKIE as ATTEMPT
from tfx_pedigree.server.code_flow import Attempt
from tfx_pedigree.server.identity import COOKIE


def test_what_the_issuer_may_allow_at_the_most_holds_in_the_session(
    visit: Callable[..., Browser], registry: Registry, provider: Provider, clock: Clock
) -> None:
    registry.grant("ada@example.com", Role.ADMIN)
    scope = RolesCap(Role.VIEWER, ("flight-delay",))
    browser = visit(issuer={"scope": scope}, hours=2)
    browser.sign_in()
    held = registry.session_presented(browser.cookies[COOKIE])
    assert (held.roles_cap, registry.acting_as(held).role("flight-delay")) == (scope, Role.VIEWER)
    assert browser.get("/api/v1/roles").status_code == 403
    clock.advance(hours=2)
    assert browser.get(WHO).status_code == 401


def test_a_new_session_ends_the_one_before_it(visit: Callable[..., Browser], registry: Registry) -> None:
    browser = visit()
    browser.sign_in()
    first = browser.cookies[COOKIE]
    browser.sign_in()
    assert browser.cookies[COOKIE] != first
    with pytest.raises(UnauthenticatedError):
        registry.session_presented(first)


def test_claims_that_are_required_are_required_of_people_too(visit: Callable[..., Browser], provider: Provider) -> None:
    browser = visit(issuer={"require": {"hd": "example.com"}})
    refused(browser.sign_in(), "as hd, and this server takes only example.com")
    provider.claims["hd"] = "example.com"
    assert browser.sign_in().status_code == 303


def test_an_id_token_is_no_credential_for_programs(visit: Callable[..., Browser], provider: Provider) -> None:
    browser = visit()
    tokens: list[str] = []
    provider.encode = lambda claims: tokens.append(provider.signed(claims)) or tokens[-1]  # type: ignore[func-returns-value]
    browser.sign_in()
    answer = HTTP.get(f"{browser.at}{WHO}", headers={"authorization": f"Bearer {tokens[0]}"})
    assert (answer.status_code, "are no credentials here" in answer.json()["detail"]) == (401, True)


def test_no_secret_of_a_sign_in_is_in_logs_or_pages(
    visit: Callable[..., Browser], provider: Provider, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    browser = visit()
    good = browser.sign_in()
    provider.lies = {"nonce": "wrong"}
    back = browser.agree(browser.begin())
    attempt = Attempt.of(browser.cookies[ATTEMPT], Clock().time)
    code = parse_qs(urlsplit(back).query)["code"][0]
    bad = browser.get(back)
    ours = (one for one in caplog.records if one.name.startswith(("tfx_pedigree", "starlette", "asyncio")))
    own = "\n".join(one.getMessage() for one in ours)
    told = own + good.text + bad.text + str(bad.headers) + str([one.to_json() for one in registry.history(None).items])
    for secret in (SECRET, code, attempt.secret, attempt.verifier, attempt.nonce):
        assert secret not in told


def test_a_jwt_that_opens_a_session_reaches_no_further_there(open_as: Callable[[str], Registry]) -> None:
    registry = open_as("ada")
    for scope in (None, RolesCap(Role.CONTRIBUTOR), RolesCap(Role.VIEWER, ("a", "b")), RolesCap(Role.ADMIN, ())):
        secret = registry.open_session(Identity("bob", roles_cap=scope))
        assert registry.session_presented(secret).roles_cap == scope


def test_an_attempt_is_used_once_by_whichever_process(open_as: Callable[[str], Registry], clock: Clock) -> None:
    first, second = open_as("ada"), open_as("ada")
    used = UsedSignIn("secret", clock.time + timedelta(minutes=10))
    before = first.open_session(Identity("bob"))
    with ThreadPoolExecutor(8) as pool:
        tries = [pool.submit(one.open_session, Identity("bob"), used=used) for one in (first, second) * 4]
    assert sorted(type(one.exception()).__name__ for one in tries) == ["NoneType", *["UnauthenticatedError"] * 7]
    with pytest.raises(UnauthenticatedError, match="was used already"):
        second.open_session(Identity("bob"), instead_of=before, used=used)
    assert first.session_presented(before).principal == "bob", "a sign-in that failed ends nobody's session"
    clock.advance(minutes=11)
    first.forget_sessions()
    second.open_session(Identity("bob"), used=used)
    assert first.verify_audit().ok
