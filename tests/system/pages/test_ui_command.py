"""`pedigree ui`: one browser is let in, by an address that works once; nobody else is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from pedigree_testing import Clock
from tfx_pedigree.registry import Registry

START = "from tfx_pedigree.cli.main import main; main()"


@pytest.fixture(scope="module")
def ui_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("ui") / "registry"
    Registry.create(folder, actor="ada", clock=Clock()).close()
    words = ["--registry", str(folder), "--actor", "ada", "ui", "--no-open"]
    process = subprocess.Popen(
        [sys.executable, "-c", START, *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "400"},
    )
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found is not None
    yield found[0]
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def test_the_address_lets_one_browser_in(ui_address: str) -> None:
    base = f"http://{urlsplit(ui_address).netloc}"
    with httpx.Client(base_url=base, follow_redirects=True) as mine, httpx.Client(base_url=base) as other:
        assert other.get("/models").status_code == 401
        assert other.get("/open/guessed", follow_redirects=True).status_code == 401
        assert mine.get(ui_address).status_code == 200
        assert "There is no model yet" in mine.get("/models").text and "ada" in mine.get("/models").text
        again = other.get(ui_address, follow_redirects=True)
        assert again.status_code == 401 and "it works once" in again.text
        assert mine.get(ui_address).status_code == 200  # whoever is in stays in
        assert mine.get("/models", headers={"host": "evil.example.com"}).status_code == 421
        grant = {"principal": "eve", "role": "admin", "scope": "*"}
        stolen = mine.post("/api/v1/roles/grant", json=grant, headers={"sec-fetch-site": "same-site"})
        assert stolen.status_code == 403
        assert "ada" in mine.get("/api/v1/about").text


def test_a_server_has_its_pages_itself() -> None:
    words = ["--registry", "https://ped.example.com", "ui", "--no-open"]
    done = subprocess.run([sys.executable, "-c", START, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "open https://ped.example.com in a browser" in " ".join(done.stderr.split())
