"""Who a server takes a request to be from: tokens, sessions, a proxy; and what it refuses, over real sockets."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator

import httpx
import pytest
from starlette.requests import HTTPConnection

from pedigree_testing import Clock, candidate
from server_testing import Switch
from tfx_pedigree.errors import InvalidInputError, TooManyAttemptsError, UnauthenticatedError
from tfx_pedigree.json_form import to_json
from tfx_pedigree.registry import Identity, Registry, Role, RolesCap, TokenText
from tfx_pedigree.server import Server, ServerSettings, TrustedProxy, application
from tfx_pedigree.server.attempts import FailedAttempts
from tfx_pedigree.server.identity import COOKIE, Credentials
from tfx_pedigree.server.signing_in import own_page
from tfx_pedigree.service.tokens import make_token
from tfx_pedigree.wire import PROBLEM

MODEL = "flight-delay"
WHO = "/api/v1/about"


@pytest.fixture
def serve(registry: Registry, address: str, switch: Switch) -> Iterator[Callable[..., httpx.Client]]:
    """A client that carries nothing, of a server that knows its people by their credentials."""
    opened: list[httpx.Client] = []

    def served(**options: object) -> httpx.Client:
        credentials = Credentials(registry, **options)  # type: ignore[arg-type]
        switch.app = application(Server(ServerSettings(address), registry, credentials))
        opened.append(httpx.Client(base_url=switch.address))
        return opened[-1]

    yield served
    for client in opened:
        client.close()
    switch.app = None


@pytest.fixture
def api(serve: Callable[..., httpx.Client]) -> httpx.Client:
    return serve()


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_a_token_is_taken_as_bearer_and_as_the_password_of_anybody(api: httpx.Client, registry: Registry) -> None:
    made = make_token(registry, "ci", principal="bob")
    for headers in (bearer(made.text), basic("", made.text), basic("whoever", made.text)):
        answer = api.get(WHO, headers=headers)
        assert answer.json()["principal"] == "bob"
    registry.grant("bob", Role.CONTRIBUTOR)
    body = {"candidate": to_json(candidate("a"))}
    assert api.post(f"/api/v1/models/{MODEL}/versions", json=body, headers=bearer(made.text)).status_code == 200
    event = registry.history(MODEL, limit=1).items[0]
    assert (event.actor, event.token) == ("bob", made.token.id)
    assert registry.tokens("bob").items[0].used_at is not None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        bearer("ped_"),
        bearer("x" * 5000),
        bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ."),
        basic("ada", "secret"),
        {"authorization": "Basic !!!"},
        {"authorization": "Digest username=ada"},
        {"cookie": f"{COOKIE}=none"},
        {"x-forwarded-user": "ada"},
    ],
)
def test_whoever_shows_nothing_that_is_known_is_told_nothing(api: httpx.Client, headers: dict[str, str]) -> None:
    answer = api.get("/api/v1/models", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM)
    assert answer.json()["kind"] == "unauthenticated"


def test_a_revoked_token_is_refused_within_a_second(
    api: httpx.Client, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfx_pedigree.server.identity.KNOWN_FOR", 0.0)
    made = make_token(registry, "ci")
    assert api.get(WHO, headers=bearer(made.text)).status_code == 200
    registry.revoke_token(made.token.id)
    answer = api.get(WHO, headers=bearer(made.text))
    assert (answer.status_code, "was revoked on" in answer.json()["detail"]) == (401, True)


def test_a_token_for_one_model_reaches_no_other(api: httpx.Client, registry: Registry) -> None:
    for model in (MODEL, "penguin"):
        registry.add(model, candidate("a"))
    made = make_token(registry, "ci", scope=RolesCap(Role.VIEWER, (MODEL,)))
    assert api.get(f"/api/v1/models/{MODEL}/versions/latest", headers=bearer(made.text)).status_code == 200
    for path in ("/api/v1/models/penguin/versions/latest", "/api/v1/models", "/api/v1/roles"):
        answer = api.get(path, headers=bearer(made.text))
        assert (answer.status_code, made.token.id in answer.json()["detail"]) == (403, True)


def test_no_secret_is_in_logs_events_or_answers(
    api: httpx.Client, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = make_token(registry, "ci")
    wrong = TokenText.new().text
    answers = [
        api.get(path, headers=headers)
        for path in (WHO, "/api/v1/nowhere", "/api/v1/models/x/versions/1", "/models", "/sign-in")
        for headers in (bearer(made.text), bearer(wrong), basic("x", wrong))
    ]
    answers.append(api.post("/sign-in", data={"token": wrong, "then": wrong}))
    told = caplog.text + "".join(answer.text + str(answer.headers) for answer in answers)
    told += str([event.to_json() for event in registry.history(None).items])
    assert made.text.rpartition("_")[2] not in told
    assert wrong.rpartition("_")[2] not in told


# Browsers


def signed_in(api: httpx.Client, registry: Registry, **scope: object) -> str:
    """The cookie of a browser that signed in with a token."""
    made = make_token(registry, "browser", **scope)  # type: ignore[arg-type]
    form = {"token": made.text, "then": "/audit"}
    answer = api.post("/sign-in", data=form, headers={"sec-fetch-site": "same-origin"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/audit")
    cookie = answer.headers["set-cookie"]
    for attribute in (f"{COOKIE}=", "Secure", "HttpOnly", "SameSite=lax", "Path=/"):
        assert attribute in cookie
    assert "Domain" not in cookie
    return cookie.partition(";")[0]


def test_a_browser_signs_in_with_a_token_and_out_again(api: httpx.Client, registry: Registry) -> None:
    assert 'name="token"' in api.get("/sign-in?then=/audit").text
    cookie = {"cookie": signed_in(api, registry)}
    assert api.get(WHO, headers=cookie).json()["principal"] == "ada"
    out = api.post("/sign-out", headers={**cookie, "sec-fetch-site": "same-origin"})
    assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
    assert api.get(WHO, headers=cookie).status_code == 401
    assert registry.verify_audit().ok


def test_a_wrong_token_signs_nobody_in(api: httpx.Client) -> None:
    answer = api.post("/sign-in", data={"token": TokenText.new().text})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "not known here" in answer.text


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({}, 200),
    ],
)
def test_a_page_of_another_site_changes_nothing_with_a_cookie(
    api: httpx.Client, registry: Registry, origin: dict[str, str], status: int
) -> None:
    registry.add(MODEL, candidate("a"))
    headers = {"cookie": signed_in(api, registry), **origin}
    answer = api.put(f"/api/v1/models/{MODEL}/aliases/canary", json={"selector": "latest"}, headers=headers)
    assert answer.status_code == status, answer.text
    assert bool(registry.aliases(MODEL)) is (status == 200)
    token = bearer(make_token(registry, "program").text)
    again = api.put(f"/api/v1/models/{MODEL}/aliases/x", json={"selector": "latest"}, headers={**token, **origin})
    assert again.status_code == 200, "a token is no browser's"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_nobody_is_signed_in_or_out_by_another_site(api: httpx.Client, registry: Registry, site: str) -> None:
    made = make_token(registry, "browser")
    answer = api.post("/sign-in", data={"token": made.text}, headers={"sec-fetch-site": site})
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    cookie = {"cookie": signed_in(api, registry)}
    assert api.post("/sign-out", headers={**cookie, "sec-fetch-site": site}).status_code == 403
    assert api.get(WHO, headers=cookie).status_code == 200


@pytest.mark.parametrize(
    "then", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nset-cookie: x=1", "", "models", "/ä"]
)
def test_after_signing_in_one_stays_on_this_server(then: str) -> None:
    assert own_page(then) == "/models"
    assert own_page("/models/flight-delay?x=1") == "/models/flight-delay?x=1"


def test_a_session_ends_when_it_is_idle_when_it_is_old_and_with_its_token(registry: Registry, clock: Clock) -> None:
    idle = registry.open_session(Identity("bob", groups=("ops",)))
    assert registry.session_presented(idle).groups == ("ops",)
    clock.advance(hours=12, seconds=1)
    old = registry.open_session(Identity("bob"))
    with pytest.raises(Exception, match="not signed in any more"):
        registry.session_presented(idle)
    for _ in range(14):
        clock.advance(hours=11)
        registry.session_presented(old)
    clock.advance(hours=15)
    for secret in (old, "", "x", "\ud800"):
        with pytest.raises(Exception, match="not signed in any more"):
            registry.session_presented(secret)
    made = make_token(registry, "browser", scope=RolesCap(Role.VIEWER))
    with_token = registry.open_session(registry.token_presented(made.text).identity)
    assert registry.session_presented(with_token) == made.token.identity
    registry.revoke_token(made.token.id)
    with pytest.raises(Exception, match="token .* with which you signed in was revoked"):
        registry.session_presented(with_token)
    registry.close_session(with_token)
    registry.forget_sessions()
    assert registry.verify_audit().ok


def test_two_credentials_name_nobody(serve: Callable[..., httpx.Client], registry: Registry) -> None:
    """A proxy in between may look at the other one."""
    one, other = (bearer(make_token(registry, name).text)["authorization"] for name in ("a", "b"))
    assert serve().get(WHO, headers=[("authorization", one), ("authorization", other)]).status_code == 401


def test_what_is_no_jwt_is_told_as_that(registry: Registry) -> None:
    for text in ("aaa.bbb.ccc", "..", "a.W10.b", "a.\u00e9.b"):
        with pytest.raises(UnauthenticatedError, match="neither a token nor a JWT"):
            Credentials(registry).of_secret(text)


# A proxy that knows who asks


def test_only_the_proxy_that_is_configured_says_who_asks(serve: Callable[..., httpx.Client]) -> None:
    behind = serve(proxy=TrustedProxy(("127.0.0.0/8",), "x-forwarded-user"))
    assert behind.get(WHO, headers={"x-forwarded-user": "bob"}).json()["principal"] == "bob"
    for headers in ([], [("x-forwarded-user", "")], [("x-forwarded-user", "bob"), ("x-forwarded-user", "ada")]):
        assert behind.get(WHO, headers=headers).status_code == 401
    assert behind.get(WHO, headers={"x-forwarded-user": "group:ops"}).status_code == 400
    foreign = {"x-forwarded-user": "bob", "origin": "http://x"}
    assert behind.post("/api/v1/audit/verify", headers=foreign).status_code == 403
    elsewhere = serve(proxy=TrustedProxy(("10.0.0.0/8",), "x-forwarded-user"))
    assert elsewhere.get(WHO, headers={"x-forwarded-user": "bob"}).status_code == 401


def test_a_proxy_that_signs_nobody_in_says_only_from_where_a_request_comes(serve: Callable[..., httpx.Client]) -> None:
    behind = serve(proxy=TrustedProxy(("127.0.0.0/8",)), attempts=FailedAttempts(most=1))
    refused = behind.get(WHO, headers={"x-forwarded-user": "bob"})
    assert (refused.status_code, "carries no credential" in refused.json()["detail"]) == (401, True)
    guesses = [behind.get(WHO, headers=bearer("ped_x_y") | {"x-forwarded-for": f"10.0.0.{one}"}) for one in (1, 1, 2)]
    assert [one.status_code for one in guesses] == [401, 429, 401]


@pytest.mark.parametrize(
    ("lines", "counted"),
    [
        # Some proxies add a line of their own below the one that a stranger wrote.
        (["1.2.3.4", "10.0.0.1"], "10.0.0.1"),
        (["1.2.3.4, 10.0.0.1"], "10.0.0.1"),
        (["10.0.0.1:50123"], "10.0.0.1"),
        (["[2001:db8::1]:443"], "2001:db8::/64"),
        (["10.0.0.1, 127.0.0.9"], "10.0.0.1"),
        (["unknown"], "127.0.0.1"),
        ([""], "127.0.0.1"),
        ([], "127.0.0.1"),
    ],
)
def test_behind_a_proxy_nobody_chooses_for_whom_his_attempts_count(
    registry: Registry, lines: list[str], counted: str
) -> None:
    credentials = Credentials(registry, TrustedProxy(("127.0.0.0/8",)))
    assert credentials.address(asked_from("127.0.0.1", lines)) == counted
    assert credentials.address(asked_from("::ffff:127.0.0.1", lines)) == counted


def test_attempts_count_by_what_one_client_has_for_himself(registry: Registry) -> None:
    credentials = Credentials(registry)
    found = {credentials.address(asked_from(f"2001:db8::{one:x}", ["1.2.3.4"])) for one in range(20)}
    assert found == {"2001:db8::/64"}
    assert credentials.address(asked_from("::ffff:10.0.0.7", [])) == "10.0.0.7"


def asked_from(peer: str, forwarded: list[str]) -> HTTPConnection:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    return HTTPConnection({"type": "http", "client": (peer, 1), "headers": headers})


def test_a_proxy_that_is_nowhere_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="address or a network"):
        TrustedProxy(("proxy.example",))
    assert not TrustedProxy(("10.0.0.0/8",)).trusts("")


# Attempts


def test_after_some_failures_an_address_is_looked_at_no_more(
    serve: Callable[..., httpx.Client], registry: Registry
) -> None:
    api = serve(attempts=FailedAttempts(most=3))
    good = make_token(registry, "ci")
    wrong = [api.get(WHO, headers=bearer(TokenText.new().text)).status_code for _ in range(4)]
    assert wrong == [401, 401, 401, 429]
    answer = api.get(WHO, headers=bearer(good.text))
    assert (answer.status_code, answer.json()["kind"]) == (429, "too-many-attempts")


def test_a_token_whose_secret_others_guess_still_works_for_its_owner(registry: Registry) -> None:
    made = make_token(registry, "ci")
    credentials = Credentials(registry, attempts=FailedAttempts(most=3))
    guess = f"ped_{made.token.id}_{'a' * 40}"
    for _ in range(3):
        with pytest.raises(Exception, match="not known here"):
            credentials.of_secret(guess)
    with pytest.raises(TooManyAttemptsError):
        credentials.of_secret(guess)
    assert credentials.of_secret(made.text).principal == "ada"


def test_attempts_are_forgotten_after_a_while_and_fill_no_memory() -> None:
    now = [0.0]
    attempts = FailedAttempts(most=1, clock=lambda: now[0])
    attempts.failed("a")
    with pytest.raises(TooManyAttemptsError, match="Try again in 61 s"):
        attempts.check("a")
    now[0] = 60.5
    attempts.check("a")
    attempts.failed("a")
    with pytest.raises(TooManyAttemptsError):
        attempts.check("a")
    for number in range(20_000):
        attempts.failed(str(number))
    assert len(attempts._failures) == 10_000
