"""A served registry with something to look at, once for all tests of pages; whoever asks is named by a bearer token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from starlette.requests import HTTPConnection

from pages_testing import fill, rolling_out, with_files
from pedigree_testing import Clock
from server_testing import NamedByToken, Switch, running
from tfx_pedigree.registry import Identity, Registry, Role
from tfx_pedigree.server import Server, ServerSettings, application
from tfx_pedigree.server.identity import Credentials
from tfx_pedigree.server.issuers import Issuer, SignInWith

PEOPLE = {
    "vic": Role.VIEWER,
    "cora": Role.CONTRIBUTOR,
    "rev": Role.REVIEWER,
    "rel": Role.RELEASER,
}


class Named(Credentials):
    """With the page where people sign in; who asks is whom the token names."""

    def identify(self, request: HTTPConnection) -> Identity:
        return NamedByToken().identify(request)


@dataclass(frozen=True)
class Site:
    """`registry` is that of its admin, ada, behind the server's back."""

    address: str
    registry: Registry
    clock: Clock

    def client(self, who: str | None) -> httpx.Client:
        headers = {"authorization": f"Bearer {who}"} if who else {}
        return httpx.Client(base_url=self.address, headers=headers, follow_redirects=True, timeout=30)


@pytest.fixture(scope="session")
def pages_switch() -> Iterator[Switch]:
    with running() as switch:
        yield switch


@pytest.fixture(scope="module")
def site(pages_switch: Switch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("pages") / "registry"
    clock = Clock()
    rolling_out(folder, clock)
    with Registry.open(folder, actor="ada", clock=clock) as registry:
        fill(registry, clock)
        with_files(folder, folder.parent / "model")
        for name, role in PEOPLE.items():
            registry.grant(name, role)
        registry.revoke("*")
        served = Registry.open(folder, actor="server")
        (folder.parent / "secret").write_text("of the client")
        way = SignInWith("example", "pedigree", str(folder.parent / "secret"), "Example")
        issuer = Issuer("https://id.example.com", principal="{email}", sign_in=way)
        app = application(Server(ServerSettings(str(folder)), served, Named(served, issuers=[issuer])))
        with pages_switch.serving(app) as address:
            yield Site(address, registry, clock)
