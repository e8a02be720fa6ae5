"""Pages without a browser: what they say, their twins, and what they refuse."""

from __future__ import annotations

import io
import json
import math
import re
import tarfile
from dataclasses import replace
from html import unescape
from pathlib import Path

import httpx
import pytest

from pages_fixtures import PEOPLE, Site
from pages_testing import EMPTY, GUARDED, MODEL, OTHER, ROLLED
from pedigree_testing import Clock, candidate
from server_testing import NamedByToken, Switch
from tfx_pedigree.integrations.performance_pages import drawing
from tfx_pedigree.registry import PromotionRequest, Registry, State
from tfx_pedigree.server import Server, ServerSettings, application
from tfx_pedigree.server.pages.reigns import goes_back_to, reigns
from tfx_pedigree.service.performance import performance
from tfx_pedigree.service.versions.registering import register_model
from tfx_pedigree.service.workspace import connect

PAGES = (
    "/models",
    f"/models/{MODEL}",
    f"/models/{EMPTY}",
    f"/models/{OTHER}?sort=-auc&state=development",
    f"/models/{OTHER}/performance",
    f"/models/{OTHER}/performance?metric=auc",
    f"/models/{MODEL}/versions/1.1.0",
    f"/models/{OTHER}/compare/1.0.0...1.2.0",
    f"/models/{MODEL}/events/3",
    "/events/1",
    "/audit",
    f"/audit?model={OTHER}&action=promote",
    "/lineage",
    f"/lineage?of={MODEL}@1.1.0&way=up",
    f"/lineage/impact?of={MODEL}@1.0.0",
    "/approvals",
    "/approvals?all=1",
    f"/models/{GUARDED}/approvals/1",
    f"/models/{GUARDED}/versions/1.1.0",
    "/rollouts",
    f"/models/{ROLLED}/rollout",
    f"/models/{ROLLED}/rollouts/1",
)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_a_twin_of_json_and_a_command(site: Site, page: str) -> None:
    with site.client("vic") as client:
        html = client.get(page)
        assert html.status_code == 200, html.text
        assert html.headers["content-type"].startswith("text/html")
        assert "default-src 'self'" in html.headers["content-security-policy"]
        assert not re.search(r"<script(?![^>]*\bsrc=)|\bstyle=|\bon[a-z]+=\"|javascript:", html.text)
        assert "pedigree " in html.text
        path, _, query = page.partition("?")
        twin = client.get(f"{path}.json?{query}")
        assert twin.status_code == 200 and isinstance(twin.json(), dict)
        again = client.get(f"{path}.json?{query}", headers={"if-none-match": twin.headers["etag"]})
        assert again.status_code == 304 or ROLLED in page  # where seconds go by


def test_nobody_learns_nothing(site: Site) -> None:
    with site.client(None) as client:
        for page in PAGES:
            answer = client.get(page)
            assert answer.status_code == 401 and not re.search(r"\bada\b", answer.text)
    with site.client("stranger") as client:
        answer = client.get("/models")
        assert answer.status_code == 403
        assert "pedigree roles grant stranger viewer" in answer.text


BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def test_an_unknown_address_is_a_page_for_a_browser_and_json_for_a_program(site: Site) -> None:
    with site.client(None) as client:
        for path, status, sentence in (
            ("/nowhere/<b>", 404, "There is nothing at /nowhere/&lt;b&gt;"),
            ("/models/m/versions/1/2/3", 404, "To the models"),
        ):
            page = client.get(path, headers=BROWSER)
            assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
            assert sentence in page.text
            assert "default-src 'self'" in page.headers["content-security-policy"]
            told = client.get(path)
            assert (told.status_code, told.headers["content-type"]) == (status, "application/problem+json")
        for path in ("/api/v1/nowhere", "/api/nowhere", "/nowhere.json"):
            assert client.get(path, headers=BROWSER).headers["content-type"] == "application/problem+json", path
        page = client.post("/models", headers=BROWSER)
        assert (page.status_code, sorted(page.headers["allow"].split(", "))) == (405, ["GET", "HEAD"])
        assert "/models knows GET, HEAD, and not POST" in page.text


@pytest.mark.parametrize("host", ["evil.example", "[", "a b", "x" * 5000])
def test_a_browser_that_calls_the_server_by_another_name_gets_the_page_that_says_so(site: Site, host: str) -> None:
    with site.client(None) as client:
        page = client.get("/models", headers={**BROWSER, "host": host})
        assert (page.status_code, page.headers["content-type"]) == (421, "text/html; charset=utf-8")
        assert "--allow-host" in page.text


