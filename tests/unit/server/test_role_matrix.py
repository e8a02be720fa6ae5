"""Every operation of the table × every role × one's own model and another: who may not is refused, whatever he asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import HTTPConnection

from pedigree_testing import candidate, digest
from server_testing import Switch
from signing_testing import make_key, public, signature_of
from tfx_pedigree.lineage.graph import Fragment, Node, NodeKind, Way
from tfx_pedigree.lineage.node_factory import version_node
from tfx_pedigree.registry import (
    Action,
    Evidence,
    Facts,
    Identity,
    NewObservation,
    NewToken,
    NewWebhook,
    PromotionRequest,
    Registry,
    Role,
    RolesCap,
    State,
    Verdict,
)
from tfx_pedigree.rollout.plan import blue_green
from tfx_pedigree.rollout.state import Ask
from tfx_pedigree.server import Server, ServerSettings, application
from tfx_pedigree.store.store import ObjectRef
from tfx_pedigree.wire import OPERATIONS, Operation, call_of

OWN, OTHER = "own", "other"
RUN = Node(NodeKind.RUN, {"pipeline": "p", "id": "7"})
# Whoever is known may ask these: they say only who he is, and what he may do.
OPEN = {"about", "role"}
# Of his own tokens everybody who has any role takes care.
WITH_ANY_ROLE = {"create_token", "tokens", "revoke_token"}
# What concerns the registry as a whole, and what its graph holds of all models together, not of one version.
OF_REGISTRY = {"models", "overview", "grants", "grant", "revoke", "verify_audit", "anchor"}
OF_REGISTRY |= {one.name for one in OPERATIONS if one.path.startswith(("/lineage/", "/webhooks"))}
OF_REGISTRY -= {"record", "around", "explain", "diff"}
WITH_REQUEST = {"promote", "preview_promotion", "promote_and_deploy", "start_rollout"}
# Who filed no request and may not approve it is refused by the model's protection, not by the least role.
BY_RULE = {("reject", Role.CONTRIBUTOR)}


@dataclass(frozen=True)
class Person:
    """`own` is his role on his own model, `everywhere` that on the registry as a whole, after his token's scope."""

    identity: Identity
    own: Role | None
    everywhere: Role | None
    other: Role | None


def people() -> dict[str, Person]:
    found = {"stranger": Person(Identity("stranger"), None, None, None)}
    for role in Role:
        found[f"{role} of own"] = Person(Identity(f"{role}-of-own"), role, None, None)
        found[str(role)] = Person(Identity(f"{role}"), role, role, role)
    narrow = Identity("admin", "a" * 12, RolesCap(Role.REVIEWER, (OWN,)))
    found["token of an admin"] = Person(narrow, Role.REVIEWER, None, None)
    low = Identity("admin", "b" * 12, RolesCap(Role.VIEWER))
    found["reading token"] = Person(low, Role.VIEWER, Role.VIEWER, Role.VIEWER)
    wide = Identity("viewer", "c" * 12, RolesCap(Role.ADMIN))
    found["wide token"] = Person(wide, Role.VIEWER, Role.VIEWER, Role.VIEWER)
    found["member"] = Person(Identity("member", groups=("team",)), Role.RELEASER, None, None)
    return found


PEOPLE = people()


class Named:
    """The header says which of the people it is."""

    def identify(self, request: HTTPConnection) -> Identity:
        return PEOPLE[request.headers["x-who"]].identity


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder, "ours")
    return folder


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, switch: Switch, keys: Path) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("matrix")
    with Registry.create(folder, actor="admin") as registry:
        for model in (OWN, OTHER):
            for seed in "abc":
                registry.add(model, candidate(seed))
            registry.promote(f"{model}@1")
            registry.protect(model, 1)
            registry.request_promotion(f"{model}@2")
        registry.revoke("*")
        for role in Role:
            registry.grant(f"{role}-of-own", role, OWN)
            registry.grant(f"{role}", role)
        registry.grant("group:team", Role.RELEASER, OWN)
        registry.transactions.ensure_model(OWN)
    served = Registry.open(folder, actor="server")
    app = application(Server(ServerSettings(str(folder)), served, Named()))
    with switch.serving(app) as at, httpx.Client(base_url=at) as client:
        yield client


