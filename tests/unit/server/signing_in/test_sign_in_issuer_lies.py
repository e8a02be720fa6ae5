"""What an issuer, or somebody who plays one, may say: it signs nobody in."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OctKey, RSAKey

from oidc_testing import CLIENT, SECRET, Provider
from signing_in_testing import Browser, refused


def now(seconds: int) -> int:
    return int(time.time()) + seconds


def unsigned(claims: dict[str, Any]) -> str:
    parts = (json.dumps(one).encode() for one in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in parts) + "."


LIES: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "another nonce": (lambda: {"nonce": "x" * 43}, "answered another sign-in"),
    "no nonce": (lambda: {"nonce": None}, "answered another sign-in"),
    "a number as a nonce": (lambda: {"nonce": 1}, "answered another sign-in"),
    "another issuer": (lambda: {"iss": "https://evil.example.com"}, "proves nothing"),
    "another audience": (lambda: {"aud": "another"}, "proves nothing"),
    "no audience": (lambda: {"aud": None}, "proves nothing"),
    "several audiences": (lambda: {"aud": [CLIENT, "another"]}, "for another service"),
    "another party": (lambda: {"azp": "another"}, "for another service"),
    "expired": (lambda: {"exp": now(-120)}, "proves nothing"),
    "no end": (lambda: {"exp": None}, "proves nothing"),
    "made in the future": (lambda: {"iat": now(300)}, "proves nothing"),
    "made at no time": (lambda: {"iat": None}, "proves nothing"),
    "not yet": (lambda: {"nbf": now(300)}, "proves nothing"),
    "nobody": (lambda: {"sub": None}, "proves nothing"),
    "no address": (lambda: {"email": None}, "no claim email"),
    "an address that nobody verified": (lambda: {"email_verified": False}, "has not verified the address"),
    "a group's name": (lambda: {"email": "group:ml"}, "nobody can act as it"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_id_token_that_is_not_for_this_sign_in_signs_nobody_in(
    visit: Callable[..., Browser], provider: Provider, lie: str
) -> None:
    lies, why = LIES[lie]
    browser = visit()
    provider.lies = lies()
    refused(browser.sign_in(), why, 400 if lie == "a group's name" else 401)


@pytest.mark.parametrize("forgery", ["none", "another key", "the public key as a secret", "altered", "nonsense"])
def test_an_id_token_that_the_issuer_did_not_sign_signs_nobody_in(
    visit: Callable[..., Browser], provider: Provider, key: RSAKey, other_key: RSAKey, forgery: str
) -> None:
    public = json.dumps(key.as_dict(private=False)).encode()
    makers: dict[str, Callable[[dict[str, Any]], str]] = {
        "none": unsigned,
        "another key": lambda claims: provider.signed(claims, other_key),
        "the public key as a secret": lambda claims: provider.signed(claims, OctKey.import_key(public), "HS256"),
        "altered": lambda claims: provider.signed(claims)[:-8] + "AAAAAAAA",
        "nonsense": lambda _: "a.b.c",
    }
    browser = visit()
    provider.encode = makers[forgery]
    refused(browser.sign_in(), "proves nothing")


@pytest.mark.parametrize(
    ("path", "answer", "why"),
    [
        ("/token", (302, {"location": "https://evil.example/token"}, b""), "gave no id_token"),
        ("/token", (200, {}, b"{}"), "gave no id_token"),
        ("/token", (200, {}, b'{"id_token": 1}'), "gave no id_token"),
        ("/token", (500, {}, b"Traceback"), "gave no id_token"),
        ("/token", (200, {}, b'{"id_token": "' + b"x" * 300_000 + b'"}'), "more than 256 KiB"),
        ("/keys", (302, {"location": "/elsewhere"}, b""), "answered 302"),
    ],
)
def test_an_issuer_that_answers_nonsense_signs_nobody_in(
    visit: Callable[..., Browser], provider: Provider, path: str, answer: Any, why: str
) -> None:
    browser = visit()
    provider.answers[path] = answer
    refused(browser.sign_in(), why, 503)


@pytest.mark.parametrize(
    "describes",
    [
        {"issuer": "https://evil.example.com"},
        {"authorization_endpoint": "http://evil.example.com/"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "file:///etc/passwd"},
        {"token_endpoint": None},
        {"jwks_uri": "https://user:password@x.example/"},
        {"end_session_endpoint": "javascript:alert(1)"},
        {"end_session_endpoint": "http://evil.example.com/"},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
def test_nobody_is_sent_to_an_issuer_that_describes_itself_wrongly(
    visit: Callable[..., Browser], provider: Provider, describes: dict[str, Any]
) -> None:
    browser = visit()
    provider.describes = describes
    answer = browser.get("/sign-in/with/team")
    refused(answer, "", 503)
    assert "location" not in answer.headers


def test_a_client_that_the_issuer_does_not_know_says_where_to_look(
    visit: Callable[..., Browser], secret_file: Path, provider: Provider
) -> None:
    browser = visit()
    secret_file.write_text("another")
    refused(browser.sign_in(), "invalid_client and gave no id_token", 503)
    secret_file.write_text(SECRET)
    assert browser.sign_in().status_code == 303, "a secret can be changed while the server runs"
