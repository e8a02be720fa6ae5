"""What was measured while a version served: added once, never changed, never before the version was there."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedigree_testing import Clock, candidate
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import Action, Identity, NewObservation, Observation, Registry, Role, RolesCap, every
from tfx_pedigree.registry.observations import Cursor, _series

MODEL = "flight-delay"
FIRST, SECOND = f"{MODEL}@1.0.0", f"{MODEL}@1.0.1"
HOUR = timedelta(hours=1)


@pytest.fixture
def two(registry: Registry, clock: Clock) -> Registry:
    for seed in "ab":
        registry.add(MODEL, candidate(seed))
    registry.promote(FIRST)
    clock.advance(hours=10)
    return registry


def seen(clock: Clock, hours_ago: float = 1, value: float = 0.79, source: str = "job", **more: Any) -> NewObservation:
    began = clock() - timedelta(hours=hours_ago)
    return NewObservation({"auc": value, **more}, began, began + HOUR, 1200, source)


def values(registry: Registry, *where: Any, **which: Any) -> list[tuple[str, str, float]]:
    page = every(lambda after: registry.observations(MODEL, *where, **which, limit=2, after=after))
    return [(one.version, one.metric, one.value) for one in page]


@pytest.mark.conformance
@pytest.mark.database
def test_series_is_added_to_and_read_by_version_metric_and_time(two: Registry, clock: Clock) -> None:
    for number, hours in enumerate((9, 8, 7, 3)):
        assert two.observe(FIRST, seen(clock, hours, 0.7 + number / 100, loss=0.5)).added == ("auc", "loss")
    two.observe(SECOND, seen(clock, 3, 0.9))
    auc = [("1.0.0", "auc", one) for one in (0.73, 0.72, 0.71, 0.7)]
    assert values(two, "1.0.0", metric="auc") == auc
    assert values(two, metric="auc") == [("1.0.1", "auc", 0.9), *auc]
    assert len(values(two, "1.0.0")) == 8
    assert len(values(two)) == 9
    since, until = clock() - timedelta(hours=7), clock() - timedelta(hours=6)
    assert values(two, "champion", metric="auc", since=since, until=until) == auc[1:3]
    assert two.observed_metrics(MODEL, "1.0.0") == ("auc", "loss")
    assert two.observed_metrics(MODEL, "1.0.1") == ("auc",)
    (newest,) = two.observations(MODEL, "1.0.1").items
    assert newest == Observation(
        "1.0.1",
        "auc",
        0.9,
        1200,
        clock() - timedelta(hours=3),
        clock() - timedelta(hours=2),
        "job",
        newest.created_at,
        two.actor,
    )
    assert two.verify_audit().problems == ()


@pytest.mark.conformance
@pytest.mark.database
def test_same_observation_twice_is_one_and_another_value_for_it_is_refused(two: Registry, clock: Clock) -> None:
    assert two.observe(FIRST, seen(clock)).changed
    events = two.history(MODEL, limit=1).items
    assert two.observe(FIRST, seen(clock)).changed is False
    assert two.history(MODEL, limit=1).items == events
    assert two.observe(FIRST, seen(clock, loss=0.2)).added == ("loss",)
    with pytest.raises(ConflictError, match="has auc = 0.79 on 1,200 examples from 'job' for this time already"):
        two.observe(FIRST, seen(clock, value=0.8))
    assert two.observe(FIRST, seen(clock, value=0.8, source="measured again")).changed
    assert len(values(two, "1.0.0")) == 3
    assert two.verify_audit().problems == ()


def test_event_names_who_told_it_with_which_token(two: Registry, clock: Clock) -> None:
    two.grant("ci", Role.CONTRIBUTOR)
    two.acting_as(Identity("ci", "a" * 12, RolesCap(Role.CONTRIBUTOR))).observe(FIRST, seen(clock))
    (event,) = two.history(MODEL, action="observe").items
    assert (event.actor, event.token, event.subject) == ("ci", "a" * 12, "1.0.0")
    assert event.details["metrics"] == {"auc": 0.79}
    assert two.observations(MODEL).items[0].created_by == "ci"


@pytest.mark.conformance
def test_nothing_is_observed_before_the_version_or_after_now(two: Registry, clock: Clock) -> None:
    with pytest.raises(InvalidInputError, match="cannot have been observed from"):
        two.observe(FIRST, seen(clock, 11))
    with pytest.raises(InvalidInputError, match="and now it is"):
        two.observe(FIRST, seen(clock, 0.9))
    two.reserve(MODEL, candidate("c"))
    with pytest.raises(ConflictError, match="is only reserved.*`pedigree register flight-delay FOLDER`"):
        two.observe(f"{MODEL}@1.0.2", seen(clock))
    with pytest.raises(NotFoundError):
        two.observe(f"{MODEL}@7.0.0", seen(clock))
    two.archive(FIRST, reason="old")
    assert two.observe(FIRST, seen(clock)).changed


NOW = datetime(2026, 11, 20, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"metrics": {}}, "1 to 64 metrics"),
        ({"metrics": {f"m{number}": 1.0 for number in range(65)}}, "holds 65"),
        ({"metrics": {"auc": math.nan}}, "what is observed is a number"),
        ({"metrics": {"auc": math.inf}}, "what is observed is a number"),
        ({"metrics": {"auc": 10**400}}, "what is observed is a number"),
        ({"metrics": {"auc": True}}, "what is observed is a number"),
        ({"metrics": {"": 1.0}}, "cannot name a metric"),
        ({"metrics": {"a\nb": 1.0}}, "cannot name a metric"),
        ({"metrics": {"a" * 121: 1.0}}, "cannot name a metric"),
        ({"source": " "}, "cannot name a source"),
        ({"examples": -1}, "not a number of examples"),
        ({"examples": 2**53}, "not a number of examples"),
        ({"ended_at": NOW - HOUR}, "it ends when it began or later"),
        ({"ended_at": NOW + timedelta(days=367)}, "no more than 366 days"),
        ({"began_at": datetime(1969, 1, 1, tzinfo=timezone.utc)}, "cannot be from"),
        ({"began_at": datetime(2026, 11, 20)}, "need a zone"),
    ],
)
def test_what_no_observation_can_be_is_refused_with_the_reason(wrong: dict[str, Any], sentence: str) -> None:
    whole: dict[str, Any] = {"metrics": {"auc": 0.7}, "began_at": NOW, "ended_at": NOW, "examples": 3}
    assert NewObservation(**whole).metrics == {"auc": 0.7}
    with pytest.raises(InvalidInputError, match=sentence):
        NewObservation(**{**whole, **wrong})


@pytest.mark.conformance
def test_a_version_has_no_more_series_than_somebody_can_look_at(two: Registry, clock: Clock) -> None:
    when = {"began_at": clock() - HOUR, "ended_at": clock()}
    two.observe(FIRST, NewObservation({f"m{number:02}": 1.0 for number in range(64)}, **when))
    with pytest.raises(ConflictError, match="would have 65 observed metrics, and 64 are the most"):
        two.observe(FIRST, NewObservation({"one more": 1.0}, **when))
    assert two.observe(FIRST, NewObservation({"m00": 1.0}, when["began_at"], when["began_at"])).changed


@pytest.mark.conformance
def test_note_is_no_other_event_in_disguise(two: Registry, clock: Clock) -> None:
    with pytest.raises(InvalidInputError, match="is no note.*retrain"):
        two.note(MODEL, Action.OBSERVE, reason=None, details=seen(clock).to_json(), subject="1.0.0")
    assert two.verify_audit().problems == ()


@pytest.mark.conformance
def test_secret_in_a_source_is_not_kept(two: Registry, clock: Clock) -> None:
    two.observe(FIRST, seen(clock, source="https://me:hunter2@prometheus.example.com"))
    assert "hunter2" not in two.observations(MODEL).items[0].source
    assert two.verify_audit().problems == ()


@given(st.datetimes(datetime(1970, 1, 1), datetime(9998, 1, 1), timezones=st.just(timezone.utc)), st.integers(0, 2**59))
def test_cursor_is_read_as_it_was_written(when: datetime, number: int) -> None:
    assert Cursor.parse(str(Cursor(when, number))) == Cursor(when, number)


@pytest.mark.parametrize("text", ["", "1", "1.", ".1", "a.b", "-1.2", "1.2.3", "9" * 19 + ".1", "²." + "1"])
def test_cursor_of_nobodys_page_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="not the `next` of a page"):
        Cursor.parse(text)


def test_series_is_found_by_its_own_index(tmp_path: Path) -> None:
    """Also where the version has many rows of other metrics, and the model of other versions."""
    with (
        Registry.create(tmp_path, actor="ada") as registry,
        registry.transactions.reading(None) as connection,
    ):
        for version, metric, found_by in (
            (True, True, "version_id=? AND metric=? AND ended_at>? AND ended_at<?"),
            (True, False, "version_id=? AND ended_at>? AND ended_at<?"),
            (False, True, "model_id=? AND metric=? AND ended_at>? AND ended_at<?"),
            (False, False, "model_id=? AND ended_at>? AND ended_at<?"),
        ):
            text = _series(version=version, metric=metric).prepared(connection.dialect).text
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", tuple([None] * text.count("?"))).all()
            assert any(found_by in row[3] for row in plan), plan