def test_what_is_not_there_is_refused_with_the_registrys_sentence(site: Site) -> None:
    with site.client("vic") as client:
        for page in (f"/models/{MODEL}/versions/9.9.9", "/models/flight-dellay", f"/models/{MODEL}/events/999"):
            answer = client.get(page)
            assert answer.status_code == 404 and "pedigree" in answer.text
        assert "Did you mean flight-delay?" in client.get("/models/flight-dellay").text
        assert client.get(f"/models/{MODEL}?q=nonsense").status_code == 400
        assert client.get(f"/models/{MODEL}?sort=-").status_code == 400
        assert client.get("/lineage?of=x&way=sideways").status_code == 400
        assert client.get(f"/models/{MODEL}/compare/1.0.0").status_code == 400


def test_an_alias_leads_to_the_address_that_stays(site: Site) -> None:
    with site.client("vic") as client:
        assert client.get(f"/models/{MODEL}/versions/champion").url.path == f"/models/{MODEL}/versions/1.0.0"
        assert client.get(f"/models/{OTHER}/compare").url.path.endswith("1.5.0...1.6.0")


def test_the_model_page_says_who_rolled_back_and_why(site: Site) -> None:
    with site.client("vic") as client:
        html = client.get(f"/models/{MODEL}").text
    assert "↩" in html and "brought back by a rollback by ada: 1.0.1 is slow" in html
    listed = html.partition('<ul class="backs">')[2].partition("</ul>")[0]
    assert re.search(r"ada brought .*1\.0\.0</a> back: 1\.0\.1 is slow at <code>p95</code>", listed)


def test_numbers_of_different_data_are_not_put_side_by_side_silently(site: Site) -> None:
    with site.client("vic") as client:
        html = client.get(f"/models/{OTHER}/compare/1.1.0...1.3.0").text
        assert "each on its own data" in html and "never judged against each other" in html
        assert "on the same rows" in client.get(f"/models/{OTHER}/compare/1.0.0...1.1.0").text


def test_the_list_of_models_says_what_serves_and_what_comes_next(site: Site) -> None:
    with site.client("vic") as client:
        found = {one["model"]["name"]: one for one in client.get("/models.json").json()["models"]}
        html = client.get("/models").text
    assert found[OTHER]["serving"]["verdict"] == "PASS" and found[OTHER]["waiting"] == "1.6.0"
    assert found[ROLLED]["rolling_out"] == "1.0.1" and found[EMPTY]["serving"] is None
    assert "rolling out" in html and "nothing serves" in html


def test_a_rollout_shows_each_test_of_the_judge(site: Site) -> None:
    with site.client("vic") as client:
        html = unescape(client.get(f"/models/{ROLLED}/rollout").text)
        tests = client.get(f"/models/{ROLLED}/rollout.json").json()["sheet"]["tests"]
    assert len(tests) == 3
    for one in tests:
        assert one["name"] in html and one["counted"] in html
        assert f"needed {math.exp(one['harm_needed']):,.3g}" in html


def test_a_picture_of_many_observations_is_a_few_strokes(site: Site) -> None:
    """A year of hourly values must not cost a page of thousands of elements."""
    [series, *_] = performance(site.registry, OTHER).series
    many = tuple(replace(series.points[at % len(series.points)], value=0.7 + at / 10_000) for at in range(900))
    drawn = drawing(replace(series, points=many), site.registry.reigns(OTHER))
    assert "<circle" not in drawn and len(re.findall(r"M[\d.]+ [\d.]+h0", drawn)) == 900
    assert drawn.count("<path") < 10


def test_lists_go_on_page_by_page(site: Site) -> None:
    with site.client("vic") as client:
        first = client.get(f"/audit.json?model={OTHER}").json()
        assert first["next"] is None or first["next"] in client.get(f"/audit?model={OTHER}").text
        found = client.get(f"/models/{OTHER}.json?sort=auc").json()["versions"]
        values = [one["version"]["metrics"]["auc"] for one in found]
        assert values == sorted(values)


HIDDEN = re.compile(r'type="hidden" name="(\w+)" value="([^"]*)"')


