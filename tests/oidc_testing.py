"""A stand-in for a provider of OpenID Connect, made with joserfc: strict about what it is asked, and made to lie where
a test wants that. It checks the client, the redirect address to the letter, PKCE, and takes each code once."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "pedigree"
SECRET = "only the two of us know: +/&%"  # noqa: S105
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Provider:
    """`claims` and `lies` are put into each id_token, `encode` makes it, `answers` stand in for its own answers."""

    key: RSAKey
    redirects: set[str] = field(default_factory=set)
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "ada", "email": "ada@example.com"})
    lies: dict[str, Any] = field(default_factory=dict)
    describes: dict[str, Any] = field(default_factory=dict)
    encode: Callable[[dict[str, Any]], str] | None = None
    answers: dict[str, Answer] = field(default_factory=dict)
    keys: list[RSAKey] = field(default_factory=list)
    client_secret: str | None = SECRET
    context: ssl.SSLContext | None = None
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._codes: dict[str, dict[str, str]] = {}
        self.keys = self.keys or [self.key]
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if self.context is not None:
            self._server.socket = self.context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if self.context else "http"
        self.address = f"{scheme}://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: bytes, authorization: str) -> Answer:
        at = urlsplit(path)
        self.asked.append(at.path)
        if at.path in self.answers:
            return self.answers[at.path]
        if at.path == "/.well-known/openid-configuration":
            ends = {"authorization_endpoint": "/authorize?tenant=one", "token_endpoint": "/token", "jwks_uri": "/keys"}
            own = {name: self.address + end for name, end in ends.items()}
            return _json(
                {"issuer": self.address, **own, "code_challenge_methods_supported": ["S256"], **self.describes}
            )
        if at.path == "/keys":
            return _json({"keys": [one.as_dict(private=False) for one in self.keys]})
        if at.path == "/authorize":
            return self._authorize({name: one[0] for name, one in parse_qs(at.query).items()})
        if (method, at.path) == ("POST", "/token"):
            return self._token({name: one[0] for name, one in parse_qs(body.decode()).items()}, authorization)
        return 404, {}, b""

    def _authorize(self, asked: dict[str, str]) -> Answer:
        right = asked.get("response_type") == "code" and asked.get("client_id") == CLIENT
        if not right or asked.get("redirect_uri") not in self.redirects or asked.get("code_challenge_method") != "S256":
            self.refused.append("authorize")
            return 400, {}, b"This client is not known here."
        code = secrets.token_urlsafe(8)
        self._codes[code] = asked
        back = {"code": code, "state": asked["state"], "iss": self.address}
        return 302, {"location": f"{asked['redirect_uri']}?{urlencode(back)}"}, b""

    def _token(self, form: dict[str, str], authorization: str) -> Answer:
        asked = self._codes.pop(form.get("code", ""), None)
        if not self._knows(form, authorization):
            return _json({"error": "invalid_client"}, 401)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or form.get("redirect_uri") != asked["redirect_uri"]:
            self.refused.append("token")
            return _json({"error": "invalid_grant"}, 400)
        now = int(time.time())
        said = {"iss": self.address, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        claims = {name: one for name, one in {**said, **self.claims, **self.lies}.items() if one is not None}
        return _json({"access_token": "x", "token_type": "Bearer", "id_token": (self.encode or self.signed)(claims)})

    def _knows(self, form: dict[str, str], authorization: str) -> bool:
        if self.client_secret is None:
            return form.get("client_id") == CLIENT and not authorization
        if self.describes.get("token_endpoint_auth_methods_supported") == ["client_secret_post"]:
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
        wanted = urlencode({CLIENT: SECRET}).replace("=", ":", 1)
        return authorization == f"Basic {base64.b64encode(wanted.encode()).decode()}"

    def signed(self, claims: dict[str, Any], key: Any = None, algorithm: str = "RS256") -> str:
        signer = key or self.key
        header = {"alg": algorithm, **({"kid": signer.kid} if signer.kid else {})}
        return jwt.encode(header, claims, signer, algorithms=[algorithm])


def _json(said: Any, status: int = 200) -> Answer:
    return status, {"content-type": "application/json"}, json.dumps(said).encode()


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, content = provider.answer(
                self.command, self.path, body, self.headers.get("authorization", "")
            )
            self.send_response(status)
            for name, text in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
