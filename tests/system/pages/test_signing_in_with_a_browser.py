"""A person signs in: Chromium, our server, and a provider of OpenID Connect that others made, in its own process."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from programs_testing import program
from server_processes import free_port
from server_testing import Switch
from tfx_pedigree.registry import Registry
from tfx_pedigree.server import PublicUrl, Server, ServerSettings, application
from tfx_pedigree.server.identity import COOKIE, Credentials
from tfx_pedigree.server.issuers import Issuer, SignInWith

PERSON = '{"sub": "1", "email": "ada@example.com", "email_verified": true, "groups": ["ml"]}'


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[str]:
    """Its address. It knows one person, and no client yet."""
    port = free_port()
    words = ["--port", str(port), "--user-claims", PERSON, "--require-registration", "--require-nonce"]
    with (
        (tmp_path / "provider.log").open("w") as log,
        subprocess.Popen(
            [program("oidc_provider"), *words], stderr=log, env={**os.environ, "NO_COLOR": "1"}
        ) as process,
    ):
        address = f"http://localhost:{port}"
        give_up = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{address}/.well-known/openid-configuration")
                break
            except httpx.HTTPError:
                assert process.poll() is None and time.monotonic() < give_up, (tmp_path / "provider.log").read_text()
                time.sleep(0.05)
        yield address
        process.kill()


def test_a_person_signs_in_where_he_has_an_account(
    browser: Browser, provider: str, switch: Switch, tmp_path: Path
) -> None:
    at = switch.address.replace("127.0.0.1", "localhost")
    client = {"redirect_uris": [f"{at}/sign-in/from/example"], "token_endpoint_auth_method": "client_secret_basic"}
    told = httpx.post(f"{provider}/oauth2/clients", json=client).json()
    (tmp_path / "client-secret").write_text(told["client_secret"])
    way = SignInWith("example", told["client_id"], str(tmp_path / "client-secret"), "Example")
    Registry.create(tmp_path / "registry", actor="ada").close()
    registry = Registry.open(tmp_path / "registry", actor="server")
    credentials = Credentials(registry, issuers=[Issuer(provider, principal="{email}", groups="groups", sign_in=way)])
    app = application(Server(ServerSettings("", public_url=PublicUrl.of(at)), registry, credentials))
    with switch.serving(app), browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{at}/audit")
        page.get_by_role("link", name="Sign in").click()
        assert Axe().run(page).violations_count == 0
        page.get_by_role("link", name="Sign in with Example").click()
        page.get_by_role("button", name="ada@example.com").or_(page.get_by_role("button", name="1", exact=True)).click()
        expect(page.locator(".who")).to_contain_text("ada@example.com")
        assert page.url == f"{at}/audit", "the page that was wanted, and no code in its address"
        kept = {one["name"]: one for one in context.cookies(at)}
        assert list(kept) == [COOKIE]
        assert (kept[COOKIE]["httpOnly"], kept[COOKIE]["secure"], kept[COOKIE]["sameSite"]) == (True, True, "Lax")
        assert registry.session_presented(kept[COOKIE]["value"]).groups == ("ml",)
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Signed out")).to_be_visible()
        assert Axe().run(page).violations_count == 0
        assert context.cookies(f"{at}/sign-out") == []
        page.get_by_role("link", name="Sign out at Example").click()
        page.get_by_text("Request parameters").click()
        expect(page.get_by_text("id_token_hint", exact=True)).to_be_visible()
        page.locator("form[action*=end_session] button").click()
        expect(page.locator("body")).to_contain_text("ended")
