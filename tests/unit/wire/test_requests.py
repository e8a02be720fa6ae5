"""Operations as requests: what is called is what arrives, and what nobody could have sent is refused with its name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import pytest

from pedigree_testing import candidate, digest
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import read
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment, Node, NodeKind, Way
from tfx_pedigree.registry import (
    Action,
    Evidence,
    Facts,
    NewObservation,
    NewToken,
    NewWebhook,
    PromotionRequest,
    Reference,
    Role,
    State,
    Verdict,
)
from tfx_pedigree.rollout import plan as plans
from tfx_pedigree.rollout.state import Ask
from tfx_pedigree.rollout.traffic.api import ServedVersion
from tfx_pedigree.store import ObjectRef
from tfx_pedigree.versioning import Bump, Request
from tfx_pedigree.wire import OPERATIONS, Found, Operation, Router, arguments_of, call_of
from tfx_pedigree.wire.operation import REQUIRED

ROUTER = Router(OPERATIONS)
REFERENCE = Reference("flight-delay", "sha256:0a1b2c")
NODE = Node(NodeKind.DATA, {"span": 3}, {"span": ("3",)})
WHEN = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=timezone.utc)
EVIDENCE = Evidence(digest("a"), None, Verdict.PASS, "better", metrics={"auc": {"value": 0.9}})
EXAMPLES: dict[str, Any] = {
    "reference": REFERENCE,
    "candidate": candidate("a", rate=0.1),
    "request": None,
    "facts": Facts({"auc": 0.5, "loss": float("inf")}, {"team": "ä/ö & ü"}),
    "evidence": EVIDENCE,
    "terms": ["metric.auc>=0.9", "tag.team=a&b"],
    "versions": ("1.0.0", "1.1.0"),
    "when": WHEN,
    "since": WHEN,
    "until": WHEN,
    "observation": NewObservation({"auc": 0.5}, WHEN, WHEN, 7),
    "action": Action.RETRAIN,
    "role": Role.RELEASER,
    "details": {"spans": [1, 2.5, None, "x"]},
    "expect": None,
    "limit": 7,
    "node": NODE,
    "fragment": Fragment((NODE,), (Edge(NODE.key, EdgeKind.USED, NODE.key),)),
    "way": Way.UP,
    "depth": 3,
    "anchor": None,
    "objects": (ObjectRef("0" * 64, 7),),
    "digests": (digest("a"),),
    "approvals_needed": 2,
    "number": 7,
    "only_open": True,
    "days": 3,
    "plan": plans.blue_green(),
    "stable": ServedVersion("flight-delay", digest("a"), "1.0.0", 1),
    "ask": Ask.ABORT,
    "metadata": {"share": "10", "candidate": "1200:3", "stable": "10800:25"},
    "asked": NewToken("0" * 12, digest("secret"), "ci"),
    "webhook": NewWebhook("chat", "https://example.com/hook", "whsec_" + "c2VjcmV0" * 5, ("promote",)),
}


def examples(operation: Operation) -> dict[str, Any]:
    """Something for each of its arguments, awkward where it may be."""
    found: dict[str, Any] = {}
    for parameter in operation.parameters:
        name = "reference" if parameter.name == "selector" else parameter.name
        if parameter.name == "model" and any(one.name == "selector" for one in operation.parameters):
            continue
        found[name] = EXAMPLES.get(name, "a/b c?d=%2F+ä..")
    asked = PromotionRequest(State.STAGING, "1.0.0")
    requests = {
        "promote": asked,
        "start_rollout": asked,
        "promote_and_deploy": asked,
        "add": Request(bump=Bump.MAJOR, pre="rc"),
    }
    if operation.name == "verdict":  # counts, and no versions
        found |= {"candidate": "1200:3", "stable": "10800:25"}
    return {**found, **({"request": requests[operation.name]} if operation.name in requests else {})}


def received(operation: Operation, arguments: Mapping[str, Any]) -> dict[str, Any]:
    call = call_of(operation, arguments)
    path, _, query = call.path.partition("?")
    found = ROUTER.find(call.method, path)
    assert isinstance(found, Found)
    assert found.operation is operation
    return arguments_of(operation, found.segments, query.encode(), call.body)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_what_is_called_is_what_arrives(operation: Operation) -> None:
    arguments = examples(operation)
    assert {
        name: list(value) if name == "terms" else value for name, value in received(operation, arguments).items()
    } == arguments


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_what_nobody_asked_for_is_what_the_method_does_by_itself(operation: Operation) -> None:
    needed = {one.name for one in operation.parameters if one.required}
    arguments = {
        name: value for name, value in examples(operation).items() if name in needed or name in ("reference", "terms")
    }
    given = received(operation, arguments)
    for one in operation.parameters:
        if one.name not in needed and one.name in given and one.name != "terms":
            assert given[one.name] == (None if one.default is REQUIRED else one.default)


@pytest.mark.parametrize("dots", [".", "..", "..."])
def test_a_name_of_dots_stays_a_part_of_the_path(dots: str) -> None:
    operation = next(one for one in OPERATIONS if one.name == "aliases")
    path = call_of(operation, {"model": dots}).path
    assert "/./" not in path
    assert received(operation, {"model": dots}) == {"model": dots}


def operation(name: str) -> Operation:
    return next(one for one in OPERATIONS if one.name == name)


@pytest.mark.parametrize(
    ("name", "segments", "query", "body", "sentence"),
    [
        ("models", {}, "limit=0", None, "`limit`.* at least 1"),
        ("models", {}, "limit=1001", None, "`limit`.* at most 1000"),
        ("models", {}, "limit=x", None, "`limit`.* a whole number"),
        ("models", {}, "limit=1&limit=2", None, "more than one `limit`"),
        ("models", {}, "lmit=1", None, "has `lmit` in its query. It takes `limit` and `after` there"),
        ("models", {}, "after=%ff", None, "not UTF-8"),
        ("models", {}, "&".join("after=" for _ in range(1001)), None, "more than 1000 parameters"),
        ("models", {}, "", b"{}", "takes no body"),
        ("model", {"name": "%ff"}, "", None, "not UTF-8"),
        ("newest_by_tag", {"model": "m"}, "", None, "lacks `key` in its query"),
        ("at", {"model": "m"}, "when=yesterday", None, "not a time"),
        ("require", {}, "action=fly", None, "one of read"),
        ("get", {"model": "M", "selector": "1.0.0"}, "", None, "cannot name a model"),
        ("promote", {"model": "m", "selector": "1.0.0"}, "", b"[]", "must be a JSON object"),
        ("promote", {"model": "m", "selector": "1.0.0"}, "", b"{", "not JSON"),
        (
            "promote",
            {"model": "m", "selector": "1.0.0"},
            "",
            b'{"who": 1}',
            "has `who` in its body. It takes `request`",
        ),
        ("promote", {"model": "m", "selector": "1"}, "", b'{"request": {"target": "moon"}}', "`target` must be one of"),
        ("archive", {"model": "m", "selector": "1.0.0"}, "", b"", "lacks `reason` in its body"),
        ("get_upstream", {}, "node=%7B%22kind%22%3A1%7D", None, "node"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_name(
    name: str, segments: dict[str, str], query: str, body: bytes | None, sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        arguments_of(operation(name), segments, query.encode(), body)


def test_how_much_may_be_asked_for_has_bounds() -> None:
    """`limit=-1193416997` ended in a failure of the server."""
    limits = [one for operation in OPERATIONS for one in operation.parameters if one.name in ("limit", "number")]
    assert len(limits) > 10
    for one in limits:
        for wrong in (-1193416997, 10**20):
            with pytest.raises(InvalidInputError):
                read(one.kind, wrong, one.name)
