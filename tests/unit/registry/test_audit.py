"""The audit log finds what was changed behind the registry's back, on both databases."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from pedigree_testing import Clock, candidate, digest
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import (
    Anchor,
    Event,
    Evidence,
    Facts,
    PromotionRequest,
    Registry,
    Role,
    Verdict,
    search_tables,
)
from tfx_pedigree.registry.events import BEGINNING, ChainCheck, Head
from tfx_pedigree.registry.model_replay import ModelReplay
from tfx_pedigree.versioning.numbers import timestamp_tag


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search tables are compared some versions at a time: here in more than one go."""
    monkeypatch.setattr(search_tables, "_AT_ONCE", 3)


@pytest.fixture
def storied(registry: Registry, clock: Clock) -> Registry:
    """A registry in which every kind of event has happened."""
    for seed in "abcd":
        clock.advance(minutes=1)
        registry.add("flight-delay", candidate(seed), facts=Facts({"auc": 0.7}, {"team": "ops"}))
    for verdict in (Verdict.FAIL, Verdict.PASS):
        evidence = Evidence(digest("a"), None, verdict, "meets the floors")
        registry.attach_evidence("flight-delay@1.0.0", evidence)
    registry.promote("flight-delay@1.0.0")
    registry.promote("flight-delay@1.0.1", PromotionRequest(expect="1.0.0"))
    registry.rollback("flight-delay", reason="slow")
    registry.archive("flight-delay@1.0.3", reason="x")
    registry.restore("flight-delay@1.0.3")
    registry.annotate("flight-delay@1.0.2", Facts({"auc": 0.8}, {"team": ""}))
    registry.set_alias("canary", "flight-delay@1.0.2")
    registry.set_alias("old", "flight-delay@1.0.1")
    registry.remove_alias("flight-delay", "old")
    registry.grant("bob", Role.REVIEWER)
    registry.grant("eve", Role.REVIEWER)
    registry.revoke("eve")
    registry.reserve("other", candidate("z"))
    return registry


def test_untouched_registry_verifies(storied: Registry) -> None:
    report = storied.verify_audit()
    assert report.ok, report.problems
    assert report.chains == 3
    assert report.events > 25


