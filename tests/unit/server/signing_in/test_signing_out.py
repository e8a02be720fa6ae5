"""Signing out: the session ends here, and the person is led to where it ends at the issuer, if that says where."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from oidc_testing import CLIENT, Provider
from signing_in_testing import WHO, Browser
from tfx_pedigree.registry import Registry
from tfx_pedigree.server.code_flow import LEAVING, Leaving
from tfx_pedigree.server.identity import COOKIE
from tfx_pedigree.service.tokens import make_token

LINK = re.compile(r'href="(http[^"]+/goodbye[^"]*)"')


@pytest.fixture
def signed_in(visit: Callable[..., Browser], provider: Provider) -> Browser:
    provider.describes = {"end_session_endpoint": f"{provider.address}/goodbye?tenant=one"}
    browser = visit()
    assert browser.sign_in().status_code == 303
    return browser


def link_in(page: str) -> tuple[str, dict[str, list[str]]]:
    """Where the page leads, and what is said there."""
    (found,) = LINK.findall(page)
    at = urlsplit(html.unescape(found))
    return f"{at.scheme}://{at.netloc}{at.path}", parse_qs(at.query)


def test_who_signs_out_is_led_to_where_his_session_at_the_issuer_ends(
    visit: Callable[..., Browser], provider: Provider, signed_in: Browser, registry: Registry
) -> None:
    tokens: list[str] = []
    provider.encode = lambda claims: tokens.append(provider.signed(claims)) or tokens[-1]  # type: ignore[func-returns-value]
    answer = signed_in.sign_in()
    kept = next(line for line in answer.headers.get_list("set-cookie") if line.startswith(LEAVING))
    assert all(part in kept for part in ("Secure", "HttpOnly", "SameSite=strict", "Path=/sign-out"))
    session = signed_in.cookies[COOKIE]
    answer = signed_in.post("/sign-out")
    assert (answer.status_code, signed_in.cookies) == (200, {})
    at, said = link_in(answer.text)
    assert at == f"{provider.address}/goodbye"
    assert said == {"tenant": ["one"], "id_token_hint": tokens, "client_id": [CLIENT]}
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert Browser(signed_in.at, {COOKIE: session}).get(WHO).status_code == 401


@pytest.mark.parametrize("away", [False, True])
def test_who_signs_out_is_signed_out_here_whatever_the_issuer_says(
    visit: Callable[..., Browser], provider: Provider, away: bool
) -> None:
    browser = visit()
    browser.sign_in()
    if away:
        browser = Browser(visit().at, browser.cookies)  # this server has asked the issuer nothing yet
        provider.answers["/.well-known/openid-configuration"] = (500, {}, b"")
    answer = browser.post("/sign-out")
    assert (answer.status_code, answer.headers["location"], browser.cookies) == (303, "/sign-in", {})


def test_who_came_with_a_token_since_is_led_nowhere(signed_in: Browser, registry: Registry) -> None:
    signed_in.post("/sign-in", token=make_token(registry, "laptop").text)
    assert LEAVING not in signed_in.cookies
    assert signed_in.post("/sign-out").headers["location"] == "/sign-in"


@pytest.mark.parametrize(
    "cookie", ["", "team", "other.a.b.c", "https://evil.example", "team.<b>", 'team."x', "team." + "x" * 5000]
)
def test_a_cookie_leads_nowhere_else(signed_in: Browser, cookie: str) -> None:
    """Another page of the same domain may have set it."""
    signed_in.cookies[LEAVING] = cookie
    assert signed_in.post("/sign-out").headers["location"] == "/sign-in"


def test_an_id_token_that_no_browser_would_keep_is_not_sent(signed_in: Browser, provider: Provider) -> None:
    provider.claims["about"] = "x" * 4000
    answer = signed_in.sign_in()
    assert max(len(line) for line in answer.headers.get_list("set-cookie")) < 4096
    assert signed_in.cookies[COOKIE]
    assert link_in(signed_in.post("/sign-out").text)[1] == {"tenant": ["one"], "client_id": [CLIENT]}


def test_what_is_kept_for_leaving_is_read_again() -> None:
    for leaving in (Leaving("team", "a.b-c_d.e"), Leaving("team", "")):
        assert Leaving.of(leaving.cookie) == leaving
