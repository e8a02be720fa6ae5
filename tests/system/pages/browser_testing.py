"""A page in a browser, of which all is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

from pages_fixtures import Site


def act_as(page: Page, who: str | None) -> None:
    page.context.set_extra_http_headers({"authorization": f"Bearer {who}"} if who else {})


@contextmanager
def opened(
    browser: Browser, site: Site, who: str | None = "rel", *, may_fail: bool = False, **options: Any
) -> Iterator[Page]:
    """A page whose every request and complaint is looked at: none leaves the host, the policy stops nothing.
    `may_fail`: the test itself takes answers away."""
    context = browser.new_context(base_url=site.address, **options)
    page = context.new_page()
    act_as(page, who)
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: trouble.append(dialog.message))
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    yield page
    context.close()
    assert asked <= {urlsplit(site.address).netloc}
    told = ("status of 40", *(("Failed to load resource",) if may_fail else ()))
    assert [one for one in trouble if not any(words in one for words in told)] == []
