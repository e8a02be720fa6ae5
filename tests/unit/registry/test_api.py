"""The registry's Protocols: their size, their docstrings, and what a write answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from pedigree_testing import candidate, digest
from tfx_pedigree.errors import ForbiddenError, NotFoundError
from tfx_pedigree.registry import (
    Action,
    Administration,
    Approvals,
    Evidence,
    Facts,
    JudgementQuestions,
    Registry,
    RegistryApi,
    Role,
    Signatures,
    State,
    Tokens,
    Verdict,
    VersionChange,
    VersionChanges,
    VersionQuestions,
    Webhooks,
)

pytestmark = pytest.mark.conformance

MODEL = "flight-delay"
PROTOCOLS = (
    JudgementQuestions,
    VersionQuestions,
    VersionChanges,
    Signatures,
    Administration,
    Tokens,
    Approvals,
    Webhooks,
)
METHODS = [
    (protocol, name) for protocol in (*PROTOCOLS, RegistryApi) for name in vars(protocol) if not name.startswith("_")
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_interface_is_larger_than_a_person_can_hold(protocol: type) -> None:
    assert 1 < len([name for name in vars(protocol) if not name.startswith("_")]) <= 15


@pytest.mark.parametrize(("protocol", "name"), METHODS)
def test_every_public_method_says_what_it_does_and_the_local_registry_has_it(protocol: type, name: str) -> None:
    assert inspect.getdoc(getattr(protocol, name))
    assert inspect.getdoc(getattr(Registry, name))
    assert getattr(Registry, name) is not getattr(protocol, name)


def test_every_public_name_of_the_local_registry_has_a_docstring() -> None:
    assert [
        name for name in dir(Registry) if not name.startswith("_") and not inspect.getdoc(getattr(Registry, name))
    ] == []


def test_a_change_says_what_was_there_before_and_whether_anything_was_done(registry: Registry) -> None:
    first = registry.add(MODEL, candidate("a"), facts=Facts({"auc": 0.8}))
    assert (first.changed, first.before, first.replaced) == (True, None, None)
    again = registry.add(MODEL, candidate("a"), facts=Facts({"auc": 0.8}))
    assert (again.changed, again.before, again.version) == (False, first.version, first.version)
    promoted = registry.promote(f"{MODEL}@latest")
    assert promoted.before == first.version
    assert promoted.version.state is State.PRODUCTION
    assert promoted.replaced is None
    second = registry.add(MODEL, candidate("b")).version
    assert registry.promote(f"{MODEL}@latest").replaced == "1.0.0"
    back = registry.rollback(MODEL, reason="slow")
    assert (back.version.version, back.replaced, back.before.state) == ("1.0.0", second.version, State.ARCHIVED)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "write",
    [
        lambda r: r.set_alias("canary", MODEL),
        lambda r: r.annotate(MODEL, Facts(tags={"team": "ops"})),
        lambda r: r.attach_evidence(MODEL, Evidence(digest("a"), None, Verdict.PASS, "good")),
        lambda r: r.archive(f"{MODEL}@1.0.0", reason="wrong data"),
    ],
)
def test_repeating_a_write_changes_nothing_and_says_so(
    registry: Registry, write: Callable[[Registry], VersionChange]
) -> None:
    registry.add(MODEL, candidate("a"))
    once, twice = write(registry), write(registry)
    assert (once.changed, twice.changed) == (True, False)
    assert twice.version == twice.before == once.version == registry.get(f"{MODEL}@1.0.0")
    assert once.before != once.version or once.version.refusal is None


def test_removing_an_alias_tells_what_it_meant(registry: Registry) -> None:
    registry.add(MODEL, candidate("a"))
    held = registry.set_alias("canary", MODEL).version
    removed = registry.remove_alias(MODEL, "canary")
    assert (removed.before, removed.version.aliases, removed.changed) == (held, (), True)


def test_a_grant_says_which_role_was_there_before(registry: Registry) -> None:
    assert registry.grant("bob", Role.REVIEWER).before is None
    assert not registry.grant("bob", Role.REVIEWER).changed
    change = registry.revoke("bob")
    assert (change.before, change.role, change.changed) == (Role.REVIEWER, None, True)


def test_role_can_be_granted_on_a_model_that_is_to_come(open_as: Callable[[str], Registry]) -> None:
    open_as("ada").grant("bob", Role.CONTRIBUTOR, "penguin")
    bob = open_as("bob")
    with pytest.raises(ForbiddenError):
        bob.add("other", candidate("a"))
    assert bob.add("penguin", candidate("a")).version.version == "1.0.0"


@pytest.mark.parametrize(
    "write",
    [
        lambda r: r.add(MODEL, candidate("b")),
        lambda r: r.set_alias("canary", MODEL),
        lambda r: r.annotate(MODEL, Facts(tags={"team": "ops"})),
        lambda r: r.attach_evidence(MODEL, Evidence(digest("a"), None, Verdict.PASS, "good")),
        lambda r: r.promote(MODEL),
        lambda r: r.archive(MODEL, reason="wrong data"),
        lambda r: r.note(MODEL, Action.RETRAIN, reason=None, details={}),
    ],
)
def test_revision_changes_with_every_write_and_with_nothing_else(
    registry: Registry, open_as: Callable[[str], Registry], write: Callable[[Registry], object]
) -> None:
    registry.add(MODEL, candidate("a"))
    registry.add("other", candidate("a"))
    before = registry.revision(MODEL)
    registry.add("other", candidate("b"))
    registry.get(MODEL)
    assert registry.revision(MODEL) == before
    write(registry)
    assert registry.revision(MODEL) not in (before, registry.revision("other"))
    with pytest.raises(NotFoundError, match="no model 'none'"):
        registry.revision("none")
    registry.revoke("*")
    with pytest.raises(ForbiddenError, match="bob may not read"):
        open_as("bob").revision(MODEL)