# Each line changes something with plain SQL, as somebody who owns the database could.
TAMPERING = {
    "an event's reason": "UPDATE events SET reason = 'no reason' WHERE action = 'rollback'",
    "an event's actor": "UPDATE events SET actor = 'bob' WHERE action = 'promote' AND subject = '1.0.0'",
    "an event's details": "UPDATE events SET details = '{}' WHERE action = 'promote' AND subject = '1.0.0'",
    "an event's time": "UPDATE events SET at = (SELECT MIN(at) FROM events) WHERE action = 'rollback'",
    "an event removed": "DELETE FROM events WHERE action = 'rollback'",
    "the newest event removed": "DELETE FROM events WHERE chain = 'other' AND position = 2",
    "the newest event and the head": (
        "DELETE FROM events WHERE chain = 'other' AND position = 2;"
        "UPDATE chains SET length = 1, head = (SELECT hash FROM events WHERE chain = 'other') WHERE name = 'other'"
    ),
    "two events in another order": (
        "UPDATE events SET position = 999 WHERE chain = 'flight-delay' AND position = 3;"
        "UPDATE events SET position = 3 WHERE chain = 'flight-delay' AND position = 4;"
        "UPDATE events SET position = 4 WHERE chain = 'flight-delay' AND position = 999"
    ),
    "a version's state": "UPDATE model_versions SET state = 'staging' WHERE version = '1.0.2'",
    "a version's digest": f"UPDATE model_versions SET digest = '{digest('evil')}' WHERE version = '1.0.2'",
    "a version's number": "UPDATE model_versions SET version = '1.0.9' WHERE version = '1.0.2'",
    "a version's withdrawal": "UPDATE model_versions SET withdrawn = (1 = 1) WHERE version = '1.0.2'",
    "a version's refusal": "UPDATE model_versions SET refusal = 'x' WHERE version = '1.0.2'",
    "a version's metrics": "UPDATE model_versions SET metrics = '{\"auc\": 0.99}' WHERE version = '1.0.1'",
    "a metric in the search index": "UPDATE version_metrics SET value = 0.99",
    "a tag in the search index": "DELETE FROM version_tags",
    "an alias": "DELETE FROM aliases",
    "a time in production": "UPDATE reigns SET began_at = (SELECT MIN(at) FROM events) WHERE ended_at IS NULL",
    "evidence": "UPDATE evidence SET content = REPLACE(content, 'PASS', 'FAIL')",
    "evidence removed": "DELETE FROM evidence",
    "a description": "UPDATE descriptions SET content = REPLACE(content, 'float32', 'float64')",
    "a counter": "UPDATE models SET last_sequence = 9 WHERE name = 'flight-delay'",
    "a role": "UPDATE role_bindings SET role = 'admin' WHERE principal = 'bob'",
    "a role added": (
        "INSERT INTO role_bindings (principal, scope, role, granted_at, granted_by) "
        "SELECT 'mallory', '*', 'admin', granted_at, 'ada' FROM role_bindings LIMIT 1"
    ),
    "the registry's own log, and a role": (
        "DELETE FROM events WHERE chain = '*'; DELETE FROM chains WHERE name = '*';"
        "UPDATE role_bindings SET role = 'admin' WHERE principal = 'bob'"
    ),
    "the order of evidence": "UPDATE evidence SET id = 1000 - id",
    "where a rollback leads": "UPDATE reigns SET back_to = NULL",
    "who made a version": "UPDATE model_versions SET created_by = 'mallory' WHERE version = '1.0.2'",
    "a version's reasons": "UPDATE model_versions SET reasons = '[\"bribed\"]' WHERE version = '1.0.2'",
    "a version's parameters": "UPDATE model_versions SET parameters = '{\"rate\": 9}' WHERE version = '1.0.2'",
    "the registry's store": "UPDATE registry SET store_url = 'file:///tmp/mine'",
    "when the log ended": "UPDATE chains SET last_at = (SELECT MIN(at) FROM events) WHERE name = '*'",
    "a whole model": (
        "DELETE FROM model_versions WHERE model_id = (SELECT id FROM models WHERE name = 'other');"
        "DELETE FROM models WHERE name = 'other'; DELETE FROM events WHERE chain = 'other';"
        "DELETE FROM chains WHERE name = 'other'"
    ),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_what_was_changed_outside_is_found(storied: Registry, what: str) -> None:
    with storied._database.writing() as connection:
        for statement in TAMPERING[what].split(";"):
            connection.execute(sa.text(statement.replace(":", r"\:")))
    report = storied.verify_audit()
    assert not report.ok, f"{what} was changed and nobody noticed"


def rewrite(registry: Registry, chain: str) -> None:
    """What an owner of the database can do: change a reason and compute every hash after it again."""
    with registry._database.writing() as connection:
        e = sa.table("events", *[sa.column(c) for c in ("chain", "position", "reason", "previous", "hash")])
        previous = BEGINNING
        for row in registry_events(registry, chain):
            reason = "as planned" if row.action == "rollback" else row.reason
            changed = Event(**{**row.__dict__, "reason": reason, "previous": previous, "hash": ""})
            previous = changed.computed_hash()
            where = sa.and_(e.c.chain == chain, e.c.position == row.position)
            values = {"reason": reason, "previous": changed.previous, "hash": previous}
            connection.execute(sa.update(e).where(where).values(**values))
        connection.execute(sa.text("UPDATE chains SET head = :h WHERE name = :c"), {"h": previous, "c": chain})


def registry_events(registry: Registry, chain: str) -> list[Event]:
    return list(reversed(registry.history(chain, limit=1000).items))


def test_anchor_kept_outside_shows_a_rewritten_chain(storied: Registry) -> None:
    anchor = Anchor.from_json(json.loads(json.dumps(storied.anchor().to_json())))
    assert storied.verify_audit(anchor).ok
    storied.add("flight-delay", candidate("later"))
    assert storied.verify_audit(anchor).ok, "an older anchor still fits a longer history"
    rewrite(storied, "flight-delay")
    assert storied.verify_audit().ok, "without an anchor nothing can be seen: this is what anchors are for"
    assert "history was rewritten" in storied.verify_audit(anchor).problems[0]


def test_anchor_of_another_registry_is_told(storied: Registry) -> None:
    other = Anchor("another", "2026-11-20T00:00:00.000000Z", {})
    assert "another" in storied.verify_audit(other).problems[0]


def anchored(length: object = 1, **changed: object) -> dict[str, object]:
    heads = {"*": {"length": length, "hash": digest("x")}}
    return {
        "format": "pedigree.anchor/1",
        "registry": "r",
        "at": "2026-11-20T00:00:00.000000Z",
        "heads": heads,
    } | changed


NO_ANCHORS = {
    "nothing": None,
    "a number": 7,
    "an empty object": {},
    "no field": {"format": "pedigree.anchor/1"},
    "another format": anchored(format="pedigree.anchor/2"),
    "an infinite length": anchored(float("inf")),
    "a huge length": anchored(10**400),
    "a negative length": anchored(-1),
    "a length in words": anchored("many"),
    "heads that are a list": anchored(heads=[1]),
    "a head that is a text": anchored(heads={"*": "x"}),
    "a hash that is none": anchored(heads={"*": {"length": 1, "hash": "sha256:"}}),
    "half a character": anchored(registry="\ud800"),
    "an unknown field": anchored(more=1),
}


@pytest.mark.parametrize("data", NO_ANCHORS.values(), ids=NO_ANCHORS)
def test_what_is_no_anchor_is_refused(data: object) -> None:
    with pytest.raises(InvalidInputError, match="not an anchor"):
        Anchor.from_json(data)


def test_events_can_be_checked_by_anybody_from_their_json(storied: Registry) -> None:
    check = ChainCheck("flight-delay")
    events = [Event.from_json(json.loads(json.dumps(e.to_json()))) for e in registry_events(storied, "flight-delay")]
    assert [check.feed(event) for event in events] == [None] * len(events)
    assert check.finish(storied.anchor().heads["flight-delay"]) is None


@given(st.lists(st.text(max_size=5), min_size=2, max_size=8), st.data())
def test_any_removed_swapped_or_altered_line_breaks_the_chain(reasons: list[str], data: st.DataObject) -> None:
    chain = _chain(reasons)
    head = Head(len(chain), chain[-1].hash)
    where = data.draw(st.integers(0, len(chain) - 1))
    how = data.draw(st.sampled_from(["remove", "swap", "alter"]))
    broken = list(chain)
    if how == "remove":
        del broken[where]
    elif how == "swap":
        other = (where + 1) % len(broken)
        broken[where], broken[other] = broken[other], broken[where]
    else:
        broken[where] = Event(**{**broken[where].__dict__, "reason": (broken[where].reason or "") + "!"})
    check = ChainCheck("m")
    problems = [check.feed(event) for event in broken] + [check.finish(head)]
    assert any(problems)


def _chain(reasons: list[str]) -> list[Event]:
    previous, chain = BEGINNING, []
    for number, reason in enumerate(reasons, start=1):
        event = Event("m", number, Clock().time, "ada", "note", None, None, None, reason, {}, previous)
        event = Event(**{**event.__dict__, "hash": event.computed_hash()})
        chain.append(event)
        previous = event.hash
    return chain


def test_refusals_are_part_of_the_chain(storied: Registry, open_as: Callable[[str], Registry]) -> None:
    with pytest.raises(Exception, match="needs releaser"):
        open_as("bob").rollback("flight-delay", reason="x")
    assert storied.history("flight-delay", limit=1).items[0].action == "refuse"
    assert storied.verify_audit().ok


def test_looking_at_twice_as_many_versions_costs_twice_as_much(open_as: Callable[[str], Registry]) -> None:
    """Also where none of them was ever champion: what a new one follows is not sought among all of them."""
    registry = open_as("ada")
    registry.add("m", candidate("first"))
    create, reserve, register = reversed(registry.history("m").items)

    def events(versions: int) -> Iterator[Event]:
        yield create
        for number in range(versions):
            subject, at, made = f"1.0.{number}", create.at + timedelta(seconds=2 * number + 1), digest(number)
            own = {"digest": made, "sequence": number + 1, "timestamp_tag": timestamp_tag(at, made)}
            details = {**reserve.details, **own, "predecessor": f"1.0.{number - 1}" if number else None}
            yield replace(reserve, subject=subject, at=at, details=details)
            yield replace(register, subject=subject, at=at + timedelta(seconds=1))

    def calls(versions: int) -> int:
        replay, told, count = ModelReplay("m"), list(events(versions)), 0

        def counted(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(counted)
        try:
            for event in told:
                replay.feed(event)
        finally:
            sys.setprofile(None)
        assert (replay.problems, len(replay.facts.versions)) == ([], versions)
        return count

    assert calls(600) < 2.5 * calls(300)