def form_of(site: Site, who: str, path: str) -> dict[str, str]:
    with site.client(who) as client:
        return dict(HIDDEN.findall(client.get(path).text))


@pytest.mark.parametrize("who", [*PEOPLE, "ada"])
def test_each_role_is_offered_what_it_may_do_and_told_the_role_for_the_rest(site: Site, who: str) -> None:
    rank = ["vic", "cora", "rev", "rel", "ada"].index(who)
    with site.client(who) as client:
        html = client.get(f"/models/{OTHER}/versions/1.1.0").text
        offered = {
            name: f'href="/models/{OTHER}/versions/1.1.0/{name}"' in html for name in ("promote", "alias", "tag")
        }
        assert offered == {"promote": rank >= 3, "alias": rank >= 2, "tag": rank >= 1}
        if rank < 3:
            assert "needs releaser" in html
            asked = client.get(f"/models/{OTHER}/versions/1.1.0/promote").text
            assert "<form method" not in asked and "pedigree roles grant" in asked
            answer = client.post(
                f"/models/{OTHER}/versions/1.1.0/promote", data={"seen": "9999", "reason": "x", "idempotency": who}
            )
            assert answer.status_code == 403


def test_a_change_says_beforehand_what_it_does_and_stands_in_the_log_afterwards(site: Site) -> None:
    at = f"/models/{MODEL}/versions/1.1.0/tag"
    with site.client("cora") as client:
        assert "gets the tag" in client.get(at).text
        form = {**form_of(site, "cora", at), "key": "note", "text": "<b>x</b>"}
        done = client.post(at, data=form)
    assert done.url.path == f"/models/{MODEL}/versions/1.1.0"
    assert "Done: annotate 1.1.0: note=" in done.text and "<b>x</b>" not in done.text
    newest = site.registry.history(MODEL, limit=1).items[0]
    assert (newest.actor, newest.details["tags"]) == ("cora", {"note": "<b>x</b>"})


def test_a_stale_page_is_refused_and_says_what_changed(site: Site) -> None:
    at = f"/models/{OTHER}/versions/1.3.0/stage"
    form = form_of(site, "rev", at)
    site.registry.archive(f"{OTHER}@1.3.0", reason="wrong span")
    with site.client("rev") as client:
        answer = client.post(at, data={**form, "reason": "next in line"})
    assert answer.status_code == 409
    assert "something changed since you looked" in answer.text and "wrong span" in answer.text
    assert site.registry.get(f"{OTHER}@1.3.0").state is State.ARCHIVED
    site.registry.restore(f"{OTHER}@1.3.0")


def test_rolling_back_twice_with_one_form_rolls_back_once(site: Site) -> None:
    registry, clock = site.registry, site.clock
    clock.advance(hours=1)
    at = f"/models/{OTHER}/actions/rollback"
    before = registry.model(OTHER).champion
    form = {**form_of(site, "rel", at), "reason": "too slow"}
    with site.client("rel") as client:
        assert form["to"] == "1.2.0" and "1.2.0 serves again" in client.get(at).text
        assert client.post(at, data=form).status_code == 200
        after = registry.model(OTHER).champion
        again = client.post(at, data=form)
    assert again.status_code == 200 and "Done: rollback" in again.text  # the first one's answer
    assert after == registry.model(OTHER).champion != before
    clock.advance(hours=1)
    registry.rollback(OTHER, to=before, reason="back again")


def test_what_a_rollback_would_do_is_known_beforehand(tmp_path: Path) -> None:
    """The version that the page names is the one that the registry then brings back, whatever was done before."""
    clock = Clock()
    with Registry.create(tmp_path / "registry", actor="ada", clock=clock) as registry:
        for number in range(6):
            registry.add(MODEL, candidate(number, rate=number))
        names = [one.version for one in reversed(registry.versions(MODEL).items)]

        def step(word: str, number: int = 0) -> None:
            clock.advance(hours=1)
            exact = f"{MODEL}@{names[number]}"
            if word == "promote":
                registry.promote(exact, PromotionRequest(expect=registry.model(MODEL).champion or "none"))
            elif word == "stage":
                registry.promote(exact, PromotionRequest(State.STAGING))
            elif word == "archive":
                registry.archive(f"{MODEL}@champion", reason="bad")
            elif word == "to":
                registry.rollback(MODEL, reason="known good", to=names[number])
            else:
                told = goes_back_to(reigns(registry, MODEL))
                assert registry.rollback(MODEL, reason="slow").version.version == told

        for number in range(4):
            step("promote", number)
        step("stage", 4)
        step("back")
        step("promote", 5)
        step("back")
        step("back")
        step("to", 3)
        step("back")
        step("archive")
        step("promote", 4)
        step("back")


