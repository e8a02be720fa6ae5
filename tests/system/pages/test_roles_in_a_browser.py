"""Every page and action as everybody, in Chromium, with scripts and without: what a role allows is offered, for the
rest stands the role that could."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from browser_testing import act_as, opened
from playwright.sync_api import Browser, Page

from pages_fixtures import PEOPLE, Site
from pages_testing import EMPTY, GUARDED, MODEL, OTHER, REAL, ROLLED
from tfx_pedigree.registry import Role

CONTRIBUTOR, REVIEWER, RELEASER = Role.CONTRIBUTOR, Role.REVIEWER, Role.RELEASER
EVERYBODY = {**PEOPLE, "ada": Role.ADMIN}
_VERSION = {"Set an alias": REVIEWER, "Describe": CONTRIBUTOR, "Tag": CONTRIBUTOR}
_NEXT = {"Promote to production": RELEASER, "Move to staging": REVIEWER, "Archive": REVIEWER, **_VERSION}
# What each page offers, and what it takes.
OFFERS: dict[str, Mapping[str, Role]] = {
    "/models": {},
    f"/models/{OTHER}": {"Describe": CONTRIBUTOR, "Roll back": RELEASER},
    f"/models/{EMPTY}": {"Describe": CONTRIBUTOR},
    f"/models/{MODEL}/versions/1.1.0": _NEXT,
    f"/models/{OTHER}/versions/1.5.0": {"Roll back": RELEASER, "Archive": RELEASER, **_VERSION},
    f"/models/{OTHER}/versions/1.0.0": {
        "Bring back into production": RELEASER,
        "Restore": REVIEWER,
        "Archive": REVIEWER,
        **_VERSION,
    },
    f"/models/{GUARDED}/versions/1.1.0": {"Ask for approvals": CONTRIBUTOR, **_NEXT},
    f"/models/{REAL}/versions/1.0.0/files": {},
    f"/models/{OTHER}/compare/1.0.0...1.2.0": {},
    f"/models/{MODEL}/events/3": {},
    "/approvals": {"Approve": REVIEWER, "Reject": REVIEWER},
    f"/models/{GUARDED}/approvals/1": {"Approve": REVIEWER, "Reject": REVIEWER},
    "/rollouts": {},
    f"/models/{ROLLED}/rollout": {"Abort": RELEASER, "Pause": RELEASER, "Next step now": RELEASER},
    f"/audit?model={MODEL}": {},
    f"/lineage?of={MODEL}@1.1.0": {},
    f"/lineage/impact?of={MODEL}@1.0.0": {},
}
# cora filed the request, and ada has approved it.
OWN = {"cora": {"Withdraw": CONTRIBUTOR}, "ada": {"Reject": REVIEWER}}
ACTIONS = {
    f"/models/{MODEL}/describe": CONTRIBUTOR,
    f"/models/{OTHER}/actions/rollback": RELEASER,
    f"/models/{MODEL}/versions/1.1.0/promote": RELEASER,
    f"/models/{MODEL}/versions/1.1.0/stage": REVIEWER,
    f"/models/{MODEL}/versions/1.1.0/archive": REVIEWER,
    f"/models/{MODEL}/versions/1.1.0/alias": REVIEWER,
    f"/models/{MODEL}/versions/1.1.0/describe": CONTRIBUTOR,
    f"/models/{MODEL}/versions/1.1.0/tag": CONTRIBUTOR,
    f"/models/{OTHER}/versions/1.0.0/bring-back": RELEASER,
    f"/models/{OTHER}/versions/1.0.0/restore": REVIEWER,
    f"/models/{OTHER}/versions/1.5.0/archive": RELEASER,
    f"/models/{GUARDED}/versions/1.1.0/request": CONTRIBUTOR,
    f"/models/{GUARDED}/approvals/1/approve": REVIEWER,
    f"/models/{GUARDED}/approvals/1/reject": REVIEWER,
    **{f"/models/{ROLLED}/rollout/{word}": RELEASER for word in ("pause", "resume", "advance", "abort")},
}
BLOCKED = {
    ("cora", "approve"): "Whoever filed a request cannot approve it",
    ("ada", "approve"): "You have approved it already",
}


@pytest.fixture(scope="module", params=[True, False], ids=["scripts", "no-scripts"])
def everybodys(request: pytest.FixtureRequest, browser: Browser, site: Site) -> Iterator[Page]:
    """One page for all people, one after the other: its browser keeps script and style."""
    with opened(browser, site, None, java_script_enabled=request.param) as page:
        yield page


@pytest.mark.parametrize("who", EVERYBODY)
def test_what_the_role_allows_is_offered_and_for_the_rest_stands_the_role_that_could(
    everybodys: Page, who: str
) -> None:
    act_as(everybodys, who)
    role, found = EVERYBODY[who], {}
    for path, offers in OFFERS.items():
        expected = OWN[who] if who in OWN and "approvals" in path else offers
        found[path] = _offered(everybodys, path, expected, role)
    for path, least in ACTIONS.items():
        found[path] = _action(everybodys, path, least, who, role)
    assert {path: problem for path, problem in found.items() if problem} == {}


# All that is looked at, in one question.
_SEEN = """() => {
  const all = selector => [...document.querySelectorAll(selector)], text = one => one.textContent.trim();
  return {
    offers: all(".offers a.button:not([download])").map(text),
    notes: all(".offers .note").map(text).join(" "),
    sends: all("main form[method=post] button:not([type=button])").length,
    forms: all("main form").length,
    text: document.getElementById("content").innerText,
  };
}"""


def seen(page: Page, path: str) -> dict[str, Any]:
    answer = page.goto(path, wait_until="domcontentloaded")
    assert answer is not None
    found: dict[str, Any] = page.evaluate(_SEEN)
    return {"status": answer.status, **found}


def _offered(page: Page, path: str, offers: Mapping[str, Role], role: Role) -> object:
    found = seen(page, path)
    told = {
        label.strip(): least
        for names, least in re.findall(r"([^:.]+): needs (\w+)\.", found["notes"])
        for label in names.split(", ")
    }
    allowed = sorted(label for label, least in offers.items() if role >= least)
    missing = {label: str(least) for label, least in offers.items() if role < least}
    ok = found["status"] == 200 and (sorted(found["offers"]), told) == (allowed, missing)
    return None if ok else (found, told)


def _action(page: Page, path: str, least: Role, who: str, role: Role) -> object:
    """A form where it is allowed; else the sentence says what is missing, and nothing can be sent."""
    found = seen(page, path)
    text, sends, word = found["text"], found["sends"], path.rpartition("/")[2]
    if (why := BLOCKED.get((who, word))) and "approvals" in path:
        return None if sends == 0 and why in text else found
    if word == "reject" and who == "cora":
        least = CONTRIBUTOR
    if role >= least:
        return None if sends == 1 and "needs the role" not in text else found
    named = f"needs the role {least}" in text and f"pedigree roles grant {who} {least}" in text
    return None if sends == 0 and named else found


@pytest.mark.parametrize(
    ("who", "status", "said"), [(None, 401, "Sign in"), ("stranger", 403, "pedigree roles grant stranger viewer")]
)
def test_nobody_sees_nothing_and_is_told_what_to_do(everybodys: Page, who: str | None, status: int, said: str) -> None:
    act_as(everybodys, who)
    for path in (*OFFERS, *ACTIONS):
        found = seen(everybodys, path)
        assert (found["status"], said in found["text"], found["forms"]) == (status, True, 0), (path, found)
