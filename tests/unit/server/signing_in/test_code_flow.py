"""People sign in where their issuer is: the code flow with PKCE over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

import pytest

from oidc_testing import Provider
from pedigree_testing import Clock
from signing_in_testing import WHO, Browser
from tfx_pedigree.registry import Registry, Role
from tfx_pedigree.server.code_flow import COOKIE as ATTEMPT
from tfx_pedigree.server.code_flow import Attempt
from tfx_pedigree.server.identity import COOKIE


def test_a_person_signs_in_goes_on_to_the_page_he_wanted_and_signs_out(
    visit: Callable[..., Browser], provider: Provider, registry: Registry
) -> None:
    browser = visit(issuer={"groups": "groups"})
    provider.claims["groups"] = ["ml"]
    registry.grant("group:ml", Role.RELEASER)
    shown = browser.get("/sign-in?then=/audit")
    assert "Sign in with Example" in shown.text
    assert 'href="/sign-in/with/team?then=%2Faudit"' in shown.text
    asked = dict(parse_qsl(urlsplit(browser.begin()).query))
    assert asked["code_challenge_method"] == "S256"
    assert asked["tenant"] == "one"
    answer = browser.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/audit")
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    session = next(line for line in answer.headers.get_list("set-cookie") if line.startswith(COOKIE))
    assert all(part in session for part in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"))
    assert "Domain" not in session
    assert ATTEMPT not in browser.cookies
    assert browser.get(WHO).json()["principal"] == "ada@example.com"
    held = registry.session_presented(browser.cookies[COOKIE])
    assert (held.groups, held.token_id) == (("ml",), None)
    assert browser.post("/sign-out").status_code == 303
    assert browser.get(WHO).status_code == 401


def test_each_attempt_is_another_one_and_tells_nothing_of_its_verifier(visit: Callable[..., Browser]) -> None:
    browser = visit()
    first, second = (dict(parse_qsl(urlsplit(browser.begin()).query)) for _ in range(2))
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
        assert len(first[name]) == 43
    attempt = Attempt.of(browser.cookies[ATTEMPT], Clock().time)
    assert attempt.verifier not in (*second.values(), browser.cookies[ATTEMPT])


@pytest.mark.parametrize("ways", [["client_secret_post"], ["client_secret_basic", "client_secret_post"], None])
def test_the_client_says_who_it_is_as_the_issuer_wants_it(
    visit: Callable[..., Browser], provider: Provider, ways: list[str] | None
) -> None:
    browser = visit()
    provider.describes = {"token_endpoint_auth_methods_supported": ways} if ways else {}
    assert browser.sign_in().status_code == 303


def test_a_public_client_has_pkce_alone(visit: Callable[..., Browser], provider: Provider) -> None:
    browser = visit(client_secret_file=None)
    provider.client_secret = None
    assert browser.sign_in().status_code == 303
