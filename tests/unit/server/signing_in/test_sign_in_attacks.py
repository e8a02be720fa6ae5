"""What a page, a link or another person may try with a sign-in that is not theirs."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from joserfc.jwk import RSAKey

from oidc_testing import CLIENT, Provider
from pedigree_testing import Clock
from signing_in_testing import Browser, refused
from tfx_pedigree.errors import UnauthenticatedError
from tfx_pedigree.server.code_flow import COOKIE as ATTEMPT
from tfx_pedigree.server.code_flow import Attempt
from tfx_pedigree.server.issuers import Issuer, SignInWith


def test_a_browser_that_began_nothing_is_not_signed_in(visit: Callable[..., Browser]) -> None:
    """Somebody sends the end of his own sign-in to another one, who then would work as him."""
    victim, attacker = visit(), visit()
    back = attacker.agree(attacker.begin())
    refused(victim.get(back), "was not begun in this browser")
    victim.begin()
    refused(victim.get(back), "the end of another sign-in")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda said: {**said, "state": "x" * 43}, "the end of another sign-in"),
        (lambda said: {**said, "state": ""}, "the end of another sign-in"),
        (lambda said: {name: text for name, text in said.items() if name != "state"}, "the end of another sign-in"),
        (lambda said: {**said, "state": "ä"}, "the end of another sign-in"),
        (lambda said: {**said, "code": ""}, "holds no code"),
        (lambda said: {**said, "code": "x" * 5000}, "holds no code"),
        (lambda said: {**said, "code": "wrong"}, "does not take this sign-in any more"),
        (lambda said: {**said, "iss": "https://evil.example.com"}, "is not from"),
        (lambda said: [*said.items(), ("code", "second")], "says something twice"),
        (lambda said: {"error": "access_denied<b>", "state": said["state"]}, "signed nobody in"),
    ],
)
def test_what_comes_back_must_be_the_end_of_this_attempt(
    visit: Callable[..., Browser], change: Callable[[dict[str, str]], Any], why: str
) -> None:
    browser = visit()
    back = urlsplit(browser.agree(browser.begin()))
    answer = browser.get(f"{back.path}?{urlencode(change(dict(parse_qsl(back.query))))}")
    refused(answer, why)
    assert "<b>" not in answer.text
    assert ATTEMPT not in browser.cookies, "an attempt ends, however it ends"


def test_a_code_is_used_once_and_an_attempt_ends_in_one_session(
    visit: Callable[..., Browser], provider: Provider
) -> None:
    browser = visit()
    back = browser.agree(browser.begin())
    attempt = dict(browser.cookies)
    assert browser.get(back).status_code == 303
    again = Browser(browser.at, dict(attempt))
    refused(again.get(back), "does not take this sign-in any more")
    # Nor with another code, from an issuer that would sign for the same attempt twice.
    asked = dict(parse_qsl(urlsplit(back).query))
    nonce = Attempt.of(attempt[ATTEMPT], Clock().time).nonce
    now = int(time.time())
    claims = {"iss": provider.address, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": nonce, **provider.claims}
    said = json.dumps({"id_token": provider.signed(claims)}).encode()
    provider.answers["/token"] = (200, {}, said)
    third = Browser(browser.at, dict(attempt))
    refused(third.get(f"{urlsplit(back).path}?{urlencode({**asked, 'code': 'new'})}"), "was used already")


def test_an_attempt_lasts_ten_minutes(visit: Callable[..., Browser], clock: Clock) -> None:
    browser = visit()
    back = browser.agree(browser.begin())
    clock.advance(minutes=10)
    refused(browser.get(back), "more than 10 minutes ago")
    fresh = browser.agree(browser.begin())
    clock.advance(minutes=9)
    assert browser.get(fresh).status_code == 303


@pytest.mark.parametrize(
    "cookie", ["", "x", "!!!", base64.urlsafe_b64encode(b'["x","team",1,"/"]').decode(), "A" * 3000]
)
def test_a_cookie_that_is_none_of_ours_begins_nothing(cookie: str) -> None:
    with pytest.raises(UnauthenticatedError, match="not begun in this browser"):
        Attempt.of(cookie, Clock().time)


def test_an_issuer_cannot_pass_on_what_another_one_said(
    visit: Callable[..., Browser], provider: Provider, key: RSAKey
) -> None:
    """Mix-up: a browser that was sent to one issuer comes back with the code of another one, who was asked in its
    name. Each has an address of its own, so the code goes to nobody else."""
    evil = Provider(key)
    try:
        browser = visit(Issuer(evil.address, sign_in=SignInWith("evil", "client")))
        state = parse_qs(urlsplit(browser.begin(way="evil")).query)["state"][0]
        asked = {"response_type": "code", "client_id": CLIENT, "redirect_uri": f"{browser.at}/sign-in/from/team"}
        more = {"state": state, "code_challenge": "x", "code_challenge_method": "S256", "nonce": "n"}
        back = browser.agree(f"{provider.address}/authorize?{urlencode({**asked, **more})}")
        refused(browser.get(back), "the end of another sign-in")
        assert "/token" not in evil.asked + provider.asked
        # And by the name in the answer, where both had one address.
        state = parse_qs(urlsplit(browser.begin(way="evil")).query)["state"][0]
        mixed = {"state": state, "code": "c", "iss": provider.address}
        refused(browser.get(f"/sign-in/from/evil?{urlencode(mixed)}"), "is not from")
        assert "/token" not in evil.asked
    finally:
        evil.close()


def test_an_issuer_that_says_it_names_itself_must_do_so(visit: Callable[..., Browser], provider: Provider) -> None:
    browser = visit()
    provider.describes = {"authorization_response_iss_parameter_supported": True}
    back = urlsplit(browser.agree(browser.begin()))
    said = {name: text for name, text in parse_qsl(back.query) if name != "iss"}
    refused(browser.get(f"{back.path}?{urlencode(said)}"), "is not from")
    assert browser.sign_in().status_code == 303


def test_only_the_address_that_was_registered_is_sent_whatever_the_request_calls_the_server(
    visit: Callable[..., Browser], provider: Provider
) -> None:
    browser = visit()
    port = urlsplit(browser.at).port
    for headers in ({"host": f"localhost:{port}"}, {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https"}):
        answer = browser.get("/sign-in/with/team", **headers)
        assert parse_qs(urlsplit(answer.headers["location"]).query)["redirect_uri"] == [
            f"{browser.at}/sign-in/from/team"
        ]
    assert browser.get("/sign-in/with/team", host="evil.example").status_code == 421
    asked = browser.begin().replace("sign-in%2Ffrom%2Fteam", "sign-in%2Ffrom%2Felsewhere")
    assert browser.get(asked).status_code == 400
    assert provider.refused == ["authorize"]


@pytest.mark.parametrize(
    "then", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/ä"]
)
def test_nobody_is_led_elsewhere_afterwards(visit: Callable[..., Browser], then: str) -> None:
    assert visit().sign_in(then).headers["location"] == "/models"


def test_a_way_that_is_not_there_is_refused_in_a_sentence(visit: Callable[..., Browser]) -> None:
    browser = visit()
    refused(browser.get("/sign-in/with/teem"), "Did you mean", 404)
    refused(browser.get("/sign-in/from/nobody?code=x&state=y"), "Nobody is signed in by", 404)


def test_guesses_are_counted(visit: Callable[..., Browser]) -> None:
    browser = visit()
    codes = [browser.get("/sign-in/from/team?code=x&state=y").status_code for _ in range(12)]
    assert codes == [401] * 10 + [429] * 2