def arguments(operation: Operation, model: str, keys: Path) -> dict[str, Any]:
    """Something for all that it takes, so that nothing but the role decides. A new name has to be added here."""
    evidence = Evidence(digest("c"), digest("a"), Verdict.PASS, "better")
    now = datetime.now(timezone.utc)
    known: dict[str, Any] = {
        "reference": f"{model}@3",
        "old": f"{model}@1" if operation.name == "compare" else version_node(model, digest("a")),
        "new": f"{model}@2" if operation.name == "compare" else version_node(model, digest("b")),
        "model": model,
        "name": model,
        "version": {
            "around": version_node(model, digest("c")),
            "explain": version_node(model, digest("c")),
            "start_rollout": "1.0.2",
            "observed_metrics": "1.0.2",
        }.get(operation.name),
        "candidate": "1200:3" if operation.name == "verdict" else candidate("new"),
        "share": "10",
        "request": PromotionRequest(State.STAGING) if operation.name in WITH_REQUEST else None,
        "observation": NewObservation({"auc": 0.7}, now, now, 100),
        "metric": "auc",
        "facts": Facts(tags={"a": "b"}),
        "evidence": evidence,
        "terms": (),
        "versions": ("1.0.0",),
        "when": datetime(2026, 11, 20, tzinfo=timezone.utc),
        "key": digest("key") if operation.name == "distrust_key" else "team",
        "action": None
        if operation.name == "history"
        else Action.READ
        if operation.name == "require"
        else Action.RETRAIN,
        "reason": "a reason",
        "details": {},
        "alias": "canary",
        "bundle": signature_of(digest("c"), keys / "ours.pem"),
        "pem": public(keys / "ours.pem").read_text(),
        "principal": None if operation.name == "tokens" else "somebody",
        "role": Role.VIEWER,
        "scope": "elsewhere",
        "asked": NewToken("d" * 12, digest("secret"), "mine"),
        "token_id": "e" * 12,
        "approvals_needed": 1,
        "approvers": "reviewer",
        "number": 1,
        "days": 3,
        "only_open": True,
        "node": RUN,
        "a": RUN,
        "b": RUN,
        "text": "pipeline:p",
        "fragment": Fragment((RUN,), ()),
        "way": Way.UP,
        "objects": (ObjectRef("0" * 64, 7),),
        "digests": (digest("a"),),
        "matching": "",
        "webhook": NewWebhook("chat", "https://example.com/hook", "whsec_" + "c2VjcmV0" * 5, ("promote",)),
        "secret": "whsec_" + "c2VjcmV0" * 5,
        "target": "eu",
        "plan": blue_green(),
        "stable": "10800:25" if operation.name == "verdict" else None,
        "ask": Ask.ABORT,
        "metadata": {"share": "10", "candidate": "1200:3", "stable": "10800:25"},
        **dict.fromkeys(("requests", "failed", "namespace", "phase", "checksum")),
        **dict.fromkeys(("anchor", "expect", "limit", "after", "comment", "depth", "subject", "to", "since", "until")),
    }
    names = {"reference" if one.name == "selector" else one.name for one in operation.parameters}
    if "reference" in names:
        names.discard("model")
    return {name: known[name] for name in names if known[name] is not None}


def allowed(operation: Operation, person: Person, model: str) -> bool:
    if operation.name in OPEN:
        return True
    if operation.name in WITH_ANY_ROLE:
        return any((person.own, person.everywhere, person.other))
    if operation.path.startswith("/store/"):  # the same bytes may be those of several models: a role on one is enough
        return max(person.own or 0, person.everywhere or 0, person.other or 0) >= operation.role
    role = person.everywhere if operation.name in OF_REGISTRY else person.own if model == OWN else person.other
    return role is not None and role >= operation.role


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_who_may_and_who_may_not(api: httpx.Client, keys: Path, operation: Operation) -> None:
    wrong = []
    for name, person in PEOPLE.items():
        for model in (OWN, OTHER):
            if (operation.name, person.own if model == OWN else person.other) in BY_RULE:
                continue
            call = call_of(operation, arguments(operation, model, keys))
            headers: Mapping[str, str] = {"x-who": name}
            answer = api.request(call.method, f"/api/v1{call.path}", content=call.body, headers=headers)
            assert answer.status_code < 500, answer.text
            refused = answer.status_code == 403
            if refused is allowed(operation, person, model):
                wrong.append(f"{name} on {model}: {answer.status_code} {answer.text[:200]}")
    assert wrong == []
