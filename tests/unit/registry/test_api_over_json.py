"""Everything that `RegistryApi` takes and answers crosses a wire of JSON and arrives as it was."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from json_wire_testing import OverJson, methods
from pedigree_testing import Clock, candidate, digest
from signing_testing import make_key, public, signature_of
from tfx_pedigree.errors import ForbiddenError, InvalidInputError
from tfx_pedigree.json_form import read
from tfx_pedigree.registry import (
    Action,
    Evidence,
    Facts,
    NewObservation,
    NewToken,
    NewWebhook,
    PromotionRequest,
    Reference,
    Registry,
    RegistryApi,
    Role,
    RolesCap,
    State,
    Verdict,
)
from tfx_pedigree.registry.search import Term
from tfx_pedigree.versioning import Bump, Request

pytestmark = pytest.mark.conformance

MODEL = "flight-delay"


def make_versions(api: RegistryApi, clock: Clock) -> None:
    metrics = {"auc": 0.8, "loss": math.inf, "odd": math.nan}
    api.add(MODEL, candidate("a", rate=0.1), Request(bump=Bump.MINOR), Facts(metrics, {"team": "ops"}))
    api.promote(f"{MODEL}@latest", PromotionRequest(expect="none", reason="first model"))
    clock.advance(hours=1)
    api.reserve(MODEL, candidate("b", rate=0.2))
    api.register(Reference(MODEL, "2"), Facts({"auc": 0.9}))
    evidence = Evidence(digest("b"), digest("a"), Verdict.PASS, "better", metrics={"auc": {"old": 0.8, "new": 0.9}})
    api.attach_evidence(f"{MODEL}@latest", evidence)
    api.annotate(f"{MODEL}@latest", Facts(tags={"team": "ops"}))


def ask_everything(api: RegistryApi, clock: Clock) -> None:
    assert api.models(limit=1).items == (api.model(MODEL),)
    assert api.revision(MODEL).startswith("sha256:")
    newest = api.get(f"{MODEL}@latest")
    glance = api.overview(matching="flight").items[0]
    assert glance.model == api.model(MODEL) and glance.newest == newest.version
    assert glance.serving is not None and glance.serving.since < clock()
    assert glance.serving.verdict is None and glance.serving.by == "ada"
    assert api.overview(matching="ship").items == ()
    assert api.evidence_by_version(MODEL, ("1.0.0", newest.version)) == {
        newest.version: api.evidence(f"{MODEL}@latest")
    }
    assert api.versions(MODEL, limit=1).items == (newest,)
    terms = ("metric.auc>=0.8", Term.parse("created>2026-11-01"), Term.parse("state!=archived"))
    page = api.search(MODEL, terms, limit=1)
    assert page.items == (newest,)
    assert len(api.search(MODEL, terms, after=page.next).items) == 1
    assert api.newest_by_tag(MODEL, "team") == {"ops": newest}
    assert api.description(newest.name.replace(" ", "@")).parameters == {"rate": 0.2}
    assert api.evidence(f"{MODEL}@latest") is not None
    assert api.evidence(f"{MODEL}@champion") is None
    assert api.compare(f"{MODEL}@1", f"{MODEL}@2").metrics
    assert api.at(MODEL, clock() - timedelta(days=9)) is None
    assert api.at(MODEL, clock()) == api.get(f"{MODEL}@champion")
    assert len(api.reigns(MODEL, "1.0.0", limit=1)) == 1
    assert api.history(MODEL, newest.version, limit=2).next is not None
    assert api.history(None).items
    assert {event.action for event in api.history(MODEL, action="promote").items} == {"promote"}
    assert [one.version for one in api.judgements(MODEL, limit=1).items] == [newest.version]
    assert api.preview_promotion(f"{MODEL}@latest", PromotionRequest(State.STAGING)).allowed


def move_them(api: RegistryApi, clock: Clock) -> None:
    api.set_alias("canary", f"{MODEL}@latest")
    assert list(api.aliases(MODEL)) == ["canary"]
    api.remove_alias(MODEL, "canary")
    assert api.promote(f"{MODEL}@latest").replaced == "1.0.0"
    serving = api.overview().items[0].serving
    assert serving is not None and (serving.version, serving.verdict) == ("1.1.0", Verdict.PASS)
    clock.advance(hours=1)
    api.rollback(MODEL, reason="slow", expect="1.1.0")
    api.archive(f"{MODEL}@champion", reason="wrong data")
    api.restore(f"{MODEL}@1.0.0")
    note = api.note(MODEL, Action.RETRAIN, reason="new data", details={"span": 7}, expect=0)
    assert api.notes(MODEL, Action.RETRAIN).items == (note,)


def sign_them(api: RegistryApi, key: Path) -> None:
    assert api.trust_key(MODEL, public(key).read_text(), reason="the release job").changed
    assert api.sign(f"{MODEL}@1.0.0", signature_of(digest("a"), key)).changed
    (trusted,) = api.trusted_keys(MODEL)
    assert [one.key for one in api.signatures(f"{MODEL}@1.0.0")] == [trusted.key]
    assert api.distrust_key(MODEL, trusted.key, reason="moved").keys == ()


def observe_them(api: RegistryApi, clock: Clock) -> None:
    now = clock()
    seen = NewObservation({"auc": 0.8, "loss": 1.0}, now, now + timedelta(seconds=1), 1200, "serving")
    assert api.observe(f"{MODEL}@1.0.0", seen).added == ("auc", "loss")
    assert api.observed_metrics(MODEL, "1.0.0") == ("auc", "loss")
    page = api.observations(MODEL, "1.0.0", since=now, until=now + timedelta(hours=1), limit=1)
    assert api.observations(MODEL, metric="auc", after=page.next).items[0].value == 0.8


def tell_others(api: RegistryApi) -> None:
    secret = "whsec_" + "c2VjcmV0" * 5
    assert api.add_webhook(NewWebhook("team", "https://example.com/hook", secret, ("promote",), MODEL)).changed
    assert [one.name for one in api.webhooks()] == ["team"]
    assert api.rotate_webhook("team", secret).changed
    assert api.deliveries("team", limit=1) == ()
    assert api.retry_webhook("team") == 0
    assert api.remove_webhook("team").webhook.events == ("promote",)


def administer(api: RegistryApi) -> None:
    assert api.grant("bob", Role.REVIEWER, MODEL).changed
    assert Role.REVIEWER in {grant.binding.role for grant in api.grants()}
    api.revoke("bob", MODEL)
    api.require(Action.GRANT)
    assert api.role() is api.role(MODEL) is Role.ADMIN
    asked = NewToken("0" * 12, digest("secret"), "ci", "bob", RolesCap(Role.VIEWER, (MODEL,)), days=7)
    made = api.create_token(asked).token
    assert api.tokens("bob", limit=1).items == (made,)
    assert api.revoke_token(made.id).changed
    assert api.verify_audit(api.anchor()).ok


def approve_one(api: RegistryApi) -> None:
    version = api.add(MODEL, candidate("asked")).version.version
    assert api.protect(MODEL, 2, "group:leads").changed
    assert api.protection(MODEL) == api.protect(MODEL, 2, "group:leads").protection
    api.protect(MODEL, 1)
    filed = api.request_promotion(f"{MODEL}@{version}", comment="better", days=3).request
    assert api.approval_requests(limit=1).items == (filed,) == (api.approval_request(MODEL, filed.number),)
    with pytest.raises(ForbiddenError):
        api.approve(MODEL, filed.number, comment="mine")
    assert api.reject(MODEL, filed.number, reason="a mistake").changed
    assert api.unprotect(MODEL, reason="done").changed


def test_all_that_crosses_the_interface_has_a_json_form(registry: Registry, clock: Clock, tmp_path: Path) -> None:
    wire = OverJson(RegistryApi, registry)
    api = cast("RegistryApi", wire)
    make_versions(api, clock)
    ask_everything(api, clock)
    move_them(api, clock)
    sign_them(api, make_key(tmp_path, "ours"))
    observe_them(api, clock)
    tell_others(api)
    administer(api)
    approve_one(api)
    assert wire.called == set(methods(RegistryApi)) - {"close"}


def test_metrics_are_numbers_near_and_far(registry: Registry, clock: Clock) -> None:
    make_versions(registry, clock)
    held = registry.get(f"{MODEL}@champion").metrics
    assert held["loss"] == math.inf
    assert math.isnan(held["odd"])
    assert registry.get(f"{MODEL}@champion") == registry.get(f"{MODEL}@champion")


@pytest.mark.parametrize(
    "value",
    [
        {"field": "created", "op": ">", "value": "yesterday"},
        {"field": "metric.auc", "op": ">=", "value": [1]},
        {"field": "state", "op": "<", "value": "staging"},
        {"field": "metric", "op": ">=", "value": 1},
    ],
)
def test_term_from_elsewhere_is_held_to_what_a_written_one_may_be(value: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="term"):
        read(Term, value, "the term")
