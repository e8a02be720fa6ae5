"""One browser for all tests of pages. See pages_fixtures.py too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from pages_fixtures import pages_switch, site
from programs_testing import program

__all__ = ["browser", "pages_switch", "site"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        yield made
        made.close()
