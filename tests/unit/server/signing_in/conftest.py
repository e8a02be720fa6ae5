"""A server that sends people to a provider, and a browser before it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from oidc_testing import CLIENT, SECRET, Provider
from pedigree_testing import Clock
from server_testing import Switch
from signing_in_testing import Browser
from tfx_pedigree.registry import Registry
from tfx_pedigree.server import PublicUrl, Server, ServerSettings, application
from tfx_pedigree.server.identity import Credentials
from tfx_pedigree.server.issuers import Issuer, SignInWith


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
