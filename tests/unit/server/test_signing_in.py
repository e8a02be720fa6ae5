"""People sign in where their issuer is: the code flow with PKCE over real sockets, and all that must not work."""

from __future__ import annotations

import base64
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest
from joserfc.jwk import OctKey, RSAKey

from authority_testing import Authority
from oidc_testing import CLIENT, SECRET, Provider
from pedigree_testing import Clock
from server_testing import Switch
from tfx_pedigree.errors import InvalidInputError, UnauthenticatedError
from tfx_pedigree.registry import Identity, Registry, Role, RolesCap, UsedSignIn
from tfx_pedigree.server import PublicUrl, Server, ServerSettings, application
from tfx_pedigree.server.authentication import issuers_of
from tfx_pedigree.server.code_flow import COOKIE as ATTEMPT
from tfx_pedigree.server.code_flow import Attempt
from tfx_pedigree.server.identity import COOKIE, Credentials
from tfx_pedigree.server.issuers import Issuer, SignInWith, load_issuers

WHO = "/api/v1/about"
HTTP = httpx.Client(verify=False, trust_env=False)  # noqa: S501  nothing here is encrypted


@pytest.fixture(scope="module")
def key() -> RSAKey:
    return RSAKey.generate_key(2048, parameters={"kid": "one"}, private=True)


@pytest.fixture(scope="module")
def other_key() -> RSAKey:
    return RSAKey.generate_key(2048, parameters={"kid": "one"}, private=True)


@pytest.fixture
def provider(key: RSAKey) -> Iterator[Provider]:
    made = Provider(key)
    yield made
    made.close()


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "client-secret"
    file.write_text(f"{SECRET}\n")
    return file


@dataclass
class Browser:
    """Keeps cookies for the server alone, and goes where it is sent, or not."""

    at: str
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> httpx.Response:
        own = path.startswith(("/", self.at))
        cookie = "; ".join(f"{name}={text}" for name, text in self.cookies.items()) if own else ""
        sent = {**headers, **({"cookie": cookie} if cookie else {})}
        answer = HTTP.get(self.at + path if path.startswith("/") else path, headers=sent)
        for line in answer.headers.get_list("set-cookie") if own else ():
            name, _, rest = line.partition("=")
            self.cookies[name] = rest.partition(";")[0].strip('"')
            if not self.cookies[name]:
                del self.cookies[name]
        return answer

    def begin(self, then: str = "/audit", way: str = "team") -> str:
        """The issuer's address to which it is sent."""
        answer = self.get(f"/sign-in/with/{way}?{urlencode({'then': then})}")
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def agree(self, address: str) -> str:
        """The address to which the issuer sends it back."""
        answer = self.get(address)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    def sign_in(self, then: str = "/audit") -> httpx.Response:
        return self.get(self.agree(self.begin(then)))


@pytest.fixture
def registry(migrated: Path, tmp_path: Path, clock: Clock) -> Iterator[Registry]:
    """On SQLite: what a database has to do with it is tested on both at the end."""
    (tmp_path / "registry").mkdir()
    shutil.copy(migrated, tmp_path / "registry")
    with Registry.create(tmp_path / "registry", actor="ada", clock=clock) as made:
        yield made


@pytest.fixture
def visit(
    registry: Registry, switch: Switch, provider: Provider, secret_file: Path
) -> Iterator[Callable[..., Browser]]:
    """A browser before a server that sends people to the provider."""

    def visiting(*others: Issuer, issuer: dict[str, Any] | None = None, **way: Any) -> Browser:
        named = {"name": "team", "client_id": CLIENT, "client_secret_file": str(secret_file), "label": "Example", **way}
        own = {"principal": "{email}", "sign_in": SignInWith(**named), **(issuer or {})}
        settings = ServerSettings("", public_url=PublicUrl.of(switch.address))
        credentials = Credentials(registry, issuers=[Issuer(provider.address, **own), *others])
        switch.app = application(Server(settings, registry, credentials))
        provider.redirects = {f"{switch.address}/sign-in/from/team"}
        return Browser(switch.address)

    yield visiting
    switch.app = None