def test_a_model_is_described_on_its_page(site: Site) -> None:
    at = f"/models/{EMPTY}/describe"
    with site.client("vic") as client:
        assert "Describe: needs contributor" in client.get(f"/models/{EMPTY}").text
        assert "<form method" not in client.get(at).text
        assert client.post(at, data={"seen": "0", "description": "x", "idempotency": "v"}).status_code == 403
    with site.client("cora") as client:
        form = {**form_of(site, "cora", at), "description": "# Of\n**Delays** <b>of</b> [trains](javascript:1)"}
        done = client.post(at, data=form)
        assert done.status_code == 200, re.findall("reason.>(.*)<", done.text)
        assert "Done: cora described" in done.text and "<strong>Delays</strong> &lt;b&gt;of" in done.text
        assert "<h2>Of</h2>" in done.text and done.text.count("<h1") == 1
        assert "javascript:" not in re.sub(r"\[trains\]\(javascript:1\)", "", done.text)
        assert client.post(at, data=form).url.path == f"/models/{EMPTY}"  # the same click once more
        stale = client.post(at, data={**form, "description": "other", "idempotency": "other"})
        assert stale.status_code == 409 and "somebody else described it" in stale.text and ">\nother<" in stale.text
        again = {**form_of(site, "cora", at), "description": "other"}
        assert client.post(at, data=again).status_code == 200
        assert client.get(f"/models/{EMPTY}.json").json()["description"]["text"] == "other"
        assert (
            client.get(f"/audit.json?model={EMPTY}&action=describe").json()["events"][1]["details"]["text"][:3] == "# O"
        )


def test_a_reason_is_asked_for_where_one_is_needed(site: Site) -> None:
    at = f"/models/{OTHER}/versions/1.4.0/archive"
    with site.client("rev") as client:
        answer = client.post(at, data={**form_of(site, "rev", at), "reason": "  "})
    assert answer.status_code == 400 and "A reason is needed" in answer.text


def test_stale_evidence_is_not_passed_over_by_looking_at_the_page(site: Site) -> None:
    """The champion that is seen does not outrank the one that the evidence names, unless somebody says so."""
    at = f"/models/{MODEL}/versions/1.1.0/promote"
    form = {**form_of(site, "rel", at), "reason": "try"}
    with site.client("rel") as client:
        answer = client.post(at, data=form)
    assert answer.status_code == 409
    assert "its evidence compares it with 1.0.1" in answer.text
    assert site.registry.model(MODEL).champion == "1.0.0"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://example.com"},
        {"origin": "null"},
    ],
)
def test_forms_of_other_sites_are_refused(site: Site, headers: dict[str, str]) -> None:
    at = f"/models/{MODEL}/versions/1.1.0/tag"
    form = {**form_of(site, "cora", at), "key": "evil", "text": "1"}
    with site.client("cora") as client:
        assert client.post(at, data=form, headers=headers).status_code == 403
        assert client.post(at, content=json.dumps(form), headers={"content-type": "text/plain"}).status_code == 400
    assert "evil" not in site.registry.get(f"{MODEL}@1.1.0").tags


def test_script_and_style_are_small_and_kept_for_good(site: Site) -> None:
    with site.client("vic") as client:
        html = client.get(f"/lineage?of={MODEL}@1.1.0").text + client.get(f"/lineage/picture?of={MODEL}@1.1.0").text
        files = set(re.findall(r'(?:src|href)="(/static/[^"]+\.(?:js|css))"', html))
        assert len(files) == 4
        sizes = []
        for file in files:
            with client.stream("GET", file) as answer:
                assert "immutable" in answer.headers["cache-control"]
                sizes.append(sum(map(len, answer.iter_raw())))
    assert sum(sizes) <= 60_000


