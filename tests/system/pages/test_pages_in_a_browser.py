"""Pages in Chromium: nothing is loaded from elsewhere, axe finds nothing, they fit, and they work without scripts.

Screenshots of every page, wide and narrow, are left in build/screenshots.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_testing import act_as, opened
from playwright.sync_api import Browser, Page, Route, expect

from lineage_testing import HOSTILE
from pages_fixtures import Site
from pages_testing import EMPTY, GUARDED, LONG, MODEL, OTHER, REAL, ROLLED, rolling_out
from pedigree_testing import Clock
from server_testing import Switch
from tfx_pedigree.integrations.performance_pages import performance_as_html
from tfx_pedigree.registry import Facts, Registry
from tfx_pedigree.rollout.ledger import Ledger
from tfx_pedigree.rollout.state import Ask
from tfx_pedigree.service.performance import performance

SHOTS = Path(__file__).resolve().parents[3] / "build/screenshots"
PAGES = {
    "models": "/models",
    "model": f"/models/{OTHER}",
    "model-with-rollback": f"/models/{MODEL}",
    "model-without-champion": f"/models/{EMPTY}",
    "performance": f"/models/{OTHER}/performance",
    "performance-unknown": f"/models/{EMPTY}/performance",
    "version": f"/models/{MODEL}/versions/1.1.0",
    "champion": f"/models/{OTHER}/versions/1.5.0",
    "compare": f"/models/{OTHER}/compare/1.0.0...1.2.0",
    "audit": f"/audit?model={MODEL}",
    "event": f"/models/{MODEL}/events/3",
    "lineage": f"/lineage?of={MODEL}@1.1.0",
    "picture": f"/lineage/picture?of={MODEL}@1.1.0",
    "files": f"/models/{REAL}/versions/1.0.0/files",
    "impact": f"/lineage/impact?of={MODEL}@1.0.0",
    "promote": f"/models/{MODEL}/versions/1.1.0/promote",
    "describe": f"/models/{MODEL}/versions/1.1.0/describe",
    "describe-model": f"/models/{MODEL}/describe",
    "tag": f"/models/{MODEL}/versions/1.1.0/tag",
    "rollback": f"/models/{OTHER}/actions/rollback",
    "approvals": "/approvals",
    "approvals-closed": "/approvals?all=1",
    "request": f"/models/{GUARDED}/approvals/1",
    "approve": f"/models/{GUARDED}/approvals/1/approve",
    "rollouts": "/rollouts",
    "rollout": f"/models/{ROLLED}/rollout",
    "abort": f"/models/{ROLLED}/rollout/abort",
    "rollout-of-number": f"/models/{ROLLED}/rollouts/1",
    "audit-of-the-registry": "/audit",
    "lineage-unasked": "/lineage",
    "not-found": "/models/nothing",
    "long-names": f"/models/{LONG}",
    "long-names-of-a-version": f"/models/{LONG}/versions/1.1.0",
    "sign-in": "/sign-in",
    "not-signed-in": "/models?q=x",
    "forbidden": f"/models/{OTHER}",
}
OTHERS = {"sign-in": None, "not-signed-in": None, "forbidden": "stranger"}
PICTURES = ("lineage", "picture")
LOOKS = {
    f"{size}-{scheme}": (width, scheme)
    for size, width in (("wide", 1600), ("narrow", 390))
    for scheme in ("light", "dark")
}
# One run is of all rules; those of what is painted and where are asked once more in each look.
OF_LOOKS = ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]


def violations(page: Page, rules: list[str] | None = None) -> list[dict[str, Any]]:
    """What axe finds in the page and in what it frames; its script is in every document of the context already."""
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    found: list[dict[str, Any]] = page.evaluate("options => axe.run(options).then(found => found.violations)", options)
    return found


# Lists of which a part is cut off; names in lists that have no room for their first word, or run into what stands
# beside them; numbers of events, and options of commands, that are broken between two lines.
_SQUEEZED = """() => [
  ...[...document.querySelectorAll("section.flush")].filter(one => one.scrollWidth > one.clientWidth),
  ...[...document.querySelectorAll("table.list tbody th:not(.n)")]
    .filter(one => (innerWidth < 400 && one.clientWidth < 100) || one.scrollWidth > one.clientWidth),
  ...[...document.querySelectorAll("table.list th.n a, code .whole, td.measured")].filter(one => {
    const text = document.createRange();
    text.selectNodeContents(one);
    return text.getClientRects().length > 1;
  }),
].map(one => one.textContent)"""


@pytest.fixture(scope="module")
def looked_at(browser: Browser, site: Site) -> Iterator[Page]:
    SHOTS.mkdir(parents=True, exist_ok=True)
    with opened(browser, site) as page:
        page.context.add_init_script(Axe().axe_script)
        yield page


@pytest.mark.parametrize("name", PAGES)
def test_every_page_fits_and_can_be_used_by_everybody(looked_at: Page, name: str) -> None:
    page, found, wide, squeezed = looked_at, {}, {}, {}
    act_as(page, OTHERS.get(name, "rel"))
    page.goto(PAGES[name])
    if name in PICTURES:
        (page.frame_locator("iframe") if name == "lineage" else page).locator("g.box").first.wait_for()
    for number, (look, (width, scheme)) in enumerate(LOOKS.items()):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.screenshot(path=SHOTS / f"{name}-{look}.png", full_page=True)
        if (seen := page.evaluate("document.documentElement.scrollWidth")) > width:
            wide[look] = seen
        if seen := page.evaluate(_SQUEEZED):
            squeezed[look] = seen
        for one in violations(page, OF_LOOKS if number else None):
            found[look, one["id"]] = [node["html"][:160] for node in one["nodes"][:2]]
    for media, width in (("screen", 768), ("screen", 1024), ("print", 718)):  # the last one is a sheet of A4
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(media=media)  # type: ignore[arg-type]
        if seen := page.evaluate(_SQUEEZED):
            squeezed[media, width] = seen
    page.emulate_media(media="screen")
    assert (wide, squeezed, found) == ({}, {}, {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_of_the_command_performance_needs_nothing_and_can_be_used_by_everybody(
    browser: Browser, site: Site, scheme: str
) -> None:
    with opened(browser, site, color_scheme=scheme) as page:
        page.set_content(performance_as_html(performance(site.registry, OTHER)))
        page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
        page.add_script_tag(content=Axe().axe_script)
        for width in (1300, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=SHOTS / f"performance-alone-{scheme}-{width}.png")
            assert [one["id"] for one in violations(page)] == []
        assert page.locator("circle").count() == 43
        assert page.locator("circle.f-none").count() == 1


def test_hostile_texts_are_shown_and_do_nothing(browser: Browser, site: Site) -> None:
    text = (
        f"{HOSTILE}\n\n[a](javascript:alert(1)) ![b](https://example.com/x.png) <script>alert(2)</script> [c](//evil)"
    )
    registry, exact = site.registry, f"{OTHER}@1.1.0"
    registry.annotate(exact, Facts(tags={"description": text, HOSTILE: HOSTILE, "span": HOSTILE}))
    registry.archive(exact, reason=text)
    with opened(browser, site) as page:
        for address in (f"/models/{OTHER}/versions/1.1.0", f"/models/{OTHER}", f"/audit?model={OTHER}", "/models"):
            page.goto(address)
            assert page.locator("main script, main iframe, main img").count() == 0
            hrefs = page.eval_on_selector_all(
                "main a", "all => all.map(one => new URL(one.getAttribute('href'), location).href)"
            )
            assert [one for one in hrefs if not one.startswith((site.address, "https://example.com"))] == []
        page.goto(f"/models/{OTHER}/versions/1.1.0")
        expect(page.locator(".prose")).to_contain_text("<script>alert(2)</script>")
    registry.restore(exact)


def test_without_scripts_everything_but_comfort_is_there(browser: Browser, site: Site) -> None:
    with opened(browser, site, java_script_enabled=False) as page:
        page.goto("/models")
        page.fill("#q", "taxi")
        page.click("text=Filter")
        expect(page.locator("table.list tbody tr")).to_have_count(1)
        page.click(f"main a:text-is('{OTHER}')")
        page.click("main a:text-is('1.4.0') >> nth=0")
        page.click(".offers >> text=Archive")
        page.fill("#reason", "no script was needed")
        page.click("button:text-is('Archive')")
        expect(page.locator(".done")).to_contain_text("archive 1.4.0")
        expect(page.locator("h1 ~ p .s-archived")).to_have_count(1)
    site.registry.restore(f"{OTHER}@1.4.0")


def test_a_list_filters_without_a_reload_and_keys_lead_through_it(browser: Browser, site: Site) -> None:
    with opened(browser, site) as page:
        page.goto(f"/models/{OTHER}")
        page.evaluate("window.mine = 1")
        page.select_option("#state", "archived")
        expect(page.locator("table.list tbody tr .s-archived").first).to_be_visible()
        expect(page.locator("table.list tbody tr .s-development")).to_have_count(0)
        assert page.evaluate("window.mine") == 1
        assert "state=archived" in page.url
        page.goto("/models")
        page.keyboard.press("/")
        page.keyboard.type("flight")
        expect(page.locator("table.list tbody tr")).to_have_count(1)
        page.keyboard.press("Escape")
        page.locator("#q").blur()
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/models/{MODEL}")


def test_times_are_the_viewers_own_with_utc_beside(browser: Browser, site: Site) -> None:
    with opened(browser, site, timezone_id="Asia/Tokyo") as page:
        page.goto(f"/models/{MODEL}/events/1")
        shown = page.locator(".head time").inner_text()
    assert re.search(r"2026-11-20 22:00\s*13:00 UTC", shown)


def test_a_double_click_does_it_once(browser: Browser, site: Site) -> None:
    before = site.registry.history(MODEL, limit=1).items[0].position
    with opened(browser, site) as page:
        page.goto(f"/models/{MODEL}/versions/1.1.0/alias")
        page.fill("#alias", "once")
        page.dblclick("button:text-is('Save')")
        expect(page.locator(".done")).to_be_visible()
    events = site.registry.history(MODEL, limit=5).items
    assert [one.action for one in events if one.position > before] == ["set-alias"]


# How the stream of events may fail to arrive: cut off, answered by somebody else, or held back by a proxy for good.
BROKEN: dict[str, Callable[[Route], None]] = {
    "cut": lambda route: route.abort(),
    "refused": lambda route: route.fulfill(status=502),
    "held": lambda _: None,
}


@pytest.mark.parametrize("way", ["stream", *BROKEN])
def test_a_rollout_is_seen_live(browser: Browser, site: Site, way: str) -> None:
    """What somebody else decides stands on the page soon after, without a reload, whatever becomes of the stream."""
    with opened(browser, site, may_fail=way in BROKEN) as page:
        if way in BROKEN:
            page.route("**/rollout/events", BROKEN[way])
        page.goto(f"/models/{ROLLED}/rollout")
        page.evaluate("window.mine = 1")
        page.focus(".offers >> text=Abort")
        Ledger(site.registry).ask(ROLLED, Ask.PAUSE, "looking at it")
        expect(page.locator("h1 ~ p .chip")).to_contain_text("paused", timeout=10_000)
        expect(page.locator(".offers >> text=Resume")).to_be_visible()
        assert page.evaluate("window.mine") == 1
        assert page.evaluate("document.activeElement.textContent") == "Abort"
    Ledger(site.registry).ask(ROLLED, Ask.RESUME, "fine")


def test_a_live_page_that_gets_no_answers_says_so(browser: Browser, site: Site) -> None:
    with opened(browser, site, may_fail=True) as page:
        page.goto(f"/models/{ROLLED}/rollout")
        page.route("**/rollout", lambda route: route.fulfill(status=503))
        Ledger(site.registry).ask(ROLLED, Ask.PAUSE, "looking at it")
        expect(page.locator("#stale")).to_contain_text("Not renewed since", timeout=10_000)
        page.unroute("**/rollout")
        Ledger(site.registry).ask(ROLLED, Ask.RESUME, "fine")
        expect(page.locator("#stale")).to_be_empty(timeout=10_000)


def test_the_end_of_a_rollout_is_seen_live(browser: Browser, switch: Switch, tmp_path: Path) -> None:
    world = rolling_out(tmp_path / "registry", Clock())
    served = Registry.open(tmp_path / "registry", actor="server")
    with (
        switch.registry(served, str(tmp_path / "registry")) as address,
        world.process() as (ledger, controller),
        opened(browser, Site(address, served, world.clock), "ada") as page,
    ):
        page.goto(f"/models/{ROLLED}/rollout")
        ledger.ask(ROLLED, Ask.ABORT, "enough")
        world.play(ledger, controller)
        expect(page.locator("h1 ~ p .chip")).to_contain_text("rolled-back", timeout=10_000)
        expect(page.locator(".offers")).to_have_count(0)


def test_a_picture_is_dragged_zoomed_and_unfolded(browser: Browser, site: Site) -> None:
    """What moves is the drawing as a whole; what is seen has its letters; the chosen one's arrows are lit."""
    with opened(browser, site) as page:
        page.goto(f"/lineage/picture?of={MODEL}@1.1.0")
        page.locator("g.box").first.wait_for()
        page.click("#fold")
        folded = page.locator("g.box").count()
        page.click("#unfold")
        assert page.locator("g.box").count() > folded
        start = page.locator("g.box.start")
        expect(start).to_contain_text("1.1.0")
        before = start.bounding_box()
        assert before is not None
        middle = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
        page.mouse.move(*middle)
        page.mouse.wheel(0, -200)
        page.mouse.down()
        page.mouse.move(middle[0] + 50, middle[1] + 30)
        page.mouse.up()
        after = start.bounding_box()
        assert after is not None and after["width"] > before["width"] * 1.2
        assert after["x"] + after["width"] / 2 == pytest.approx(middle[0] + 50, abs=2)
        start.click()
        expect(start).to_have_class(re.compile("chosen"))
        assert page.locator("g.lit > .edge").count() > 0
        expect(page.locator("#details h2")).to_contain_text("1.1.0")
