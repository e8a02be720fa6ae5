"""JWTs of issuers: as GitHub Actions, Kubernetes and Google write them, from an issuer on this computer."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from tfx_pedigree.errors import InvalidInputError, NotFoundError, UnauthenticatedError, UnavailableError
from tfx_pedigree.registry import Registry, Role, RolesCap
from tfx_pedigree.server import issuer_site
from tfx_pedigree.server.identity import Credentials
from tfx_pedigree.server.issuers import Issuer, load_issuers
from tfx_pedigree.server.oidc import Issuers

AUDIENCE = "https://pedigree.example.com"


class Loopback:
    """An issuer: its keys and its description, which a test may change, and how often it was asked."""

    def __init__(self, key: RSAKey) -> None:
        self.key = key
        self.keys: list[Any] = [self.key]
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                status, content = outer.answer(self.path)
                self.send_response(status)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, path: str) -> tuple[int, bytes]:
        if path in self.answers:
            return self.answers[path]
        if path == "/.well-known/openid-configuration":
            return 200, json.dumps({"issuer": self.address, "jwks_uri": f"{self.address}/keys"}).encode()
        return 200, json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()

    def token(self, key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
        now = int(time.time())
        said = {"iss": self.address, "aud": AUDIENCE, "sub": "somebody", "iat": now, "exp": now + 300, **claims}
        signer = key or self.key
        header = {"alg": algorithm, "kid": signer.kid} if signer.kid else {"alg": algorithm}
        present = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(header, present, signer, algorithms=[algorithm])


@pytest.fixture(scope="module")
def own() -> RSAKey:
    return RSAKey.generate_key(2048, parameters={"kid": "one"}, private=True)


@pytest.fixture(scope="module")
def keys() -> RSAKey:
    return RSAKey.generate_key(2048, parameters={"kid": "two"}, private=True)


@pytest.fixture
def issuer(own: RSAKey) -> Iterator[Loopback]:
    made = Loopback(own)
    yield made
    made.server.shutdown()
    made.server.server_close()


def known(issuer: Loopback, **values: Any) -> Issuers:
    return Issuers([Issuer(issuer.address, AUDIENCE, **values)])


SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any], str, tuple[str, ...]]] = {
    "GitHub Actions": (
        {"principal": "github:{repository}", "require": {"repository_owner": "example", "ref": "refs/heads/main"}},
        {"sub": "repo:example/flights:ref:refs/heads/main", "repository": "example/flights"}
        | {"repository_owner": "example", "ref": "refs/heads/main"},
        "github:example/flights",
        (),
    ),
    "GitLab": (
        {"principal": "gitlab:{project_path}:{ref_protected}", "require": {"namespace_path": "example"}},
        {"sub": "project_path:example/flights:ref_type:branch:ref:main", "project_path": "example/flights"}
        | {"namespace_path": "example", "ref": "main", "ref_type": "branch", "ref_protected": "true"}
        | {"pipeline_source": "push", "user_login": "somebody", "user_email": "somebody@example.com"},
        "gitlab:example/flights:true",
        (),
    ),
    "Kubernetes": (
        {"principal": "k8s:{sub}"},
        {"aud": [AUDIENCE, "other"], "sub": "system:serviceaccount:ml:training", "kubernetes.io": {"namespace": "ml"}},
        "k8s:system:serviceaccount:ml:training",
        (),
    ),
    "Google": (
        {"principal": "{email}", "require": {"hd": "example.com"}, "groups": "groups"},
        {"email": "ada@example.com", "hd": "example.com", "azp": "1.apps", "groups": ["ml", "ops"]},
        "ada@example.com",
        ("ml", "ops"),
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_jwts_as_issuers_write_them_say_who_it_is(issuer: Loopback, shape: str) -> None:
    config, claims, principal, groups = SHAPES[shape]
    found = known(issuer, **config).identity(issuer.token(**claims))
    assert (found.principal, found.groups, found.token_id) == (principal, groups, None)
    assert found.expires_at is not None
    for name in config.get("require", {}):
        with pytest.raises(UnauthenticatedError, match=f"as {name}, and this server takes only"):
            known(issuer, **config).identity(issuer.token(**{**claims, name: "evil"}))


def forged(issuer: Loopback, what: str, other: Any) -> str:
    now = int(time.time())
    whole = issuer.token()
    head, payload, signature = whole.split(".")
    public = json.dumps(issuer.key.as_dict(private=False)).encode()
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    renamed = RSAKey.import_key({**other.as_dict(private=True), "kid": "one"})
    makers = {
        "another audience": lambda: issuer.token(aud="https://other.example.com"),
        "no audience": lambda: issuer.token(aud=None),
        "expired": lambda: issuer.token(exp=now - 120),
        "no end": lambda: issuer.token(exp=None),
        "an end beyond the calendar": lambda: issuer.token(exp=10**17),
        "an end that no clock counts to": lambda: issuer.token(exp=10**400),
        "an end without a number": lambda: issuer.token(exp=1e308),
        "not yet": lambda: issuer.token(nbf=now + 300),
        "another key": lambda: issuer.token(other),
        "the same name for another key": lambda: issuer.token(renamed),
        "altered": lambda: f"{head}.{payload[:-2]}AA.{signature}",
        "no signature": lambda: f"{none}.{payload}.",
        "the public key as a secret": lambda: issuer.token(OctKey.import_key(public), "HS256"),
        "another issuer": lambda: issuer.token(iss="https://evil.example.com"),
        "no issuer": lambda: issuer.token(iss=None),
        "nobody": lambda: issuer.token(sub=None),
        "a list as a name": lambda: issuer.token(sub=["ada"]),
        "nonsense": lambda: "a.b.c",
        "dots": lambda: "..",
        "too long": lambda: issuer.token(more="x" * 20_000),
    }
    return makers[what]()


FORGERIES = [
    *(
        "another audience",
        "no audience",
        "expired",
        "no end",
        "an end beyond the calendar",
        "an end that no clock counts to",
        "an end without a number",
        "not yet",
        "another key",
        "the same name for another key",
    ),
    *("altered", "no signature", "the public key as a secret", "another issuer", "no issuer", "nobody"),
    *("a list as a name", "nonsense", "dots", "too long"),
]


@pytest.mark.parametrize("what", FORGERIES)
def test_what_proves_nothing_is_refused(issuer: Loopback, keys: Any, what: str) -> None:
    text = forged(issuer, what, keys)
    with pytest.raises(UnauthenticatedError) as refused:
        known(issuer).identity(text)
    assert text[-20:] not in str(refused.value) or len(text) < 20


def test_keys_are_fetched_once_and_again_when_there_is_a_new_one(
    issuer: Loopback, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuers = known(issuer)
    for _ in range(3):
        issuers.identity(issuer.token())
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]
    issuer.keys.append(keys)
    with pytest.raises(UnauthenticatedError):
        issuers.identity(issuer.token(keys))
    assert len(issuer.asked) == 2, "a stranger's key makes nobody ask again and again"
    monkeypatch.setattr(issuer_site, "_ASK_AGAIN", -1.0)
    assert issuers.identity(issuer.token(keys)).principal == "somebody"
    assert issuer.asked[2:] == ["/keys"]


def test_an_elliptic_key_counts_too(issuer: Loopback) -> None:
    key = ECKey.generate_key("P-256", parameters={"kid": "ec"}, private=True)
    issuer.keys = [key]
    assert known(issuer).identity(issuer.token(key, "ES256")).principal == "somebody"


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/.well-known/openid-configuration", (404, b"{}")),
        ("/.well-known/openid-configuration", (302, b"{}")),
        ("/.well-known/openid-configuration", (200, b"no JSON")),
        ("/.well-known/openid-configuration", (200, b'{"issuer": "https://evil.example.com", "jwks_uri": "x"}')),
        ("/keys", (500, b"")),
        ("/keys", (200, b"[1]")),
        ("/keys", (200, b'{"keys": [{"kty": "RSA"}]}')),
        ("/keys", (200, b" " * 300_000)),
    ],
)
def test_an_issuer_that_answers_nonsense_is_unavailable(issuer: Loopback, path: str, answer: tuple[int, bytes]) -> None:
    issuer.answers[path] = answer
    with pytest.raises(UnavailableError):
        known(issuer).identity(issuer.token())


def test_an_issuer_that_is_away_is_unavailable(issuer: Loopback) -> None:
    token = issuer.token()
    issuer.server.shutdown()
    issuer.server.server_close()
    with pytest.raises(UnavailableError, match="cannot be reached"):
        known(issuer).identity(token)


def test_a_jwt_acts_with_the_roles_of_its_principal_up_to_its_scope(issuer: Loopback, registry: Registry) -> None:
    registry.grant("group:ml", Role.RELEASER)
    scope = RolesCap(Role.CONTRIBUTOR, ("flight-delay",))
    config = Issuer(issuer.address, AUDIENCE, groups="groups", scope=scope)
    credentials = Credentials(registry, issuers=[config])
    bot = registry.acting_as(credentials.of_secret(issuer.token(groups=["ml"])))
    assert (bot.actor, bot.role("flight-delay"), bot.role("other")) == ("somebody", Role.CONTRIBUTOR, None)
    with pytest.raises(UnauthenticatedError):
        Credentials(registry).of_secret(issuer.token())


def test_issuers_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "issuers.yaml"
    file.write_text(
        "issuers:\n"
        "  - issuer: https://token.actions.githubusercontent.com\n"
        f"    audience: {AUDIENCE}\n"
        "    principal: github:{repository}\n"
        "    require: {repository_owner: example}\n"
        "    scope: {role: contributor, models: [flight-delay]}\n"
    )
    (found,) = load_issuers(file)
    assert (found.require, found.scope) == (
        {"repository_owner": "example"},
        RolesCap(Role.CONTRIBUTOR, ("flight-delay",)),
    )
    with pytest.raises(NotFoundError):
        load_issuers(tmp_path / "none.yaml")
    for text in (
        "[]",
        "issuers: 1",
        "issuers: [{}]",
        "issuers: []\nmore: 1",
        "issuers: [{issuer: http://x, audience: y}]",
    ):
        file.write_text(text)
        with pytest.raises(InvalidInputError):
            load_issuers(file)


@pytest.mark.parametrize("values", [{"audience": ""}, {"principal": "ci"}, {"jwks": "ftp://x"}, {"issuer": "http://x"}])
def test_an_issuer_that_could_be_anybody_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        Issuer(**{"issuer": "https://issuer.example.com", "audience": AUDIENCE, **values})  # type: ignore[arg-type]