def test_a_request_is_asked_for_approved_and_promoted(site: Site) -> None:
    registry = site.registry
    at = f"/models/{GUARDED}/approvals/1"
    with site.client("cora") as mine, site.client("rev") as other:
        assert "Withdraw" in mine.get("/approvals").text and "/approve" not in mine.get("/approvals").text
        inbox = other.get("/approvals").text
        assert "<code>May</code>" in inbox and "looks right" in inbox and f"{at}/approve" in inbox
        form = {**form_of(site, "rev", f"{at}/approve"), "reason": "checked"}
        assert other.post(f"{at}/approve", data=form).url.path == at
        assert "approved" in other.get(at).text
        assert other.post(f"{at}/approve", data=form).status_code == 200  # the same click once more
    assert [one.by for one in registry.approval_request(GUARDED, 1).approvals] == ["ada", "rev"]
    with site.client("cora") as client:
        asked = {**form_of(site, "cora", f"{at}/reject"), "reason": " "}
        assert client.post(f"{at}/reject", data=asked).status_code == 400


def test_a_rollout_is_stopped_by_who_may_and_a_stale_step_is_not_advanced(site: Site) -> None:
    at = f"/models/{ROLLED}/rollout"
    with site.client("vic") as client:
        html = client.get(at).text
        assert "25 %" in html and "needs releaser" in html and "of 2,000" in html
        assert client.post(f"{at}/abort", data={"seen": "1:1", "reason": "x", "idempotency": "v"}).status_code == 403
    form = {**form_of(site, "rel", f"{at}/advance"), "reason": "go"}
    with site.client("rel") as client:
        pause = {**form_of(site, "rel", f"{at}/pause"), "reason": "lunch"}
        assert client.post(f"{at}/pause", data=pause).status_code == 200
        stale = client.post(f"{at}/advance", data=form)
        assert stale.status_code == 409 and "Something changed since you looked" in stale.text
        abort = {**form_of(site, "rel", f"{at}/abort"), "reason": "enough"}
        assert client.post(f"{at}/abort", data=abort).status_code == 200
        assert "rolling-back" in client.get(at).text
        with client.stream("GET", f"{at}/events") as lines:
            assert lines.headers["content-type"].startswith("text/event-stream")
            assert next(lines.iter_lines()) == "retry: 3000"


def test_files_are_fetched_one_by_one_as_an_archive_and_with_their_documents(switch: Switch, tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "variables").mkdir(parents=True)
    (model / "weights.bin").write_bytes(b"graph" * 300)
    (model / "variables" / "index").write_bytes(b"")
    Registry.create(tmp_path / "registry", actor="ada").close()
    with connect(tmp_path / "registry", actor="ada") as workspace:
        register_model(workspace, "small", model)
    served = Registry.open(tmp_path / "registry", actor="server")
    app = application(Server(ServerSettings(str(tmp_path / "registry")), served, NamedByToken()))
    with switch.serving(app) as address, httpx.Client(base_url=address) as client:
        client.headers["authorization"] = "Bearer ada"
        at = "/models/small/versions/1.0.0"
        page = client.get(f"{at}/files").text
        file = re.search(r'href="(/api/v1/store[^"]+)" download="weights.bin"', page)
        assert file is not None and client.get(file[1]).content == b"graph" * 300
        answer = client.get(f"{at}/archive.tar")
        assert answer.headers["content-disposition"] == 'attachment; filename="small-1.0.0.tar"'
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
            assert archive.getnames() == ["variables/index", "weights.bin"]
            assert archive.extractfile("weights.bin").read() == b"graph" * 300  # type: ignore[union-attr]
        bill = client.get(f"{at}/documents/bom.json")
        assert bill.json()["bomFormat"] == "CycloneDX" and bill.headers["content-disposition"].startswith("attachment")
        assert client.get(f"{at}/documents/spdx.json").json()["@graph"]
        for name in ("card.md", "card.html"):
            assert client.get(f"{at}/documents/{name}").headers["content-disposition"].startswith("attachment")
        shown = client.get(at).text
        assert [name for name in ("bom", "spdx", "card", "evidence") if f"{at}/documents/{name}." in shown] == [
            *("bom", "spdx", "card")
        ]
        assert client.get(f"{at}/documents/evidence.json").status_code == 404
        assert client.get(f"{at}/documents/secrets").status_code == 404


def test_a_report_is_downloaded_and_not_shown(site: Site) -> None:
    with site.client("vic") as client:
        report = client.get(f"/models/{OTHER}/versions/1.2.0/documents/report.html")
    assert report.headers["content-disposition"].startswith("attachment") and "sandbox" in str(report.headers)
    assert "What the models said" in report.text
