"""A browser that signs in at an issuer, and what it must not be given."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlencode

import httpx

from tfx_pedigree.server.identity import COOKIE

WHO = "/api/v1/about"
HTTP = httpx.Client(verify=False, trust_env=False)  # noqa: S501  nothing here is encrypted


@dataclass
class Browser:
    """Keeps cookies for the server alone, and goes where it is sent, or not."""

    at: str
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self._ask("GET", path, headers, {})

    def post(self, path: str, **form: str) -> httpx.Response:
        """As from a page of the server."""
        return self._ask("POST", path, {"sec-fetch-site": "same-origin"}, form)

    def _ask(self, method: str, path: str, headers: dict[str, str], form: dict[str, str]) -> httpx.Response:
        own = path.startswith(("/", self.at))
        cookie = "; ".join(f"{name}={text}" for name, text in self.cookies.items()) if own else ""
        sent = {**headers, **({"cookie": cookie} if cookie else {})}
        more = {"data": form} if form else {}
        answer = HTTP.request(method, self.at + path if path.startswith("/") else path, headers=sent, **more)
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


def refused(answer: httpx.Response, why: str, status: int = 401) -> None:
    assert (answer.status_code, why in answer.text) == (status, True), (answer.status_code, answer.text)
    assert COOKIE not in [line.partition("=")[0] for line in answer.headers.get_list("set-cookie")]