def refused(answer: httpx.Response, why: str, status: int = 401) -> None:
    assert (answer.status_code, why in answer.text) == (status, True), (answer.status_code, answer.text)
    assert COOKIE not in [line.partition("=")[0] for line in answer.headers.get_list("set-cookie")]


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
    own = {"cookie": f"{COOKIE}={browser.cookies[COOKIE]}", "sec-fetch-site": "same-origin"}
    assert HTTP.post(f"{browser.at}/sign-out", headers=own).status_code == 303
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


# What a page, a link or another person may try


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


# What an issuer, or somebody who plays one, may say


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


# What comes of it


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


# How it is configured


def test_a_server_that_nobody_could_come_back_to_is_not_started(tmp_path: Path) -> None:
    file = tmp_path / "issuers.yaml"
    issuer = "issuer: https://issuer.example.com, principal: '{sub}'"
    file.write_text(f"issuers: [{{{issuer}, sign_in: {{name: team, client_id: x}}}}]")
    settings = ServerSettings("x", issuers=file)
    with pytest.raises(InvalidInputError, match="--public-url https://HOST"):
        issuers_of(settings)
    (found,) = issuers_of(replace(settings, public_url=PublicUrl.of("https://pedigree.example.com")))
    assert (found.audience, found.sign_in and found.sign_in.scopes) == (None, ("openid", "email"))


@pytest.mark.parametrize(
    "sign_in",
    [
        {"name": "Team", "client_id": "x"},
        {"name": "../x", "client_id": "x"},
        {"name": "team", "client_id": ""},
        {"name": "team", "client_id": "x", "scopes": ["email"]},
        {"name": "team", "client_id": "x", "scopes": ["openid", "a b"]},
        {"name": "team", "client_id": "x", "hours": 0},
        {"name": "team", "client_id": "x", "client_secret_file": "/nowhere/secret"},
        {"name": "team", "client_id": "x", "client_secret": "in the file"},
    ],
)
def test_a_sign_in_that_could_not_work_is_refused_at_the_start(tmp_path: Path, sign_in: dict[str, Any]) -> None:
    file = tmp_path / "issuers.yaml"
    file.write_text(json.dumps({"issuers": [{"issuer": "https://issuer.example.com", "sign_in": sign_in}]}))
    with pytest.raises(InvalidInputError):
        load_issuers(file)


def test_the_documents_own_issuers_are_read(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[3] / "docs/identity.md").read_text("utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", text, re.S | re.M)
    assert len(blocks) == 2
    for name in ("ca", "cluster-ca"):
        Authority.new(tmp_path / f"{name}.pem")
    (tmp_path / "client-secret").write_text(SECRET)
    found: list[Issuer] = []
    for block in blocks:
        (tmp_path / "issuers.yaml").write_text(block.replace("/etc/pedigree", str(tmp_path)))
        found += load_issuers(tmp_path / "issuers.yaml")
    (way,) = [one.sign_in for one in found if one.sign_in]
    assert (way.title, way.secret, way.hours) == ("Example", SECRET, 12)
    assert f"/sign-in/from/{way.name}`" in text


def test_each_issuer_and_each_sign_in_stands_once(tmp_path: Path) -> None:
    file = tmp_path / "issuers.yaml"
    one = {"issuer": "https://one.example.com", "sign_in": {"name": "team", "client_id": "x"}}
    for second in ({**one, "sign_in": None, "audience": "a"}, {**one, "issuer": "https://two.example.com"}):
        file.write_text(json.dumps({"issuers": [one, {k: v for k, v in second.items() if v is not None}]}))
        with pytest.raises(InvalidInputError, match="twice"):
            load_issuers(file)


# On each database


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
